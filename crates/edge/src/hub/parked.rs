//! Messages of senders whom the hub above refuses, or who do not get through while others do, out of the way of all others.
//!
//! What waits for upstream waits in one queue, and goes in batches with many senders. One of them may be refused for a long time (a
//! module whose key was changed above, a device that is blocked, one identity that a part of Central has no room for): waited for in the batch, it would stop everybody. So its messages
//! are stored anew for an endpoint of its own, where they wait until it is let in again or their time is over. What it sent
//! meanwhile is moved there too, behind them, as long as some are there: its order is kept.

use model::identity::Identity;
use model::route::Endpoint;

use super::EdgeHub;
use super::queue::{Batch, QueueId, WaitingMessage};
use super::record::Target;

/// Stands for a module in the names of these endpoints; no module can have this name.
const PARKED: &str = "$upstream";

/// Where the messages of a refused sender wait.
pub(super) fn parked(sender: &Identity) -> Endpoint {
    Endpoint::Module { module: PARKED.to_owned(), input: sender.to_string() }
}

/// Whether an endpoint is one of these.
pub(super) fn is_parked(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Module { module, .. } if module == PARKED)
}

impl EdgeHub {
    /// Moves messages of a refused sender out of the way. Says whether that was possible: else they stay where they are.
    pub(super) async fn park(&self, queue: &QueueId, sender: &Identity, messages: &[WaitingMessage]) -> bool {
        let endpoint = parked(sender);
        let mut batch = Batch::default();
        for WaitingMessage { stored, expires_at_ms, .. } in messages {
            let lifetime_secs = match *expires_at_ms {
                u64::MAX => None,
                end => Some(u32::try_from(end.saturating_sub(stored.stored_at_ms) / 1000).unwrap_or(u32::MAX)),
            };
            let queue = QueueId { endpoint: endpoint.clone(), priority: queue.priority };
            batch.add(&[Target { queue, lifetime_secs }], stored);
        }
        let parked = self.queues.store(batch).await;
        if let Err(error) = &parked {
            let error = error as &dyn std::error::Error;
            tracing::warn!(%sender, error, "messages of a refused sender hold up the others: they cannot be set apart");
        } else {
            self.start_pump(&endpoint);
        }
        parked.is_ok()
    }
}
