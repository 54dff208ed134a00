//! `tidegate serve`: puts the parts together, starts the listeners, stops in order.
//!
//! ```text
//!   folder, lock ─► everything that can refuse is looked at, nothing is changed
//!       ─► certificates ─► registry ─► guarded folders ─► application, secrets ─► log ─► readers and writers
//!       ─► listeners ─► endpoints.json ─► ready
//!   stop: listeners ─► sessions ─► writers ─► reader (flush) ─► log ─► registry
//! ```

mod admin_token;
mod connection_metrics;
mod connections;
mod first_start;
pub(crate) mod guard;
mod listeners;
mod log_watch;
mod registry_watch;
mod supervisor;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use events::Events;
use events::health::Health;
use events::last_seen::LastSeen;
use events::live::Live;
use events::metrics::{EventMetrics, LogGauges, ReadyGauge};
use events::queue::EventQueue;
use hub::applications::Applications;
use hub::device_http::HubHttp;
use hub::device_messages::{DeviceMessages, MessageWriter, QueueLimits};
use hub::files::{FileOptions, Files};
use hub::gateway::Gateway;
use hub::kept_sessions::KeptSessions;
use hub::metrics::{HubGauges, HubMetrics, MessageMetrics};
use hub::provisioning::Provisioning;
use hub::relay::{Relay, StartRelayError};
use hub::revocation::Revocation;
use hub::sessions::Sessions;
use hub::twins::Twins;
use readers::last_seen::LastSeenReader;
use readers::metrics::{ReaderGauges, RunnerMetrics, TelemetryMetrics};
use readers::pool::ReaderPool;
use readers::positions::{self, OpenPositionsError, Positions};
use readers::runner::{self, Runner};
use readers::timeseries::compaction::{Compaction, CompactionWanted};
use readers::timeseries::reader::{TelemetryReader, TelemetryReaderParts};
use readers::timeseries::scrub::Scrub;
use readers::timeseries::{CreateFolderError, OpenTelemetryError, TimeSeries};
use registry::{OpenRegistryError, Registry};
use storage::log::{Log, LogOptions, OpenLogError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::server::{GaveWay, HubServer, ServerLimits, WebSockets};
use transport::tls::{SwappableIdentity, server_config_swappable};

use crate::app::App;
use crate::app::commands::CommandRunWriter;
use crate::app::signing_key::{SigningKeyError, SigningKeys};
use crate::certificates::{self, CertificateError};
use crate::config::{Config, ReadConfigError};
use crate::core::{Core, Parts};
use crate::data_folder::{DataFolder, DataFolderError, Endpoints, Guarded};
use crate::database::{Database, FindDatabaseError};
use crate::front::Front;
use crate::generation::{self, RenewGenerationError, Renewal};

pub use connection_metrics::ListenerCounts;
use connections::Connections;
pub use first_start::FirstStartError;
pub use guard::GuardError;
pub use supervisor::{Supervisor, TaskFailure};

/// How often the server certificate is looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// How long writers and reader may take to finish. A broken disk must not keep the program from ending.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the registry may take to be marked at the end.
const RENEW_TIMEOUT: Duration = Duration::from_secs(5);

/// What `serve` is asked for.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Data folder.
    pub data: PathBuf,
    /// Configuration, checked.
    pub config: Config,
    /// Where the registry is.
    pub database: Database,
    /// Start although `log/` or `telemetry/` was removed.
    pub accept_data_loss: bool,
}

/// Why Central did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration must be mended.
    #[error("the configuration is wrong")]
    Config(#[from] ReadConfigError),
    /// The data folder.
    #[error("the data folder cannot be used")]
    Folder(#[from] DataFolderError),
    /// A part of the data folder is gone.
    #[error("a part of the data folder is missing")]
    Guard(#[from] GuardError),
    /// Another database than the folder's, or none.
    #[error("the registry cannot be found")]
    Database(#[from] FindDatabaseError),
    /// The registry.
    #[error("the registry cannot be opened")]
    Registry(#[from] OpenRegistryError),
    /// What a first start makes.
    #[error("the data folder cannot be set up")]
    FirstStart(#[from] FirstStartError),
    /// Certificates.
    #[error("there is no server certificate")]
    Certificate(#[from] CertificateError),
    /// What tells an older copy of the registry.
    #[error("the data folder cannot be marked as used")]
    Generation(#[from] RenewGenerationError),
    /// The log.
    #[error("the log cannot be opened")]
    Log(#[from] OpenLogError),
    /// The telemetry store.
    #[error("the telemetry store cannot be opened")]
    Telemetry(#[from] OpenTelemetryError),
    /// An application's telemetry folder.
    #[error("the telemetry store cannot be opened")]
    TelemetryFolder(#[from] CreateFolderError),
    /// A reader of the log.
    #[error("the readers of the log cannot start")]
    Reader(#[from] OpenPositionsError),
    /// Events of changes that are not in the log yet.
    #[error("the events of changes cannot be brought to the log")]
    Relay(#[from] StartRelayError),
    /// What must run while Central does has ended.
    #[error("Central cannot go on")]
    Task(#[from] TaskFailure),
    /// A thread.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// A listener.
    #[error("cannot listen on {address}, which {flag} asks for: {reason}")]
    Listen {
        /// The flag that sets the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said, with advice.
        reason: String,
    },
}

impl ServeError {
    /// Whether starting again would fail the same way until somebody mends something.
    pub fn needs_mending(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Database(_))
            || matches!(self, Self::Guard(error) if error.needs_mending())
            || matches!(self, Self::Certificate(CertificateError::HalfCa { .. }))
            || matches!(self, Self::Registry(error) if error.needs_mending())
            || matches!(self, Self::Log(error) if error.needs_mending())
            || matches!(self, Self::FirstStart(FirstStartError::Key(SigningKeyError::Damaged(_))))
            || matches!(self, Self::Reader(OpenPositionsError::LogReplaced { .. } | OpenPositionsError::LogGap { .. }))
    }
}

/// What runs once Central is ready, for whoever started it inside another program.
#[derive(Clone)]
pub struct Running {
    /// Where the listeners are.
    pub endpoints: Endpoints,
    /// What Central is made of.
    pub core: Core,
}

/// A task in the background.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tasks that must end in order, and what ends them.
struct Background {
    tasks: TaskTracker,
    stop_events: CancellationToken,
    stop_readers: CancellationToken,
    supervisor: Supervisor,
    /// Taken down last: what runs on it has ended, or is given up.
    pool: ReaderPool,
}

impl Background {
    /// Nothing runs yet.
    fn start(health: &Health) -> Result<Self, ServeError> {
        Ok(Self {
            tasks: TaskTracker::new(),
            stop_events: CancellationToken::new(),
            stop_readers: CancellationToken::new(),
            supervisor: Supervisor::new(health.clone()),
            pool: ReaderPool::start().map_err(ServeError::Thread)?,
        })
    }

    /// Runs a task without which Central cannot go on, until events stop.
    fn watch(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.supervisor.spawn(&self.tasks, name, self.stop_events.clone(), task);
    }
}

/// Runs Central until the token is cancelled. `ready` is called once everything answers.
pub async fn run(
    options: ServeOptions,
    shutdown: CancellationToken,
    ready: impl FnOnce(Running),
) -> Result<(), ServeError> {
    options.config.check()?;
    let folder = DataFolder::create(&options.data)?;
    let _lock = folder.lock()?;
    // Nothing is changed before everything that can refuse the start was looked at.
    let plan = guard::inspect(&folder, &options.database, options.accept_data_loss).await?;
    folder.create_folders()?;
    folder.remove_endpoints()?;
    let identity = certificates::server_identity(&folder, &options.config.hostname)?;
    let identity = SwappableIdentity::new(identity);
    let (core, background) = open(folder, &options, plan).await?;
    let listening = core.health.condition("listeners");
    listening.break_with("they are not up");
    let listeners = CancellationToken::new();
    let serving = TaskTracker::new();
    let endpoints = listen(&core, &options.config, &identity, &listeners, &serving).await?;
    let renewal = renew_certificate(core.folder.clone(), options.config.hostname.clone(), identity, listeners.clone());
    core.supervisor.spawn(&serving, "certificate", listeners.clone(), renewal);
    if let Some(amqps) = options.config.listen.amqps {
        tracing::warn!("AMQP is not available in this version: nothing listens on {amqps}");
    }
    listening.restore();
    core.folder.write_endpoints(&endpoints)?;
    ready(Running { endpoints, core: core.clone() });

    tokio::select! {
        () = shutdown.cancelled() => {}
        () = core.supervisor.failed() => {}
    }
    let failure = core.supervisor.failure();
    tracing::info!("stopping");
    listening.break_with("Central is stopping");
    core.folder.remove_endpoints()?;
    listeners.cancel();
    core.sessions.disconnect_all();
    core.live.close();
    serving.close();
    // The ends of sessions are told to the log; one that takes nothing must not keep the program from ending.
    if tokio::time::timeout(STOP_TIMEOUT, serving.wait()).await.is_err() {
        background.stop_events.cancel();
        serving.wait().await;
    }
    stop(core, background).await;
    failure.map_or(Ok(()), |failure| Err(failure.into()))
}

/// Opens everything below the listeners and starts the background tasks.
async fn open(folder: DataFolder, options: &ServeOptions, plan: guard::Plan) -> Result<(Core, Background), ServeError> {
    let config = &options.config;
    let registry = open_registry(&folder, options, plan).await?;
    let signing_keys = SigningKeys::new(folder.clone());
    let application = first_start::set_up(&folder, &registry, &signing_keys).await?;
    let log = open_log(&folder, &registry, config).await?;
    let telemetry = open_telemetry(&folder, &registry, &application.id).await?;
    let applications = Applications::new(registry.clone(), &config.hostname, application);
    let (last_seen, live, health) = (LastSeen::default(), Live::default(), Health::default());
    let sessions = Sessions::new(last_seen.clone());
    let mut metrics = gauges(&health, &log);
    let (messages, message_writer) = open_messages(&registry, &sessions, &mut metrics).await?;
    let files = files(&folder, &registry).await;
    let hub_metrics = HubMetrics::register(&mut metrics);
    let events = Events::new(log.clone(), live.clone(), EventMetrics::register(&mut metrics), &health);
    let (connections, queue_writer) = EventQueue::new(events.clone());
    let (kept_sessions, kept_session_writer) = KeptSessions::new(registry.clone());
    let (command_runs, command_run_writer) = CommandRunWriter::new(registry.clone());
    let (revocation, revoker) = Revocation::new(registry.clone());
    let (twins, twin_writer) = Twins::new(registry.clone(), sessions.clone());
    let provisioning = Provisioning::new(registry.clone(), applications.clone(), last_seen.clone(), &hub_metrics);
    let relay = Relay::start(registry.clone(), events.clone()).await?;
    let last_seen_reader = LastSeenReader::new(registry.clone(), &log, last_seen.clone());
    last_seen_reader.restore().await.map_err(OpenPositionsError::from)?;
    let runner = open_runner(&registry, &log, &events, config, &health, &mut metrics).await?;
    let telemetry_reader = telemetry_reader(&runner, &telemetry, &registry, config, &mut metrics);
    let background = Background::start(&health)?;
    let stop = || background.stop_events.clone();
    background.watch("connection events", queue_writer.run(stop()));
    background.watch("outbox relay", relay.run(stop()));
    background.watch("revocation", revoker.run(stop()));
    background.watch("kept sessions", kept_session_writer.run(stop()));
    background.watch("command runs", command_run_writer.run(stop()));
    background.watch("messages to devices", message_writer.run(stop()));
    background.watch("twin writer", twin_writer.run(stop()));
    background.watch("files of devices", files.clone().run(stop()));
    telemetry.catalog().tell(health.condition("telemetry files"));
    start_readers(&runner, &background, last_seen_reader, telemetry_reader);
    let core = Core::new(Parts {
        folder,
        registry,
        applications,
        log,
        log_bytes_max: config.log.max_bytes,
        readers: runner.positions,
        events,
        connections,
        live,
        last_seen,
        sessions,
        revocation,
        twins,
        kept_sessions,
        command_runs,
        messages,
        files,
        telemetry,
        provisioning,
        health,
        supervisor: background.supervisor.clone(),
        hub_metrics,
        listeners: ListenerCounts::register(&mut metrics),
        metrics,
        signing_keys,
    });
    start_watches(&core, &background);
    Ok((core, background))
}

/// What runs the readers of the log, with their positions.
async fn open_runner(
    registry: &Registry,
    log: &Log,
    events: &Events,
    config: &Config,
    health: &Health,
    metrics: &mut prometheus_client::registry::Registry,
) -> Result<Runner, ServeError> {
    let positions = Positions::open(registry, log, &guard::READERS).await?;
    metrics.register_collector(Box::new(ReaderGauges(positions.clone())));
    Ok(Runner {
        events: events.clone(),
        positions,
        log_config: config.log.clone(),
        health: health.clone(),
        metrics: RunnerMetrics::register(metrics),
    })
}

/// The metrics there are, beginning with what is looked at when asked for.
fn gauges(health: &Health, log: &Log) -> prometheus_client::registry::Registry {
    let mut metrics = prometheus_client::registry::Registry::default();
    metrics.register_collector(Box::new(ReadyGauge(health.clone())));
    metrics.register_collector(Box::new(LogGauges(log.clone())));
    metrics
}

/// What waits for devices, with its gauges and those of the sessions it goes to.
async fn open_messages(
    registry: &Registry,
    sessions: &Sessions,
    metrics: &mut prometheus_client::registry::Registry,
) -> Result<(DeviceMessages, MessageWriter), ServeError> {
    let counters = MessageMetrics::register(metrics);
    let (limits, clock) = (QueueLimits::default(), Arc::new(events::clock::now_ms));
    let opened = DeviceMessages::open(registry.clone(), sessions.clone(), counters, limits, clock).await;
    let (messages, writer) = opened.map_err(OpenPositionsError::from)?;
    let gauges = HubGauges { sessions: sessions.clone(), registry: registry.clone(), messages: messages.clone() };
    metrics.register_collector(Box::new(gauges));
    Ok((messages, writer))
}

/// What devices upload, in the data folder as far as its disk has room.
async fn files(folder: &DataFolder, registry: &Registry) -> Files {
    let disk = folder.clone();
    let free_bytes = Arc::new(move || disk.disk().map(|disk| disk.free_bytes));
    let files = Files::new(registry.clone(), folder.files(), FileOptions { free_bytes, ..FileOptions::default() });
    if let Err(error) = files.clear_up().await {
        // It takes room, and nobody sees it.
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "what unfinished uploads left behind could not be removed");
    }
    files
}

/// Starts what looks at the parts from time to time.
fn start_watches(core: &Core, background: &Background) {
    let stop = || background.stop_events.clone();
    let registry = registry_watch::run(core.registry.clone(), core.health.condition("registry"), stop());
    background.watch("registry watch", registry);
    background.watch("log watch", log_watch::run(core.events.clone(), core.health.condition("log"), stop()));
    background.watch("administrator's token", admin_token::run(core.clone(), stop()));
    let generation = Renewal::new(core.folder.clone(), core.registry.clone());
    background.watch("generation", generation.run(stop()));
}

/// The series of the folder, with those of every application that has any or is the first.
async fn open_telemetry(folder: &DataFolder, registry: &Registry, first: &str) -> Result<TimeSeries, ServeError> {
    let telemetry = TimeSeries::open(&folder.guarded(Guarded::Telemetry), registry).await?;
    telemetry.application(first)?;
    for application in registry.application_list().await.map_err(OpenPositionsError::from)? {
        guard::tell_telemetry_files(&telemetry, &application.id);
    }
    Ok(telemetry)
}

/// The registry of the folder, wherever it is, with the folder's markers settled.
async fn open_registry(folder: &DataFolder, options: &ServeOptions, plan: guard::Plan) -> Result<Registry, ServeError> {
    if let Database::Folder = options.database {
        first_start::create_private(&folder.registry())?;
    }
    let registry = options.database.open(folder).await?;
    guard::settle(folder, &registry, plan).await?;
    // From here on a copy that was made before is an older one.
    generation::renew_if_room(folder, &registry).await?;
    options.database.note(folder)?;
    Ok(registry)
}

async fn open_log(folder: &DataFolder, registry: &Registry, config: &Config) -> Result<Log, ServeError> {
    let first_offset = positions::first_offset(registry).await.map_err(OpenPositionsError::from)?;
    let options = LogOptions {
        segment_bytes_max: config.log.segment_bytes,
        total_bytes_max: Some(config.log.max_bytes),
        first_offset,
        ..LogOptions::default()
    };
    Ok(Log::open(&folder.guarded(Guarded::Log), options)?)
}

fn telemetry_reader(
    runner: &Runner,
    telemetry: &TimeSeries,
    registry: &Registry,
    config: &Config,
    metrics: &mut prometheus_client::registry::Registry,
) -> TelemetryReaderParts {
    let reader = readers::timeseries::reader::NAME;
    TelemetryReaderParts {
        telemetry: telemetry.clone(),
        registry: registry.clone(),
        events: runner.events.clone(),
        position: runner.position(reader),
        health: runner::condition(&runner.health, reader.name),
        metrics: TelemetryMetrics::register(metrics),
        config: config.telemetry.clone(),
        compaction: CompactionWanted::default(),
    }
}

/// Starts the readers of the log beside the connections: taking messages apart is work, not waiting.
fn start_readers(runner: &Runner, background: &Background, last_seen: LastSeenReader, telemetry: TelemetryReaderParts) {
    let _pool = background.pool.handle().enter();
    let stop = &background.stop_readers;
    let scrub = Scrub::new(telemetry.telemetry.clone());
    background.supervisor.spawn(&background.tasks, "scrub", stop.clone(), scrub.run(stop.clone()));
    let compaction =
        Compaction::new(telemetry.telemetry.clone(), telemetry.registry.clone(), telemetry.compaction.clone());
    background.supervisor.spawn(&background.tasks, "compaction", stop.clone(), compaction.run(stop.clone()));
    runner.spawn(TelemetryReader::new(telemetry), &background.tasks, stop.clone());
    runner.spawn(last_seen, &background.tasks, stop.clone());
}

/// Binds every listener before any serves, so that a taken port leaves nothing half started.
async fn listen(
    core: &Core,
    config: &Config,
    identity: &Arc<SwappableIdentity>,
    shutdown: &CancellationToken,
    serving: &TaskTracker,
) -> Result<Endpoints, ServeError> {
    let tls = server_config_swappable(Arc::clone(identity));
    let connections = Connections::of(config);
    let Connections { mqtts: mqtts_max, https: https_max } = connections;
    let https = listeners::bind("--https", config.listen.https).await?;
    let http = match config.listen.http {
        Some(address) => Some(listeners::bind("--http", address).await?),
        None => None,
    };
    let limits = ServerLimits { connections_max: mqtts_max, ..ServerLimits::default() };
    let gateway = Arc::new(gateway(core, config));
    let mqtts = HubServer::bind(config.listen.mqtts, tls, Arc::clone(&gateway), limits).await;
    let mqtts = mqtts.map_err(|error| listeners::cannot_listen("--mqtts", config.listen.mqtts, &error))?;
    let mqtts = mqtts.with_provisioning(Arc::clone(&gateway)).counting(core.listeners.mqtts.clone());

    let https_address = listeners::local_address(&https, config.listen.https);
    let endpoints = Endpoints {
        https: Some(listeners::reachable(https_address)),
        http: http
            .as_ref()
            .zip(config.listen.http)
            .map(|(socket, asked)| listeners::reachable(listeners::local_address(socket, asked))),
        mqtts: Some(listeners::reachable(mqtts.local_addr())),
        amqps: None,
        hostname: config.hostname.clone(),
    };
    let (handler, provisioning) = (Arc::clone(&gateway), Arc::clone(&gateway));
    let web_sockets = WebSockets::new(handler, provisioning, connections.web_sockets(), shutdown.clone());
    let front = front(core, https_address, gateway, web_sockets.clone());
    let https_tls = listeners::HttpsTls::new(identity);
    let watched = |name, task: Task| core.supervisor.spawn(serving, name, shutdown.clone(), task);
    let places = |gave_way: &GaveWay| listeners::Places { connections_max: https_max, gave_way: gave_way.clone() };
    let places_https = places(&core.listeners.https);
    let https = listeners::serve(https, Some(https_tls), front.clone(), places_https, shutdown.clone());
    watched("HTTPS listener", Box::pin(https));
    if let Some(http) = http {
        let places = places(&core.listeners.http);
        let http = listeners::serve(http, None, front.over_plain_http(), places, shutdown.clone());
        watched("HTTP listener", Box::pin(http));
    }
    watched("WebSockets", Box::pin(web_sockets.run()));
    watched("MQTT listener", Box::pin(mqtts.serve(shutdown.clone())));
    Ok(endpoints)
}

fn gateway(core: &Core, config: &Config) -> Gateway {
    Gateway {
        registry: core.registry.clone(),
        applications: core.applications.clone(),
        sessions: core.sessions.clone(),
        twins: core.twins.clone(),
        kept_sessions: core.kept_sessions.clone(),
        messages: core.messages.clone(),
        files: core.files.clone(),
        events: core.events.clone(),
        connections: core.connections.clone(),
        metrics: core.hub_metrics.clone(),
        provisioning: core.provisioning.clone(),
        admission: Gateway::admission(),
        revocation: core.revocation.clone(),
        session_life_max: config.limits.mqtt_session_secs_max.map(Duration::from_secs),
    }
}

fn front(core: &Core, https: SocketAddr, gateway: Arc<Gateway>, web_sockets: WebSockets<Gateway, Gateway>) -> Front {
    let app = App::new(core.clone(), https.port());
    Front::new(core.clone(), app, HubHttp { gateway }, web_sockets)
}

/// Looks at the certificate once a day; new handshakes get the new one, connections stay.
async fn renew_certificate(
    folder: DataFolder,
    hostname: String,
    identity: Arc<SwappableIdentity>,
    shutdown: CancellationToken,
) {
    while shutdown.run_until_cancelled(tokio::time::sleep(CERTIFICATE_INTERVAL)).await.is_some() {
        match certificates::server_identity(&folder, &hostname) {
            Ok(current) => identity.swap(current),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the server certificate could not be renewed");
            }
        }
    }
}

async fn stop(core: Core, background: Background) {
    background.stop_events.cancel();
    background.stop_readers.cancel();
    background.tasks.close();
    if tokio::time::timeout(STOP_TIMEOUT, background.tasks.wait()).await.is_err() {
        tracing::warn!("telemetry could not be flushed in time; it is in the log and will be read again");
    }
    core.log.clone().close().await;
    // A registry that does not answer must not keep the program from ending; the next start does it.
    match tokio::time::timeout(RENEW_TIMEOUT, generation::renew(&core.folder, &core.registry)).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::info!(error, "the registry's generation could not be renewed");
        }
    }
    core.registry.close().await;
}

/// Waits for a signal to stop, or for the token.
pub async fn shutdown_signal_unless(stopped: &CancellationToken) {
    stopped.run_until_cancelled(shutdown_signal()).await;
}

/// Waits for SIGTERM or SIGINT.
pub async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be received; stop the process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
