//! When identities were last heard of, for those that are connected and those long gone.
//!
//! Sessions note it with one atomic write a message; the log's reader stores it and gives it back at the next start.

use std::collections::HashMap;
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

/// Devices of one application, and how many they are: counted change by change, and changes may be told in any order. So sums are
/// kept of what is done and undone; a device is counted while it was made once more than it was deleted, whatever else is heard
/// of it.
#[derive(Debug, Default)]
struct Devices {
    known: HashMap<String, Device>,
    counts: DeviceCounts,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Device {
    made: i32,
    blocked: i32,
    seen: bool,
}

impl Device {
    fn counts(&self) -> DeviceCounts {
        let is = |condition: bool| u64::from(condition && self.made > 0);
        let is_blocked = self.blocked > 0;
        DeviceCounts {
            total: is(true),
            blocked: is(is_blocked),
            seen: is(self.seen),
            seen_blocked: is(self.seen && is_blocked),
        }
    }
}

impl Devices {
    fn change(&mut self, device_id: &str, change: impl FnOnce(&mut Device)) {
        let device = self.known.entry(device_id.to_owned()).or_default();
        let before = device.counts();
        change(device);
        let after = device.counts();
        let counts = &mut self.counts;
        counts.total = counts.total + after.total - before.total;
        counts.blocked = counts.blocked + after.blocked - before.blocked;
        counts.seen = counts.seen + after.seen - before.seen;
        counts.seen_blocked = counts.seen_blocked + after.seen_blocked - before.seen_blocked;
        if *device == Device::default() {
            self.known.remove(device_id);
        }
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
            let devices = known.devices.entry(Arc::clone(&key.0)).or_default();
            devices.change(identity.device_id(), |device| device.seen = true);
        }
        known.identities.entry(key).or_default().clone()
    }

    /// Notes that the identity was heard of at `at_ms`; never moves back.
    pub fn touch(&self, app: &str, identity: &Identity, at_ms: i64) {
        self.of(app, identity).at(at_ms);
    }

    /// The same of an identity that is known; one that was forgotten meanwhile stays so.
    pub fn touch_known(&self, app: &str, identity: &Identity, at_ms: i64) {
        if let Some(seen) = self.known().identities.get(&(Arc::from(app), identity.clone())) {
            seen.at(at_ms);
        }
    }

    /// When the identity was last heard of; `None` if never.
    pub fn get(&self, app: &str, identity: &Identity) -> Option<i64> {
        self.known().identities.get(&(Arc::from(app), identity.clone())).and_then(Seen::ms)
    }

    /// Forgets a deleted device and its modules. Once for each that was deleted.
    pub fn forget_device(&self, app: &str, device_id: &str) {
        let mut known = self.known();
        known.identities.retain(|key, _| &*key.0 != app || key.1.device_id() != device_id);
        known.devices.entry(Arc::from(app)).or_default().change(device_id, |device| {
            *device = Device { made: device.made - 1, ..Device::default() };
        });
    }

    /// Notes that a device was made, or that it was there at the start.
    pub fn made(&self, app: &str, device_id: &str, is_blocked: bool) {
        let mut known = self.known();
        known.devices.entry(Arc::from(app)).or_default().change(device_id, |device| {
            device.made += 1;
            device.blocked += i32::from(is_blocked);
        });
    }

    /// Notes that a device that could connect no longer may, or the other way round. Once for each change; changes of one device
    /// that come close together may be told in any order.
    pub fn block(&self, app: &str, device_id: &str, is_blocked: bool) {
        let step = if is_blocked { 1 } else { -1 };
        let mut known = self.known();
        known.devices.entry(Arc::from(app)).or_default().change(device_id, |device| device.blocked += step);
    }

    /// How many devices an application has.
    pub fn devices(&self, app: &str) -> DeviceCounts {
        self.known().devices.get(app).map_or_else(DeviceCounts::default, |devices| devices.counts)
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
        for (app, device) in [("a", "d"), ("a", "e"), ("a", "edge"), ("b", "d")] {
            seen.made(app, device, false);
        }
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
        let device = Identity::device("d");
        let counts = || {
            let DeviceCounts { total, blocked, seen, seen_blocked } = seen.devices("a");
            (total, blocked, seen, seen_blocked)
        };
        // Heard of before it is told that it was made.
        seen.touch("a", &device, 7);
        assert_eq!(counts(), (0, 0, 0, 0));
        seen.made("a", "d", true);
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
        // Its session ends after it was deleted; what the log has of it is read again.
        seen.forget_device("a", "d");
        seen.touch_known("a", &device, 8);
        assert_eq!((counts(), seen.get("a", &device)), ((0, 0, 0, 0), None));
        seen.touch("a", &device, 8);
        assert_eq!(counts(), (0, 0, 0, 0));
        seen.made("a", "d", false);
        assert_eq!(counts(), (1, 0, 1, 0));
    }
}
