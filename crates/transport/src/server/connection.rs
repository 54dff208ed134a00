//! One connection, from its first byte to `disconnected`.
//!
//! ```text
//!          read          poll             call              write
//! socket -------> input -------> events -------> handler -------> PUBACKs, answers
//!                                  |  telemetry of one read = one call = one write
//!          SessionLink commands ---+--> output
//! ```
//!
//! The wire speaks through a [`Face`]: MQTT today, over TLS or whatever carries bytes. Events of one connection are handled
//! strictly in order. While a handler call is pending nothing more is read, but what
//! the hub has to say (methods, desired patches, inputs) still goes out, except between SUBSCRIBE and SUBACK. An idle connection
//! holds no buffers.

mod dps;
mod session;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use protocol::auth::certificate::ClientCertificate;
use protocol::event::{Face, HubEvent};
use protocol::web_socket::Violation;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Leave};
use super::handler::{Credential, HubHandler, ProvisioningHandler};
use super::link::CloseReason;
use crate::log;
use wire::Wire;

/// What the connection task knows from outside.
#[derive(Clone)]
pub struct ConnectionOptions {
    /// Where the connection comes from.
    pub peer: SocketAddr,
    /// The certificate of the client, if it has shown one whose key it holds.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Its place at the listener, if that has places.
    pub admission: Option<Admission>,
    /// Ends the connection.
    pub shutdown: CancellationToken,
}

impl ConnectionOptions {
    /// Waits until a client that nobody knows has to go.
    pub(super) async fn must_leave(&self) -> Leave {
        match &self.admission {
            Some(admission) => admission.must_leave().await,
            None => std::future::pending().await,
        }
    }

    /// Work on the client's coming or going, which takes turns with that of others.
    pub(super) async fn in_turn<W: Future>(&self, work: W) -> W::Output {
        match &self.admission {
            Some(admission) => admission.in_turn(work).await,
            None => work.await,
        }
    }

    /// The client has said who it is; its place is not asked for while that is checked.
    fn hear(&self) {
        self.admission.as_ref().inspect(|admission| admission.heard());
    }

    /// The client has proved who it is.
    pub(super) fn admit(&self) {
        self.admission.as_ref().inspect(|admission| admission.known());
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the client left")]
    Disconnect,
    #[error("the client closed the connection without leaving")]
    Eof,
    #[error("the connection broke")]
    Io(#[source] std::io::Error),
    #[error("the client does not read what it is sent")]
    WriteTimeout,
    #[error("the connection is refused")]
    Protocol(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the hub could not take what the client sent")]
    Handler(#[from] super::handler::HubError),
    #[error("closed by the hub: {0:?}")]
    Asked(CloseReason),
    #[error("the client did not say who it is: {0:?}")]
    Leave(Leave),
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        // What carries the protocol has rules of its own.
        match error.downcast::<Violation>() {
            Ok(violation) => Self::protocol(violation),
            Err(error) => Self::Io(error),
        }
    }
}

impl End {
    /// The protocol's own reason to close.
    fn protocol(close: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Protocol(Box::new(close))
    }
}

/// Serves one client that speaks the protocol of `F` over any byte stream: a TLS socket, a WebSocket, a pipe in a test.
/// Returns when the connection ended and the handler was told.
pub async fn serve_connection<F, S, H, P>(stream: S, handler: Arc<H>, provisioning: Arc<P>, options: ConnectionOptions)
where
    F: Face,
    S: AsyncRead + AsyncWrite + Unpin + Send,
    H: HubHandler,
    P: ProvisioningHandler,
{
    // Boxed, so that the stream is not held twice where futures nest: an idle connection is mostly this.
    let mut wire = Box::new(Wire::<S, F>::new(stream));
    let arrived = arrival(&mut wire, &options).await;
    options.hear();
    let (who, end) = match arrived {
        Err(end) => (None, end),
        Ok(HubEvent::Connect(attempt)) => {
            (Some(attempt.user.identity.to_string()), session::serve(&mut wire, handler, attempt, &options).await)
        }
        Ok(HubEvent::DpsConnect(attempt)) => {
            let who = attempt.user.registration_id.clone();
            (Some(who), Box::pin(dps::serve(&mut wire, &*provisioning, *attempt, &options)).await)
        }
        Ok(_) => unreachable!("a face lets nothing but a connect attempt be first"),
    };
    report(&end, who.as_deref(), &options);
    wire.close(&end).await;
}

/// Waits for the client to say who it is.
async fn arrival<S, F>(wire: &mut Wire<S, F>, options: &ConnectionOptions) -> Result<HubEvent, End>
where
    F: Face,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut must_leave = std::pin::pin!(options.must_leave());
    loop {
        if let Some(event) = wire.poll()? {
            return Ok(event);
        }
        tokio::select! {
            biased;
            () = options.shutdown.cancelled() => return Err(End::Asked(CloseReason::ShuttingDown)),
            advanced = wire.advance() => advanced?,
            why = &mut must_leave => return Err(End::Leave(why)),
        }
    }
}

fn report(end: &End, who: Option<&str>, options: &ConnectionOptions) {
    let peer = options.peer;
    let is_known = options.admission.as_ref().is_some_and(Admission::is_known);
    let who = who.unwrap_or("unknown");
    match end {
        End::Disconnect | End::Eof | End::Io(_) | End::Asked(_) | End::Leave(_) => {
            tracing::debug!(who, %peer, %end, "connection ended")
        }
        End::WriteTimeout => tracing::info!(who, %peer, %end, "connection ended"),
        End::Protocol(_) if !is_known && !log::may_tell_of_stranger() => {}
        End::Protocol(cause) => {
            let source = std::error::Error::source(&**cause).map(ToString::to_string);
            tracing::info!(who, %peer, %cause, source, "connection ended");
        }
        End::Handler(error) => tracing::warn!(who, %peer, status = error.status, %error, "connection ended"),
    }
}

/// What the client proves itself with: a token if it sent one, else its certificate.
fn credential(password: Option<String>, options: &ConnectionOptions) -> Credential {
    match (password, &options.certificate) {
        (Some(token), _) => Credential::Sas(token),
        (None, Some(certificate)) => Credential::Certificate(Arc::clone(certificate)),
        (None, None) => Credential::None,
    }
}
