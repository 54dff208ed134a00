//! The links of `$edgeAgent` and `$edgeHub`, and what is done when the hub refuses this device.

use std::sync::Arc;
use std::time::Duration;

use model::identity::Identity;
use model::manifest::{EDGE_AGENT, EDGE_HUB};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;
use transport::client::{HubClient, HubClientOptions, LinkState, Subscriptions, TokenSource};

use super::Daemon;
use crate::config::{Provisioning, UpstreamLink};
use crate::hub::HubMethods;
use crate::identity::hub_api::HubApi;
use crate::identity::modules::EnsureIdentityError;
use crate::identity::{FileSigner, ModuleTokens, Provisioned, Signer};
use crate::lifecycle::deployment::Deployment;
use crate::lifecycle::methods::AgentMethods;
use crate::metrics::Syncs;
use crate::retry_wait::RetryWait;
use crate::twin_link::{AnswerMethods, TwinLink};

const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// One of our own identities: what it reports, who takes its desired section, who answers its methods.
pub(super) struct SystemModule<M> {
    pub(super) reports: watch::Receiver<Value>,
    pub(super) desired: mpsc::Sender<Deployment>,
    pub(super) methods: Arc<M>,
    pub(super) syncs: Syncs,
}

/// Both links.
pub(super) struct Upstream<'a> {
    pub(super) daemon: &'a Daemon,
    pub(super) host: String,
    pub(super) link: UpstreamLink,
    pub(super) signer: Arc<FileSigner>,
    pub(super) api: HubApi,
    pub(super) agent: SystemModule<AgentMethods>,
    pub(super) hub: SystemModule<HubMethods>,
}

impl Upstream<'_> {
    /// Keeps both links; returns when the device was given another identity.
    pub(super) async fn run(self) -> Provisioned {
        let known = [EDGE_AGENT, EDGE_HUB].iter().all(|module| self.signer.modules().known(module).is_some());
        if !known && let Some(other) = self.ensure().await {
            return other;
        }
        let Self { daemon, agent, hub, .. } = &self;
        let (agent_client, agent_task) = self.start(EDGE_AGENT, agent);
        let (hub_client, hub_task) = self.start(EDGE_HUB, hub);
        let _tasks = (AbortOnDropHandle::new(agent_task), AbortOnDropHandle::new(hub_task));
        if known {
            // The identities may have been made anew while this device was away.
            if let Some(other) = self.ensure().await {
                return other;
            }
        }
        let (mut agent_state, mut hub_state) = (agent_client.state(), hub_client.state());
        loop {
            let refused = tokio::select! {
                Some(refused) = self.look_at(EDGE_AGENT, &mut agent_state) => refused,
                Some(refused) = self.look_at(EDGE_HUB, &mut hub_state) => refused,
                else => return std::future::pending().await,
            };
            daemon.status.set("upstream", describe(&agent_state.borrow(), &hub_state.borrow()));
            if refused && let Some(other) = self.ensure().await {
                agent_client.stop().await;
                hub_client.stop().await;
                return other;
            }
        }
    }

    /// Waits for a change of one of our own links; says whether the hub refuses it. `None` once it has ended.
    async fn look_at(&self, module: &str, state: &mut watch::Receiver<LinkState>) -> Option<bool> {
        state.changed().await.ok()?;
        let now = state.borrow_and_update();
        if let LinkState::Refused { reason } = &*now {
            tracing::error!(reason, "the hub refuses {module}");
        }
        Some(matches!(*now, LinkState::Refused { .. }))
    }

    fn start<M: AnswerMethods>(
        &self,
        name: &str,
        module: &SystemModule<M>,
    ) -> (HubClient, tokio::task::JoinHandle<()>) {
        let signer = Arc::clone(&self.signer) as Arc<dyn Signer>;
        let tokens: Arc<dyn TokenSource> = Arc::new(ModuleTokens { signer, module: name.to_owned() });
        let device = self.signer.device();
        let (client, events) = HubClient::start(HubClientOptions {
            host: self.host.clone(),
            port: self.link.port,
            hub_host: device.hub_host.clone(),
            identity: Identity::module(&device.device_id, name),
            token_audience: None,
            tokens,
            auth_chain: None,
            model_id: None,
            client_type: format!("Tidegate Edge/{}", env!("CARGO_PKG_VERSION")),
            tls: Arc::clone(&self.daemon.tls),
            way: self.link.way.clone(),
            keep_alive: KEEP_ALIVE,
            subscribe: Subscriptions { methods: true, desired: true, twin_replies: true, ..Subscriptions::default() },
            reconnection: Some(self.daemon.reconnection.clone()),
        });
        let link = TwinLink {
            client: client.clone(),
            events,
            reports: module.reports.clone(),
            desired: module.desired.clone(),
            methods: Arc::clone(&module.methods),
            syncs: module.syncs.clone(),
        };
        (client, tokio::spawn(link.run()))
    }

    /// Makes sure that the hub knows both identities with our keys, as long as it takes. Returns an identity when asking
    /// the provisioning service again brought another one.
    async fn ensure(&self) -> Option<Provisioned> {
        let mut wait = RetryWait::default();
        loop {
            let error = match self.ensure_once().await {
                Ok(()) => return None,
                Err(error) => error,
            };
            let reason = crate::error_chain(&error);
            let refused = matches!(&error, EnsureIdentityError::Hub { source, .. } if source.is_unauthorized());
            self.daemon.status.set("upstream", format!("not connected: {reason}"));
            if refused {
                tracing::error!(
                    reason,
                    "the hub refuses this device's key: check [provisioning], or that the device is there and enabled"
                );
                if let Some(other) = self.reprovision().await {
                    return Some(other);
                }
                wait.lengthen();
            } else {
                tracing::warn!(reason, "the hub is not ready for this device, trying again");
            }
            tokio::time::sleep(wait.next()).await;
        }
    }

    async fn ensure_once(&self) -> Result<(), EnsureIdentityError> {
        for module in [EDGE_AGENT, EDGE_HUB] {
            self.signer.modules().ensure(&self.api, module).await?;
        }
        Ok(())
    }

    async fn reprovision(&self) -> Option<Provisioned> {
        let Daemon { config, identity, tls, .. } = self.daemon;
        if !matches!(config.provisioning, Provisioning::Dps(_)) {
            return None;
        }
        match identity.provision(&config.provisioning, Arc::clone(tls), &config.proxies).await {
            Ok(provisioned) if !self.signer.is_of(&provisioned) => {
                let device = provisioned.device();
                tracing::warn!(hub = device.hub_host, device = device.device_id, "provisioned anew");
                Some(provisioned)
            }
            Ok(_) => None,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "not provisioned anew");
                None
            }
        }
    }
}

/// How this device is connected: as `$edgeAgent` is, unless `$edgeHub` alone is refused.
fn describe(agent: &LinkState, hub: &LinkState) -> String {
    match (agent, hub) {
        (LinkState::Refused { reason }, _) => format!("refused: {reason}"),
        (_, LinkState::Refused { reason }) => format!("{EDGE_HUB} is refused: {reason}"),
        (LinkState::Connecting, _) => "connecting".to_owned(),
        (LinkState::Connected, _) => "connected".to_owned(),
        (LinkState::Waiting { reason, .. }, _) => format!("not connected: {reason}"),
        (LinkState::Stopped, _) => "stopped".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_one_of_both_is_refused_is_said() {
        let refused = || LinkState::Refused { reason: "no".to_owned() };
        assert_eq!(describe(&LinkState::Connected, &LinkState::Connected), "connected");
        assert_eq!(describe(&LinkState::Connected, &refused()), "$edgeHub is refused: no");
        assert_eq!(describe(&refused(), &LinkState::Connected), "refused: no");
    }
}
