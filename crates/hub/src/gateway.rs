//! Central behind the device protocols: what a connection, a message, a twin request means here.
//!
//! ```text
//! MQTT  ── connect ───────┬─▶ authorize ─▶ Principal ─▶ Speaker ─┬─▶ store (telemetry) ─▶ LOG
//! HTTPS ── every request ─┘                                      └─▶ session, twin (MQTT)
//!       ── registration ────▶ attest ─▶ Enrollee
//! ```
//!
//! The transport has done the wire; this decides, for every door alike. *Invariant*: telemetry is acknowledged only after it is in the log, a
//! reported patch only after it is in the registry.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use events::clock::{now_ms, now_secs};
use events::last_seen::Seen;
use events::queue::EventQueue;
use events::record::{EncodeRecordError, Origin, Source};
use events::{Batch, Event, Events};
use model::identity::Identity;
use protocol::auth::judge::Claim;
use protocol::dps::{DpsError, OperationStatus};
use protocol::hub::bag;
use registry::{Ground, Registry, StoreError};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use transport::server::{
    Accepted, CloseReason, ConnectRequest, Credential, DpsConnectRequest, Enrolled, HubError, HubHandler,
    ProvisioningHandler, Refusal, SessionLink, Subscriptions, TelemetryBatch,
};

use crate::applications::Applications;
use crate::authenticate::{AuthenticateError, Authenticator, KeysMark, KnownDevices, Principal};
use crate::device_messages::DeviceMessages;
use crate::files::Files;
use crate::group_commit::GroupCommitError;
use crate::kept_sessions::KeptSessions;
use crate::limits::{AUTHENTICATION_WAIT, AUTHENTICATIONS_MAX};
use crate::metrics::HubMetrics;
use crate::provisioning::{Enrollee, Provisioning};
use crate::revocation::{Held, Judgement, Judging, NotHeld, Opened, Revocation};
use crate::sessions::{SessionId, Sessions};
use crate::twins::{ChangeTwinError, Twins};

#[cfg(test)]
mod tests;

/// Properties only the hub itself may set; a client's are dropped.
const STAMPS: [&str; 9] = [
    bag::CONNECTION_DEVICE_ID,
    bag::CONNECTION_MODULE_ID,
    "iothub-connection-device-id",
    "iothub-connection-module-id",
    "iothub-connection-auth-generation-id",
    "iothub-connection-auth-method",
    "iothub-enqueuedtime",
    "dt-dataschema",
    "iothub-message-source",
];

/// What the gateway works with.
pub struct Gateway {
    /// Devices and modules.
    pub registry: Registry,
    /// Which application a host name leads to.
    pub applications: Applications,
    /// Live sessions.
    pub sessions: Sessions,
    /// Twins.
    pub twins: Twins,
    /// What sessions are subscribed to, over a restart too.
    pub kept_sessions: KeptSessions,
    /// What waits for devices.
    pub messages: DeviceMessages,
    /// What devices upload.
    pub files: Files,
    /// The log.
    pub events: Events,
    /// Where connections tell of themselves.
    pub connections: EventQueue,
    /// Counters.
    pub metrics: HubMetrics,
    /// Provisioning.
    pub provisioning: Provisioning,
    /// How many may authenticate at the same time.
    pub admission: Semaphore,
    /// What is ended when its credential is revoked.
    pub revocation: Revocation,
    /// A session ends so long after it began, if its token does not end before; `None` leaves it to the token.
    pub session_life_max: Option<Duration>,
}

impl Gateway {
    /// Room for the connections that authenticate at the same time.
    pub fn admission() -> Semaphore {
        Semaphore::new(AUTHENTICATIONS_MAX)
    }
}

/// An identity that proved itself, with what the records of its messages say of their origin.
pub struct Speaker {
    source: Source,
    origin: Origin,
    seen: Seen,
}

/// What the gateway remembers of one session.
pub struct HubSession {
    speaker: Speaker,
    id: SessionId,
    link: SessionLink,
    /// What is kept of its subscriptions; a session that ends with its connection has none.
    kept: Option<AtomicU8>,
    /// From when it is listed.
    held: Option<Held>,
}

/// Who was let in, and what that rests on.
struct AdmittedSession {
    speaker: Speaker,
    ends_at_secs: u64,
    /// Of its session, as far as it is kept.
    subscriptions: Subscriptions,
    grounds: Vec<Ground>,
    claim: SessionClaim,
}

/// What a session was opened with, to be judged again.
struct SessionClaim {
    authenticator: Authenticator,
    application: Arc<str>,
    identity: Identity,
    hosts: [Box<str>; 2],
    credential: Credential,
    auth_chain: Option<Box<str>>,
    /// Judged as of when it was let in: the credential's own end is the transport's to keep.
    at_secs: u64,
    generation: Arc<str>,
    unused_keys: Option<KeysMark>,
    link: SessionLink,
}

impl Opened for SessionClaim {
    fn judge<'a>(&'a self, known: &'a Arc<KnownDevices>) -> Judging<'a> {
        Box::pin(async {
            let claim = Claim {
                identity: &self.identity,
                hosts: &[&self.hosts[0], &self.hosts[1]],
                credential: self.credential.judged(),
                auth_chain: self.auth_chain.as_deref(),
            };
            let authenticator = self.authenticator.knowing(known);
            match authenticator.authenticate(&self.application, claim, self.at_secs).await {
                Ok(principal) => {
                    let is_same =
                        *principal.generation == *self.generation && principal.unused_keys == self.unused_keys;
                    Ok(if is_same { Judgement::Stands { again_at_ms: None } } else { Judgement::Fell })
                }
                Err(AuthenticateError::Denied(reason)) => {
                    tracing::info!(identity = %self.identity, "session ended: {reason}");
                    Ok(Judgement::Fell)
                }
                Err(error @ (AuthenticateError::Store(_) | AuthenticateError::Busy)) => Err(error.into()),
            }
        })
    }

    fn end(&self) {
        self.link.close(CloseReason::Disabled);
    }
}

/// A provisioning connection.
pub struct Enrolling {
    enrollee: Enrollee,
    _held: Held,
}

/// What a provisioning connection was opened with, to be judged again.
struct EnrollmentClaim {
    provisioning: Provisioning,
    enrollee: Enrollee,
    end: CancellationToken,
}

impl Opened for EnrollmentClaim {
    fn judge<'a>(&'a self, _known: &'a Arc<KnownDevices>) -> Judging<'a> {
        Box::pin(async {
            match self.provisioning.again(&self.enrollee).await {
                Ok(now) if now.stands_as(&self.enrollee) => Ok(Judgement::Stands { again_at_ms: None }),
                Err(error) if error.is_retryable() => Err(error.into()),
                Ok(_) | Err(_) => Ok(Judgement::Fell),
            }
        })
    }

    fn end(&self) {
        self.end.cancel();
    }
}

impl HubHandler for Gateway {
    type Session = HubSession;

    async fn connect(&self, request: ConnectRequest) -> Result<Accepted<HubSession>, Refusal> {
        let mark = self.revocation.mark();
        let admitted = self.admit(&request).await;
        self.metrics.connect(admitted.is_ok());
        let AdmittedSession { speaker, ends_at_secs, subscriptions, grounds, claim } = admitted?;
        let kept = self.resume(&speaker, subscriptions, request.clean_session).await?;
        let link = request.link;
        link.restore_subscriptions(kept);
        // A place for the event first: what cannot be told later is not begun.
        let place = tokio::time::timeout(AUTHENTICATION_WAIT, self.connections.place()).await;
        let place = place.map_err(|_| Refusal::Unavailable)?.map_err(|_| Refusal::Unavailable)?;
        let Source { application, identity, .. } = &speaker.source;
        let told = Event::connection(&speaker.source, now_ms(), true);
        let id = self.sessions.register(application, identity, link.clone(), || place.fill(told));
        let kept_bits = (!request.clean_session).then(|| AtomicU8::new(kept.to_bits()));
        let mut session = HubSession { speaker, id, link: link.clone(), kept: kept_bits, held: None };
        match self.revocation.hold(Some(mark), &grounds, Arc::new(claim)).await {
            Ok(held) => session.held = Some(held),
            Err(not_held) => {
                self.end(&session).await;
                link.close(CloseReason::Disabled);
                return Err(refused_hold(&not_held));
            }
        }
        let session_present = kept != Subscriptions::default();
        self.deliver_messages(&session);
        Ok(Accepted { session, session_present, expires_at_secs: Some(ends_at_secs) })
    }

    async fn telemetry(&self, session: &HubSession, batch: TelemetryBatch) -> Result<(), HubError> {
        self.store(&session.speaker, batch).await
    }

    async fn twin_get(&self, session: &HubSession) -> Result<Bytes, HubError> {
        let Source { application, identity, .. } = &session.speaker.source;
        match self.twins.get(application, identity).await {
            Ok(twin) => Ok(twin.to_device_json().to_string().into()),
            Err(error) => {
                tracing::error!(%identity, error = &error as &dyn std::error::Error, "twin not read");
                Err(HubError { status: 500, message: "the twin could not be read".into() })
            }
        }
    }

    async fn twin_patch_reported(&self, session: &HubSession, patch: Bytes) -> Result<u64, HubError> {
        let patch: Value = serde_json::from_slice(&patch)
            .map_err(|error| HubError { status: 400, message: format!("the patch is no JSON: {error}") })?;
        let Speaker { source, seen, .. } = &session.speaker;
        let patched = self.twins.patch_reported(&source.application, &source.identity, patch).await;
        seen.at(now_ms());
        patched.map_err(|error| refused_patch(&source.identity, &error))
    }

    async fn subscriptions_changed(&self, session: &HubSession) -> Result<(), HubError> {
        let Source { application, identity, .. } = &session.speaker.source;
        let subscriptions = session.link.subscriptions();
        if let Some(kept) = session.kept.as_ref().filter(|kept| kept.load(Ordering::Acquire) != subscriptions.to_bits())
        {
            let stored = self.kept_sessions.keep(application, identity, subscriptions).await;
            stored.map_err(|error| session_not_kept(identity, &error))?;
            kept.store(subscriptions.to_bits(), Ordering::Release);
        }
        self.sessions.subscriptions_changed();
        self.deliver_messages(session);
        Ok(())
    }

    async fn disconnected(&self, session: HubSession, graceful: bool) {
        let was_current = self.end(&session).await;
        tracing::debug!(identity = %session.speaker.source.identity, graceful, was_current, "disconnected");
    }
}

impl ProvisioningHandler for Gateway {
    type Enrollee = Enrolling;

    async fn enroll(&self, request: DpsConnectRequest) -> Result<Enrolled<Enrolling>, Refusal> {
        let DpsConnectRequest { id_scope, registration_id, credential, peer, end } = request;
        let mark = self.revocation.mark();
        let enrollee = self
            .attest(&id_scope, &registration_id, credential, Some(peer))
            .await
            .map_err(|error| if error.is_retryable() { Refusal::Unavailable } else { Refusal::NotAuthorized })?;
        let (provisioning, grounds) = (self.provisioning.clone(), enrollee.grounds());
        let claim = EnrollmentClaim { provisioning, enrollee: enrollee.clone(), end };
        let held = self.revocation.hold(Some(mark), &grounds, Arc::new(claim)).await;
        let held = held.map_err(|not_held| refused_hold(&not_held))?;
        let expires_at_secs = Some(enrollee.ends_at_secs());
        Ok(Enrolled { enrollee: Enrolling { enrollee, _held: held }, expires_at_secs })
    }

    async fn register(&self, enrolling: &Enrolling, body: Bytes) -> Result<OperationStatus, DpsError> {
        // What let the connection in may have changed a moment ago.
        let enrollee = self.provisioning.again(&enrolling.enrollee).await?;
        self.provisioning.register(&enrollee, &body).await
    }

    async fn operation_status(&self, enrolling: &Enrolling, operation_id: &str) -> Result<OperationStatus, DpsError> {
        let enrollee = self.provisioning.again(&enrolling.enrollee).await?;
        self.provisioning.status(&enrollee, operation_id).await
    }
}

impl Gateway {
    /// Checks a claim within an application, when it is this one's turn.
    pub async fn authorize(&self, application: &str, claim: Claim<'_>) -> Result<Principal, AuthenticateError> {
        let _turn = self.turn().await.ok_or(AuthenticateError::Busy)?;
        Authenticator::new(self.registry.clone()).authenticate(application, claim, now_secs()).await
    }

    /// What is needed to take messages of an identity that proved itself.
    pub fn speaker(
        &self,
        application: &Arc<str>,
        identity: &Identity,
        principal: Principal,
        model: Option<String>,
    ) -> Result<Speaker, EncodeRecordError> {
        let source = Source {
            application: Arc::clone(application),
            identity: identity.clone(),
            generation: principal.generation.into(),
            model: model.map(Arc::from),
            organization: principal.device.organization.map(Arc::from),
        };
        Ok(Speaker { origin: source.origin()?, seen: self.sessions.seen(application, identity), source })
    }

    /// Stores messages in order. `Ok` means durable.
    pub async fn store(&self, speaker: &Speaker, batch: TelemetryBatch) -> Result<(), HubError> {
        let now = now_ms();
        let Speaker { source: Source { identity, .. }, origin, seen } = speaker;
        let bytes = batch.iter().map(|message| origin.encoded_bytes(&message.bag, &message.body)).sum();
        let mut published = Batch::with_capacity(batch.len(), bytes);
        for message in batch {
            let bag = without_stamps(message.bag);
            published
                .telemetry(origin, now, &bag, &message.body)
                .map_err(|error| HubError { status: 400, message: error.to_string() })?;
        }
        self.events.publish(published).await.map_err(|error| not_stored(identity, &error))?;
        seen.at(now);
        Ok(())
    }

    /// Finds the enrollment a credential is of, when it is this one's turn.
    pub async fn attest(
        &self,
        id_scope: &str,
        registration_id: &str,
        credential: Credential,
        peer: Option<SocketAddr>,
    ) -> Result<Enrollee, DpsError> {
        let attested = match self.turn().await {
            Some(_turn) => self.provisioning.attest(id_scope, registration_id, credential, now_secs()).await,
            None => Err(DpsError::throttled()),
        };
        attested.inspect_err(|error| {
            self.metrics.registration(false);
            if transport::log::may_tell_of_stranger() {
                let peer = peer.map(tracing::field::display);
                tracing::info!(registration = registration_id, peer, %error, "provisioning refused");
            }
        })
    }

    /// Waits for a turn to authenticate; too long a wait sends the client away to try again.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let turn = tokio::time::timeout(AUTHENTICATION_WAIT, self.admission.acquire()).await;
        turn.ok().and_then(Result::ok)
    }

    /// What an earlier session of the client leaves to this one; a client that wants none has the earlier one forgotten.
    async fn resume(&self, speaker: &Speaker, kept: Subscriptions, clean: bool) -> Result<Subscriptions, Refusal> {
        let nothing = Subscriptions::default();
        if !clean || kept == nothing {
            return Ok(kept);
        }
        let Source { application, identity, .. } = &speaker.source;
        let forgotten = self.kept_sessions.keep(application, identity, nothing).await;
        forgotten.map_err(|error| session_not_kept(identity, &error)).map_err(|_| Refusal::Unavailable)?;
        Ok(nothing)
    }

    /// Who connects, when its session has to end, and what is kept of an earlier one.
    async fn admit(&self, request: &ConnectRequest) -> Result<AdmittedSession, Refusal> {
        let identity = &request.identity;
        let refused = |reason: &dyn std::fmt::Display| {
            if transport::log::may_tell_of_stranger() {
                tracing::info!(%identity, peer = %request.peer, "connection refused: {reason}");
            }
            Refusal::NotAuthorized
        };
        let failed = |error: &StoreError| {
            tracing::error!(error = error as &dyn std::error::Error, "a connection could not be authenticated");
            Refusal::Unavailable
        };
        let application = self.applications.by_host(&request.hub_host).await.map_err(|error| failed(&error))?;
        let Some(application) = application else {
            return Err(refused(&format_args!("{} is not the name of this hub", request.hub_host)));
        };
        let own = self.applications.host_of(&application);
        let claim = Claim {
            identity,
            hosts: &[&request.hub_host, &own],
            credential: request.credential.judged(),
            auth_chain: request.auth_chain.as_deref(),
        };
        let principal = self.authorize(&application.id, claim).await.map_err(|error| match error {
            AuthenticateError::Denied(reason) => refused(&reason),
            AuthenticateError::Busy => Refusal::Unavailable,
            AuthenticateError::Store(error) => failed(&error),
        })?;
        let at_secs = now_secs();
        let capped = self.session_life_max.map_or(u64::MAX, |life| at_secs.saturating_add(life.as_secs()));
        let ends_at_secs = principal.session_ends_at_secs.min(capped);
        let (grounds, unused_keys) = (principal.grounds.clone(), principal.unused_keys);
        let subscriptions = principal.subscriptions;
        let speaker = self.speaker(&application.id.as_str().into(), identity, principal, request.model_id.clone());
        let speaker = speaker.map_err(|error| refused(&error))?;
        let claim = SessionClaim {
            authenticator: Authenticator::new(self.registry.clone()),
            application: Arc::clone(&speaker.source.application),
            identity: identity.clone(),
            hosts: [request.hub_host.as_str().into(), own.into()],
            credential: request.credential.clone(),
            auth_chain: request.auth_chain.as_deref().map(Into::into),
            at_secs,
            generation: Arc::clone(&speaker.source.generation),
            unused_keys,
            link: request.link.clone(),
        };
        Ok(AdmittedSession { speaker, ends_at_secs, subscriptions, grounds, claim })
    }

    /// Delivers what waits for the session's device, if it takes messages.
    fn deliver_messages(&self, session: &HubSession) {
        let Source { application, identity, .. } = &session.speaker.source;
        if session.link.subscriptions().cloud_to_device && identity.module_id().is_none() {
            self.messages.wake(application, identity.device_id());
        }
    }

    /// Ends a session and tells of it, unless another one has taken its place. Answers whether it told.
    ///
    /// Waits for a place in the queue of the log first, however long: the session stays listed until its end can be told. At a
    /// stop nobody waits; all sessions end with the process.
    async fn end(&self, session: &HubSession) -> bool {
        let HubSession { speaker: Speaker { source, .. }, id, .. } = session;
        let place = self.connections.place().await.ok();
        let told = Event::connection(source, now_ms(), false);
        let tell = || {
            if let Some(place) = place {
                place.fill(told);
            }
        };
        self.sessions.remove(&source.application, &source.identity, *id, tell)
    }
}

/// Drops the properties only the hub may set. Nearly every bag has none and is passed on as it is.
fn without_stamps(properties: Bytes) -> Bytes {
    if !bag::has_any_ignore_case(&properties, &STAMPS) {
        return properties;
    }
    let stamps: Vec<String> = bag::iter(&properties)
        .filter(|(name, _)| STAMPS.iter().any(|stamp| name.eq_ignore_ascii_case(stamp)))
        .map(|(name, _)| name.into_owned())
        .collect();
    stamps.iter().fold(properties, |properties, name| bag::remove(&properties, name))
}

fn session_not_kept(identity: &Identity, error: &GroupCommitError) -> HubError {
    let is_news = match error {
        GroupCommitError::Store(error) => !error.is_passing(),
        GroupCommitError::Stopping => false,
    };
    if is_news {
        tracing::error!(%identity, error = error as &dyn std::error::Error, "subscriptions were not kept");
    }
    HubError { status: 503, message: "the subscriptions could not be kept".into() }
}

fn refused_hold(not_held: &NotHeld) -> Refusal {
    match not_held {
        NotHeld::Fell => {
            tracing::info!("connection refused: {not_held}");
            Refusal::NotAuthorized
        }
        NotHeld::Unknown(cause) => {
            tracing::error!(error = &**cause as &dyn std::error::Error, "a connection could not be authenticated");
            Refusal::Unavailable
        }
    }
}

fn not_stored(identity: &Identity, error: &(dyn std::error::Error + 'static)) -> HubError {
    tracing::debug!(%identity, error, "messages were not stored");
    HubError { status: 503, message: "the messages could not be stored".into() }
}

fn refused_patch(identity: &Identity, error: &ChangeTwinError) -> HubError {
    match error {
        ChangeTwinError::Invalid(reason) => HubError { status: 400, message: reason.to_string() },
        ChangeTwinError::UnknownDevice => HubError { status: 404, message: error.to_string() },
        // The device sends it again; merging it twice changes nothing.
        ChangeTwinError::Store(error) if error.is_passing() => HubError { status: 503, message: error.to_string() },
        ChangeTwinError::Store(_) | ChangeTwinError::Stopping => {
            tracing::error!(%identity, error = error as &dyn std::error::Error, "reported properties were not stored");
            HubError { status: 500, message: error.to_string() }
        }
    }
}
