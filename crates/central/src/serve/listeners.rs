//! The HTTPS listener and, on loopback, the plain one: connections in, requests to whatever answers them.
//!
//! A connection has its place until it ends, so it has to earn it: a first request in time, then a next one soon (HTTP/1.1) or
//! answers to our pings (HTTP/2).

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ServeError;
use crate::front::Front;
use crate::limits::{HTTP_DRAIN_TIMEOUT, HTTP_HEADER_TIMEOUT, HTTP_PING_INTERVAL, HTTP_PING_TIMEOUT, HTTP_STREAMS_MAX};

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

/// The same certificates, offering HTTP/2 and HTTP/1.1.
pub(super) fn with_http_protocols(tls: &rustls::ServerConfig) -> Arc<rustls::ServerConfig> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(tls)
}

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

/// Serves until the token is cancelled; open requests then get a few seconds.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    answer: impl Answer,
    connections_max: usize,
    shutdown: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(connections_max));
    let connections = TaskTracker::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the places are never closed");
        let accepted = match shutdown.run_until_cancelled(listener.accept()).await {
            None => break,
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (stream, peer) = accepted;
        // Answers are small and awaited: do not hold them back.
        let _ = stream.set_nodelay(true);
        let (acceptor, answer, shutdown) = (acceptor.clone(), answer.clone(), shutdown.clone());
        connections.spawn(async move {
            connection(stream, peer, acceptor, answer, shutdown).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(HTTP_DRAIN_TIMEOUT + Duration::from_secs(1), connections.wait()).await.is_err() {
        tracing::warn!("some HTTPS connections did not end in time");
    }
}

async fn connection<S>(
    stream: S,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    answer: impl Answer,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let head_due = Instant::now() + HTTP_HEADER_TIMEOUT;
    let Some(acceptor) = acceptor else { return exchange(stream, peer, answer, head_due, shutdown).await };
    let handshake = timeout_at(head_due, acceptor.accept(stream));
    match shutdown.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => exchange(stream, peer, answer, head_due, shutdown).await,
        Some(Ok(Err(error))) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Some(Err(_)) => tracing::debug!(%peer, "TLS handshake took too long"),
        None => tracing::debug!(%peer, "TLS handshake was not done at the stop"),
    }
}

/// Speaks HTTP. The head of the first request is due at a time: until it is known which version a client speaks, nothing else
/// bounds its silence.
async fn exchange<S>(stream: S, peer: SocketAddr, answer: impl Answer, head_due: Instant, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The letters of names are kept for `front::letters`.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HTTP_HEADER_TIMEOUT).preserve_header_case(true);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(HTTP_STREAMS_MAX);
    http2.keep_alive_interval(HTTP_PING_INTERVAL).keep_alive_timeout(HTTP_PING_TIMEOUT);
    let asked = CancellationToken::new();
    let service = service_fn(|request| {
        asked.cancel();
        let answer = answer.clone();
        async move { Ok::<_, Infallible>(answer.answer_one(request, peer).await) }
    });
    let silence = async {
        match asked.run_until_cancelled(sleep_until(head_due)).await {
            Some(()) => {}
            None => std::future::pending().await,
        }
    };
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return tell(peer, ended),
        () = silence => return tracing::debug!(%peer, "no request came in time"),
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
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
