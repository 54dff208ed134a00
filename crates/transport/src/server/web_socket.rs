//! Clients that come over WebSocket: a request of HTTP, and from then on the same as on any other connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use protocol::auth::certificate::ClientCertificate;
use protocol::mqtt::HubConnection;
use protocol::web_socket::{PATH, Role};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Admission;
use super::connection::{ConnectionOptions, serve_connection};
use super::handler::{HubHandler, ProvisioningHandler};
use crate::limits::{SHUTDOWN_TIMEOUT, WEB_SOCKET_HEAD_BYTES_MAX};
use crate::web_socket::WebSocket;
use crate::web_socket::handshake::{self, Offer, Refused, Subprotocol};

type Taken = WebSocket<TokioIo<Upgraded>>;

/// Whether a request asks for a WebSocket.
pub fn asks_for_web_socket(headers: &HeaderMap) -> bool {
    handshake::is_asked_for(headers)
}

/// Whether WebSockets are taken at a path: provisioning clients of some SDKs ask at the root.
pub fn is_web_socket_path(path: &str) -> bool {
    matches!(path, PATH | "/")
}

/// Takes WebSockets that are asked for at a listener of HTTP. Cheap to clone.
pub struct WebSockets<H, P> {
    handler: Arc<H>,
    provisioning: Arc<P>,
    /// How many more there may be.
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl<H, P> Clone for WebSockets<H, P> {
    fn clone(&self) -> Self {
        Self {
            handler: Arc::clone(&self.handler),
            provisioning: Arc::clone(&self.provisioning),
            places: Arc::clone(&self.places),
            tasks: self.tasks.clone(),
            shutdown: self.shutdown.clone(),
        }
    }
}

impl<H: HubHandler, P: ProvisioningHandler> WebSockets<H, P> {
    /// With what is behind them, and how many there may be at a time: they stay for long, and those who come to the listener
    /// for something else must find a place. The token ends all.
    pub fn new(handler: Arc<H>, provisioning: Arc<P>, connections_max: usize, shutdown: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(connections_max));
        Self { handler, provisioning, places, tasks: TaskTracker::new(), shutdown }
    }

    /// Answers a request for a WebSocket; if it is granted, serves it in a task of its own. The place of the connection is
    /// that of a client who has said nothing until it connects.
    pub fn answer<B>(
        &self,
        request: &mut Request<B>,
        peer: SocketAddr,
        admission: Option<Admission>,
    ) -> Response<String> {
        let (offer, upgrade) = match take(request) {
            Ok(taken) => taken,
            Err(refused) => return refusal(refused),
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return refusal(Refused { status: StatusCode::SERVICE_UNAVAILABLE, reason: "there are as many as may be" });
        };
        admission.as_ref().inspect(|admission| admission.expected());
        let Self { handler, provisioning, shutdown, .. } = self.clone();
        // The listener left it there, from the handshake below.
        let certificate = request.extensions().get::<Arc<ClientCertificate>>().cloned();
        let options = ConnectionOptions { peer, certificate, admission, shutdown };
        self.tasks.spawn(async move {
            let _place = place;
            let Some(stream) = granted(upgrade, &options).await else { return };
            // Boxed, so that the stream's room is not needed twice.
            Box::pin(serve_connection::<HubConnection, _, _, _>(stream, handler, provisioning, options)).await;
        });
        grant(offer)
    }

    /// Waits for the token, then until all have ended (`limits::SHUTDOWN_TIMEOUT`).
    pub async fn run(self) {
        self.shutdown.cancelled().await;
        self.tasks.close();
        if timeout(SHUTDOWN_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "connections over WebSocket did not end in time");
        }
    }
}

/// The WebSocket a connection becomes when its one request asks for it at a path where it can be had.
pub(super) async fn upgrade<S>(stream: S, options: &ConnectionOptions) -> Option<Taken>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(Mutex::new(None));
    let service = service_fn(|mut request: Request<Incoming>| {
        let response = if is_web_socket_path(request.uri().path()) {
            match take(&mut request) {
                Ok((offer, upgrade)) => {
                    *asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
                    grant(offer)
                }
                Err(refused) => refusal(refused),
            }
        } else {
            refusal(Refused { status: StatusCode::NOT_FOUND, reason: "there is nothing at this path" })
        };
        let response = response.map(|text| http_body_util::Full::new(Bytes::from(text)));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut builder = http1::Builder::new();
    builder.keep_alive(false).max_buf_size(WEB_SOCKET_HEAD_BYTES_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let answered = tokio::select! {
        biased;
        answered = connection => answered,
        () = options.shutdown.cancelled() => return None,
        why = options.must_leave() => {
            tracing::debug!(peer = %options.peer, ?why, "no WebSocket was asked for");
            return None;
        }
    };
    if let Err(error) = answered {
        tracing::debug!(peer = %options.peer, error = &error as &dyn std::error::Error, "no WebSocket was asked for");
    }
    let upgrade = asked.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    granted(upgrade, options).await
}

/// The stream behind a request that was granted.
async fn granted(upgrade: OnUpgrade, options: &ConnectionOptions) -> Option<Taken> {
    let upgraded = tokio::select! {
        biased;
        upgraded = upgrade => upgraded,
        () = options.shutdown.cancelled() => return None,
        why = options.must_leave() => {
            tracing::debug!(peer = %options.peer, ?why, "a WebSocket was not taken up");
            return None;
        }
    };
    match upgraded {
        Ok(upgraded) => Some(WebSocket::new(TokioIo::new(upgraded), Role::Server)),
        Err(error) => {
            tracing::debug!(peer = %options.peer, error = &error as &dyn std::error::Error, "a WebSocket was not taken up");
            None
        }
    }
}

/// Judges a request; what is to be spoken decides who serves it.
fn take<B>(request: &mut Request<B>) -> Result<(Offer, OnUpgrade), Refused> {
    let offer = handshake::check(request)?;
    match offer.subprotocol {
        Subprotocol::Mqtt => Ok((offer, hyper::upgrade::on(request))),
    }
}

fn grant(offer: Offer) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().extend(handshake::granting(offer));
    response
}

fn refusal(Refused { status, reason }: Refused) -> Response<String> {
    let mut response = Response::new(format!(r#"{{"Message":"{reason}"}}"#));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
