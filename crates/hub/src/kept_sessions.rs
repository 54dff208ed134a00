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
use registry::{KeptSession, Registry};
use tokio_util::sync::CancellationToken;
use transport::server::Subscriptions;

use crate::group_commit::{GroupCommit, GroupCommitError, GroupCommits};
use crate::limits::{SESSIONS_KEPT_PER_COMMIT_MAX, SESSIONS_KEPT_QUEUED_MAX};

/// Queues what is to be kept. Cheap to clone.
#[derive(Clone)]
pub struct KeptSessions {
    changes: GroupCommit<Change>,
}

/// The one task that writes it.
pub struct KeptSessionWriter {
    registry: Registry,
    changes: GroupCommits<Change>,
}

struct Change {
    application: Arc<str>,
    identity: Identity,
    subscriptions: Subscriptions,
}

impl KeptSessions {
    /// For a registry; the caller runs the writer.
    pub fn new(registry: Registry) -> (Self, KeptSessionWriter) {
        let (changes, queued) = GroupCommit::new(SESSIONS_KEPT_QUEUED_MAX, SESSIONS_KEPT_PER_COMMIT_MAX);
        (Self { changes }, KeptSessionWriter { registry, changes: queued })
    }

    /// Keeps what the session of an identity is subscribed to; nothing at all forgets the session. `Ok` means durable.
    pub async fn keep(
        &self,
        application: &Arc<str>,
        identity: &Identity,
        subscriptions: Subscriptions,
    ) -> Result<(), GroupCommitError> {
        let change = Change { application: Arc::clone(application), identity: identity.clone(), subscriptions };
        self.changes.make(change).await
    }
}

impl KeptSessionWriter {
    /// Runs until the token is cancelled; then writes what is queued and ends.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { registry, changes } = self;
        let write = |group: Vec<Change>| {
            let registry = registry.clone();
            async move {
                let kept: Vec<_> = group.iter().map(Change::to_keep).collect();
                registry.sessions_keep(&kept).await
            }
        };
        changes.run(shutdown, write).await;
    }
}

impl Change {
    fn to_keep(&self) -> KeptSession<'_> {
        let Self { application, identity, subscriptions } = self;
        KeptSession { application, identity, subscriptions: subscriptions.to_bits() }
    }
}

#[cfg(test)]
mod tests;
