//! The simulated temperature sensor as an edge module. Started by the edge runtime, which sets its environment.

use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use modules::bootstrap::Environment;
use modules::sensor::{CONTROL_INPUT, OUTPUT, Sensor};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use transport::client::{ClientEvent, HubClient};

fn main() -> ExitCode {
    let filter = match transport::log::filter(LevelFilter::INFO) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).without_time();
    tracing_subscriber::registry().with(lines).with(filter).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.context("cannot start").and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let environment = Environment::of_process()?;
    let (client, events) = environment.connect("simulated-temperature-sensor").await?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let sensor = Sensor::new(format!("{:016x}", u64::from_be_bytes(random)));
    tracing::info!(identity = %environment.identity, gateway = environment.gateway_host, "sensor started");
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = measure(sensor, client.clone(), events) => outcome?,
        _ = terminate.recv() => tracing::info!("asked to end"),
    }
    client.stop().await;
    Ok(())
}

async fn measure(mut sensor: Sensor, client: HubClient, mut events: mpsc::Receiver<ClientEvent>) -> anyhow::Result<()> {
    let mut next_at = Instant::now();
    let mut sending = None;
    loop {
        let interval = sensor.interval();
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { return Ok(()) };
                if take(&mut sensor, &client, event).await {
                    // A new interval counts from now.
                    next_at = Instant::now() + sensor.interval().unwrap_or_default();
                }
            }
            // One message at a time: while the hub is away nothing piles up here.
            () = finished(&mut sending) => sending = None,
            () = tokio::time::sleep_until(next_at), if interval.is_some() && sending.is_none() => {
                let message = sensor.next_message(OffsetDateTime::now_utc(), random_share);
                tracing::info!(body = %String::from_utf8_lossy(&message.body), "sending");
                let client = client.clone();
                sending = Some(tokio::spawn(async move { client.send_to_output(OUTPUT, vec![message]).await }));
                next_at = Instant::now() + interval.unwrap_or_default();
            }
        }
    }
}

type Sending = tokio::task::JoinHandle<Result<(), transport::client::SendError>>;

async fn finished(sending: &mut Option<Sending>) {
    match sending {
        Some(task) => {
            if let Ok(Err(error)) = task.await {
                tracing::warn!(%error, "a measurement was not acknowledged");
            }
        }
        None => std::future::pending().await,
    }
}

/// Handles an event; says whether the settings changed.
async fn take(sensor: &mut Sensor, client: &HubClient, event: ClientEvent) -> bool {
    match event {
        ClientEvent::Connected { .. } => match client.twin().await {
            Ok(twin) => {
                let twin: Value = serde_json::from_slice(&twin).unwrap_or_default();
                return apply(sensor, client, twin.get("desired").unwrap_or(&Value::Null)).await;
            }
            Err(error) => tracing::warn!(%error, "the twin could not be read"),
        },
        ClientEvent::Desired { patch, .. } => {
            let patch: Value = serde_json::from_slice(&patch).unwrap_or_default();
            return apply(sensor, client, &patch).await;
        }
        ClientEvent::Method(call) => {
            let (status, answer) = sensor.answer_method(&call.name);
            tracing::info!(method = call.name, status, "direct method");
            call.reply(status, Bytes::from(answer.to_string())).await;
        }
        ClientEvent::Input(message) => {
            if message.input == CONTROL_INPUT {
                sensor.take_control(&message.message.body);
            }
            message.acknowledge().await;
        }
        ClientEvent::Disconnected { reason } => tracing::warn!(reason, "disconnected"),
        ClientEvent::CloudToDevice(message) => message.acknowledge().await,
    }
    false
}

async fn apply(sensor: &mut Sensor, client: &HubClient, desired: &Value) -> bool {
    let before = sensor.interval();
    let reported = sensor.take_desired(desired);
    tracing::info!(interval = ?sensor.interval(), "settings");
    let anything = reported.as_object().is_some_and(|members| !members.is_empty());
    if anything && let Err(error) = client.patch_reported(Bytes::from(reported.to_string())).await {
        tracing::warn!(%error, "the settings were not acknowledged");
    }
    before != sensor.interval()
}

/// From 0 to below 1. Randomness that cannot be had makes a dull measurement, nothing worse.
fn random_share() -> f64 {
    let mut bytes = [0; 4];
    if getrandom::fill(&mut bytes).is_err() {
        return 0.5;
    }
    f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}
