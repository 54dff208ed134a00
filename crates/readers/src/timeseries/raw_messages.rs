//! The newest messages of each device as they came, for people who look at what a device really sends.
//!
//! Bounded twice: messages a device, and bytes over all devices, of which the oldest go first. Rebuilt from the log's end after a
//! start, so its depth then is what the log still holds.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use events::record::{RecordParts, Source};
use protocol::hub::bag::Properties;

use crate::limits::{RAW_MESSAGES_BYTES_MAX, RAW_MESSAGES_PER_DEVICE_MAX};

#[cfg(test)]
mod tests;

/// One message as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct RawMessage {
    /// Offset in the log.
    pub offset: u64,
    /// When it arrived.
    pub enqueued_ms: i64,
    /// Who sent it.
    pub source: Arc<Source>,
    /// Component, from `$.sub`.
    pub component: Option<String>,
    /// Encoded properties.
    pub bag: Bytes,
    /// Body.
    pub body: Bytes,
}

impl RawMessage {
    /// Copies a record: its bytes are slices of the log's much larger reads.
    pub fn new(record: &RecordParts, source: &Arc<Source>, component: Option<String>, offset: u64) -> Self {
        Self {
            offset,
            enqueued_ms: record.enqueued_ms,
            source: Arc::clone(source),
            component,
            bag: Bytes::copy_from_slice(&record.bag),
            body: Bytes::copy_from_slice(&record.body),
        }
    }

    /// The properties, taken apart.
    pub fn properties(&self) -> Properties {
        Properties::decode(&self.bag)
    }

    fn bytes(&self) -> usize {
        let component = self.component.as_ref().map_or(0, String::len);
        size_of::<Self>() + component + self.bag.len() + self.body.len()
    }
}

/// The newest messages of every device.
#[derive(Debug, Default)]
pub struct RawMessages {
    held: Mutex<Held>,
}

/// Application and device.
type Key = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct Held {
    devices: HashMap<Arc<Key>, VecDeque<Arc<RawMessage>>>,
    /// Arrival order over all devices, sharing their keys: there is an entry a message, and up to as many of messages that went by
    /// the limit of their device, which are passed over.
    order: VecDeque<(Arc<Key>, u64)>,
    messages: usize,
    bytes: usize,
}

impl RawMessages {
    /// Adds a message; what exceeds a limit goes.
    pub fn push(&self, app: &Arc<str>, device: &Arc<str>, message: RawMessage) {
        self.lock().push((Arc::clone(app), Arc::clone(device)), message, RAW_MESSAGES_BYTES_MAX);
    }

    /// Newest first, of one module when it is named, older than `before`.
    pub fn newest(
        &self,
        app: &str,
        device: &str,
        module: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Vec<Arc<RawMessage>> {
        let held = self.lock();
        let Some(messages) = held.devices.get(&(Arc::from(app), Arc::from(device))) else { return Vec::new() };
        messages
            .iter()
            .rev()
            .filter(|message| before.is_none_or(|before| message.offset < before))
            .filter(|message| module.is_none() || message.source.identity.module_id() == module)
            .take(limit)
            .cloned()
            .collect()
    }

    /// Forgets a deleted device.
    pub fn forget(&self, app: &str, device: &str) {
        let mut held = self.lock();
        if let Some(gone) = held.devices.remove(&(Arc::from(app), Arc::from(device))) {
            gone.iter().for_each(|message| held.let_go(message));
        }
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        *self.lock() = Held::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().expect("nothing panics while it holds the raw messages")
    }
}

impl Held {
    fn push(&mut self, key: Key, message: RawMessage, bytes_max: usize) {
        self.bytes += message.bytes();
        self.messages += 1;
        let key = self.devices.get_key_value(&key).map_or_else(|| Arc::new(key), |(known, _)| Arc::clone(known));
        self.order.push_back((Arc::clone(&key), message.offset));
        let messages = self.devices.entry(key).or_default();
        messages.push_back(Arc::new(message));
        if messages.len() > RAW_MESSAGES_PER_DEVICE_MAX
            && let Some(oldest) = messages.pop_front()
        {
            self.let_go(&oldest);
        }
        while self.bytes > bytes_max {
            let Some((key, offset)) = self.order.pop_front() else { break };
            self.remove(&key, offset);
        }
        self.drop_stale_order();
    }

    fn remove(&mut self, key: &Key, offset: u64) {
        let Some(messages) = self.devices.get_mut(key) else { return };
        if messages.front().is_none_or(|front| front.offset != offset) {
            return;
        }
        let gone = messages.pop_front();
        if messages.is_empty() {
            self.devices.remove(key);
        }
        gone.iter().for_each(|gone| self.let_go(gone));
    }

    fn let_go(&mut self, gone: &RawMessage) {
        self.bytes -= gone.bytes();
        self.messages -= 1;
    }

    /// Keeps the order no longer than what it orders, plus slack.
    fn drop_stale_order(&mut self) {
        if self.order.len() <= 2 * self.messages.max(RAW_MESSAGES_PER_DEVICE_MAX) {
            return;
        }
        let devices = &self.devices;
        self.order.retain(|(key, offset)| {
            devices.get(key).and_then(VecDeque::front).is_some_and(|oldest| oldest.offset <= *offset)
        });
    }
}
