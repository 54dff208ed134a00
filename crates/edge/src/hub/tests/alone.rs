//! A hub by itself: its queues on a disk in memory, clients whose far end the test holds, and a hub above that takes connections
//! and says nothing. For tests with a clock that stands still: nothing here needs time to pass.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::identity::Identity;
use model::message::Message;
use serde_json::{Value, json};
use storage::log::Clock;
use storage::testing::FaultyFiles;
use tokio_util::sync::CancellationToken;
use transport::client::{Reconnection, Way};
use transport::server::link::DetachedLink;
use transport::server::{SessionLink, Subscriptions};
use transport::tls::client_config;

use crate::hub::age_clock::{AgeClock, TimeSources};
use crate::hub::scope::ScopeAnswer;
use crate::hub::{EdgeHub, HubOptions, ScopeSource};
use crate::identity::Signer as _;
use crate::identity::testing::{self, HUB_HOST};
use crate::lifecycle::deployment::Deployment;
use crate::management::DaemonStatus;
use crate::metrics::Metrics;

pub struct Alone {
    pub hub: Arc<EdgeHub>,
    /// The disk of the queues.
    pub files: FaultyFiles,
    now_ms: Arc<AtomicU64>,
    wall_ms: Arc<AtomicU64>,
    _above: TcpListener,
    _dir: tempfile::TempDir,
}

/// Nobody is in scope.
struct Nobody;

impl ScopeSource for Nobody {
    fn page<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        Box::pin(async { Ok(json!({})) })
    }

    fn one<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        Box::pin(async { Ok(json!({})) })
    }
}

impl Alone {
    /// With these routes in force, whose messages wait for ever unless a route says otherwise.
    pub fn new(routes: Value) -> Self {
        let alone = Self::with_scope(Arc::new(Nobody));
        let section = json!({
            "schemaVersion": "1.1", "routes": routes,
            "storeAndForwardConfiguration": { "timeToLiveSecs": -1 },
        });
        alone.hub.configure(&Deployment { version: 1, section });
        alone
    }

    /// Without routes.
    pub fn with_scope(scope: Arc<dyn ScopeSource>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let above = TcpListener::bind("127.0.0.1:0").unwrap();
        let files = FaultyFiles::new(1);
        let [now_ms, wall_ms] = [(); 2].map(|()| Arc::new(AtomicU64::new(1_800_000_000_000)));
        let read = |time: &Arc<AtomicU64>| -> Clock {
            let time = Arc::clone(time);
            Arc::new(move || time.load(Ordering::Relaxed))
        };
        let sources = TimeSources { wall_ms: read(&wall_ms), since_boot_ms: read(&now_ms), boot_id: String::new() };
        let clock = AgeClock::of_sources(sources);
        let signer = testing::signer(dir.path(), "edge", &[("$edgeHub", "key"), ("sensor", "key"), ("filter", "key")]);
        let options = HubOptions {
            device: signer.device().clone(),
            hostname: "127.0.0.1".into(),
            identities: Arc::clone(signer.modules()),
            signer,
            upstream_host: "127.0.0.1".into(),
            upstream_port: above.local_addr().unwrap().port(),
            tls: client_config(None).unwrap(),
            way: Way::default(),
            reconnection: Reconnection::default(),
            scope,
            dir: dir.path().join("hub"),
            queues_disk_bytes_max: 64 << 20,
            accept_data_loss: false,
            status: Arc::new(DaemonStatus::default()),
            metrics: Metrics::new(HUB_HOST, "edge"),
        };
        let hub = EdgeHub::open_in(options, CancellationToken::new(), Arc::new(files.clone()), clock).unwrap();
        Self { hub, files, now_ms, wall_ms, _above: above, _dir: dir }
    }

    /// Lets time pass, by the clock of the queues and the one on the wall.
    pub fn advance_clock(&self, secs: u64) {
        self.now_ms.fetch_add(secs * 1000, Ordering::Relaxed);
        self.set_wall_forward(secs);
    }

    /// Sets the clock on the wall, and no time passes.
    pub fn set_wall_forward(&self, secs: u64) {
        self.wall_ms.fetch_add(secs * 1000, Ordering::Relaxed);
    }

    /// A client that is connected and subscribed.
    pub fn connect(&self, identity: &Identity, subscriptions: Subscriptions) -> DetachedLink {
        let (link, far_end) = SessionLink::detached();
        far_end.set_subscriptions(subscriptions);
        self.hub.sessions.insert(identity, link, false).unwrap();
        far_end
    }

    /// Takes messages of a client in, and returns when its hub is at them. No time passes.
    pub async fn take_in(&self, sender: &Identity, messages: Vec<Message>) {
        let held = hold_clock();
        self.hub.ingest(sender, messages.into_iter().map(|message| (None, message))).await.unwrap();
        // What was stored is in memory: a pump that was told of it is not waiting for anything but its turn.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        drop(held);
    }

    /// Messages dropped because their time was over.
    pub fn expired(&self) -> usize {
        let text = self.hub.options.metrics.text();
        let of_reason = |line: &&str| {
            line.starts_with("edgehub_messages_dropped_total{") && line.contains(r#"reason="ttl_expiry""#)
        };
        text.lines().filter(of_reason).map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    }
}

/// Keeps a paused clock from being put forward to the next timer while real work is waited for, as long as it lives.
pub struct HeldClock(
    #[expect(dead_code, reason = "dropped, it ends the task that holds the clock")] std::sync::mpsc::Sender<()>,
);

pub fn hold_clock() -> HeldClock {
    let (held, waiting) = std::sync::mpsc::channel();
    tokio::task::spawn_blocking(move || {
        let _ = waiting.recv();
    });
    HeldClock(held)
}

/// It took exactly so long, but for the millisecond timers are rounded to.
#[track_caller]
pub fn assert_took(since: tokio::time::Instant, expected: std::time::Duration) {
    let took = since.elapsed();
    assert!(took >= expected && took <= expected + std::time::Duration::from_millis(2), "{took:?}, not {expected:?}");
}
