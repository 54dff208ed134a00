//! When identities were last heard of, for those that are connected and those long gone.
//!
//! Sessions note it with one atomic write a message; the log's reader stores it and gives it back at the next start.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use model::identity::Identity;

/// When an identity was last heard of, in Unix milliseconds; 0 is never. Shared between the table and the identity's session, so
/// that a message costs one atomic write.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<AtomicI64>);

impl Seen {
    /// Heard of now; never moves back.
    pub fn at(&self, unix_ms: i64) {
        self.0.fetch_max(unix_ms, Ordering::Relaxed);
    }

    /// When; `None` if never.
    pub fn ms(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&at| at > 0)
    }
}

/// The table of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LastSeen {
    known: Arc<Mutex<HashMap<Key, Seen>>>,
}

type Key = (Arc<str>, Identity);

impl LastSeen {
    /// The entry of an identity; made when it is new.
    pub fn of(&self, app: &str, identity: &Identity) -> Seen {
        self.known().entry((Arc::from(app), identity.clone())).or_default().clone()
    }

    /// Notes that the identity was heard of at `at_ms`; never moves back.
    pub fn touch(&self, app: &str, identity: &Identity, at_ms: i64) {
        self.of(app, identity).at(at_ms);
    }

    /// When the identity was last heard of; `None` if never.
    pub fn get(&self, app: &str, identity: &Identity) -> Option<i64> {
        self.known().get(&(Arc::from(app), identity.clone())).and_then(Seen::ms)
    }

    /// Forgets a deleted device and its modules.
    pub fn forget_device(&self, app: &str, device_id: &str) {
        self.known().retain(|key, _| &*key.0 != app || key.1.device_id() != device_id);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Seen>> {
        self.known.lock().expect("nothing panics while it holds the table of last seen times")
    }
}
