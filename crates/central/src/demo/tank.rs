//! A downstream device of the demo: a tank that fills and drains, behind the edge, with an identity of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::identity::Identity;
use model::message::Message;
use protocol::hub::bag::{BagBuilder, CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use transport::client::{ClientEvent, HubClient, HubClientOptions, SharedKey, Subscriptions, Way};

use super::await_file;

/// Time between two messages.
const SEND_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two pings of an otherwise quiet connection, doubled.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Level a tank starts at and is kept near, in metres.
const TARGET_LEVEL_DEFAULT: f64 = 2.5;
/// The highest level, in metres.
const LEVEL_MAX: f64 = 5.0;
/// Metres a tank fills or drains between two messages at most.
const LEVEL_STEP: f64 = 0.05;

/// A tank and how it reaches its hub.
pub struct Tank {
    /// Device id.
    pub device_id: String,
    /// Its key, base64.
    pub key: String,
    /// Name of the hub.
    pub hub_host: String,
    /// The edge's MQTT port on loopback.
    pub edge_port: u16,
    /// The edge's CA, written by the edge.
    pub edge_ca: PathBuf,
    /// Sets one tank apart from another.
    pub phase: usize,
}

struct State {
    level: f64,
    target: f64,
    tick: u32,
}

impl Tank {
    /// Sends and answers until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Some(roots) = await_file(&self.edge_ca, &stop).await else { return };
        let tls = match transport::tls::client_config(Some(&roots)) {
            Ok(tls) => tls,
            Err(error) => {
                tracing::error!(device = %self.device_id, %error, "the edge's CA cannot be used");
                return;
            }
        };
        let (client, mut events) = HubClient::start(self.options(tls));
        let mut state = State { level: TARGET_LEVEL_DEFAULT, target: TARGET_LEVEL_DEFAULT, tick: 0 };
        let mut ticks = tokio::time::interval(SEND_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (twin_work, twin_tasks) = mpsc::channel(1);
        let twin = tokio::spawn(report(client.clone(), twin_tasks));
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => self.send(&client, &mut state, &stop).await,
                event = events.recv() => match event {
                    Some(event) => handle(event, &mut state, &twin_work).await,
                    None => break,
                },
            }
        }
        client.stop().await;
        drop(twin_work);
        let _ = twin.await;
    }

    fn options(&self, tls: Arc<rustls::ClientConfig>) -> HubClientOptions {
        HubClientOptions {
            host: "localhost".to_owned(),
            port: self.edge_port,
            hub_host: self.hub_host.clone(),
            identity: Identity::device(&self.device_id),
            token_audience: None,
            tokens: Arc::new(SharedKey::new(&self.key)),
            auth_chain: None,
            model_id: Some("dtmi:tidegate:demo:tank;1".to_owned()),
            client_type: concat!("tidegate-demo/", env!("CARGO_PKG_VERSION")).to_owned(),
            tls,
            way: Way::default(),
            keep_alive: KEEP_ALIVE,
            subscribe: Subscriptions { methods: true, desired: true, twin_replies: true, ..Subscriptions::default() },
            reconnection: None,
        }
    }

    async fn send(&self, client: &HubClient, state: &mut State, stop: &CancellationToken) {
        state.tick += 1;
        state.level += (state.target - state.level).clamp(-LEVEL_STEP, LEVEL_STEP);
        #[allow(clippy::cast_precision_loss, reason = "the phase is 0 or 1")]
        let wave = (f64::from(state.tick) / 12.0 + self.phase as f64 * 1.5).sin();
        let body = json!({
            "level": round((state.level + wave * 0.4).clamp(0.0, LEVEL_MAX)),
            "temperature": round(14.0 + wave * 1.5),
        });
        let mut bag = BagBuilder::new();
        bag.push(CONTENT_TYPE, "application/json").push(CONTENT_ENCODING, "utf-8");
        let message = Message { bag: bag.build(), body: Bytes::from(body.to_string()) };
        tokio::select! {
            // A message that met a lost connection is a measurement missed: the next one follows in seconds.
            sent = client.send(vec![message]) => if let Err(error) = sent {
                tracing::debug!(device = %self.device_id, %error, "not sent");
            },
            () = stop.cancelled() => {}
        }
    }
}

/// What the twin is told, in order, apart from the event loop so that a slow hub does not hold up commands.
enum TwinWork {
    Start,
    Acknowledge { target: f64, version: u64 },
}

async fn handle(event: ClientEvent, state: &mut State, twin: &mpsc::Sender<TwinWork>) {
    match event {
        ClientEvent::Connected { .. } => drop(twin.send(TwinWork::Start).await),
        ClientEvent::Desired { version, patch } => {
            let patch: Value = serde_json::from_slice(&patch).unwrap_or_default();
            if let Some(target) = patch["targetLevel"].as_f64() {
                state.target = target.clamp(0.0, LEVEL_MAX);
                let _ = twin.send(TwinWork::Acknowledge { target: state.target, version }).await;
            }
        }
        ClientEvent::Method(call) if call.name == "drain" => {
            let metres = serde_json::from_slice::<f64>(&call.payload).unwrap_or(1.0);
            state.level = (state.level - metres).max(0.0);
            let answer = Bytes::from(json!(round(state.level)).to_string());
            call.reply(200, answer).await;
        }
        ClientEvent::Method(call) => call.reply(404, Bytes::from_static(b"{\"message\":\"no such command\"}")).await,
        _ => {}
    }
}

async fn report(client: HubClient, mut work: mpsc::Receiver<TwinWork>) {
    while let Some(item) = work.recv().await {
        let patch = match item {
            TwinWork::Start => json!({ "firmware": env!("CARGO_PKG_VERSION") }),
            TwinWork::Acknowledge { target, version } => {
                json!({ "targetLevel": { "value": target, "ac": 200, "av": version, "ad": "filling or draining" } })
            }
        };
        if let Err(error) = client.patch_reported(Bytes::from(patch.to_string())).await {
            tracing::debug!(%error, "the twin was not updated");
        }
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
