//! The newest value of every name of every device, kept beside the files so that a value shown on a page costs no read.
//!
//! Newest is by [`Row::newest_by`]: what a gateway forwards late does not replace what came after it, and a time that lies ahead
//! counts as that of the arrival. Of the elements of one message the last one counts.
//!
//! Bounded in bytes: a device with too much loses its own oldest values; when all together are too much, the devices that sent
//! nothing for longest are forgotten here. What is held is the newest of what was seen
//! since then; the files may have something newer if what came after was late. [`TelemetryStore::last_value`] looks there once and
//! then knows.
//!
//! [`TelemetryStore::last_value`]: crate::TelemetryStore::last_value

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::{LAST_VALUES_BYTES_MAX, LAST_VALUES_DEVICE_BYTES_MAX};
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
    limits: LastValuesLimits,
    held: Mutex<Held>,
}

/// What the newest values may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastValuesLimits {
    /// Estimated bytes, of all devices.
    pub bytes_max: usize,
    /// Estimated bytes, of one device.
    pub device_bytes_max: usize,
}

impl Default for LastValuesLimits {
    fn default() -> Self {
        Self { bytes_max: LAST_VALUES_BYTES_MAX, device_bytes_max: LAST_VALUES_DEVICE_BYTES_MAX }
    }
}

impl Default for LastValues {
    fn default() -> Self {
        Self::new(LastValuesLimits::default())
    }
}

#[derive(Debug, Default)]
struct Held {
    devices: HashMap<Arc<str>, DeviceValues>,
    /// Estimated bytes of all devices.
    bytes: usize,
    /// Counts the rows seen, to know which device was heard last.
    clock: u64,
}

/// Module, component, name.
type Key = (Option<Arc<str>>, Option<Arc<str>>, Arc<str>);

#[derive(Debug, Default)]
struct DeviceValues {
    heard_at: u64,
    values: BTreeMap<Key, Entry>,
    /// Estimated bytes of the values.
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    ts_ms: i64,
    newest_by: (i64, u64),
    value: Value,
    /// The files are known to have nothing newer.
    confirmed: bool,
}

/// Beside its texts, what an entry takes with its place in the map.
const ENTRY_BYTES: usize = size_of::<(Key, Entry)>() + 64;

/// Estimated bytes of an entry. Its name is counted whole: one that nobody else uses is not shared.
fn entry_bytes((_, _, name): &Key, value: &Value) -> usize {
    ENTRY_BYTES + name.len() + value.heap_bytes()
}

impl LastValues {
    /// Empty, for as much as the limits allow.
    pub fn new(limits: LastValuesLimits) -> Self {
        Self { limits, held: Mutex::default() }
    }

    /// Takes the values of a row.
    pub fn observe(&self, row: &Row) {
        let mut held = self.lock();
        for (name, value) in &row.values {
            let key = (row.module.clone(), row.component.clone(), name.clone());
            let (ts_ms, newest_by, value) = (row.ts_ms, row.newest_by(), value.clone());
            held.put(&row.device, key, Entry { ts_ms, newest_by, value, confirmed: false });
        }
        held.forget(&row.device, self.limits);
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
        let LastValue { device, module, component, name, ts_ms, newest_by, value } = entry;
        let key = (module, component, name);
        let mut held = self.lock();
        held.put(&device, key.clone(), Entry { ts_ms, newest_by, value, confirmed: true });
        if let Some(entry) = held.devices.get_mut(&device).and_then(|values| values.values.get_mut(&key)) {
            entry.confirmed = true;
        }
        held.forget(&device, self.limits);
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
            held.bytes -= values.bytes;
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
        let bytes = entry_bytes(&key, &entry.value);
        let replaced = match values.values.get_mut(&key) {
            Some(known) if known.newest_by > entry.newest_by => return,
            Some(known) => {
                let replaced = entry_bytes(&key, &known.value);
                *known = Entry { confirmed: known.confirmed || entry.confirmed, ..entry };
                replaced
            }
            None => {
                values.values.insert(key, entry);
                0
            }
        };
        values.bytes = values.bytes + bytes - replaced;
        self.bytes = self.bytes + bytes - replaced;
    }

    /// Makes room again after a device got values: its own first, then that of those who are silent.
    fn forget(&mut self, device: &Arc<str>, limits: LastValuesLimits) {
        if let Some(values) = self.devices.get_mut(device).filter(|values| values.bytes > limits.device_bytes_max) {
            self.bytes -= values.forget_oldest(limits.device_bytes_max);
        }
        self.forget_silent(limits.bytes_max);
    }

    /// Above the limit, forgets the sixteenth of the devices that was silent for longest, so that the search for them is rare.
    fn forget_silent(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let mut heard: Vec<u64> = self.devices.values().map(|values| values.heard_at).collect();
            let forget = heard.len() / 16;
            let (_, threshold, _) = heard.select_nth_unstable(forget);
            let threshold = *threshold;
            self.devices.retain(|_, values| values.heard_at > threshold);
            self.bytes = self.devices.values().map(|values| values.bytes).sum();
        }
    }
}

impl DeviceValues {
    /// Forgets the values that came longest ago until three quarters of the limit are left, so that the search for them is rare.
    /// Answers how many bytes that were.
    fn forget_oldest(&mut self, bytes_max: usize) -> usize {
        let before = self.bytes;
        let mut by_offset: Vec<(u64, usize)> =
            self.values.iter().map(|(key, entry)| (entry.newest_by.1, entry_bytes(key, &entry.value))).collect();
        by_offset.sort_unstable();
        let mut left = before;
        let mut forgotten = None;
        for (offset, bytes) in by_offset {
            if left <= bytes_max / 4 * 3 {
                break;
            }
            left -= bytes;
            forgotten = Some(offset);
        }
        // Values of one message go together.
        self.values.retain(|_, entry| forgotten.is_none_or(|forgotten| entry.newest_by.1 > forgotten));
        self.bytes = self.values.iter().map(|(key, entry)| entry_bytes(key, &entry.value)).sum();
        before - self.bytes
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
