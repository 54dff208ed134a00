//! The local hub: what modules and downstream devices connect to, and what stands between them and the cloud.
//!
//! ```text
//! module, leaf ──MQTT──▶ handler ─▶ authenticate (scope, keys)
//!                          │
//!                          ├─ telemetry ─▶ ingest ─▶ routes ─▶ queues (one log, a cursor per endpoint and priority)
//!                          │                                      │ pump
//!                          │                          upstream ◀──┴──▶ input of a module
//!                          └─ twin, methods ◀────────▶ upstream (one link per identity)
//! ```
//! A message is acknowledged to its sender when it is on disk for every queue it goes to. From then on it is delivered at least
//! once, in the order its sender sent it, however often this process is killed; duplicates are possible after a lost
//! acknowledgement or a restart.

mod age_clock;
mod authenticate;
mod clients;
mod config;
mod counted;
mod deliver;
mod dropped;
mod handler;
mod ingest;
mod links;
mod losses;
mod messages;
mod methods;
mod parked;
mod pumps;
mod queue;
mod record;
mod relay;
mod scope;
mod sessions;
mod twins;
mod way_out;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock, Weak};

use serde_json::Value;
use storage::file_layer::FileLayer;
use storage::log::Environment;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use transport::client::{Reconnection, Way};

pub use config::HubConfig;
pub use methods::HubMethods;
pub use queue::OpenQueuesError;
pub use scope::{ScopeSource, UpstreamScope};

use crate::identity::modules::ModuleIdentities;
use crate::identity::{Device, Signer};
use crate::limits::{DROPPED_REPORT_INTERVAL, EXPIRY_INTERVAL};
use crate::management::{DaemonStatus, QUEUES, QUEUES_FINE};
use crate::metrics::Metrics;
use crate::state::StateError;
use age_clock::{AgeClock, TimeSources};
use clients::Clients;
use counted::QueueLengths;
use dropped::Dropped;
use links::{LinkOptions, Links};
use losses::Losses;
use pumps::Pumps;
use queue::Queues;
use scope::Scope;
use sessions::Sessions;
use twins::TwinCache;

/// What the hub is made from.
pub struct HubOptions {
    /// This device.
    pub device: Device,
    /// Its host name, which token audiences may name instead of the hub's.
    pub hostname: String,
    /// This device's modules.
    pub identities: Arc<ModuleIdentities>,
    /// Holds their keys and the device's.
    pub signer: Arc<dyn Signer>,
    /// Where upstream is: host and port.
    pub upstream_host: String,
    /// See there.
    pub upstream_port: u16,
    /// TLS for upstream.
    pub tls: Arc<rustls::ClientConfig>,
    /// How MQTT gets there.
    pub way: Way,
    /// Shared by all that connect upstream.
    pub reconnection: Reconnection,
    /// Where identities of downstream devices come from.
    pub scope: Arc<dyn ScopeSource>,
    /// Everything the hub keeps.
    pub dir: PathBuf,
    /// Bytes all queues together may take.
    pub queues_disk_bytes_max: u64,
    /// Whether what is damaged of the queues may be lost, so that what is intact is delivered.
    pub accept_data_loss: bool,
    /// For what `list` and `system status` show.
    pub status: Arc<DaemonStatus>,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}

/// The hub cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenHubError {
    /// A state file cannot be used.
    #[error(transparent)]
    File(#[from] StateError),
    /// The queues cannot be opened.
    #[error(transparent)]
    Queues(#[from] OpenQueuesError),
    /// The folder cannot be made.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The hub. One per device.
pub struct EdgeHub {
    me: Weak<EdgeHub>,
    options: HubOptions,
    config: RwLock<Option<Arc<HubConfig>>>,
    sessions: Sessions,
    scope: Scope,
    links: Links,
    queues: Queues,
    clock: AgeClock,
    dropped: Dropped,
    losses: Losses,
    pumps: Pumps,
    twins: TwinCache,
    clients: Clients,
    /// Why messages are refused, while they are.
    refusal: Mutex<Option<String>>,
    /// What came of the last desired section, for the report.
    reports: watch::Sender<Value>,
    stop: CancellationToken,
}

impl EdgeHub {
    /// Opens the hub's folder, restores configuration, queues and sessions, and starts to deliver what is queued.
    pub fn open(options: HubOptions, stop: CancellationToken) -> Result<Arc<Self>, OpenHubError> {
        let system = Environment::default();
        make_folder(&options.dir)?;
        let clock = AgeClock::open(&options.dir.join("clock.json"), TimeSources::system(system.clock))?;
        Self::open_in(options, stop, system.files, clock)
    }

    /// [`Self::open`] with given files and clock for the queues.
    fn open_in(
        options: HubOptions,
        stop: CancellationToken,
        files: Arc<dyn FileLayer>,
        clock: AgeClock,
    ) -> Result<Arc<Self>, OpenHubError> {
        let dir = options.dir.clone();
        let twins_dir = dir.join("twins");
        make_folder(&twins_dir)?;
        let environment = Environment { files, clock: clock.as_clock() };
        let config = HubConfig::restore(&dir.join("config.json"));
        let queues_dir = dir.join("queues");
        let queues =
            Queues::open_in(&queues_dir, options.queues_disk_bytes_max, environment, options.accept_data_loss)?;
        let scope = Scope::open(dir.join("scope.json"), Arc::clone(&options.scope), &options.device)?;
        let sessions = Sessions::open(dir.join("sessions.json"))?;
        let losses = Losses::open(dir.join("losses.json"))?;
        queues.damage().iter().for_each(|what| losses.note(what.clone()));
        let links = Links::new(LinkOptions::of(&options), stop.clone());
        let hub = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            options,
            config: RwLock::new(config.map(Arc::new)),
            sessions,
            scope,
            links,
            queues,
            clock,
            dropped: Dropped::default(),
            losses,
            pumps: Pumps::default(),
            twins: TwinCache::new(twins_dir),
            clients: Clients::default(),
            refusal: Mutex::default(),
            reports: watch::channel(Value::Null).0,
            stop,
        });
        hub.options.status.set(QUEUES, QUEUES_FINE);
        hub.options.metrics.add_collector(QueueLengths(hub.me.clone()));
        hub.report();
        hub.drop_unrouted();
        hub.tell_queues();
        hub.start_pumps();
        hub.start_progress();
        hub.start_doubts();
        hub.start_clock();
        Ok(hub)
    }

    /// What `$edgeHub` shall report, and every change of it.
    pub fn reports(&self) -> watch::Receiver<Value> {
        self.reports.subscribe()
    }

    /// Starts to note how far the queues were delivered.
    fn start_progress(&self) {
        let hub = self.me.clone();
        let follow = async move {
            if let Some(hub) = hub.upgrade() {
                hub.follow_progress().await;
            }
        };
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(follow));
    }

    /// Starts to look after the clocks, and to report now and then what was dropped.
    fn start_clock(&self) {
        let hub = self.me.clone();
        let follow = async move {
            if let Some(hub) = hub.upgrade() {
                hub.follow_clock().await;
            }
        };
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(follow));
    }

    async fn follow_clock(&self) {
        let mut reported = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(EXPIRY_INTERVAL).await;
            if self.clock.is_due() {
                let clock = self.clock.clone();
                if let Ok(Some(step_ms)) = tokio::task::spawn_blocking(move || clock.note_if_due()).await {
                    let step = age_clock::describe_step(step_ms);
                    tracing::info!("the clock was set {step}: what is stored is no older for it");
                }
            }
            if reported.elapsed() >= DROPPED_REPORT_INTERVAL {
                reported = tokio::time::Instant::now();
                if self.dropped.publish() {
                    self.report();
                }
            }
        }
    }

    /// The configuration in force.
    fn config(&self) -> Option<Arc<HubConfig>> {
        self.config.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// A handle for tasks. The hub lives as long as somebody holds it, and its tasks end with it.
    fn me(&self) -> Arc<Self> {
        self.me.upgrade().expect("a method of the hub is running, so somebody holds it")
    }
}

fn make_folder(path: &std::path::Path) -> Result<(), OpenHubError> {
    std::fs::create_dir_all(path).map_err(|source| OpenHubError::Folder { path: path.to_owned(), source })
}

/// How a stored message looks, for whoever tests from outside that any bytes are read or refused.
#[cfg(feature = "testing")]
pub mod testing {
    pub use super::queue::{AsideRecord, QueueId};
    pub use super::record::{
        StoredMessage, StoredRecord, Target, UnknownRecord, decode_first_version, encode, expires_at_ms,
    };
}

#[cfg(test)]
mod tests;
