//! The TLS listener: accepts within its limits, hands every connection to a task of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::mqtt::HubConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{ConnectionOptions, serve_connection};
use super::handler::{HubHandler, NoProvisioning, ProvisioningHandler};
use crate::limits::{CONNECTIONS_MAX, HANDSHAKE_TIMEOUT, HANDSHAKES_MAX, SHUTDOWN_TIMEOUT};

/// What a listener allows; the defaults are those of [`crate::limits`].
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Connections at a time. Further ones wait in the system's backlog.
    pub connections_max: usize,
    /// TLS handshakes at a time. Further ones wait in the system's backlog.
    pub handshakes_max: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { connections_max: CONNECTIONS_MAX, handshakes_max: HANDSHAKES_MAX, handshake_timeout: HANDSHAKE_TIMEOUT }
    }
}

/// Why a listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}")]
pub struct BindError {
    addr: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// A bound listener. It takes connections from the moment it is bound, and serves them once [`serve`](Self::serve) runs.
pub struct HubServer<H, P = NoProvisioning> {
    listener: TcpListener,
    local_addr: SocketAddr,
    tls: TlsAcceptor,
    handler: Arc<H>,
    provisioning: Arc<P>,
    limits: ServerLimits,
}

impl<H: HubHandler> HubServer<H, NoProvisioning> {
    /// Binds a listener for MQTT; port 0 picks a free one. It provisions nobody.
    pub async fn bind(
        addr: SocketAddr,
        tls: Arc<super::TlsConfig>,
        handler: Arc<H>,
        limits: ServerLimits,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, local_addr, tls: tls.into(), handler, provisioning: Arc::new(NoProvisioning), limits })
    }
}

impl<H: HubHandler, P: ProvisioningHandler> HubServer<H, P> {
    /// The same with a provisioning service behind it.
    pub fn with_provisioning<Q: ProvisioningHandler>(self, provisioning: Arc<Q>) -> HubServer<H, Q> {
        let Self { listener, local_addr, tls, handler, provisioning: _, limits } = self;
        HubServer { listener, local_addr, tls, handler, provisioning, limits }
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until the token is cancelled, then closes every connection and waits (`limits::SHUTDOWN_TIMEOUT`) until the
    /// handler was told of each.
    pub async fn serve(self, shutdown: CancellationToken) {
        let connections = Arc::new(Semaphore::new(self.limits.connections_max));
        let handshakes = Arc::new(Semaphore::new(self.limits.handshakes_max));
        let tasks = TaskTracker::new();
        loop {
            let next = tokio::select! {
                () = shutdown.cancelled() => break,
                next = self.accept(&connections, &handshakes) => next,
            };
            match next {
                Ok((stream, peer, connection, handshake)) => {
                    let arrival = Arrival {
                        stream,
                        tls: self.tls.clone(),
                        handshake_timeout: self.limits.handshake_timeout,
                        handler: self.handler.clone(),
                        provisioning: self.provisioning.clone(),
                        options: ConnectionOptions { peer, certificates: None, shutdown: shutdown.clone() },
                    };
                    tasks.spawn(arrival.serve(connection, handshake));
                }
                Err(error) => {
                    // Mostly out of file descriptors, which only time and ended connections can mend.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        tasks.close();
        if timeout(SHUTDOWN_TIMEOUT, tasks.wait()).await.is_err() {
            tracing::warn!(left = tasks.len(), "connections did not end in time");
        }
    }

    async fn accept(
        &self,
        connections: &Arc<Semaphore>,
        handshakes: &Arc<Semaphore>,
    ) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let closed = "the listener's semaphores are never closed";
        let connection = connections.clone().acquire_owned().await.expect(closed);
        let handshake = handshakes.clone().acquire_owned().await.expect(closed);
        let (stream, peer) = self.listener.accept().await?;
        // Small packets, answered one by one: waiting to fill segments only adds delay.
        let _ = stream.set_nodelay(true);
        Ok((stream, peer, connection, handshake))
    }
}

/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A TCP connection before its handshake.
struct Arrival<H, P> {
    stream: TcpStream,
    tls: TlsAcceptor,
    handshake_timeout: Duration,
    handler: Arc<H>,
    provisioning: Arc<P>,
    options: ConnectionOptions,
}

impl<H: HubHandler, P: ProvisioningHandler> Arrival<H, P> {
    async fn serve(self, connection: OwnedSemaphorePermit, handshake: OwnedSemaphorePermit) {
        let Self { stream, tls, handshake_timeout, handler, provisioning, mut options } = self;
        // Boxed both: the state of a handshake is larger than that of an idle connection, and a stream that is handed on by
        // value leaves room for itself in every future it passed through.
        let accepted = Box::pin(async move { tls.accept(stream).await.map(Box::new) });
        let tls = match timeout(handshake_timeout, accepted).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return tracing::debug!(peer = %options.peer, %error, "TLS handshake failed"),
            Err(_) => return tracing::debug!(peer = %options.peer, "TLS handshake took too long"),
        };
        drop(handshake);
        options.certificates = (tls.get_ref().1.peer_certificates())
            .map(|chain| Arc::new(chain.iter().map(|certificate| certificate.to_vec()).collect()));
        Box::pin(serve_connection::<HubConnection, _, _, _>(tls, handler, provisioning, options)).await;
        drop(connection);
    }
}
