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

/// How many devices an application has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceCounts {
    /// All of them.
    pub total: u64,
    /// Those that may not connect.
    pub blocked: u64,
    /// Those that were ever heard of.
    pub seen: u64,
    /// Those that were, and may not connect now.
    pub seen_blocked: u64,
}

/// The table of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LastSeen {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    identities: HashMap<Key, Seen>,
    /// By application: counted at every look at the fleet.
    devices: HashMap<Arc<str>, Devices>,
}

/// Devices of one application, and how many they are. Counted change by change; changes may be told in any order.
#[derive(Debug, Default)]
struct Devices {
    /// All that were made and not deleted.
    total: i64,
    /// Those that were ever heard of.
    seen: HashSet<String>,
    /// How often each was blocked more than it was let in again; only a sum above nothing is a blocked device.
    changes: HashMap<String, i32>,
    blocked: usize,
    /// Those that are both.
    seen_blocked: usize,
}

impl Devices {
    fn is_blocked(&self, device_id: &str) -> bool {
        self.changes.get(device_id).is_some_and(|&sum| sum > 0)
    }

    fn see(&mut self, device_id: &str) {
        if self.seen.insert(device_id.to_owned()) && self.is_blocked(device_id) {
            self.seen_blocked += 1;
        }
    }

    fn block(&mut self, device_id: &str, step: i32) {
        let before = self.is_blocked(device_id);
        let sum = self.changes.entry(device_id.to_owned()).or_default();
        *sum += step;
        if *sum == 0 {
            self.changes.remove(device_id);
        }
        let seen = usize::from(self.seen.contains(device_id));
        match (before, self.is_blocked(device_id)) {
            (false, true) => (self.blocked, self.seen_blocked) = (self.blocked + 1, self.seen_blocked + seen),
            (true, false) => (self.blocked, self.seen_blocked) = (self.blocked - 1, self.seen_blocked - seen),
            _ => {}
        }
    }

    fn forget(&mut self, device_id: &str) {
        let (was_seen, was_blocked) = (self.seen.remove(device_id), self.is_blocked(device_id));
        self.blocked -= usize::from(was_blocked);
        self.seen_blocked -= usize::from(was_blocked && was_seen);
        self.changes.remove(device_id);
    }
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
            known.devices.entry(Arc::clone(&key.0)).or_default().see(identity.device_id());
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

    /// Forgets a deleted device and its modules. Once for each that was deleted.
    pub fn forget_device(&self, app: &str, device_id: &str) {
        let mut known = self.known();
        known.identities.retain(|key, _| &*key.0 != app || key.1.device_id() != device_id);
        if let Some(devices) = known.devices.get_mut(app) {
            devices.total -= 1;
            devices.forget(device_id);
        }
    }

    /// Notes that a device was made, or that it was there at the start.
    pub fn made(&self, app: &str, device_id: &str, is_blocked: bool) {
        let mut known = self.known();
        let devices = known.devices.entry(Arc::from(app)).or_default();
        devices.total += 1;
        if is_blocked {
            devices.block(device_id, 1);
        }
    }

    /// Notes that a device that could connect no longer may, or the other way round. Once for each change; changes of one device
    /// that come close together may be told in any order.
    pub fn block(&self, app: &str, device_id: &str, is_blocked: bool) {
        let step = if is_blocked { 1 } else { -1 };
        self.known().devices.entry(Arc::from(app)).or_default().block(device_id, step);
    }

    /// How many devices an application has.
    pub fn devices(&self, app: &str) -> DeviceCounts {
        let known = self.known();
        let Some(devices) = known.devices.get(app) else { return DeviceCounts::default() };
        DeviceCounts {
            total: u64::try_from(devices.total).unwrap_or(0),
            blocked: devices.blocked as u64,
            seen: devices.seen.len() as u64,
            seen_blocked: devices.seen_blocked as u64,
        }
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
        let counted = |app: &str| seen.devices(app).seen;
        assert_eq!((counted("a"), counted("b"), counted("c")), (2, 1, 0));
        seen.forget_device("a", "edge");
        assert_eq!((counted("a"), seen.get("a", &agent)), (1, None));
    }

    #[test]
    fn devices_are_counted_in_whatever_order_changes_are_told() {
        let seen = LastSeen::default();
        let counts = || {
            let DeviceCounts { total, blocked, seen, seen_blocked } = seen.devices("a");
            (total, blocked, seen, seen_blocked)
        };
        seen.made("a", "d", true);
        assert_eq!(counts(), (1, 1, 0, 0));
        seen.touch("a", &Identity::device("d"), 7);
        assert_eq!(counts(), (1, 1, 1, 1));
        // Let in and blocked once more, the second told first.
        seen.block("a", "d", true);
        seen.block("a", "d", false);
        assert_eq!(counts(), (1, 1, 1, 1));
        seen.block("a", "d", false);
        assert_eq!(counts(), (1, 0, 1, 0));
        // Let in before it is told that it was blocked.
        seen.block("a", "d", false);
        seen.block("a", "d", true);
        assert_eq!(counts(), (1, 0, 1, 0));
        seen.block("a", "d", true);
        seen.forget_device("a", "d");
        assert_eq!(counts(), (0, 0, 0, 0));
        seen.made("a", "d", false);
        seen.touch("a", &Identity::device("d"), 7);
        assert_eq!(counts(), (1, 0, 1, 0));
    }
}
