//! Telling a session of its desired properties: in order, and without anybody waiting for a slow one.
//!
//! ```text
//!   notify ──► room in the session's queue? ──yes──► queued for the wire
//!                     │no, or others wait already
//!                     ▼
//!              waits behind (bounded) ──► a task of its own hands on, one by one ──► too long: the session is cut
//! ```
//!
//! Nothing is kept beyond the session: clients read the whole twin after they connect, which is also why a session that does not
//! take its patches is cut and not served an old state.

use bytes::Bytes;
use futures_util::FutureExt;
use model::identity::Identity;
use tokio::sync::mpsc;
use transport::server::{CloseReason, DeliverError, SessionLink};

use super::{Key, SessionId, Sessions, key};
use crate::limits::{DESIRED_NOTIFY_TIMEOUT, DESIRED_PATCHES_WAITING_MAX};

/// A patch with its version.
pub(super) type Patch = (u64, Bytes);

impl Sessions {
    /// Sends a desired patch to the session, if there is one that wants it. Never waits; patches of one identity leave in the
    /// order of the calls.
    pub fn notify_desired(&self, app: &str, identity: &Identity, version: u64, patch: Bytes) {
        let key = key(app, identity);
        let mut state = self.state();
        let Some(live) = state.live.get_mut(&key) else { return };
        if let Some(waiting) = &live.waiting {
            if waiting.try_send((version, patch)).is_err() {
                cut(&live.link, identity);
            }
            return;
        }
        let sent = live.link.desired_patch(version, patch.clone()).now_or_never();
        match sent {
            Some(Ok(()) | Err(DeliverError::NotSubscribed | DeliverError::Invalid)) => {}
            Some(Err(DeliverError::Closed)) => {
                tracing::debug!(%identity, "session ended before the desired patch was sent")
            }
            None => {
                let (waiting, patches) = mpsc::channel(DESIRED_PATCHES_WAITING_MAX);
                waiting.try_send((version, patch)).expect("a new queue has room");
                live.waiting = Some(waiting);
                let (sessions, id, link) = (self.clone(), live.id, live.link.clone());
                tokio::spawn(async move { sessions.hand_on(key, id, link, patches).await });
            }
        }
    }

    /// Hands waiting patches to a session until none waits, or the session is cut.
    async fn hand_on(&self, key: Key, id: SessionId, link: SessionLink, mut patches: mpsc::Receiver<Patch>) {
        while let Some((version, patch)) = self.next_waiting(&key, id, &mut patches) {
            match tokio::time::timeout(DESIRED_NOTIFY_TIMEOUT, link.desired_patch(version, patch)).await {
                Ok(Ok(()) | Err(DeliverError::NotSubscribed | DeliverError::Invalid)) => {}
                Ok(Err(DeliverError::Closed)) => return,
                Err(_) => return cut(&link, &key.1),
            }
        }
    }

    /// The next patch; when there is none, the session is told directly again from now on.
    fn next_waiting(&self, key: &Key, id: SessionId, patches: &mut mpsc::Receiver<Patch>) -> Option<Patch> {
        // Under the lock, so that no patch is queued between the last look and the end of the waiting.
        let mut state = self.state();
        let next = patches.try_recv().ok();
        if next.is_none()
            && let Some(live) = state.live.get_mut(key).filter(|live| live.id == id)
        {
            live.waiting = None;
        }
        next
    }
}

fn cut(link: &SessionLink, identity: &Identity) {
    tracing::warn!(%identity, "session is too slow for its desired properties and is cut");
    link.close(CloseReason::TakenOver);
}
