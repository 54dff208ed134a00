//! The HTTPS listener and, on loopback, the plain one: connections in, requests to whatever answers them.
//!
//! A connection has its place until it ends, so it has to earn it: a first request in time, then a next one soon (HTTP/1.1) or
//! answers to our pings (HTTP/2). Until one of its requests has proved who sends it, it may have to give its place to others.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use protocol::auth::certificate::ClientCertificate;
use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::server::gave_way::Reason;
use transport::server::{Admission, Admissions, GaveWay, ServerLimits, asks_for_web_socket};
use transport::tls::{SwappableIdentity, client_certificate, for_browsers_too, server_config_swappable};

use super::ServeError;
use crate::front::Front;
use crate::limits::{
    HTTP_DRAIN_TIMEOUT, HTTP_HEADER_TIMEOUT, HTTP_PING_INTERVAL, HTTP_PING_TIMEOUT, HTTP_STRANGER_STREAMS_MAX,
    HTTP_STRANGER_WAITING_MAX, HTTP_STRANGERS_MAX, HTTP_STREAMS_MAX, HTTP1_BUFFER_BYTES_MAX,
    HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_HEAD_BYTES_MAX, HTTP2_SEND_BYTES_MAX, HTTP2_STREAM_WINDOW_BYTES,
};

#[cfg(test)]
mod tests;

/// Pause after the system could not accept, for want of file descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds a socket; the error names address and flag.
pub(super) async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|error| cannot_listen(flag, address, &error))
}

/// The error for an address that cannot be had, with every cause in it.
pub(super) fn cannot_listen(
    flag: &'static str,
    address: SocketAddr,
    error: &(dyn std::error::Error + 'static),
) -> ServeError {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let taken =
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::AddrInUse);
    let reason = if taken {
        format!("another program listens there ({cause}); choose another address with {flag}, or port 0 for a free one")
    } else {
        cause.to_string()
    };
    ServeError::Listen { flag, address, reason }
}

/// The address a socket got.
pub(super) fn local_address(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// An address a program on this machine can connect to: a socket on every interface is on loopback too.
pub(super) fn reachable(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port()).to_string()
}

/// How TLS is spoken with browsers and with machines, who come to the same port.
///
/// Machines are asked for a certificate. A browser that holds some would then show its user a choice, at every visit: whoever
/// may be one is asked in a way that fits no certificate. Browsers offer HTTP/2 wherever they fetch pages and data; clients of
/// the hub and of the provisioning service do not, and to those that do and were given a certificate to send (curl) it makes no
/// difference.
#[derive(Clone)]
pub(super) struct HttpsTls {
    machines: Arc<ServerConfig>,
    browsers: Arc<ServerConfig>,
}

impl HttpsTls {
    /// With one identity, offering HTTP/2 and HTTP/1.1.
    pub(super) fn new(identity: &Arc<SwappableIdentity>) -> Self {
        let with_protocols = |tls: Arc<ServerConfig>| {
            let mut tls = Arc::unwrap_or_clone(tls);
            tls.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
            Arc::new(tls)
        };
        Self {
            machines: with_protocols(server_config_swappable(Arc::clone(identity))),
            browsers: with_protocols(for_browsers_too(Arc::clone(identity))),
        }
    }

    fn config_for(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let may_be_browser = hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == HTTP2));
        Arc::clone(if may_be_browser { &self.browsers } else { &self.machines })
    }

    async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> std::io::Result<TlsStream<S>> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let config = self.config_for(&hello.client_hello());
        hello.into_stream(config).await
    }
}

const HTTP2: &[u8] = b"h2";

/// What answers requests, each with the address it came from.
pub(super) trait Answer: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn answer_one(self, request: Request<Incoming>, peer: SocketAddr) -> impl Future<Output = Response<Body>> + Send;
}

impl Answer for Front {
    async fn answer_one(self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        self.answer(request, peer).await
    }
}

/// What a listener has for whoever comes.
pub(super) struct Places {
    pub(super) connections_max: usize,
    /// Where it counts who had to give way.
    pub(super) gave_way: GaveWay,
}

/// Serves until the token is cancelled; open requests then get a few seconds.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<HttpsTls>,
    answer: impl Answer,
    Places { connections_max, gave_way }: Places,
    shutdown: CancellationToken,
) {
    let limits = ServerLimits { connections_max, strangers_max: HTTP_STRANGERS_MAX, ..ServerLimits::default() };
    let admissions = Admissions::counting(limits, gave_way.clone());
    let connections = TaskTracker::new();
    loop {
        let accepted = match shutdown.run_until_cancelled(listener.accept()).await {
            None => break,
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                gave_way.count_accept(&error);
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (stream, peer) = accepted;
        // Answers are small and awaited: do not hold them back.
        let _ = stream.set_nodelay(true);
        let Some(admission) = shutdown.run_until_cancelled(admissions.enter(peer.ip())).await else { break };
        let client = Client { peer, admission, certificate: None };
        connections.spawn(connection(stream, client, tls.clone(), answer.clone(), shutdown.clone()));
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(HTTP_DRAIN_TIMEOUT + Duration::from_secs(1), connections.wait()).await.is_err() {
        tracing::warn!("some HTTPS connections did not end in time");
    }
}

/// The far end of a connection.
struct Client {
    peer: SocketAddr,
    admission: Admission,
    /// The certificate it has shown.
    certificate: Option<Arc<ClientCertificate>>,
}

async fn connection<S>(
    stream: S,
    client: Client,
    tls: Option<HttpsTls>,
    answer: impl Answer,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (stream, peer) = (client.admission.watch(stream), client.peer);
    let Some(tls) = tls else { return exchange(stream, client, answer, shutdown).await };
    // Boxed: the state of a handshake is larger than that of an open connection.
    let handshake = Box::pin(client.admission.in_turn(tls.accept(stream)));
    let accepted = tokio::select! {
        biased;
        accepted = handshake => accepted,
        () = shutdown.cancelled() => return tracing::debug!(%peer, "TLS handshake was not done at the stop"),
        why = client.admission.must_leave() => return tracing::debug!(%peer, ?why, "TLS handshake not finished"),
    };
    match accepted {
        Ok(stream) => {
            let client = Client { certificate: client_certificate(stream.get_ref().1), ..client };
            exchange(stream, client, answer, shutdown).await;
        }
        Err(error) => tracing::debug!(%peer, %error, "TLS handshake failed"),
    }
}

/// What a connection of which nobody knows who made it may have answered at a time.
#[derive(Clone)]
struct Turns {
    answering: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// More requests wait on one connection than may.
struct TooMany;

impl Default for Turns {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { answering: places(HTTP_STRANGER_STREAMS_MAX), waiting: places(HTTP_STRANGER_WAITING_MAX) }
    }
}

impl Turns {
    /// Waits until a request may be answered: at once, when it is known who sends it.
    async fn take(self, admission: &Admission) -> Result<Option<OwnedSemaphorePermit>, TooMany> {
        if admission.is_known() {
            return Ok(None);
        }
        if let Ok(turn) = Arc::clone(&self.answering).try_acquire_owned() {
            return Ok(Some(turn));
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| TooMany)?;
        tokio::select! {
            biased;
            () = admission.until_known() => Ok(None),
            turn = self.answering.acquire_owned() => Ok(turn.ok()),
        }
    }
}

fn busy() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Speaks HTTP. The head of the first request is due at a time: until it is known which version a client speaks, nothing else
/// bounds its silence.
async fn exchange<S>(stream: S, client: Client, answer: impl Answer, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Client { peer, admission, certificate } = client;
    let turns = Turns::default();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let mut http1 = builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(HTTP_HEADER_TIMEOUT).max_buf_size(HTTP1_BUFFER_BYTES_MAX);
    // The letters of names are kept for `front::letters`.
    http1.preserve_header_case(true);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(HTTP_STREAMS_MAX);
    http2.max_header_list_size(HTTP2_HEAD_BYTES_MAX).max_send_buf_size(HTTP2_SEND_BYTES_MAX);
    http2.initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES);
    http2.initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES);
    http2.keep_alive_interval(HTTP_PING_INTERVAL).keep_alive_timeout(HTTP_PING_TIMEOUT);
    let service = service_fn(|mut request: Request<Incoming>| {
        // Whoever asks for a WebSocket is still to say who he is, within the same time.
        if !asks_for_web_socket(request.headers()) {
            admission.arrived();
        }
        request.extensions_mut().insert(admission.clone());
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(Arc::clone(certificate));
        }
        let (answer, admission, turns) = (answer.clone(), admission.clone(), turns.clone());
        async move {
            Ok::<_, Infallible>(match turns.take(&admission).await {
                Ok(_turn) => answer.answer_one(request, peer).await,
                Err(TooMany) => {
                    admission.gave_way().count(Reason::Requests);
                    busy()
                }
            })
        }
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return tell(peer, ended),
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
        why = admission.must_leave() => return tracing::debug!(%peer, ?why, "a connection was given up"),
    }
    if let Ok(ended) = tokio::time::timeout(HTTP_DRAIN_TIMEOUT, connection).await {
        tell(peer, ended);
    }
}

fn tell(peer: SocketAddr, ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, error = &*error as &dyn std::error::Error, "HTTPS connection ended");
    }
}
