//! A hub that keeps everything in memory: what clients are tested against when Central would be too much.
//!
//! It checks tokens (keys are given per identity), takes telemetry, keeps reported properties merged one level deep, and
//! provisions every registration id whose key it knows as a device of the same name.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use model::identity::Identity;
use model::message::Message;
use protocol::auth::sas::{SasToken, audience};
use protocol::dps::{self, DpsError, OperationStatus, RegisterRequest, RegistrationState};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, watch};
use transport::server::{
    Accepted, CloseReason, ConnectRequest, Credential, DpsConnectRequest, Enrolled, HubError, HubHandler,
    ProvisioningHandler, Refusal, SessionLink, TelemetryBatch,
};

/// The name this hub goes by.
pub const HUB_HOST: &str = "hub.example.test";

/// The scope it provisions for.
pub const ID_SCOPE: &str = "0ne00000001";

/// What happened, counted up with every event, so that tests can wait for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions accepted.
    pub connected: usize,
    /// Sessions that ended.
    pub disconnected: usize,
    /// Those of them that ended with DISCONNECT.
    pub graceful: usize,
    /// CONNECTs refused.
    pub refused: usize,
    /// Calls with telemetry.
    pub batches: usize,
    /// Messages taken.
    pub messages: usize,
    /// Messages of the largest call.
    pub batch_messages_max: usize,
    /// Changes of subscriptions.
    pub subscriptions: usize,
}

#[derive(Default)]
struct State {
    keys: HashMap<Identity, String>,
    links: HashMap<Identity, (u64, SessionLink)>,
    last_session: u64,
    telemetry: Vec<(Identity, Message)>,
    reported: HashMap<Identity, (Map<String, Value>, u64)>,
    polls: BTreeMap<String, u32>,
    unavailable: bool,
    fail_telemetry: bool,
    fail_subscriptions: bool,
    subscriptions_held: Option<Arc<Notify>>,
    stalled: bool,
    expires_at_secs: Option<u64>,
}

/// See the module.
pub struct MemoryHub {
    state: Mutex<State>,
    counts: watch::Sender<Counts>,
}

/// A session of [`MemoryHub`].
pub struct MemorySession {
    identity: Identity,
    number: u64,
}

impl Default for MemoryHub {
    fn default() -> Self {
        Self { state: Mutex::default(), counts: watch::Sender::new(Counts::default()) }
    }
}

impl MemoryHub {
    /// Lets an identity (and a registration of the same name) in with this base64 key.
    pub fn add_key(&self, identity: &Identity, key_base64: &str) {
        self.state().keys.insert(identity.clone(), key_base64.to_owned());
    }

    /// Refuses every CONNECT as unavailable, or stops doing so.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.state().unavailable = unavailable;
    }

    /// Fails every telemetry call, or stops doing so.
    pub fn set_fail_telemetry(&self, fail: bool) {
        self.state().fail_telemetry = fail;
    }

    /// Fails every change of subscriptions, or stops doing so.
    pub fn set_fail_subscriptions(&self, fail: bool) {
        self.state().fail_subscriptions = fail;
    }

    /// Answers a change of subscriptions only when it is notified, once each.
    pub fn hold_subscriptions(&self) -> Arc<Notify> {
        let release = Arc::new(Notify::new());
        self.state().subscriptions_held = Some(Arc::clone(&release));
        release
    }

    /// Never answers telemetry, nor says that a session ended, or does so again.
    pub fn set_stalled(&self, stalled: bool) {
        self.state().stalled = stalled;
    }

    /// Drops the sessions accepted from now on at that Unix second.
    pub fn set_expires_at_secs(&self, secs: Option<u64>) {
        self.state().expires_at_secs = secs;
    }

    /// Everything taken so far, in order.
    pub fn telemetry(&self) -> Vec<(Identity, Message)> {
        self.state().telemetry.clone()
    }

    /// The link of a connected identity.
    pub fn link(&self, identity: &Identity) -> Option<SessionLink> {
        self.state().links.get(identity).map(|(_, link)| link.clone())
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.counts.borrow().clone()
    }

    /// Waits until the counts satisfy the condition.
    pub async fn wait_until(&self, condition: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.counts.subscribe();
        counts.wait_for(condition).await.expect("the hub holds the sender").clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the lock")
    }

    async fn stall(&self) {
        let stalled = self.state().stalled;
        if stalled {
            std::future::pending::<()>().await;
        }
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    fn is_genuine(&self, credential: &Credential, identity: &Identity, resource: &str) -> bool {
        let Credential::Sas(text) = credential else { return false };
        let Ok(token) = SasToken::parse(text) else { return false };
        let state = self.state();
        state.keys.get(identity).is_some_and(|key| token.verify(key))
            && token.covers(resource)
            && !token.is_expired(unix_secs())
    }
}

impl HubHandler for MemoryHub {
    type Session = MemorySession;

    async fn connect(&self, request: ConnectRequest) -> Result<Accepted<MemorySession>, Refusal> {
        let resource = audience(HUB_HOST, &request.identity);
        let refusal = if self.state().unavailable {
            Some(Refusal::Unavailable)
        } else if !self.is_genuine(&request.credential, &request.identity, &resource) {
            Some(Refusal::NotAuthorized)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.count(|counts| counts.refused += 1);
            return Err(refusal);
        }
        let (number, expires_at_secs) = {
            let mut state = self.state();
            state.last_session += 1;
            let number = state.last_session;
            if let Some((_, older)) = state.links.insert(request.identity.clone(), (number, request.link)) {
                older.close(CloseReason::TakenOver);
            }
            (number, state.expires_at_secs)
        };
        self.count(|counts| counts.connected += 1);
        let session = MemorySession { identity: request.identity, number };
        Ok(Accepted { session, session_present: false, expires_at_secs })
    }

    async fn telemetry(&self, session: &MemorySession, batch: TelemetryBatch) -> Result<(), HubError> {
        self.stall().await;
        let count = batch.len();
        {
            let mut state = self.state();
            if state.fail_telemetry {
                return Err(HubError { status: 503, message: "the store is not available".to_owned() });
            }
            state.telemetry.extend(batch.iter().map(|message| (session.identity.clone(), owned(message))));
        }
        self.count(|counts| {
            counts.batches += 1;
            counts.messages += count;
            counts.batch_messages_max = counts.batch_messages_max.max(count);
        });
        Ok(())
    }

    async fn twin_get(&self, session: &MemorySession) -> Result<Bytes, HubError> {
        let (mut reported, version) = self.state().reported.get(&session.identity).cloned().unwrap_or((Map::new(), 1));
        reported.insert("$version".to_owned(), version.into());
        Ok(json!({"desired": {"$version": 1}, "reported": reported}).to_string().into())
    }

    async fn twin_patch_reported(&self, session: &MemorySession, patch: Bytes) -> Result<u64, HubError> {
        let patch: Map<String, Value> = serde_json::from_slice(&patch)
            .map_err(|_| HubError { status: 400, message: "the patch is not a JSON object".to_owned() })?;
        let mut state = self.state();
        let (reported, version) = state.reported.entry(session.identity.clone()).or_insert((Map::new(), 1));
        reported.extend(patch);
        reported.retain(|_, value| !value.is_null());
        *version += 1;
        Ok(*version)
    }

    async fn subscriptions_changed(&self, _session: &MemorySession) -> Result<(), HubError> {
        let held = self.state().subscriptions_held.clone();
        if let Some(held) = held {
            held.notified().await;
        }
        if self.state().fail_subscriptions {
            return Err(HubError { status: 503, message: "the store is not available".to_owned() });
        }
        self.count(|counts| counts.subscriptions += 1);
        Ok(())
    }

    async fn disconnected(&self, session: MemorySession, graceful: bool) {
        self.stall().await;
        {
            let mut state = self.state();
            if state.links.get(&session.identity).is_some_and(|(number, _)| *number == session.number) {
                state.links.remove(&session.identity);
            }
        }
        self.count(|counts| {
            counts.disconnected += 1;
            counts.graceful += usize::from(graceful);
        });
    }
}

impl ProvisioningHandler for MemoryHub {
    type Enrollee = String;

    async fn enroll(&self, request: DpsConnectRequest) -> Result<Enrolled<String>, Refusal> {
        let device = Identity::device(&request.registration_id);
        let resource = dps::audience(&request.id_scope, &request.registration_id);
        let genuine = request.id_scope == ID_SCOPE && self.is_genuine(&request.credential, &device, &resource);
        if !genuine {
            return Err(Refusal::NotAuthorized);
        }
        Ok(Enrolled { enrollee: request.registration_id, expires_at_secs: self.state().expires_at_secs })
    }

    async fn register(&self, registration_id: &String, body: Bytes) -> Result<OperationStatus, DpsError> {
        RegisterRequest::parse(&body, registration_id)?;
        let operation = format!("op-{registration_id}");
        self.state().polls.insert(operation.clone(), 0);
        Ok(OperationStatus::assigning(&operation, registration_id))
    }

    async fn operation_status(&self, registration_id: &String, operation: &str) -> Result<OperationStatus, DpsError> {
        let mut state = self.state();
        let polls = state.polls.get_mut(operation).ok_or_else(DpsError::unknown_operation)?;
        *polls += 1;
        let assigned = RegistrationState::assigned(registration_id, HUB_HOST, registration_id);
        Ok(OperationStatus::with_state(operation, assigned))
    }
}

/// A copy that does not hold on to the whole read buffer, as whoever keeps messages has to make.
fn owned(message: &Message) -> Message {
    Message { bag: Bytes::copy_from_slice(&message.bag), body: Bytes::copy_from_slice(&message.body) }
}

fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
