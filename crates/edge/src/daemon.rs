//! The daemon: opens everything in order, runs until it is told to end, and begins anew when the device gets another
//! identity.
//!
//! ```text
//! lock folder ─ keys, authority ─ management socket ─ end leftovers ─ identity (kept, or provisioned)
//!    ┌────────────────────────────────────────────────────────────────────────┘
//!    ├─ hub: queues, listener           modules and leaves can connect
//!    ├─ agent: last good deployment     modules start
//!    └─ upstream: $edgeAgent, $edgeHub  only now the cloud is talked to
//! ```

mod certificate;
mod upstream;

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use transport::client::Reconnection;
use transport::descriptors;
use transport::server::{HubServer, ServerLimits};
use transport::tls::{SwappableIdentity, server_config_swappable};

use crate::config::{Config, Provisioning, UpstreamLink};
use crate::hub::{EdgeHub, HubMethods, HubOptions, OpenHubError, UpstreamScope};
use crate::identity::hub_api::HubApi;
use crate::identity::{
    FileSigner, IdentityFolder, OpenIdentityError, ProvisionDeviceError, Provisioned, SignError, Signer,
    UpstreamTlsError, upstream_tls,
};
use crate::lifecycle::agent::{Agent, AgentInputs, AgentOptions};
use crate::lifecycle::clock::Clock;
use crate::lifecycle::deployment::GatewayInfo;
use crate::lifecycle::execute::Executor;
use crate::lifecycle::history::Histories;
use crate::lifecycle::methods::AgentMethods;
use crate::limits::{CONNECTIONS_MAX, KEY_FILE_BYTES_MAX, STRANGERS_MAX};
use crate::management::{DaemonStatus, ManagementApi, ModuleOrder, Orders};
use crate::metrics::connections::Listener;
use crate::metrics::device::{Device, running_in};
use crate::metrics::processors::Processors;
use crate::metrics::{self, CurrentMetrics, Metrics, Syncs};
use crate::retry_wait::RetryWait;
use crate::runtime::counted::Counted;
use crate::runtime::process::ProcessRuntime;
use crate::runtime::users::{ModuleUsers, homes_dir, why_not_isolated};
use crate::state::{self, StateError};
use crate::unix_http::{self, ServeSocketError};
use crate::workload::WorkloadContext;
use crate::workload::certificate_names::CertificateNames;

/// Files and folders below the data folder.
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Below this folder.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The management socket.
    pub fn management_socket(&self) -> PathBuf {
        self.at("mgmt.sock")
    }

    /// Logs of modules.
    pub fn logs_dir(&self) -> PathBuf {
        self.at("logs")
    }

    /// Keys and certificates.
    pub fn identity_dir(&self) -> PathBuf {
        self.at("identity")
    }
}

/// The daemon cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// There is no way to speak TLS with what is above.
    #[error(transparent)]
    UpstreamTls(#[from] UpstreamTlsError),
    /// A folder cannot be made.
    #[error("cannot use the data folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else has it.
    #[error("the data folder {} is in use by another tidegate-edge", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A state file cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The identity folder cannot be opened.
    #[error(transparent)]
    Identity(#[from] OpenIdentityError),
    /// The trust bundle cannot be read.
    #[error("cannot use trust_bundle_cert {}: {what}", path.display())]
    TrustBundle {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The management socket cannot be opened.
    #[error(transparent)]
    Socket(#[from] ServeSocketError),
    /// The hub cannot open.
    #[error("the local hub cannot start")]
    Hub(#[from] OpenHubError),
    /// The listener cannot be bound.
    #[error("modules and devices cannot connect: the address is that of listen_mqtts in [tidegate]")]
    Listen(#[from] transport::server::BindError),
    /// The one for WebSockets cannot.
    #[error("modules and devices cannot connect over WebSocket: the address is that of listen_https in [tidegate]")]
    ListenHttps(#[source] transport::server::BindError),
    /// The metrics cannot be served.
    #[error("metrics cannot be served")]
    ListenMetrics(#[from] metrics::listener::ListenError),
    /// No server certificate.
    #[error("no server certificate")]
    Certificate(#[source] SignError),
}

impl DaemonError {
    /// Whether starting again is pointless before somebody mended something: exit code 78.
    pub fn needs_mending(&self) -> bool {
        matches!(self, Self::State(StateError::Newer { .. }) | Self::Identity(OpenIdentityError::EdgeCa { .. }))
    }
}

/// The daemon apart from its device: what stays the same when that gets another identity.
struct Daemon {
    config: Config,
    layout: Layout,
    identity: IdentityFolder,
    trust_bundle_pem: String,
    tls: Arc<rustls::ClientConfig>,
    reconnection: Reconnection,
    status: Arc<DaemonStatus>,
    metrics: Arc<CurrentMetrics>,
    runtime: Arc<ProcessRuntime>,
    users: Option<Arc<ModuleUsers>>,
    orders: Orders,
    started: Instant,
    _lock: File,
}

/// Runs until `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), DaemonError> {
    let (daemon, mut received_orders) = Daemon::open(config).await?;
    let api = ManagementApi {
        status: Arc::clone(&daemon.status),
        orders: daemon.orders.clone(),
        logs: Arc::clone(&daemon.runtime) as _,
        metrics: Arc::clone(&daemon.metrics),
    };
    if let Some(address) = daemon.config.listen_metrics {
        let address = metrics::listener::serve(address, Arc::clone(&daemon.metrics), stop.clone()).await?;
        daemon.status.set("listen_metrics", address.to_string());
    }
    let socket = daemon.config.management_socket();
    make_dir(socket.parent().unwrap_or(&daemon.config.data_dir), 0o755)?;
    let _socket = unix_http::serve(&socket, 0o660, Arc::new(api))?;
    let mut provisioned = match &daemon.config.provisioning {
        // Reading the configuration costs nothing, so a changed key takes effect.
        Provisioning::Manual(_) => None,
        dps @ Provisioning::Dps(_) => daemon.identity.provisioned_earlier(dps)?,
    };
    while !stop.is_cancelled() {
        let current = match provisioned.take() {
            Some(provisioned) => provisioned,
            None => match stop.run_until_cancelled(daemon.provision()).await {
                Some(provisioned) => provisioned,
                None => break,
            },
        };
        let device = current.device();
        daemon.status.set("provisioning", "done");
        daemon.status.set("hub", device.hub_host.clone());
        daemon.status.set("device_id", device.device_id.clone());
        tracing::info!(hub = device.hub_host, device = device.device_id, "this device's identity");
        let (orders, next) = daemon.run_as(current, received_orders, &stop).await?;
        received_orders = orders;
        provisioned = next;
    }
    tracing::info!("ended");
    Ok(())
}

impl Daemon {
    async fn open(config: Config) -> Result<(Self, mpsc::Receiver<ModuleOrder>), DaemonError> {
        let layout = Layout::new(&config.data_dir);
        make_dir(&config.data_dir, 0o755)?;
        let lock = lock(&config.data_dir)?;
        state::refuse_later_versions(&config.data_dir)?;
        make_dir(&layout.identity_dir(), 0o700)?;
        make_dir(&layout.at("lifecycle"), 0o700)?;
        make_dir(&layout.at("hub"), 0o700)?;
        make_dir(&layout.at("mnt"), 0o755)?;
        let identity = IdentityFolder::open(&layout.identity_dir(), config.edge_ca.as_ref())?;
        let (tls, trust_bundle_pem) = trust(&config, identity.authority_pem())?;
        let records_dir = layout.at("runtime");
        let users = match (&config.module_user_ids, why_not_isolated(config.module_user_ids.as_ref())) {
            (Some(range), None) => {
                make_dir(&homes_dir(&config.data_dir), 0o755)?;
                let path = layout.at("lifecycle/users.json");
                Some(Arc::new(ModuleUsers::open(range.clone(), path, homes_dir(&config.data_dir))?))
            }
            _ => None,
        };
        let runtime = ProcessRuntime::open(config.processes.clone(), &layout.logs_dir(), &records_dir, users.clone())
            .await
            .map_err(|source| DaemonError::Folder { path: records_dir, source })?;
        let runtime = Arc::new(runtime);
        let (orders, received) = mpsc::channel(1);
        let status = Arc::new(DaemonStatus::default());
        status.set("version", env!("CARGO_PKG_VERSION"));
        status.set("provisioning", "under way");
        let isolation = why_not_isolated(config.module_user_ids.as_ref());
        let isolation = isolation.map_or("isolated".to_owned(), |why| format!("not isolated: {why}"));
        status.set("modules_isolation", isolation);
        status.set("settings_without_effect", config.unused.clone());
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        if !config.unused.is_empty() {
            tracing::info!("settings without effect in this version: {}", config.unused.join(", "));
        }
        let daemon = Self {
            config,
            layout,
            identity,
            trust_bundle_pem,
            tls,
            reconnection: Reconnection::default(),
            status,
            metrics: Arc::default(),
            runtime,
            users,
            orders,
            started: Instant::now(),
            _lock: lock,
        };
        Ok((daemon, received))
    }

    /// Obtains the device's identity, as long as it takes.
    async fn provision(&self) -> Provisioned {
        let mut wait = RetryWait::default();
        loop {
            let provisioned = self.obtain().await;
            let error = match provisioned {
                Ok(provisioned) => return provisioned,
                Err(error) => error,
            };
            let reason = crate::error_chain(&error);
            if error.is_refusal() {
                tracing::error!(reason, "not provisioned: check [provisioning] in the configuration");
                wait.lengthen();
            } else {
                tracing::warn!(reason, "not provisioned yet, trying again");
            }
            self.status.set("provisioning", format!("failed: {reason}"));
            tokio::time::sleep(wait.next()).await;
        }
    }

    async fn obtain(&self) -> Result<Provisioned, ProvisionDeviceError> {
        let Config { provisioning, proxies, .. } = &self.config;
        self.identity.provision(provisioning, Arc::clone(&self.tls), proxies).await
    }

    /// Runs as one identity until `stop`, or until another identity was obtained, which is returned.
    async fn run_as(
        &self,
        provisioned: Provisioned,
        orders: mpsc::Receiver<ModuleOrder>,
        stop: &CancellationToken,
    ) -> Result<(mpsc::Receiver<ModuleOrder>, Option<Provisioned>), DaemonError> {
        let ended = stop.child_token();
        let signer = self.identity.signer(provisioned)?;
        let device = signer.device();
        let upstream_host = self.config.parent_hostname.clone().unwrap_or_else(|| device.hub_host.clone());
        let https_port = self.config.upstream_https_port(&device.hub_host);
        let link = self.config.upstream_link(&upstream_host, https_port);
        let api = HubApi::new(&upstream_host, https_port, Arc::clone(&signer) as _, Arc::clone(&self.tls))
            .through(self.config.proxies.clone());

        let metrics = self.begin_metrics(device, &ended);
        let hub = self.open_hub(&signer, &api, (&upstream_host, &link), Arc::clone(&metrics), ended.clone())?;
        let mqtts_port = self.listen(&hub, Arc::clone(&signer) as _, &ended).await?;

        let (reports, agent_reports) = watch::channel(serde_json::Value::Null);
        let agent = self.agent(&signer, api.clone(), mqtts_port, reports, Arc::clone(&metrics))?;
        let (desired, desired_received) = mpsc::channel(1);
        let (hand_back, handed_back) = tokio::sync::oneshot::channel();
        let agent_stop = ended.clone();
        let agent_task = tokio::spawn(async move {
            let orders = agent.run(AgentInputs { desired: desired_received, orders }, agent_stop).await;
            let _ = hand_back.send(orders);
        });

        let methods = Arc::new(AgentMethods {
            orders: self.orders.clone(),
            logs: Arc::clone(&self.runtime) as _,
            hub_host: device.hub_host.clone(),
            device_id: device.device_id.clone(),
            metrics: Arc::clone(&metrics),
        });
        let (hub_desired, hub_desired_received) = mpsc::channel(1);
        tokio::spawn(ended.clone().run_until_cancelled_owned(Arc::clone(&hub).follow_desired(hub_desired_received)));
        let upstream = upstream::Upstream {
            daemon: self,
            host: upstream_host,
            link,
            signer,
            api,
            agent: upstream::SystemModule {
                reports: agent_reports,
                desired,
                methods,
                syncs: metrics.agent.syncs.clone(),
            },
            hub: upstream::SystemModule {
                reports: hub.reports(),
                desired: hub_desired,
                methods: Arc::new(HubMethods(Arc::clone(&hub))),
                // The original counts those of the agent only.
                syncs: Syncs::default(),
            },
        };
        let next = ended.run_until_cancelled(upstream.run()).await;
        ended.cancel();
        if agent_task.await.is_err() {
            tracing::error!("the agent panicked");
        }
        let orders = handed_back.await.unwrap_or_else(|_| mpsc::channel(1).1);
        Ok((orders, next))
    }

    /// The metrics of this identity, from now on those that are served.
    fn begin_metrics(&self, device: &crate::identity::Device, ended: &CancellationToken) -> Arc<Metrics> {
        let metrics = Metrics::new(&device.hub_host, &device.device_id);
        let running = running_in(Arc::clone(&self.runtime));
        metrics.add_collector(Device::new(&self.config.data_dir, self.started, Arc::clone(&running)));
        metrics.add_collector(Listener(self.status.gave_way().clone()));
        let processors = Processors::new(running, Arc::clone(&metrics));
        tokio::spawn(ended.clone().run_until_cancelled_owned(processors.run()));
        self.metrics.set(Arc::clone(&metrics));
        metrics
    }

    fn open_hub(
        &self,
        signer: &Arc<FileSigner>,
        api: &HubApi,
        (upstream_host, link): (&str, &UpstreamLink),
        metrics: Arc<Metrics>,
        ended: CancellationToken,
    ) -> Result<Arc<EdgeHub>, OpenHubError> {
        let scope = UpstreamScope { api: api.clone() };
        let options = HubOptions {
            device: signer.device().clone(),
            hostname: self.config.hostname.clone(),
            identities: Arc::clone(signer.modules()),
            signer: Arc::clone(signer) as _,
            upstream_host: upstream_host.to_owned(),
            upstream_port: link.port,
            tls: Arc::clone(&self.tls),
            way: link.way.clone(),
            reconnection: self.reconnection.clone(),
            scope: Arc::new(scope),
            dir: self.layout.at("hub"),
            queues_disk_bytes_max: self.config.queues_disk_bytes_max,
            accept_data_loss: self.config.accept_data_loss,
            status: Arc::clone(&self.status),
            metrics,
        };
        EdgeHub::open(options, ended)
    }

    /// Opens the listener; says on which port.
    async fn listen(
        &self,
        hub: &Arc<EdgeHub>,
        signer: Arc<dyn Signer>,
        ended: &CancellationToken,
    ) -> Result<u16, DaemonError> {
        let certificate =
            certificate::ListenerCertificate { signer, hostname: self.config.hostname.clone(), clock: Clock::system() };
        let first = certificate.issue().await.map_err(DaemonError::Certificate)?;
        let swappable = SwappableIdentity::new(first.identity);
        let tls = server_config_swappable(Arc::clone(&swappable));
        let listeners = 1 + usize::from(self.config.listen_https.is_some());
        let room = descriptors::room_for_connections(2 * CONNECTIONS_MAX * listeners);
        let limits = server_limits(room / listeners);
        let server = HubServer::bind(self.config.listen_mqtts, Arc::clone(&tls), Arc::clone(hub), limits).await?;
        let server = server.counting(self.status.gave_way().clone());
        let address = server.local_addr();
        tracing::info!(%address, hostname = self.config.hostname, "modules and devices can connect (MQTT over TLS)");
        let mut endpoints = json!({ "mqtts": address.to_string(), "hostname": self.config.hostname });
        if let Some(listen) = self.config.listen_https {
            let server =
                HubServer::bind(listen, tls, Arc::clone(hub), limits).await.map_err(DaemonError::ListenHttps)?;
            let address = server.local_addr();
            tracing::info!(%address, "modules and devices can connect (MQTT over WebSocket)");
            endpoints["https"] = json!(address.to_string());
            self.status.set("listen_https", address.to_string());
            let server = server.counting(self.status.gave_way().clone()).over_web_socket();
            tokio::spawn(server.serve(ended.clone()));
        }
        let path = self.layout.at("endpoints.json");
        storage::state_file::replace(&path, endpoints.to_string().as_bytes(), storage::state_file::Access::Shared)
            .map_err(StateError::from)?;
        self.status.set("listen_mqtts", address.to_string());
        tokio::spawn(server.serve(ended.clone()));
        tokio::spawn(ended.clone().run_until_cancelled_owned(certificate.renew(swappable, first.expires_at)));
        Ok(address.port())
    }

    fn agent(
        &self,
        signer: &Arc<FileSigner>,
        api: HubApi,
        mqtts_port: u16,
        reports: watch::Sender<serde_json::Value>,
        metrics: Arc<Metrics>,
    ) -> Result<Agent<Counted<ProcessRuntime>>, DaemonError> {
        let sockets_dir = self.layout.at("mnt");
        let workload = Arc::new(WorkloadContext {
            signer: Arc::clone(signer) as _,
            trust_bundle_pem: self.trust_bundle_pem.clone(),
            list: Arc::clone(&self.status) as _,
            sockets_dir: sockets_dir.clone(),
            certificate_names: CertificateNames::new(&self.config.hostname, self.config.parent_hostname.as_deref()),
            users: self.users.clone(),
        });
        let device = signer.device();
        let options = AgentOptions {
            gateway: GatewayInfo {
                hub_host: device.hub_host.clone(),
                device_id: device.device_id.clone(),
                hostname: self.config.hostname.clone(),
                parent_hostname: self.config.parent_hostname.clone(),
                mqtts_port,
                sockets_dir,
            },
            identities: Arc::clone(signer.modules()),
            api: Some(api),
            deployment_path: self.layout.at("lifecycle/deployment.json"),
            status: Arc::clone(&self.status),
            reports,
            metrics: Arc::clone(&metrics),
            clock: Clock::system(),
        };
        let runtime = Arc::new(Counted::new(Arc::clone(&self.runtime), metrics));
        let executor = Executor::new(runtime, Some(workload), Clock::system());
        let histories = Histories::open(self.layout.at("lifecycle/restarts.json"))?;
        Ok(Agent::new(options, executor, histories))
    }
}

/// What the local hub's listener allows, with descriptors for so many connections: each session has one to the hub above besides
/// its own.
fn server_limits(room: usize) -> ServerLimits {
    let connections_max = (room / 2).clamp(1, CONNECTIONS_MAX);
    ServerLimits { connections_max, strangers_max: STRANGERS_MAX, ..ServerLimits::default() }
}

fn make_dir(path: &Path, mode: u32) -> Result<(), DaemonError> {
    let failed = |source| DaemonError::Folder { path: path.to_owned(), source };
    if !path.is_dir() {
        std::fs::create_dir_all(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

/// The lock is the kernel's: it goes with this process, however that ends.
fn lock(data_dir: &Path) -> Result<File, DaemonError> {
    let path = data_dir.join("lock");
    let failed = |source| DaemonError::Folder { path: path.clone(), source };
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(DaemonError::InUse { path: data_dir.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Roots for upstream, and the bundle modules get: the configured roots and our own authority.
fn trust(config: &Config, authority_pem: &str) -> Result<(Arc<rustls::ClientConfig>, String), DaemonError> {
    let mut bundle = authority_pem.to_owned();
    let Some(path) = &config.trust_bundle_cert else {
        return Ok((upstream_tls(None, config.provisioning.certificate())?, bundle));
    };
    let failed = |what: String| DaemonError::TrustBundle { path: path.clone(), what };
    let pem =
        storage::state_file::read(path, KEY_FILE_BYTES_MAX).map_err(|error| failed(crate::error_chain(&error)))?;
    let pem = pem.ok_or_else(|| failed("it is not there".to_owned()))?;
    let tls = upstream_tls(Some(&pem), config.provisioning.certificate()).map_err(|error| match error {
        UpstreamTlsError::Roots(error) => failed(crate::error_chain(&error)),
        error => error.into(),
    })?;
    bundle.push_str(&String::from_utf8_lossy(&pem));
    Ok((tls, bundle))
}

#[cfg(test)]
mod tests;
