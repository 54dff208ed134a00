//! What stands behind the wire: Central and Edge each implement [`HubHandler`] once, and differ only there.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use model::identity::Identity;
use model::message::Message;
use protocol::auth::certificate::ClientCertificate;
use protocol::auth::judge;
use protocol::dps;
pub use protocol::event::Refusal;
use tokio_util::sync::CancellationToken;

use super::link::SessionLink;

/// How the client proved, or claims to prove, who it is.
#[derive(Clone)]
pub enum Credential {
    /// A shared access signature, the text as it came. Not yet verified.
    Sas(String),
    /// The client's certificate. That the client holds its key was proved by TLS, nothing else was checked.
    Certificate(Arc<ClientCertificate>),
    /// Neither.
    None,
}

impl Credential {
    /// The form in which it is judged.
    pub fn judged(&self) -> judge::Credential<'_> {
        match self {
            Self::Sas(token) => judge::Credential::Sas(token),
            Self::Certificate(certificate) => judge::Credential::Certificate(certificate),
            Self::None => judge::Credential::None,
        }
    }
}

/// A client that wants in, awaiting the handler's word.
pub struct ConnectRequest {
    /// Whom the client says it is.
    pub identity: Identity,
    /// The host name the client means: the hub's, also behind a gateway.
    pub hub_host: String,
    /// `api-version` as sent; any value is accepted.
    pub api_version: String,
    /// Model id announced for this connection.
    pub model_id: Option<String>,
    /// `auth-chain` of a gateway speaking for a child: target first, acting edge last, joined by `;`.
    pub auth_chain: Option<String>,
    /// `DeviceClientType`, the SDK's own name.
    pub client_type: Option<String>,
    /// What the client offers as proof.
    pub credential: Credential,
    /// Whether an earlier session shall be forgotten.
    pub clean_session: bool,
    /// Where the connection comes from.
    pub peer: SocketAddr,
    /// The way back to the client; usable once the handler accepted.
    pub link: SessionLink,
}

/// The handler's yes to a client that wants in.
pub struct Accepted<S> {
    /// State the handler wants back with every event of this session.
    pub session: S,
    /// Whether subscriptions of an earlier session are still known.
    pub session_present: bool,
    /// Unix time in seconds after which the transport drops the session (token expiry plus grace), if any.
    pub expires_at_secs: Option<u64>,
}

/// Telemetry of one session, as many messages as one read brought, in order. Their bags have been checked to be well formed UTF-8;
/// reserved stamps are the handler's business.
pub type TelemetryBatch = Vec<Message>;

/// Why an operation failed, with the hub's numeric code: becomes the status of a twin reply, or ends the connection where
/// the protocol has no way to say it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct HubError {
    /// HTTP-like status: 400, 404, 413, 429, 500, 503.
    pub status: u16,
    /// What was wrong and where, safe to show to the client.
    pub message: String,
}

/// A client that wants to be provisioned, awaiting the handler's word.
pub struct DpsConnectRequest {
    /// Id scope.
    pub id_scope: String,
    /// Registration id as the client wrote it.
    pub registration_id: String,
    /// What the client offers as proof.
    pub credential: Credential,
    /// Where the connection comes from.
    pub peer: SocketAddr,
    /// Ends the connection when the handler cancels it.
    pub end: CancellationToken,
}

/// The handler's yes to a client that wants to be provisioned.
pub struct Enrolled<E> {
    /// State the handler wants back with every event of this connection.
    pub enrollee: E,
    /// Unix time in seconds after which the transport drops the connection, if any.
    pub expires_at_secs: Option<u64>,
}

/// The hub behind the wire. All calls are made in order for one session; sessions run in parallel.
pub trait HubHandler: Send + Sync + 'static {
    /// State of one accepted session.
    type Session: Send + Sync + 'static;

    /// Authenticates, takes over from an older session of the same identity, and registers the link.
    fn connect(&self, request: ConnectRequest)
    -> impl Future<Output = Result<Accepted<Self::Session>, Refusal>> + Send;

    /// Stores the batch. Ok means durable: the transport acknowledges right after. An error closes the connection
    /// without acknowledging, so that the client sends again.
    fn telemetry(
        &self,
        session: &Self::Session,
        batch: TelemetryBatch,
    ) -> impl Future<Output = Result<(), HubError>> + Send;

    /// The twin as `{"desired":{…,"$version":n},"reported":{…,"$version":n}}`.
    fn twin_get(&self, session: &Self::Session) -> impl Future<Output = Result<Bytes, HubError>> + Send;

    /// Merges a reported patch; answers the new reported version. Ok means durable.
    fn twin_patch_reported(
        &self,
        session: &Self::Session,
        patch: Bytes,
    ) -> impl Future<Output = Result<u64, HubError>> + Send;

    /// The set of subscriptions changed. Ok means that it is kept as long as the session has to last, over a restart too: the
    /// transport confirms right after, and lets nothing out before: the handler must not wait for what goes over the session's
    /// own link. An error closes the connection without confirming, so that the client asks again.
    fn subscriptions_changed(&self, session: &Self::Session) -> impl Future<Output = Result<(), HubError>> + Send;

    /// The connection is over; called exactly once for each accepted session. `graceful` when the client took leave.
    fn disconnected(&self, session: Self::Session, graceful: bool) -> impl Future<Output = ()> + Send;
}

/// The provisioning service behind the wire. All calls are made in order for one connection.
pub trait ProvisioningHandler: Send + Sync + 'static {
    /// State of one accepted provisioning connection.
    type Enrollee: Send + Sync + 'static;

    /// Lets a provisioning connection in, or not.
    fn enroll(
        &self,
        request: DpsConnectRequest,
    ) -> impl Future<Output = Result<Enrolled<Self::Enrollee>, Refusal>> + Send;

    /// Registers, body as sent (may be empty).
    fn register(
        &self,
        enrollee: &Self::Enrollee,
        body: Bytes,
    ) -> impl Future<Output = Result<dps::OperationStatus, dps::DpsError>> + Send;

    /// Answers a poll of an operation.
    fn operation_status(
        &self,
        enrollee: &Self::Enrollee,
        operation_id: &str,
    ) -> impl Future<Output = Result<dps::OperationStatus, dps::DpsError>> + Send;
}

/// The provisioning service of a hub that has none: it lets nobody in.
#[derive(Debug, Clone, Copy)]
pub struct NoProvisioning;

impl ProvisioningHandler for NoProvisioning {
    type Enrollee = Infallible;

    async fn enroll(&self, _: DpsConnectRequest) -> Result<Enrolled<Infallible>, Refusal> {
        Err(Refusal::NotAuthorized)
    }

    async fn register(&self, nobody: &Infallible, _: Bytes) -> Result<dps::OperationStatus, dps::DpsError> {
        match *nobody {}
    }

    async fn operation_status(&self, nobody: &Infallible, _: &str) -> Result<dps::OperationStatus, dps::DpsError> {
        match *nobody {}
    }
}
