//! The newest value of every name of every device, kept beside the files so that a value shown on a page costs no read.
//!
//! Newest is by [`Row::newest_by`]: what a gateway forwards late does not replace what came after it, and a time that lies ahead
//! counts as that of the arrival. Of the elements of one message the last one counts.
//!
//! Bounded: when full, the devices that sent nothing for longest are forgotten here. What is held is the newest of what was seen
//! since then; the files may have something newer if what came after was late. [`TelemetryStore::last_value`] looks there once and
//! then knows.
//!
//! [`TelemetryStore::last_value`]: crate::TelemetryStore::last_value

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::LAST_VALUES_MAX;
use crate::row::{Row, Value};

/// The newest value of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct LastValue {
    /// Device id.
    pub device: Arc<str>,
    /// Module that sent it, if one did.
    pub module: Option<Arc<str>>,
    /// Component it belongs to.
    pub component: Option<Arc<str>>,
    /// Telemetry name.
    pub name: Arc<str>,
    /// Telemetry time.
    pub ts_ms: i64,
    /// What makes it the newest: time and log offset of its message.
    pub newest_by: (i64, u64),
    /// The value.
    pub value: Value,
}

/// The newest values.
#[derive(Debug)]
pub struct LastValues {
    entries_max: usize,
    held: Mutex<Held>,
}

impl Default for LastValues {
    fn default() -> Self {
        Self::new(LAST_VALUES_MAX)
    }
}

#[derive(Debug, Default)]
struct Held {
    devices: HashMap<Arc<str>, DeviceValues>,
    entries: usize,
    /// Counts the rows seen, to know which device was heard last.
    clock: u64,
}

/// Module, component, name.
type Key = (Option<Arc<str>>, Option<Arc<str>>, Arc<str>);

#[derive(Debug, Default)]
struct DeviceValues {
    heard_at: u64,
    values: BTreeMap<Key, Entry>,
}

#[derive(Debug)]
struct Entry {
    ts_ms: i64,
    newest_by: (i64, u64),
    value: Value,
    /// The files are known to have nothing newer.
    confirmed: bool,
}

impl LastValues {
    /// Empty, for up to `entries_max` values.
    pub fn new(entries_max: usize) -> Self {
        Self { entries_max, held: Mutex::default() }
    }

    /// Takes the values of a row.
    pub fn observe(&self, row: &Row) {
        let mut held = self.lock();
        for (name, value) in &row.values {
            let key = (row.module.clone(), row.component.clone(), name.clone());
            let (ts_ms, newest_by, value) = (row.ts_ms, row.newest_by(), value.clone());
            held.put(&row.device, key, Entry { ts_ms, newest_by, value, confirmed: false });
        }
        held.forget_silent(self.entries_max);
    }

    /// The newest value of a name, if it is held here.
    pub fn get(&self, device: &str, module: Option<&str>, component: Option<&str>, name: &str) -> Option<LastValue> {
        self.look_up(device, module, component, name).map(|(last, _)| last)
    }

    /// As [`LastValues::get`], and whether the files are known to have nothing newer.
    pub(crate) fn look_up(
        &self,
        device: &str,
        module: Option<&str>,
        component: Option<&str>,
        name: &str,
    ) -> Option<(LastValue, bool)> {
        let key = (module.map(Arc::from), component.map(Arc::from), Arc::from(name));
        let held = self.lock();
        let (device, values) = held.devices.get_key_value(device)?;
        values.values.get_key_value(&key).map(|(key, entry)| (last_value(device, key, entry), entry.confirmed))
    }

    /// Takes the newest entry of memory and files together. What comes later is compared with it.
    pub(crate) fn confirm(&self, entry: LastValue) {
        let key = (entry.module, entry.component, entry.name);
        let LastValue { ts_ms, newest_by, value, .. } = entry;
        let mut held = self.lock();
        held.put(&entry.device, key.clone(), Entry { ts_ms, newest_by, value, confirmed: true });
        if let Some(entry) = held.devices.get_mut(&entry.device).and_then(|values| values.values.get_mut(&key)) {
            entry.confirmed = true;
        }
        held.forget_silent(self.entries_max);
    }

    /// The newest values held of a device, with those of its modules and components.
    pub fn of_device(&self, device: &str) -> Vec<LastValue> {
        let held = self.lock();
        let values = held.devices.get_key_value(device).into_iter();
        values
            .flat_map(|(device, values)| values.values.iter().map(|(key, entry)| last_value(device, key, entry)))
            .collect()
    }

    /// Forgets a device that was deleted.
    pub fn remove_device(&self, device: &str) {
        let mut held = self.lock();
        if let Some(values) = held.devices.remove(device) {
            held.entries -= values.values.len();
        }
    }

    // Every change of the map is complete before anything in it can panic.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn put(&mut self, device: &Arc<str>, key: Key, entry: Entry) {
        self.clock += 1;
        let values = self.devices.entry(device.clone()).or_default();
        values.heard_at = self.clock;
        match values.values.get_mut(&key) {
            Some(known) if known.newest_by > entry.newest_by => {}
            Some(known) => *known = Entry { confirmed: known.confirmed || entry.confirmed, ..entry },
            None => {
                values.values.insert(key, entry);
                self.entries += 1;
            }
        }
    }

    /// Above the limit, forgets the sixteenth of the devices that was silent for longest, so that the search for them is rare.
    fn forget_silent(&mut self, entries_max: usize) {
        while self.entries > entries_max {
            let mut heard: Vec<u64> = self.devices.values().map(|values| values.heard_at).collect();
            let forget = heard.len() / 16;
            let (_, threshold, _) = heard.select_nth_unstable(forget);
            let threshold = *threshold;
            self.devices.retain(|_, values| values.heard_at > threshold);
            self.entries = self.devices.values().map(|values| values.values.len()).sum();
        }
    }
}

fn last_value(device: &Arc<str>, (module, component, name): &Key, entry: &Entry) -> LastValue {
    LastValue {
        device: device.clone(),
        module: module.clone(),
        component: component.clone(),
        name: name.clone(),
        ts_ms: entry.ts_ms,
        newest_by: entry.newest_by,
        value: entry.value.clone(),
    }
}

#[cfg(test)]
mod tests;
