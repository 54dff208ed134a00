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
use registry::{Registry, StoreError};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use transport::server::{
    Accepted, CloseReason, ConnectRequest, Credential, DpsConnectRequest, HubError, HubHandler, ProvisioningHandler,
    Refusal, SessionLink, Subscriptions, TelemetryBatch,
};

use crate::applications::Applications;
use crate::authenticate::{AuthenticateError, Authenticator, Principal};
use crate::kept_sessions::{KeepSessionError, KeptSessions};
use crate::limits::{AUTHENTICATION_WAIT, AUTHENTICATIONS_MAX};
use crate::metrics::HubMetrics;
use crate::provisioning::{Enrollee, Provisioning};
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
}

/// A client that may connect.
struct AdmittedClient {
    speaker: Speaker,
    /// Unix seconds.
    session_ends_at_secs: u64,
    /// Of its session, as far as it is kept.
    subscriptions: Subscriptions,
}

impl HubHandler for Gateway {
    type Session = HubSession;

    async fn connect(&self, request: ConnectRequest) -> Result<Accepted<HubSession>, Refusal> {
        let admitted = self.admit(&request).await;
        self.metrics.connect(admitted.is_ok());
        let AdmittedClient { speaker, session_ends_at_secs, subscriptions } = admitted?;
        let kept = self.resume(&speaker, subscriptions, request.clean_session).await?;
        let link = request.link;
        link.restore_subscriptions(kept);
        // A place for the event first: what cannot be told later is not begun.
        let place = tokio::time::timeout(AUTHENTICATION_WAIT, self.connections.place()).await;
        let place = place.map_err(|_| Refusal::Unavailable)?.map_err(|_| Refusal::Unavailable)?;
        let Source { application, identity, .. } = &speaker.source;
        let told = Event::connection(&speaker.source, now_ms(), true);
        let id = self.sessions.register(application, identity, link.clone(), || place.fill(told));
        let is_kept = !request.clean_session;
        let kept_bits = is_kept.then(|| AtomicU8::new(kept.to_bits()));
        let session = HubSession { speaker, id, link: link.clone(), kept: kept_bits };
        // Disabled between the check and the registration: nobody else would have found the session to cut it.
        let is_enabled = self.is_still_enabled(&session).await;
        if !matches!(is_enabled, Ok(true)) {
            self.end(&session).await;
            link.close(CloseReason::Disabled);
            return Err(is_enabled.err().unwrap_or(Refusal::NotAuthorized));
        }
        let session_present = kept != Subscriptions::default();
        Ok(Accepted { session, session_present, expires_at_secs: Some(session_ends_at_secs) })
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
        Ok(())
    }

    async fn disconnected(&self, session: HubSession, graceful: bool) {
        let was_current = self.end(&session).await;
        tracing::debug!(identity = %session.speaker.source.identity, graceful, was_current, "disconnected");
    }
}

impl ProvisioningHandler for Gateway {
    type Enrollee = Enrollee;

    async fn enroll(&self, request: DpsConnectRequest) -> Result<Enrollee, Refusal> {
        let DpsConnectRequest { id_scope, registration_id, credential, peer } = request;
        let Credential::Sas(token) = credential else { return Err(Refusal::NotAuthorized) };
        self.attest(&id_scope, &registration_id, &token, Some(peer))
            .await
            .map_err(|error| if error.is_retryable() { Refusal::Unavailable } else { Refusal::NotAuthorized })
    }

    async fn register(&self, enrollee: &Enrollee, body: Bytes) -> Result<OperationStatus, DpsError> {
        self.provisioning.register(enrollee, &body).await
    }

    async fn operation_status(&self, enrollee: &Enrollee, operation_id: &str) -> Result<OperationStatus, DpsError> {
        self.provisioning.status(enrollee, operation_id).await
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

    /// Finds the enrollment whose key made the token, when it is this one's turn.
    pub async fn attest(
        &self,
        id_scope: &str,
        registration_id: &str,
        token: &str,
        peer: Option<SocketAddr>,
    ) -> Result<Enrollee, DpsError> {
        let attested = match self.turn().await {
            Some(_turn) => self.provisioning.attest(id_scope, registration_id, token, now_secs()).await,
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
    async fn admit(&self, request: &ConnectRequest) -> Result<AdmittedClient, Refusal> {
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
        let Principal { session_ends_at_secs, subscriptions, .. } = principal;
        let speaker = self.speaker(&application.id.as_str().into(), identity, principal, request.model_id.clone());
        let speaker = speaker.map_err(|error| refused(&error))?;
        Ok(AdmittedClient { speaker, session_ends_at_secs, subscriptions })
    }

    async fn is_still_enabled(&self, session: &HubSession) -> Result<bool, Refusal> {
        let Source { application, identity, .. } = &session.speaker.source;
        match self.registry.device_get(application, identity.device_id()).await {
            Ok(device) => Ok(device.is_some_and(|device| device.enabled)),
            Err(_) => Err(Refusal::Unavailable),
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

fn session_not_kept(identity: &Identity, error: &KeepSessionError) -> HubError {
    let is_news = match error {
        KeepSessionError::Store(error) => !error.is_passing(),
        KeepSessionError::Stopping => false,
    };
    if is_news {
        tracing::error!(%identity, error = error as &dyn std::error::Error, "subscriptions were not kept");
    }
    HubError { status: 503, message: "the subscriptions could not be kept".into() }
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
