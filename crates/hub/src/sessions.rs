//! Who is connected right now: one live session for each identity, and the way to it.
//!
//! ```text
//!   CONNECT ──► register ──► live ──► disconnected (same session id) ──► gone
//!                  │ an older session of the identity is closed as taken over; its end is then no news
//! ```
//!
//! *Invariant*: the map holds at most one session an identity, and the end of a session removes only that session. A gap of
//! seconds between two sessions (clients renew their token by reconnecting) therefore shows as two events, and a takeover as
//! one.
//!
//! When an identity was last seen is noted in [`events::last_seen`], which knows it also of identities long gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use events::clock::now_ms;
use events::last_seen::{LastSeen, Seen, shows_device};
use model::identity::Identity;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use transport::server::{CloseReason, InvokeError, MethodResponse, SessionLink};

mod desired;
#[cfg(test)]
mod tests;

/// Sessions of this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Sessions {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    last_seen: LastSeen,
    /// Woken when a session appears or its subscriptions change: method calls wait for either.
    changed: Notify,
    next_id: AtomicU64,
}

#[derive(Default)]
struct State {
    live: HashMap<Key, Live>,
    /// The devices of each application that are there, with how many of their sessions show it: an edge's may be two.
    devices: HashMap<Arc<str>, HashMap<String, u8>>,
}

type Key = (Arc<str>, Identity);

struct Live {
    id: SessionId,
    link: SessionLink,
    since_ms: i64,
    /// Where desired patches go while earlier ones wait for the session.
    waiting: Option<mpsc::Sender<desired::Patch>>,
}

/// Tells a session from an older or newer one of the same identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId(u64);

/// What is known about an identity's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connection {
    /// Whether a session is live.
    pub connected: bool,
    /// Since when, if connected.
    pub since_ms: Option<i64>,
    /// When the identity was last heard of; `None` if never.
    pub last_seen_ms: Option<i64>,
}

/// How long a direct method may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodTimeouts {
    /// Until a session takes methods.
    pub connect: Duration,
    /// From then on until the answer.
    pub response: Duration,
}

/// Why a direct method got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvokeFailure {
    /// No session takes methods within the connect time-out, or it went away.
    #[error("the device is not connected")]
    NotConnected,
    /// The session did not answer in time.
    #[error("the device did not answer in time")]
    Timeout,
    /// Too many methods are under way on that session.
    #[error("too many methods are under way")]
    Busy,
    /// The name or payload cannot be sent.
    #[error("the method's name or payload cannot be sent")]
    Invalid,
}

impl State {
    fn enter_device(&mut self, app: &str, identity: &Identity) {
        if shows_device(identity) {
            let devices = self.devices.entry(Arc::from(app)).or_default();
            *devices.entry(identity.device_id().to_owned()).or_default() += 1;
        }
    }

    fn leave_device(&mut self, app: &str, identity: &Identity) {
        let Some(devices) = self.devices.get_mut(app).filter(|_| shows_device(identity)) else { return };
        if let Some(sessions) = devices.get_mut(identity.device_id()) {
            *sessions -= 1;
            if *sessions == 0 {
                devices.remove(identity.device_id());
            }
        }
    }
}

impl Sessions {
    /// No sessions yet; what they hear is noted in `last_seen`.
    pub fn new(last_seen: LastSeen) -> Self {
        Self { inner: Arc::new(Inner { last_seen, ..Inner::default() }) }
    }

    /// Makes `link` the session of `identity`. An older one is closed as taken over; if there was none, `tell` is called while
    /// no other session of the identity can begin or end, so that what is told is in the order of what happened.
    pub fn register(&self, app: &str, identity: &Identity, link: SessionLink, tell: impl FnOnce()) -> SessionId {
        let id = SessionId(self.inner.next_id.fetch_add(1, Ordering::Relaxed));
        let now = now_ms();
        self.inner.last_seen.touch(app, identity, now);
        let mut state = self.state();
        let older = state.live.insert(key(app, identity), Live { id, link, since_ms: now, waiting: None });
        if older.is_none() {
            state.enter_device(app, identity);
            tell();
        }
        drop(state);
        if let Some(older) = older {
            older.link.close(CloseReason::TakenOver);
        }
        self.inner.changed.notify_waiters();
        id
    }

    /// Forgets the session. Answers whether it was still the identity's session, so that its end is news; then `tell` was called
    /// as [`Sessions::register`] calls it.
    pub fn remove(&self, app: &str, identity: &Identity, id: SessionId, tell: impl FnOnce()) -> bool {
        let mut state = self.state();
        let key = key(app, identity);
        if state.live.get(&key).is_none_or(|live| live.id != id) {
            return false;
        }
        state.live.remove(&key);
        state.leave_device(app, identity);
        tell();
        drop(state);
        // Its device may have been deleted, which ended it.
        self.inner.last_seen.touch_known(app, identity, now_ms());
        true
    }

    /// Wakes method calls that wait for a subscription.
    pub fn subscriptions_changed(&self) {
        self.inner.changed.notify_waiters();
    }

    /// Where is noted when the identity was last heard of.
    pub fn seen(&self, app: &str, identity: &Identity) -> Seen {
        self.inner.last_seen.of(app, identity)
    }

    /// Connection of one identity.
    pub fn status(&self, app: &str, identity: &Identity) -> Connection {
        let since_ms = self.state().live.get(&key(app, identity)).map(|live| live.since_ms);
        let last_seen_ms = self.inner.last_seen.get(app, identity);
        Connection { connected: since_ms.is_some(), since_ms, last_seen_ms }
    }

    /// Ids of the devices of an application that are there; nothing when they are more than `max`.
    pub fn device_ids(&self, app: &str, max: usize) -> Option<Vec<String>> {
        match self.state().devices.get(app) {
            Some(devices) => (devices.len() <= max).then(|| devices.keys().cloned().collect()),
            None => Some(Vec::new()),
        }
    }

    /// How many devices of an application are there: those with a session, and edge devices whose runtime has one.
    pub fn devices(&self, app: &str) -> usize {
        self.state().devices.get(app).map_or(0, HashMap::len)
    }

    /// Live sessions, over all applications.
    pub fn count(&self) -> usize {
        self.state().live.len()
    }

    /// Invokes a direct method, waiting for a session that takes methods if need be.
    pub async fn invoke(
        &self,
        app: &str,
        identity: &Identity,
        name: &str,
        payload: Bytes,
        timeouts: MethodTimeouts,
    ) -> Result<MethodResponse, InvokeFailure> {
        let link = self.wait_for_methods(app, identity, timeouts.connect).await?;
        link.invoke_method(name, payload, timeouts.response).await.map_err(|error| match error {
            InvokeError::NotSubscribed | InvokeError::Closed => InvokeFailure::NotConnected,
            InvokeError::Timeout => InvokeFailure::Timeout,
            InvokeError::Busy => InvokeFailure::Busy,
            InvokeError::Invalid => InvokeFailure::Invalid,
        })
    }

    async fn wait_for_methods(
        &self,
        app: &str,
        identity: &Identity,
        connect_timeout: Duration,
    ) -> Result<SessionLink, InvokeFailure> {
        let deadline = Instant::now() + connect_timeout;
        loop {
            // Listening starts before looking, or a session that appears in between would be missed.
            let changed = self.inner.changed.notified();
            if let Some(link) = self.link(app, identity).filter(|link| link.subscriptions().methods) {
                return Ok(link);
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return Err(InvokeFailure::NotConnected);
            }
        }
    }

    /// The session of a device that takes cloud-to-device messages.
    pub fn takes_messages(&self, app: &str, device: &Identity) -> Option<SessionLink> {
        self.link(app, device).filter(|link| link.subscriptions().cloud_to_device && !link.is_closed())
    }

    /// Forgets a deleted device and its modules: it was never seen. Its sessions end as everything that rests on it does.
    pub fn forget_device(&self, app: &str, device_id: &str) {
        self.inner.last_seen.forget_device(app, device_id);
    }

    /// Closes every session, at shutdown.
    pub fn disconnect_all(&self) {
        let links: Vec<SessionLink> = self.state().live.values().map(|live| live.link.clone()).collect();
        for link in links {
            link.close(CloseReason::ShuttingDown);
        }
    }

    fn link(&self, app: &str, identity: &Identity) -> Option<SessionLink> {
        self.state().live.get(&key(app, identity)).map(|live| live.link.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().expect("nothing panics while it holds the session table")
    }
}

fn key(app: &str, identity: &Identity) -> Key {
    (Arc::from(app), identity.clone())
}
