//! What sessions are subscribed to, kept for clients that come back and do not subscribe again.
//!
//! ```text
//!   SUBSCRIBE ──► queue (bounded) ──► writer: many to a commit ──► SUBACK
//!   CONNECT, clean session off ──► the identity's row, which authentication read ──► restored
//!   CONNECT, clean session on  ──► forgotten ──► CONNACK
//! ```
//!
//! A client with a persistent session (all official SDKs) may rely on its subscriptions after a drop, a renewed token or a restart
//! of Central; the Python SDK never subscribes again in its life. So a subscription is confirmed only when it is durable. It costs
//! a write the first time, and none when a client subscribes to what is kept already, as others do at every connect.

use std::sync::Arc;

use model::identity::Identity;
use registry::{KeptSession, Registry, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use transport::server::Subscriptions;

use crate::limits::{SESSIONS_KEPT_PER_COMMIT_MAX, SESSIONS_KEPT_QUEUED_MAX};

/// Queues what is to be kept. Cheap to clone.
#[derive(Clone)]
pub struct KeptSessions {
    changes: mpsc::Sender<Change>,
}

/// The one task that writes it.
pub struct KeptSessionWriter {
    registry: Registry,
    changes: mpsc::Receiver<Change>,
}

/// Why a session is not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepSessionError {
    /// The registry failed.
    #[error("the session could not be kept")]
    Store(#[source] Arc<StoreError>),
    /// Central is stopping.
    #[error("central is stopping")]
    Stopping,
}

struct Change {
    application: Arc<str>,
    identity: Identity,
    subscriptions: Subscriptions,
    done: oneshot::Sender<Result<(), KeepSessionError>>,
}

impl KeptSessions {
    /// For a registry; the caller runs the writer.
    pub fn new(registry: Registry) -> (Self, KeptSessionWriter) {
        let (sender, receiver) = mpsc::channel(SESSIONS_KEPT_QUEUED_MAX);
        (Self { changes: sender }, KeptSessionWriter { registry, changes: receiver })
    }

    /// Keeps what the session of an identity is subscribed to; nothing at all forgets the session. `Ok` means durable.
    pub async fn keep(
        &self,
        application: &Arc<str>,
        identity: &Identity,
        subscriptions: Subscriptions,
    ) -> Result<(), KeepSessionError> {
        let (done, answer) = oneshot::channel();
        let change = Change { application: Arc::clone(application), identity: identity.clone(), subscriptions, done };
        self.changes.send(change).await.map_err(|_| KeepSessionError::Stopping)?;
        answer.await.unwrap_or(Err(KeepSessionError::Stopping))
    }
}

impl KeptSessionWriter {
    /// Runs until the token is cancelled; then writes what is queued and ends.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut group = Vec::new();
        loop {
            tokio::select! {
                received = self.changes.recv_many(&mut group, SESSIONS_KEPT_PER_COMMIT_MAX) => if received == 0 { return },
                () = shutdown.cancelled() => break,
            }
            self.write(std::mem::take(&mut group)).await;
        }
        self.changes.close();
        while self.changes.recv_many(&mut group, SESSIONS_KEPT_PER_COMMIT_MAX).await > 0 {
            self.write(std::mem::take(&mut group)).await;
        }
    }

    async fn write(&self, group: Vec<Change>) {
        let kept: Vec<_> = group
            .iter()
            .map(|change| KeptSession {
                application: &change.application,
                identity: &change.identity,
                subscriptions: change.subscriptions.to_bits(),
            })
            .collect();
        let written = self.registry.sessions_keep(&kept).await.map_err(Arc::new);
        for change in group {
            // Whoever asked may have gone.
            drop(change.done.send(written.clone().map_err(KeepSessionError::Store)));
        }
    }
}

#[cfg(test)]
mod tests;
