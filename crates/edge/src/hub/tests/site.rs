//! A site: an edge hub, a hub above it in memory, and clients.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use model::identity::Identity;
use model::message::Message;
use model::twin::{Section, Twin, TwinSection};
use protocol::auth::certificate::Thumbprint;
use protocol::auth::sas::SasToken;
use serde_json::{Value, json};
use testkit::certificates::TestCertificate;
use testkit::complaints::Complaints;
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use transport::client::{
    ClientEvent, HubClient, HubClientOptions, LinkState, Reconnection, SharedKey, Subscriptions, Way,
};
use transport::server::{
    Accepted, ConnectRequest, Credential, HubError, HubHandler, HubServer, InvokeError, MethodResponse, Refusal,
    ServerLimits, SessionLink, TelemetryBatch,
};
use transport::tls::authority::{Certified, create_ca, issue_server};
use transport::tls::{client_config, server_config};

use super::alone::{HeldClock, hold_clock};
use crate::hub::scope::ScopeAnswer;
use crate::hub::{EdgeHub, HubOptions, ScopeSource};
use crate::identity::Signer as _;
use crate::identity::hub_api::HubApiError;
use crate::identity::testing::{self, HUB_HOST};
use crate::lifecycle::deployment::Deployment;
use crate::management::DaemonStatus;
use crate::metrics::Metrics;

pub const LEAF_KEY: &str = "bGVhZiBrZXk=";
pub const WRONG_KEY: &str = "d3Jvbmcga2V5";
const DAY: Duration = Duration::from_secs(86_400);

pub fn module(name: &str) -> Identity {
    Identity::module("edge", name)
}

/// Nothing here takes long; what does has gone wrong.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it happens soon")
}

/// The hub above.
#[derive(Default)]
pub struct Upstream {
    state: Mutex<UpstreamState>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct UpstreamState {
    received: Vec<(Identity, Message)>,
    twins: HashMap<Identity, Twin>,
    links: HashMap<Identity, SessionLink>,
    answer_after: Duration,
    refused: Option<Identity>,
    put_off: Option<Identity>,
    times_put_off: usize,
    /// While an answer is on its way no time passes.
    answering: Option<HeldClock>,
}

impl Upstream {
    fn with<T>(&self, act: impl FnOnce(&mut UpstreamState) -> T) -> T {
        let result = act(&mut self.state.lock().unwrap());
        self.changes.send_modify(|count| *count += 1);
        result
    }

    async fn wait_for<T>(&self, mut look: impl FnMut(&UpstreamState) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        soon(async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = look(&self.state.lock().unwrap()) {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        })
        .await
    }

    /// From now on this one is told to come again later, and nobody else.
    pub fn put_off(&self, identity: Option<&Identity>) {
        self.with(|state| state.put_off = identity.cloned());
    }

    /// Waits until the one that is put off was told so.
    pub async fn has_put_off(&self) {
        self.wait_for(|state| (state.times_put_off > 0).then_some(())).await
    }

    /// From now on this one is not let in.
    pub fn refuse(&self, identity: Option<&Identity>) {
        self.with(|state| state.refused = identity.cloned());
    }

    pub fn set_desired(&self, identity: &Identity, desired: Value) {
        let section = TwinSection::from_device_json(&desired).unwrap();
        self.with(|state| state.twins.entry(identity.clone()).or_default().desired = section);
    }

    pub fn reported(&self, identity: &Identity) -> Value {
        self.with(|state| Value::Object(state.twins[identity].reported.properties.clone()))
    }

    /// From now on every request for a twin takes so long, of a clock that is paused.
    pub fn answer_after(&self, time: Duration) {
        self.with(|state| state.answer_after = time);
    }

    async fn take_time(&self) {
        let time = self.with(|state| {
            state.answering = None;
            state.answer_after
        });
        if !time.is_zero() {
            tokio::time::sleep(time).await;
            let held = hold_clock();
            self.with(|state| state.answering = Some(held));
        }
    }

    pub async fn link(&self, identity: &Identity) -> SessionLink {
        self.wait_for(|state| state.links.get(identity).cloned()).await
    }
}

impl HubHandler for Upstream {
    type Session = Identity;

    async fn connect(&self, request: ConnectRequest) -> Result<Accepted<Identity>, Refusal> {
        let Credential::Sas(token) = &request.credential else { return Err(Refusal::NotAuthorized) };
        let token = SasToken::parse(token).map_err(|_| Refusal::NotAuthorized)?;
        // A downstream device comes with $edgeHub's token and says so, a module with its own.
        let (speaker, chain) = match request.identity.module_id() {
            Some(module) => (module.to_owned(), None),
            None => ("$edgeHub".to_owned(), Some(format!("{};edge", request.identity))),
        };
        if self.with(|state| state.put_off.as_ref() == Some(&request.identity)) {
            self.with(|state| state.times_put_off += 1);
            return Err(Refusal::Unavailable);
        }
        let is_refused = self.with(|state| state.refused.as_ref() == Some(&request.identity));
        if is_refused || request.auth_chain != chain || !token.verify(&key_of(&speaker)) {
            return Err(Refusal::NotAuthorized);
        }
        self.with(|state| state.links.insert(request.identity.clone(), request.link));
        Ok(Accepted { session: request.identity, session_present: false, expires_at_secs: None })
    }

    async fn telemetry(&self, session: &Identity, batch: TelemetryBatch) -> Result<(), HubError> {
        let messages = batch.into_iter().map(|message| (session.clone(), message));
        self.with(|state| state.received.extend(messages));
        Ok(())
    }

    async fn twin_get(&self, session: &Identity) -> Result<Bytes, HubError> {
        self.take_time().await;
        let twin = self.with(|state| state.twins.entry(session.clone()).or_default().to_device_json());
        Ok(Bytes::from(twin.to_string()))
    }

    async fn twin_patch_reported(&self, session: &Identity, patch: Bytes) -> Result<u64, HubError> {
        self.take_time().await;
        let patch = serde_json::from_slice(&patch).unwrap();
        let now = OffsetDateTime::UNIX_EPOCH;
        let patched = self.with(|state| {
            state.twins.entry(session.clone()).or_default().reported.patch(Section::Reported, &patch, now)
        });
        patched.map_err(|error| HubError { status: 400, message: error.to_string() })
    }

    async fn subscriptions_changed(&self, _: &Identity) -> Result<(), HubError> {
        Ok(())
    }

    async fn disconnected(&self, session: Identity, _: bool) {
        self.with(|state| state.links.remove(&session));
    }
}

/// Two leaves are in scope, one of them disabled, each with one module.
pub struct FixedScope(Mutex<FixedAnswer>);

#[derive(Clone)]
struct FixedAnswer {
    /// How both prove themselves.
    authentication: Value,
    authorities: Vec<String>,
    /// Of the other one.
    status: &'static str,
    is_reached: bool,
}

impl FixedScope {
    fn new() -> Self {
        let (authentication, authorities) = (with_key(LEAF_KEY), Vec::new());
        Self(Mutex::new(FixedAnswer { authentication, authorities, status: "enabled", is_reached: true }))
    }

    /// Key and status of the other one.
    pub fn set_leaf(&self, key: &str, status: &'static str) {
        let mut answer = self.0.lock().unwrap();
        (answer.authentication, answer.status) = (with_key(key), status);
    }

    /// It proves itself with certificates of these authorities.
    pub fn set_authorities(&self, authorities: &[&TestCertificate]) {
        let mut answer = self.0.lock().unwrap();
        let named = authorities.iter().map(|root| Thumbprint::sha256_of(root.der()).to_string());
        let named: Vec<String> = named.collect();
        answer.authentication = json!({ "type": "certificateAuthority", "certificateAuthorities": named });
        answer.authorities = authorities.iter().map(|root| root.base64()).collect();
    }

    /// Whether the hub above answers.
    pub fn set_reached(&self, is_reached: bool) {
        self.0.lock().unwrap().is_reached = is_reached;
    }

    fn answer(&self) -> Result<Value, HubApiError> {
        let FixedAnswer { authentication, authorities, status, is_reached } = self.0.lock().unwrap().clone();
        let device =
            |id: &str, status: &str| json!({ "deviceId": id, "status": status, "authentication": authentication });
        let module =
            |device: &str| json!({ "deviceId": device, "moduleId": "known", "authentication": { "type": "none" } });
        let devices = [device("leaf", status), device("disabled", "disabled")];
        let modules = [module("leaf"), module("disabled")];
        let answer = json!({
            "devices": devices, "modules": modules, "certificateAuthorities": authorities, "continuationLink": null
        });
        is_reached.then_some(answer).ok_or(HubApiError::Answer { act: "test" })
    }
}

fn with_key(key: &str) -> Value {
    json!({ "symmetricKey": { "primaryKey": key } })
}

impl ScopeSource for FixedScope {
    fn page<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        Box::pin(async { self.answer() })
    }

    fn one<'a>(&'a self, body: &'a Value) -> ScopeAnswer<'a> {
        let mut answer = match self.answer() {
            Ok(answer) => answer,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let devices = answer["devices"].as_array_mut().unwrap();
        devices.retain(|device| device["deviceId"] == body["targetDeviceId"]);
        let found = !devices.is_empty();
        let modules = answer["modules"].as_array_mut().unwrap();
        modules.retain(|module| {
            module["deviceId"] == body["targetDeviceId"] && module["moduleId"] == body["targetModuleId"]
        });
        let not_found = || HubApiError::Refused { act: "test", status: 404, message: String::new() };
        Box::pin(async move { found.then_some(answer).ok_or_else(not_found) })
    }
}

fn key_of(module: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("key of {module}"))
}

struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub struct Site {
    pub upstream: Arc<Upstream>,
    pub scope: Arc<FixedScope>,
    upstream_address: SocketAddr,
    upstream_running: Option<Running>,
    edge: Option<(Arc<EdgeHub>, SocketAddr, Running)>,
    authority: Certified,
    dir: tempfile::TempDir,
    /// Counts from the next start on.
    pub queues_disk_bytes_max: u64,
    /// What of it is expected; anything else fails the test at its end.
    pub complaints: Complaints,
}

impl Site {
    /// With these routes in force.
    pub async fn new(routes: Value) -> Self {
        let site = Self::unconfigured().await;
        site.configure(1, routes);
        site
    }

    /// Without any routes yet.
    pub async fn unconfigured() -> Self {
        let mut site = Self {
            upstream: Arc::default(),
            scope: Arc::new(FixedScope::new()),
            upstream_address: "127.0.0.1:0".parse().unwrap(),
            upstream_running: None,
            edge: None,
            authority: create_ca("test", DAY).unwrap(),
            dir: tempfile::tempdir().unwrap(),
            queues_disk_bytes_max: 64 << 20,
            complaints: Complaints::watch(),
        };
        site.start_upstream().await;
        site.start_edge().await;
        site
    }

    fn server_tls(&self) -> Arc<rustls::ServerConfig> {
        let issued = issue_server(&self.authority, &["127.0.0.1".to_owned()], DAY).unwrap();
        server_config(issued.server_identity().unwrap())
    }

    fn client_tls(&self) -> Arc<rustls::ClientConfig> {
        client_config(Some(self.authority.chain_pem.as_bytes())).unwrap()
    }

    pub async fn start_upstream(&mut self) {
        let handler = Arc::clone(&self.upstream);
        let server =
            HubServer::bind(self.upstream_address, self.server_tls(), handler, ServerLimits::default()).await.unwrap();
        self.upstream_address = server.local_addr();
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.serve(stop.clone()));
        self.upstream_running = Some(Running { stop, task });
    }

    pub async fn stop_upstream(&mut self) {
        soon(self.upstream_running.take().unwrap().end()).await;
    }

    async fn start_edge(&mut self) {
        let keys = ["$edgeHub", "sensor", "filter"].map(|name| (name, format!("key of {name}")));
        let keys: Vec<_> = keys.iter().map(|(name, key)| (*name, key.as_str())).collect();
        let signer = testing::signer(self.dir.path(), "edge", &keys);
        let options = HubOptions {
            device: signer.device().clone(),
            hostname: "127.0.0.1".into(),
            identities: Arc::clone(signer.modules()),
            signer,
            upstream_host: "127.0.0.1".into(),
            upstream_port: self.upstream_address.port(),
            tls: self.client_tls(),
            way: Way::default(),
            reconnection: Reconnection::default(),
            scope: Arc::clone(&self.scope) as _,
            dir: self.dir.path().join("hub"),
            queues_disk_bytes_max: self.queues_disk_bytes_max,
            accept_data_loss: false,
            status: Arc::new(DaemonStatus::default()),
            metrics: Metrics::new(HUB_HOST, "edge"),
        };
        let stop = CancellationToken::new();
        let hub = EdgeHub::open(options, stop.clone()).unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let server =
            HubServer::bind(address, self.server_tls(), Arc::clone(&hub), ServerLimits::default()).await.unwrap();
        let address = server.local_addr();
        let task = tokio::spawn(server.serve(stop.clone()));
        self.edge = Some((hub, address, Running { stop, task }));
    }

    /// Ends the edge hub and opens it again on the same folder.
    pub async fn restart_edge(&mut self) {
        let (hub, _, running) = self.edge.take().unwrap();
        soon(running.end()).await;
        let weak = Arc::downgrade(&hub);
        drop(hub);
        // The folder is free when its tasks have let go of it.
        soon(async {
            while weak.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        self.start_edge().await;
    }

    pub fn hub(&self) -> &Arc<EdgeHub> {
        &self.edge.as_ref().unwrap().0
    }

    pub fn configure(&self, version: u64, routes: Value) {
        let section = json!({
            "schemaVersion": "1.1", "routes": routes,
            "storeAndForwardConfiguration": { "timeToLiveSecs": 7200 },
        });
        self.hub().configure(&Deployment { version, section });
    }

    /// The value Prometheus would read for a metric with these labels; 0 when there is none yet.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.hub().options.metrics.text();
        let of_metric = |line: &&str| line.starts_with(&format!("{name}{{")) && labels.iter().all(|l| line.contains(l));
        text.lines().filter(of_metric).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until a metric has a value.
    pub async fn counted(&self, name: &str, labels: &[&str], value: f64) {
        soon(async {
            while self.metric(name, labels) != value {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    pub fn reported(&self) -> Value {
        self.hub().reports().borrow().clone()
    }

    /// A connection to the edge hub, as a client that shows a certificate.
    pub async fn connection_showing(&self, shown: &TestCertificate) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.edge.as_ref().unwrap().1).await.unwrap();
        let tls = TlsConnector::from(shown.client(&self.authority.chain_pem));
        tls.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap()
    }

    pub fn client(&self, identity: &Identity) -> (HubClient, mpsc::Receiver<ClientEvent>) {
        let key = identity.module_id().map_or_else(|| LEAF_KEY.to_owned(), key_of);
        self.client_with_key(identity, &key)
    }

    pub fn client_with_key(&self, identity: &Identity, key: &str) -> (HubClient, mpsc::Receiver<ClientEvent>) {
        let all = if identity.module_id().is_some() { Subscriptions::module() } else { Subscriptions::device() };
        self.client_subscribing(identity, key, all)
    }

    pub fn client_subscribing(
        &self,
        identity: &Identity,
        key: &str,
        subscribe: Subscriptions,
    ) -> (HubClient, mpsc::Receiver<ClientEvent>) {
        let address = self.edge.as_ref().unwrap().1;
        HubClient::start(HubClientOptions {
            host: address.ip().to_string(),
            port: address.port(),
            hub_host: HUB_HOST.to_owned(),
            identity: identity.clone(),
            token_audience: None,
            tokens: Arc::new(SharedKey::new(key)),
            auth_chain: None,
            model_id: None,
            client_type: "test".to_owned(),
            tls: self.client_tls(),
            way: Way::default(),
            keep_alive: Duration::from_secs(60),
            subscribe,
            reconnection: None,
        })
    }

    /// What the hub above has received, once that is at least so many messages with different senders or numbers.
    pub async fn upstream_received(&self, count: usize) -> Vec<(Identity, Message)> {
        let different = |received: &[(Identity, Message)]| {
            let all: std::collections::HashSet<_> =
                received.iter().map(|(from, message)| (from.clone(), message.bag.clone())).collect();
            all.len()
        };
        self.upstream.wait_for(|state| (different(&state.received) >= count).then(|| state.received.clone())).await
    }

    /// Waits until the edge hub knows that its link for this identity is down.
    pub async fn upstream_link_down(&self, identity: &Identity) {
        let link = self.hub().link(identity);
        let mut state = link.client.state();
        state.wait_for(|state| !matches!(state, LinkState::Connected)).await.unwrap();
    }

    /// Invokes a method as the cloud would: again while the far end has not subscribed yet.
    pub async fn invoke_until_subscribed(&self, link: &SessionLink, name: &str, payload: Bytes) -> MethodResponse {
        soon(async {
            loop {
                match link.invoke_method(name, payload.clone(), Duration::from_secs(20)).await {
                    Ok(answer) if answer.status != 404 => return answer,
                    Ok(_) | Err(InvokeError::NotSubscribed) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .await
    }
}
