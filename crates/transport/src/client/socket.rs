//! Opens a connection: name, address, proxy, TLS handshake, WebSocket, each in bounded time.
//!
//! ```text
//! directly          TCP ── TLS ──┬── MQTT
//! through a proxy   TCP ── CONNECT ── TLS ──┴── WebSocket ── MQTT
//! ```

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use protocol::web_socket::{PATH, Role};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::proxy::{Proxies, Proxy, ProxyError};
use super::upgrade::{self, UpgradeError};
use crate::limits::CONNECT_TIMEOUT;
use crate::web_socket::{WebSocket, handshake};

/// How MQTT gets to the hub. By default directly, over TLS.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// Over WebSocket, at the hub's HTTPS port.
    pub web_socket: bool,
    /// Through these, where they apply.
    pub proxies: Proxies,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The host's name means nothing.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's words.
        #[source]
        source: io::Error,
    },
    /// No address of the host takes the connection.
    #[error("cannot connect to {host}:{port}")]
    Connect {
        /// The name.
        host: String,
        /// The port.
        port: u16,
        /// What the last address said.
        #[source]
        source: io::Error,
    },
    /// There is no connection to the proxy.
    #[error("there is no connection to the proxy")]
    Proxy(#[source] Box<OpenError>),
    /// The proxy does not connect us.
    #[error("cannot connect to {host}:{port} through the proxy {proxy}")]
    ThroughProxy {
        /// The name.
        host: String,
        /// The port.
        port: u16,
        /// Where the proxy is.
        proxy: String,
        /// Why.
        #[source]
        source: ProxyError,
    },
    /// The TLS handshake failed.
    #[error("the TLS handshake with {host} failed")]
    Handshake {
        /// The name.
        host: String,
        /// What was wrong.
        #[source]
        source: io::Error,
    },
    /// There is no WebSocket at the host.
    #[error("{host} does not take a WebSocket: {reason}")]
    WebSocket {
        /// The name.
        host: String,
        /// What it did instead.
        reason: String,
    },
    /// Something took too long.
    #[error("{host} did not answer in time")]
    TimedOut {
        /// The name.
        host: String,
    },
    /// The host is neither a name nor an address.
    #[error("{host} is neither a DNS name nor an IP address")]
    Name {
        /// What it is.
        host: String,
    },
}

/// What MQTT is spoken over.
pub(crate) enum Socket {
    Tls(Box<TlsStream<TcpStream>>),
    WebSocket(Box<WebSocket<TokioIo<Upgraded>>>),
}

/// Opens a connection for MQTT.
pub(crate) async fn open_mqtt(
    host: &str,
    port: u16,
    tls: Arc<rustls::ClientConfig>,
    way: &Way,
) -> Result<Socket, OpenError> {
    let stream = open(host, port, tls, &way.proxies).await?;
    if !way.web_socket {
        return Ok(Socket::Tls(Box::new(stream)));
    }
    let asked = timeout(CONNECT_TIMEOUT, web_socket(stream, host, port)).await;
    let stream = asked.map_err(|_| OpenError::TimedOut { host: host.to_owned() })?;
    Ok(Socket::WebSocket(Box::new(stream.map_err(|reason| OpenError::WebSocket { host: host.to_owned(), reason })?)))
}

/// Connects to the first address of a host that answers, resolving the name anew, or to its proxy, and does the TLS handshake.
pub(crate) async fn open(
    host: &str,
    port: u16,
    tls: Arc<rustls::ClientConfig>,
    proxies: &Proxies,
) -> Result<TlsStream<TcpStream>, OpenError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| OpenError::Name { host: host.to_owned() })?;
    let stream = dial(host, port, proxies).await?;
    let failed = |source| OpenError::Handshake { host: host.to_owned(), source };
    timeout(CONNECT_TIMEOUT, TlsConnector::from(tls).connect(name, stream))
        .await
        .map_err(|_| failed(timed_out()))?
        .map_err(failed)
}

/// Whether somebody takes connections at a port, through the proxy where one applies.
pub async fn reach(host: &str, port: u16, proxies: &Proxies) -> Result<(), OpenError> {
    dial(host, port, proxies).await.map(drop)
}

async fn dial(host: &str, port: u16, proxies: &Proxies) -> Result<TcpStream, OpenError> {
    match proxies.of(host, port) {
        None => connect(host, port).await,
        Some(proxy) => connect_through(proxy, host, port).await,
    }
}

/// The name is the proxy's to resolve.
async fn connect_through(proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, OpenError> {
    let stream = connect(&proxy.host, proxy.port).await.map_err(|error| OpenError::Proxy(Box::new(error)))?;
    let connected = timeout(CONNECT_TIMEOUT, proxy.connect(stream, host, port)).await;
    let connected = connected.map_err(|_| OpenError::TimedOut { host: proxy.host.clone() })?;
    let (host, proxy) = (host.to_owned(), format!("{}:{}", proxy.host, proxy.port));
    connected.map_err(|source| OpenError::ThroughProxy { host, port, proxy, source })
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, OpenError> {
    let unresolved = |source| OpenError::Resolve { host: host.to_owned(), source };
    let addresses: Vec<SocketAddr> = timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((host, port)))
        .await
        .map_err(|_| unresolved(timed_out()))?
        .map_err(unresolved)?
        .collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small packets, answered one by one: waiting to fill segments only adds delay.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = timed_out(),
        }
    }
    Err(OpenError::Connect { host: host.to_owned(), port, source: last })
}

/// Asks for a WebSocket; the error says what came instead.
async fn web_socket(
    stream: TlsStream<TcpStream>,
    host: &str,
    port: u16,
) -> Result<WebSocket<TokioIo<Upgraded>>, String> {
    let key = handshake::key();
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = http::Uri::from_static(PATH);
    request.headers_mut().extend([(HOST, authority(host, port))]);
    request.headers_mut().extend(handshake::asking(&key));
    let (head, upgraded) = upgrade::ask(stream, request).await.map_err(|error| match error {
        UpgradeError::Refused(status) => format!("it answers with status {}", status.as_u16()),
        UpgradeError::Exchange(error) => error.to_string(),
    })?;
    match handshake::objection(&head.headers, &key) {
        None => Ok(WebSocket::new(TokioIo::new(upgraded), Role::Client)),
        Some(objection) => Err(objection.to_owned()),
    }
}

/// The value of `Host`.
pub(super) fn authority(host: &str, port: u16) -> HeaderValue {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let text = if port == 443 { host } else { format!("{host}:{port}") };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it took too long")
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::WebSocket(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::WebSocket(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::WebSocket(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::WebSocket(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
