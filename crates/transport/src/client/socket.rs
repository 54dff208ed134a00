//! Opens a TLS connection: name, address, handshake, each in bounded time.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::limits::CONNECT_TIMEOUT;

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
        source: std::io::Error,
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
        source: std::io::Error,
    },
    /// The TLS handshake failed.
    #[error("the TLS handshake with {host} failed")]
    Handshake {
        /// The name.
        host: String,
        /// What was wrong.
        #[source]
        source: std::io::Error,
    },
    /// The host is neither a name nor an address.
    #[error("{host} is neither a DNS name nor an IP address")]
    Name {
        /// What it is.
        host: String,
    },
}

/// Connects to the first address of a host that answers, resolving the name anew, and does the TLS handshake.
pub async fn open(host: &str, port: u16, tls: Arc<rustls::ClientConfig>) -> Result<TlsStream<TcpStream>, OpenError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| OpenError::Name { host: host.to_owned() })?;
    let stream = connect(host, port).await?;
    let failed = |source| OpenError::Handshake { host: host.to_owned(), source };
    timeout(CONNECT_TIMEOUT, TlsConnector::from(tls).connect(name, stream))
        .await
        .map_err(|_| failed(timed_out()))?
        .map_err(failed)
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, OpenError> {
    let unresolved = |source| OpenError::Resolve { host: host.to_owned(), source };
    let addresses: Vec<SocketAddr> = timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((host, port)))
        .await
        .map_err(|_| unresolved(timed_out()))?
        .map_err(unresolved)?
        .collect();
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
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

fn timed_out() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "it took too long")
}
