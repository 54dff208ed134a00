//! HTTP/1.1 over a unix socket, both sides: what the workload and the management API are spoken on. The metrics are served in
//! the same way on a loopback address.
//!
//! The server reads one bounded body, answers one bounded body, and takes at most
//! [`SOCKET_REQUESTS_MAX`](crate::limits::SOCKET_REQUESTS_MAX) connections on a socket at a time; further ones are closed.

use std::convert::Infallible;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use protocol::hub::bag;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::net::Listener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::limits::{
    SOCKET_BODY_BYTES_MAX, SOCKET_PATH_BYTES_MAX, SOCKET_REQUEST_TIMEOUT, SOCKET_REQUESTS_MAX, STATE_BYTES_MAX,
};

/// What an API answers.
pub type Answer = Response<Full<Bytes>>;

/// A request with its whole body.
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path segments, decoded, without empty ones.
    pub segments: Vec<String>,
    /// The query as it came.
    query: String,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// A query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        bag::get(self.query.as_bytes(), name).map(|value| value.into_owned())
    }

    /// The path for matching.
    pub fn path(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }
}

/// An API on a socket.
pub trait Api: Send + Sync + 'static {
    /// Answers one request.
    fn call(&self, call: Call) -> impl Future<Output = Answer> + Send;
}

/// The socket cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeSocketError {
    /// The kernel's limit for socket paths.
    #[error("the socket path {} is longer than {SOCKET_PATH_BYTES_MAX} bytes: choose a shorter [tidegate] data_dir", path.display())]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A served socket. It closes, and its file goes, when this is dropped.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    _stop: DropGuard,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Serves an API on a socket of its own. A file left there by an earlier daemon is replaced.
pub fn serve(path: &Path, mode: u32, api: Arc<impl Api>) -> Result<Socket, ServeSocketError> {
    serve_listener(path, mode, |listener| accept(listener, api), |_| Ok(()))
}

/// [`serve`] for one user and for root: the socket is that user's, and whoever else gets hold of it is not answered.
pub fn serve_user(path: &Path, user: u32, api: Arc<impl Api>) -> Result<Socket, ServeSocketError> {
    let own = |path: &Path| std::os::unix::fs::chown(path, Some(user), None);
    serve_listener(path, 0o600, |listener| accept(OfUser { listener, user }, api), own)
}

/// A listener that closes the connections of all users but one, and of root's.
struct OfUser {
    listener: UnixListener,
    user: u32,
}

impl Listener for OfUser {
    type Io = UnixStream;
    type Addr = tokio::net::unix::SocketAddr;

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<(Self::Io, Self::Addr)>> {
        loop {
            let (stream, address) = ready!(self.listener.poll_accept(context))?;
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == self.user || peer.uid() == 0 => return Poll::Ready(Ok((stream, address))),
                Ok(peer) => tracing::warn!(user = peer.uid(), "a connection to another module's socket is refused"),
                Err(error) => tracing::warn!(%error, "a connection of nobody knows whom is refused"),
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

fn serve_listener<F>(
    path: &Path,
    mode: u32,
    serve: impl FnOnce(UnixListener) -> F,
    own: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<Socket, ServeSocketError>
where
    F: Future<Output = ()> + Send + 'static,
{
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(ServeSocketError::PathTooLong { path: path.to_owned() });
    }
    let failed = |source| ServeSocketError::Listen { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    own(path).map_err(failed)?;
    let stop = CancellationToken::new();
    tokio::spawn(stop.clone().run_until_cancelled_owned(serve(listener)));
    Ok(Socket { path: path.to_owned(), _stop: stop.drop_guard() })
}

/// Serves whoever connects, for ever.
pub(crate) async fn accept<L>(mut listener: L, api: Arc<impl Api>)
where
    L: Listener<Io: Unpin + Send + 'static>,
{
    let places = Arc::new(Semaphore::new(SOCKET_REQUESTS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: give others time to return some.
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let api = Arc::clone(&api);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&api), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(hyper_util::rt::TokioTimer::new())
                .header_read_timeout(SOCKET_REQUEST_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended");
            }
            drop(place);
        });
    }
}

async fn answer(api: Arc<impl Api>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(SOCKET_REQUEST_TIMEOUT, Limited::new(body, SOCKET_BODY_BYTES_MAX).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return Ok(refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or broken").into()),
        Err(_) => return Ok(refused(StatusCode::REQUEST_TIMEOUT, "the body did not come in time").into()),
    };
    let segments = head.uri.path().split('/').filter(|segment| !segment.is_empty());
    let call = Call {
        method: head.method,
        segments: segments.map(|segment| bag::decode(segment.as_bytes()).into_owned()).collect(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body,
    };
    Ok(api.call(call).await)
}

/// A JSON answer.
pub fn reply(status: StatusCode, body: &Value) -> Answer {
    raw(status, "application/json", body.to_string().into())
}

/// A no, with its reason.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    message: String,
}

/// A no, with its reason.
pub fn refused(status: StatusCode, message: impl Into<String>) -> Refused {
    Refused { status, message: message.into() }
}

/// The error body of both APIs.
impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        reply(refused.status, &json!({ "message": refused.message }))
    }
}

/// An answer without body.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// An answer of any type.
pub fn raw(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    answer
}

/// A request to a unix socket failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody listens there, or we may not.
    #[error("cannot connect to {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The exchange broke off.
    #[error("the request to {} failed", path.display())]
    Exchange {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Sends one request and reads the whole answer.
pub async fn request(
    socket: &Path,
    method: Method,
    path_and_query: &str,
    body: Bytes,
) -> Result<(StatusCode, Bytes), RequestError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| RequestError::Connect { path: socket.to_owned(), source })?;
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| RequestError::Exchange { path: socket.to_owned(), source };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.into()))?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path_and_query)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| failed(error.into()))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(error.into()))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), STATE_BYTES_MAX as usize).collect().await.map_err(failed)?;
    connection.abort();
    Ok((status, body.to_bytes()))
}

#[cfg(test)]
mod tests;
