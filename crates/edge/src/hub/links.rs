//! Upstream links: one connection to the hub above per identity, made when it is needed and closed when it is not.
//!
//! A link is needed while its client is connected here or messages of it wait to be sent. This device's modules speak with
//! their own keys; for a downstream device we speak with `$edgeHub`'s and say so in the auth chain `leaf;edge`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::identity::Identity;
use model::manifest::EDGE_HUB;
use protocol::auth::sas;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use transport::client::{ClientEvent, HubClient, HubClientOptions, LinkState, Reconnection, Subscriptions, Way};

use super::HubOptions;
use crate::identity::modules::ModuleIdentities;
use crate::identity::{ModuleTokens, Signer};
use crate::limits::UPSTREAM_CONNECT_WAIT;

const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How links are made.
pub(super) struct LinkOptions {
    host: String,
    port: u16,
    hub_host: String,
    device_id: String,
    tls: Arc<rustls::ClientConfig>,
    way: Way,
    identities: Arc<ModuleIdentities>,
    signer: Arc<dyn Signer>,
    reconnection: Reconnection,
}

impl LinkOptions {
    pub(super) fn of(options: &HubOptions) -> Self {
        Self {
            host: options.upstream_host.clone(),
            port: options.upstream_port,
            hub_host: options.device.hub_host.clone(),
            device_id: options.device.device_id.clone(),
            tls: Arc::clone(&options.tls),
            way: options.way.clone(),
            identities: Arc::clone(&options.identities),
            signer: Arc::clone(&options.signer),
            reconnection: options.reconnection.clone(),
        }
    }

    fn client_options(&self, identity: &Identity, model_id: Option<String>) -> HubClientOptions {
        let own = identity.device_id() == self.device_id;
        let speaker = match identity.module_id() {
            Some(module) if own && self.identities.known(module).is_some() => module.to_owned(),
            _ => EDGE_HUB.to_owned(),
        };
        let for_itself = own && identity.module_id() == Some(&speaker);
        let speaker_identity = Identity::module(&self.device_id, &speaker);
        HubClientOptions {
            host: self.host.clone(),
            port: self.port,
            hub_host: self.hub_host.clone(),
            identity: identity.clone(),
            token_audience: Some(sas::audience(&self.hub_host, &speaker_identity)),
            tokens: Arc::new(ModuleTokens { signer: Arc::clone(&self.signer), module: speaker }),
            auth_chain: (!for_itself).then(|| format!("{identity};{}", self.device_id)),
            model_id,
            client_type: format!("Tidegate Edge/{}", env!("CARGO_PKG_VERSION")),
            tls: Arc::clone(&self.tls),
            way: self.way.clone(),
            keep_alive: KEEP_ALIVE,
            // Cloud-to-device messages are asked for while the client here takes them (`messages.rs`).
            subscribe: Subscriptions { cloud_to_device: false, ..Subscriptions::device() },
            reconnection: Some(self.reconnection.clone()),
        }
    }
}

/// One link.
pub(super) struct Link {
    /// Whose.
    pub(super) identity: Identity,
    /// The connection.
    pub(super) client: HubClient,
    /// Who needs it: sessions and pumps.
    users: watch::Sender<usize>,
}

/// Somebody needs the link as long as this lives.
pub(super) struct LinkUse {
    link: Arc<Link>,
}

impl std::ops::Deref for LinkUse {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl Drop for LinkUse {
    fn drop(&mut self) {
        self.link.users.send_modify(|users| *users -= 1);
    }
}

impl Link {
    /// Whether it is connected now, after waiting a moment if it is just being set up.
    pub(super) async fn is_up(&self) -> bool {
        let mut state = self.client.state();
        let settled = state.wait_for(|state| !matches!(state, LinkState::Connecting));
        match tokio::time::timeout(UPSTREAM_CONNECT_WAIT, settled).await {
            Ok(Ok(state)) => matches!(*state, LinkState::Connected),
            _ => false,
        }
    }

    /// The number of its users, and every change of it.
    pub(super) fn users(&self) -> watch::Receiver<usize> {
        self.users.subscribe()
    }
}

/// All links.
pub(super) struct Links {
    options: LinkOptions,
    open: Mutex<HashMap<Identity, Arc<Link>>>,
    stop: CancellationToken,
}

impl Links {
    pub(super) fn new(options: LinkOptions, stop: CancellationToken) -> Self {
        Self { options, open: Mutex::default(), stop }
    }

    /// The link of an identity. A new one announces the model id the client announced here, and comes with its events, for
    /// the caller to follow.
    pub(super) fn get(
        &self,
        identity: &Identity,
        model_id: Option<String>,
    ) -> (LinkUse, Option<mpsc::Receiver<ClientEvent>>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = open.get(identity) {
            link.users.send_modify(|users| *users += 1);
            return (LinkUse { link: Arc::clone(link) }, None);
        }
        let (client, events) = HubClient::start(self.options.client_options(identity, model_id));
        if identity.module_id().is_none() {
            // The hub above may have kept a session that listens: not before the device does.
            client.listen_to_messages(false);
        }
        let link = Arc::new(Link { identity: identity.clone(), client, users: watch::channel(1).0 });
        open.insert(identity.clone(), Arc::clone(&link));
        (LinkUse { link }, Some(events))
    }

    /// A handle that does not count as a use, for the task that follows the link.
    pub(super) fn watch(&self, link: &LinkUse) -> Arc<Link> {
        Arc::clone(&link.link)
    }

    /// Takes a link out if nobody needs it any more; says whether it did.
    pub(super) fn remove_unused(&self, link: &Link) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock nobody can begin to use it.
        let unused = *link.users.borrow() == 0;
        if unused {
            open.remove(&link.identity);
        }
        unused
    }

    /// Whether the hub above can be reached, as somebody else than this one.
    pub(super) fn is_any_up_but(&self, identity: &Identity) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_up = |link: &Link| matches!(*link.client.state().borrow(), LinkState::Connected);
        open.values().any(|link| link.identity != *identity && is_up(link))
    }

    /// Ends with the hub.
    pub(super) fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }
}
