//! Direct methods of `$edgeHub`, and what it does when its link comes up.

use std::sync::Arc;

use model::identity::Identity;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use transport::server::CloseReason;

use super::EdgeHub;
use crate::lifecycle::deployment::Deployment;
use crate::limits::SCOPE_REFRESH_INTERVAL;
use crate::twin_link::AnswerMethods;

/// Answers the methods.
pub struct HubMethods(pub Arc<EdgeHub>);

impl AnswerMethods for HubMethods {
    async fn answer(&self, name: String, payload: Value) -> (i32, Option<Value>) {
        if !name.eq_ignore_ascii_case("RefreshDeviceScopeIdentityCache") {
            let message = format!("method {name} is not known; known is RefreshDeviceScopeIdentityCache");
            return (404, Some(json!({ "message": message })));
        }
        let ids = payload.get("deviceIds").and_then(Value::as_array).cloned().unwrap_or_default();
        for id in ids.iter().filter_map(Value::as_str) {
            self.0.scope.refresh_one(&Identity::from_client_id(id)).await;
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
            Ok(gone) => {
                for identity in gone {
                    if let Some(session) = self.sessions.get(&identity) {
                        tracing::warn!(%identity, "disconnected: no longer in scope, or disabled");
                        session.close(CloseReason::Disabled);
                    }
                }
            }
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the scope could not be fetched"),
        }
    }
}

#[cfg(test)]
mod tests;
