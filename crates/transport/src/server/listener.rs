//! The TLS listener: accepts within its limits, hands every connection to a task of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::mqtt::HubConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{Admission, Admissions, ServerLimits, Watched};
use super::connection::{ConnectionOptions, serve_connection};
use super::gave_way::GaveWay;
use super::handler::{HubHandler, NoProvisioning, ProvisioningHandler};
use super::web_socket;
use crate::limits::SHUTDOWN_TIMEOUT;
use crate::tls::client_certificate;

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
    gave_way: GaveWay,
    carrier: Carrier,
}

/// What carries the protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Tls,
    /// A WebSocket, which the one request of each connection has to ask for.
    WebSocket,
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
        let (tls, provisioning, carrier) = (tls.into(), Arc::new(NoProvisioning), Carrier::Tls);
        Ok(Self { listener, local_addr, tls, handler, provisioning, limits, gave_way: GaveWay::default(), carrier })
    }
}

impl<H: HubHandler, P: ProvisioningHandler> HubServer<H, P> {
    /// The same with a provisioning service behind it.
    pub fn with_provisioning<Q: ProvisioningHandler>(self, provisioning: Arc<Q>) -> HubServer<H, Q> {
        let Self { listener, local_addr, tls, handler, provisioning: _, limits, gave_way, carrier } = self;
        HubServer { listener, local_addr, tls, handler, provisioning, limits, gave_way, carrier }
    }

    /// The same, counting there whoever has to give way.
    pub fn counting(self, gave_way: GaveWay) -> Self {
        Self { gave_way, ..self }
    }

    /// The same over WebSocket, and nothing else.
    pub fn over_web_socket(self) -> Self {
        Self { carrier: Carrier::WebSocket, ..self }
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until the token is cancelled, then closes every connection and waits (`limits::SHUTDOWN_TIMEOUT`) until the
    /// handler was told of each.
    pub async fn serve(self, shutdown: CancellationToken) {
        let admissions = Admissions::counting(self.limits, self.gave_way.clone());
        let tasks = TaskTracker::new();
        loop {
            let next = tokio::select! {
                () = shutdown.cancelled() => break,
                next = self.accept(&admissions) => next,
            };
            match next {
                Ok((stream, peer, admission)) => {
                    let shutdown = shutdown.clone();
                    let arrival = Arrival {
                        stream: admission.watch(stream),
                        tls: self.tls.clone(),
                        handler: self.handler.clone(),
                        provisioning: self.provisioning.clone(),
                        carrier: self.carrier,
                        options: ConnectionOptions { peer, certificate: None, admission: Some(admission), shutdown },
                    };
                    tasks.spawn(arrival.serve());
                }
                Err(error) => {
                    self.gave_way.count_accept(&error);
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

    /// The next connection, once there is a place for it.
    async fn accept(&self, admissions: &Admissions) -> std::io::Result<(TcpStream, SocketAddr, Admission)> {
        let (stream, peer) = self.listener.accept().await?;
        // Small packets, answered one by one: waiting to fill segments only adds delay.
        let _ = stream.set_nodelay(true);
        let admission = admissions.enter(peer.ip()).await;
        Ok((stream, peer, admission))
    }
}

/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A TCP connection before its handshake.
struct Arrival<H, P> {
    stream: Watched<TcpStream>,
    tls: TlsAcceptor,
    handler: Arc<H>,
    provisioning: Arc<P>,
    carrier: Carrier,
    options: ConnectionOptions,
}

impl<H: HubHandler, P: ProvisioningHandler> Arrival<H, P> {
    async fn serve(self) {
        let Self { stream, tls, handler, provisioning, carrier, mut options } = self;
        // Boxed both: the state of a handshake is larger than that of an idle connection, and a stream that is handed on by
        // value leaves room for itself in every future it passed through.
        let accepted = Box::pin(options.in_turn(async move { tls.accept(stream).await.map(Box::new) }));
        let tls = tokio::select! {
            biased;
            accepted = accepted => match accepted {
                Ok(tls) => tls,
                Err(error) => return tracing::debug!(peer = %options.peer, %error, "TLS handshake failed"),
            },
            why = options.must_leave() => {
                return tracing::debug!(peer = %options.peer, ?why, "TLS handshake not finished");
            }
        };
        options.certificate = client_certificate(tls.get_ref().1);
        if carrier == Carrier::WebSocket {
            let Some(stream) = Box::pin(web_socket::upgrade(tls, &options)).await else { return };
            return Box::pin(serve_connection::<HubConnection, _, _, _>(stream, handler, provisioning, options)).await;
        }
        Box::pin(serve_connection::<HubConnection, _, _, _>(tls, handler, provisioning, options)).await;
    }
}
