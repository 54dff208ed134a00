//! The upstream link of one of our two own identities, `$edgeAgent` or `$edgeHub`: follows the desired section, keeps the
//! reported section equal to what we say, answers direct methods.
//!
//! The reported section is sent as a difference to what the hub has, learned by reading the twin after each connect; so
//! nothing is queued while there is no connection, and nothing is sent twice.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use model::twin::{Followed, Twin, TwinSection, diff};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use transport::client::{ClientEvent, HubClient, MethodCall, RequestError};

use crate::lifecycle::deployment::Deployment;
use crate::limits::REPORT_INTERVAL_MIN;
use crate::metrics::Syncs;
use crate::retry_wait::RetryWait;
use crate::sleep_until;

/// Answers direct methods: status and payload.
pub trait AnswerMethods: Send + Sync + 'static {
    /// Answers one.
    fn answer(&self, name: String, payload: Value) -> impl Future<Output = (i32, Option<Value>)> + Send;
}

/// What is asked of the hub, which a test may answer.
pub trait TwinCalls: Send + Sync + 'static {
    /// See [`HubClient::twin`].
    fn twin(&self) -> impl Future<Output = Result<Bytes, RequestError>> + Send;

    /// See [`HubClient::patch_reported`].
    fn patch_reported(&self, patch: Bytes) -> impl Future<Output = Result<u64, RequestError>> + Send;
}

impl TwinCalls for HubClient {
    async fn twin(&self) -> Result<Bytes, RequestError> {
        Self::twin(self).await
    }

    async fn patch_reported(&self, patch: Bytes) -> Result<u64, RequestError> {
        Self::patch_reported(self, patch).await
    }
}

/// One link.
pub struct TwinLink<M, C = HubClient> {
    /// The connection.
    pub client: C,
    /// What it says.
    pub events: mpsc::Receiver<ClientEvent>,
    /// What shall be reported; `null` while there is nothing to say.
    pub reports: watch::Receiver<Value>,
    /// Takes desired sections.
    pub desired: mpsc::Sender<Deployment>,
    /// Answers methods.
    pub methods: Arc<M>,
    /// Counts how often the twin was read, or the hub told of a change.
    pub syncs: Syncs,
}

/// What the link knows of the hub.
struct Known {
    desired: TwinSection,
    /// What the hub has as reported; `None` until it was read on this connection, and while it has to be read again.
    reported: Option<Value>,
    /// When to read or report again after a failure.
    retry_at: Option<Instant>,
    retry_wait: RetryWait,
}

impl<M: AnswerMethods, C: TwinCalls> TwinLink<M, C> {
    /// Runs until the client is stopped.
    pub async fn run(mut self) {
        let mut known =
            Known { desired: TwinSection::default(), reported: None, retry_at: None, retry_wait: RetryWait::default() };
        let mut report_at = None;
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.take(event, &mut known).await,
                    None => return,
                },
                changed = self.reports.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    report_at.get_or_insert_with(|| Instant::now() + REPORT_INTERVAL_MIN);
                }
                () = sleep_until(report_at) => {
                    report_at = None;
                    self.report(&mut known).await;
                }
                () = sleep_until(known.retry_at) => {
                    known.retry_at = None;
                    if known.reported.is_none() {
                        self.read(&mut known).await;
                    }
                    self.report(&mut known).await;
                }
            }
        }
    }

    async fn take(&mut self, event: ClientEvent, known: &mut Known) {
        match event {
            ClientEvent::Connected { .. } => {
                self.read(known).await;
                self.report(known).await;
            }
            ClientEvent::Disconnected { reason } => {
                tracing::info!(reason, "upstream link ended");
                known.reported = None;
                known.retry_at = None;
            }
            ClientEvent::Desired { patch, .. } => {
                self.syncs.count(true);
                let patch = serde_json::from_slice(&patch).unwrap_or(Value::Null);
                match known.desired.follow(&patch) {
                    Followed::Merged => self.tell(&known.desired).await,
                    Followed::Stale => {}
                    Followed::Gap => self.read(known).await,
                }
            }
            ClientEvent::Method(call) => {
                let methods = Arc::clone(&self.methods);
                tokio::spawn(answer(methods, call));
            }
            ClientEvent::Input(message) | ClientEvent::CloudToDevice(message) => message.acknowledge().await,
        }
    }

    async fn read(&mut self, known: &mut Known) {
        // Until it succeeds: what is tried again is the reading, also when it was a gap in the desired section that asked.
        known.reported = None;
        let twin = self.client.twin().await;
        let parsed =
            twin.map(|bytes| serde_json::from_slice(&bytes).ok().and_then(|json| Twin::from_device_json(&json)));
        self.syncs.count(matches!(parsed, Ok(Some(_))));
        match parsed {
            Ok(Some(twin)) => {
                known.retry_wait.reset();
                known.reported = Some(Value::Object(twin.reported.properties));
                known.desired = twin.desired;
                self.tell(&known.desired).await;
            }
            Ok(None) => self.retry(known, "the hub's twin cannot be read"),
            Err(error) => self.retry(known, &error.to_string()),
        }
    }

    async fn tell(&self, section: &TwinSection) {
        let deployment = Deployment { version: section.version, section: Value::Object(section.properties.clone()) };
        // The receiver ends only when the daemon does.
        let _ = self.desired.send(deployment).await;
    }

    async fn report(&mut self, known: &mut Known) {
        let Some(at_hub) = &known.reported else { return };
        let wanted = self.reports.borrow_and_update().clone();
        if wanted.is_null() || wanted == *at_hub {
            return;
        }
        let patch = diff(at_hub, &wanted);
        match self.client.patch_reported(Bytes::from(patch.to_string())).await {
            Ok(_) => {
                known.retry_wait.reset();
                known.reported = Some(wanted);
            }
            Err(RequestError::Refused { status, message }) if (400..500).contains(&status) && status != 429 => {
                tracing::error!(
                    status,
                    message,
                    "the hub refused the reported properties; they are sent again when they change"
                );
            }
            Err(error) => self.retry(known, &error.to_string()),
        }
    }

    fn retry(&self, known: &mut Known, reason: &str) {
        tracing::debug!(reason, "twin request failed, trying again");
        known.retry_at = Some(Instant::now() + known.retry_wait.next());
    }
}

async fn answer<M: AnswerMethods>(methods: Arc<M>, call: MethodCall) {
    let payload = if call.payload.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&call.payload) };
    let (status, answer) = match payload {
        Ok(payload) => methods.answer(call.name.clone(), payload).await,
        Err(error) => (400, Some(json!({ "message": format!("the payload is no JSON: {error}") }))),
    };
    tracing::info!(method = call.name, status, "direct method answered");
    let answer = answer.map(|answer| Bytes::from(answer.to_string())).unwrap_or_default();
    call.reply(status, answer).await;
}

#[cfg(test)]
mod tests;
