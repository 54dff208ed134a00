//! Direct methods of `$edgeHub`, and what it does when its link comes up.

use std::sync::Arc;

use model::identity::Identity;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use transport::server::CloseReason;

use super::EdgeHub;
use crate::lifecycle::deployment::Deployment;
use crate::limits::{SCOPE_DOUBT_INTERVAL, SCOPE_DOUBTED_ASKED_MAX, SCOPE_REFRESH_INTERVAL};
use crate::twin_link::AnswerMethods;

/// Answers the methods.
pub struct HubMethods(pub Arc<EdgeHub>);

impl AnswerMethods for HubMethods {
    async fn answer(&self, name: String, payload: Value) -> (i32, Option<Value>) {
        if !name.eq_ignore_ascii_case("RefreshDeviceScopeIdentityCache") {
            let message = format!("method {name} is not known; known is RefreshDeviceScopeIdentityCache");
            return (404, Some(json!({ "message": message })));
        }
        let ids = payload.get("deviceIds").and_then(Value::as_array);
        let ids: Option<Vec<&str>> = ids.and_then(|ids| ids.iter().map(Value::as_str).collect());
        let Some(ids) = ids else {
            return (400, Some(json!({ "message": "deviceIds is no list of ids" })));
        };
        for id in ids {
            self.0.look_up_again(&Identity::from_client_id(id)).await;
        }
        (200, None)
    }
}

impl EdgeHub {
    /// Takes desired sections as they come, and keeps the scope fresh: with each of them, which includes each new
    /// connection of `$edgeHub`, and every hour.
    pub async fn follow_desired(self: Arc<Self>, mut desired: mpsc::Receiver<Deployment>) {
        loop {
            match tokio::time::timeout(SCOPE_REFRESH_INTERVAL, desired.recv()).await {
                Ok(Some(deployment)) => self.configure(&deployment),
                Ok(None) => return,
                Err(_) => {}
            }
            self.refresh_scope().await;
        }
    }

    async fn refresh_scope(&self) {
        match self.scope.refresh().await {
            Ok(changed) => changed.iter().for_each(|identity| self.end_sessions(identity)),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the scope could not be fetched"),
        }
    }

    /// Starts to look up who is in doubt.
    pub(super) fn start_doubts(&self) {
        let hub = self.me.clone();
        let follow = async move {
            if let Some(hub) = hub.upgrade() {
                hub.follow_doubts().await;
            }
        };
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(follow));
    }

    async fn follow_doubts(&self) {
        loop {
            let in_doubt = self.scope.doubted().await;
            if in_doubt.len() > SCOPE_DOUBTED_ASKED_MAX {
                self.refresh_scope().await;
            } else {
                crate::join_all(in_doubt.iter().map(|identity| self.look_up_again(identity))).await;
            }
            tokio::time::sleep(SCOPE_DOUBT_INTERVAL).await;
        }
    }

    /// Asks the hub above for an identity.
    pub(super) async fn look_up_again(&self, identity: &Identity) {
        self.ending_changed(identity, self.scope.look_up(identity)).await;
    }

    /// Asks the hub above for an identity in some way, and ends its sessions, and those of its device, where they are not what they
    /// came in as. Without an answer what is known stands.
    pub(super) async fn ending_changed<T>(&self, identity: &Identity, asking: impl Future<Output = T>) -> T {
        let of_device = Some(Identity::device(identity.device_id())).filter(|device| device != identity);
        let both: Vec<Identity> = std::iter::once(identity.clone()).chain(of_device).collect();
        let before: Vec<_> = both.iter().map(|identity| self.scope.get(identity)).collect();
        let asked = asking.await;
        for (identity, before) in both.iter().zip(before) {
            if before.is_some() && before != self.scope.get(identity) {
                self.end_sessions(identity);
            }
        }
        asked
    }

    /// Ends the sessions of an identity, and of the modules of a device: they may come again with what is known now. One that came
    /// in with just that, while it was asked for, stays, and so do our own modules, which are judged by the keys here.
    fn end_sessions(&self, changed: &Identity) {
        for (identity, session) in self.sessions.of(changed) {
            if self.is_own_module(&identity) || self.sessions.was_judged_by(&identity, self.scope.mark(&identity)) {
                continue;
            }
            tracing::warn!(%identity, "disconnected: its keys were changed, it was disabled, or it left the scope");
            session.close(CloseReason::Disabled);
        }
    }
}

#[cfg(test)]
mod tests;
