//! A running hub and clients for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::identity::Identity;
use testkit::authority::TestAuthority;
use testkit::memory_hub::{HUB_HOST, MemoryHub};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use transport::client::token::TokenFuture;
use transport::client::{
    ClientEvent, HubClient, HubClientOptions, LinkState, SharedKey, Subscriptions, TokenSource, Way,
};
use transport::limits::TOKEN_LIFETIME;
use transport::server::{HubServer, ServerLimits};

pub const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
pub const OTHER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

pub struct Rig {
    pub authority: TestAuthority,
    pub hub: Arc<MemoryHub>,
    pub addr: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
    web_socket: bool,
}

impl Rig {
    pub async fn start() -> Self {
        Self::start_over(false).await
    }

    /// The same over WebSocket.
    pub async fn start_over_web_socket() -> Self {
        Self::start_over(true).await
    }

    async fn start_over(web_socket: bool) -> Self {
        let hub = Arc::new(MemoryHub::default());
        hub.add_key(&device(), KEY);
        hub.add_key(&module(), KEY);
        let authority = TestAuthority::default();
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let (addr, shutdown, serving) = serve(&authority, &hub, addr, web_socket).await;
        Self { authority, hub, addr, shutdown, serving, web_socket }
    }

    /// Ends the server, which closes every connection, and waits for that.
    pub async fn stop_server(&mut self) {
        self.shutdown.cancel();
        (&mut self.serving).await.unwrap();
    }

    /// Starts a server again, on the same port, with the same hub behind it.
    pub async fn start_server(&mut self) {
        let (_, shutdown, serving) = serve(&self.authority, &self.hub, self.addr, self.web_socket).await;
        (self.shutdown, self.serving) = (shutdown, serving);
    }

    pub fn options(&self, identity: Identity) -> HubClientOptions {
        let module = identity.module_id().is_some();
        HubClientOptions {
            host: "localhost".to_owned(),
            port: self.addr.port(),
            hub_host: HUB_HOST.to_owned(),
            identity,
            token_audience: None,
            tokens: Arc::new(SharedKey::new(KEY)),
            auth_chain: None,
            model_id: None,
            client_type: "transport tests".to_owned(),
            tls: self.authority.client(),
            way: Way { web_socket: self.web_socket, ..Way::default() },
            keep_alive: Duration::from_secs(60),
            subscribe: if module { Subscriptions::module() } else { Subscriptions::device() },
            reconnection: None,
        }
    }

    /// A client that is connected and subscribed.
    pub async fn connect(&self, identity: Identity) -> (HubClient, mpsc::Receiver<ClientEvent>) {
        connect(self.options(identity)).await
    }
}

async fn serve(
    authority: &TestAuthority,
    hub: &Arc<MemoryHub>,
    addr: SocketAddr,
    web_socket: bool,
) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let server = HubServer::bind(addr, authority.server(), hub.clone(), ServerLimits::default()).await.unwrap();
    let server = server.with_provisioning(hub.clone());
    let server = if web_socket { server.over_web_socket() } else { server };
    let (addr, shutdown) = (server.local_addr(), CancellationToken::new());
    let serving = tokio::spawn(server.serve(shutdown.clone()));
    (addr, shutdown, serving)
}

pub async fn connect(options: HubClientOptions) -> (HubClient, mpsc::Receiver<ClientEvent>) {
    let (client, mut events) = HubClient::start(options);
    assert!(matches!(next(&mut events).await, ClientEvent::Connected { session_present: false }));
    (client, events)
}

pub fn device() -> Identity {
    Identity::device("dev1")
}

pub fn module() -> Identity {
    Identity::module("dev1", "mod1")
}

pub async fn next(events: &mut mpsc::Receiver<ClientEvent>) -> ClientEvent {
    events.recv().await.expect("the client runs")
}

/// Waits until the client is in a state, and gives it.
pub async fn state(client: &HubClient, wanted: impl FnMut(&LinkState) -> bool) -> LinkState {
    client.state().wait_for(wanted).await.unwrap().clone()
}

/// Signs with [`KEY`], and keeps when the tokens end.
pub struct RecordedTokens {
    key: SharedKey,
    begun_secs: u64,
    ends_secs: Mutex<Vec<u64>>,
}

impl RecordedTokens {
    pub fn new(key: SharedKey) -> Self {
        Self { key, begun_secs: unix_secs(), ends_secs: Mutex::default() }
    }

    /// Fails unless so many tokens were asked for, each to end when its life is over and not later.
    pub fn assert_lives(&self, count: usize) {
        let (ends, life) = (self.ends_secs.lock().unwrap().clone(), TOKEN_LIFETIME.as_secs());
        let possible = self.begun_secs + life..=unix_secs() + life;
        assert!(ends.len() == count && ends.iter().all(|end| possible.contains(end)), "{ends:?}, not in {possible:?}");
    }
}

impl TokenSource for RecordedTokens {
    fn token<'a>(&'a self, audience: &'a str, expiry_secs: u64) -> TokenFuture<'a> {
        self.ends_secs.lock().unwrap().push(expiry_secs);
        self.key.token(audience, expiry_secs)
    }
}

fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
