//! When identities were last heard of, for those that are connected and those long gone.
//!
//! Sessions note it with one atomic write a message; the log's reader stores it and gives it back at the next start.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use model::identity::Identity;
use model::manifest::EDGE_AGENT;

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

/// Whether an identity's session shows that its device is there: an edge device never connects as itself, its agent does.
pub fn shows_device(identity: &Identity) -> bool {
    identity.module_id().is_none_or(|module| module == EDGE_AGENT)
}

/// The table of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LastSeen {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    identities: HashMap<Key, Seen>,
    /// The devices of each application that were ever heard of: counted at every look at the fleet.
    devices: HashMap<Arc<str>, HashSet<String>>,
}

type Key = (Arc<str>, Identity);

impl LastSeen {
    /// The entry of an identity; made when it is new.
    pub fn of(&self, app: &str, identity: &Identity) -> Seen {
        let key = (Arc::from(app), identity.clone());
        let mut known = self.known();
        if let Some(seen) = known.identities.get(&key) {
            return seen.clone();
        }
        if shows_device(identity) {
            known.devices.entry(Arc::clone(&key.0)).or_default().insert(identity.device_id().to_owned());
        }
        known.identities.entry(key).or_default().clone()
    }

    /// Notes that the identity was heard of at `at_ms`; never moves back.
    pub fn touch(&self, app: &str, identity: &Identity, at_ms: i64) {
        self.of(app, identity).at(at_ms);
    }

    /// When the identity was last heard of; `None` if never.
    pub fn get(&self, app: &str, identity: &Identity) -> Option<i64> {
        self.known().identities.get(&(Arc::from(app), identity.clone())).and_then(Seen::ms)
    }

    /// Forgets a deleted device and its modules.
    pub fn forget_device(&self, app: &str, device_id: &str) {
        let mut known = self.known();
        known.identities.retain(|key, _| &*key.0 != app || key.1.device_id() != device_id);
        if let Some(devices) = known.devices.get_mut(app) {
            devices.remove(device_id);
        }
    }

    /// How many devices of an application were ever heard of.
    pub fn devices(&self, app: &str) -> usize {
        self.known().devices.get(app).map_or(0, HashSet::len)
    }

    /// Whether a device was ever heard of.
    pub fn has_device(&self, app: &str, device_id: &str) -> bool {
        self.known().devices.get(app).is_some_and(|devices| devices.contains(device_id))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nothing panics while it holds the table of last seen times")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_counted_once_and_per_application() {
        let seen = LastSeen::default();
        let agent = Identity::module("edge", EDGE_AGENT);
        for identity in [Identity::device("d"), Identity::device("d"), agent.clone(), Identity::module("e", "m")] {
            seen.touch("a", &identity, 7);
        }
        seen.touch("b", &Identity::device("d"), 7);
        assert_eq!((seen.devices("a"), seen.devices("b"), seen.devices("c")), (2, 1, 0));
        assert!(seen.has_device("a", "edge") && !seen.has_device("a", "e"));
        seen.forget_device("a", "edge");
        assert_eq!((seen.devices("a"), seen.get("a", &agent)), (1, None));
    }
}
