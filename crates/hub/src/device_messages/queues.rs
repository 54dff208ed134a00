//! How much waits for whom, in memory: what the registry holds, and what is on its way into it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use registry::{EndedMessage, QueueLength};
use tokio::sync::Notify;

use super::SendError;
use crate::limits::{
    APPLICATION_MESSAGES_BYTES_MAX, APPLICATION_MESSAGES_MAX, DEVICE_MESSAGES_MAX, PLATFORM_MESSAGES_BYTES_MAX,
    PLATFORM_MESSAGES_MAX,
};

/// Application and device.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) application: Arc<str>,
    pub(super) device: Arc<str>,
}

impl Key {
    pub(super) fn new(application: &str, device: &str) -> Self {
        Self { application: application.into(), device: device.into() }
    }
}

/// Messages, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// So many.
    pub messages: u64,
    /// So large together.
    pub bytes: u64,
}

impl Room {
    fn with(self, bytes: u64) -> Self {
        self.and(Self { messages: 1, bytes })
    }

    fn and(self, other: Self) -> Self {
        Self { messages: self.messages + other.messages, bytes: self.bytes + other.bytes }
    }

    fn less(self, gone: Self) -> Self {
        let bytes = self.bytes.saturating_sub(gone.bytes);
        Self { messages: self.messages.saturating_sub(gone.messages), bytes }
    }

    fn holds(self, wanted: Self) -> bool {
        wanted.messages <= self.messages && wanted.bytes <= self.bytes
    }
}

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Messages for one device.
    pub device_messages: u32,
    /// For the devices of one application.
    pub application: Room,
    /// For all.
    pub platform: Room,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            device_messages: DEVICE_MESSAGES_MAX,
            application: Room { messages: APPLICATION_MESSAGES_MAX, bytes: APPLICATION_MESSAGES_BYTES_MAX },
            platform: Room { messages: PLATFORM_MESSAGES_MAX, bytes: PLATFORM_MESSAGES_BYTES_MAX },
        }
    }
}

/// The queue of one device.
#[derive(Debug, Default)]
struct DeviceQueue {
    /// What the registry holds.
    room: Room,
    /// What is on its way into it.
    coming: Room,
    /// On the way to its session.
    under_way: BTreeSet<i64>,
    /// Of the task that delivers, as long as there is one.
    delivering: Option<Arc<Notify>>,
    /// Something may have changed since that task looked.
    woken: bool,
}

impl DeviceQueue {
    fn is_of_use(&self) -> bool {
        self.room.messages > 0 || self.coming.messages > 0 || self.delivering.is_some()
    }
}

/// Every queue that has something, or is being delivered from.
pub(super) struct Queues {
    pub(super) limits: QueueLimits,
    devices: HashMap<Key, DeviceQueue>,
    applications: HashMap<Arc<str>, Room>,
    total: Room,
    /// A change was made or not, nobody knows: the lengths are to be read again.
    is_doubtful: bool,
}

impl Queues {
    pub(super) fn new(limits: QueueLimits, lengths: Vec<QueueLength>) -> Self {
        let (devices, applications) = (HashMap::new(), HashMap::new());
        let mut queues = Self { limits, devices, applications, total: Room::default(), is_doubtful: false };
        queues.set(lengths);
        queues
    }

    /// Takes the lengths the registry knows.
    fn set(&mut self, lengths: Vec<QueueLength>) {
        self.devices.values_mut().for_each(|queue| queue.room = Room::default());
        for QueueLength { application, device, messages, bytes } in lengths {
            let number = |value: i64| u64::try_from(value).unwrap_or(0);
            let room = Room { messages: number(messages), bytes: number(bytes) };
            self.devices.entry(Key::new(&application, &device)).or_default().room = room;
        }
        self.devices.retain(|_, queue| queue.is_of_use());
        self.applications.clear();
        self.total = Room::default();
        for (key, queue) in &self.devices {
            let of_application = self.applications.entry(Arc::clone(&key.application)).or_default();
            for sum in [of_application, &mut self.total] {
                *sum = sum.and(queue.room).and(queue.coming);
            }
        }
    }

    /// The lengths are not sure any more.
    pub(super) fn doubt(&mut self) {
        self.is_doubtful = true;
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// Takes the lengths as they were read while nobody changed a queue.
    pub(super) fn settle_doubt(&mut self, lengths: Vec<QueueLength>) {
        self.is_doubtful = false;
        self.set(lengths);
    }

    /// Makes room for one message.
    pub(super) fn reserve(&mut self, key: &Key, bytes: u64) -> Result<(), SendError> {
        let of_application = self.applications.get(&key.application).copied().unwrap_or_default().with(bytes);
        let total = self.total.with(bytes);
        if !self.limits.platform.holds(total) {
            return Err(SendError::PlatformFull);
        }
        if !self.limits.application.holds(of_application) {
            return Err(SendError::ApplicationFull);
        }
        self.total = total;
        self.applications.insert(Arc::clone(&key.application), of_application);
        let queue = self.devices.entry(key.clone()).or_default();
        queue.coming = queue.coming.with(bytes);
        Ok(())
    }

    /// A message that room was made for is in the registry.
    pub(super) fn lands(&mut self, key: &Key, bytes: u64) {
        let queue = self.devices.entry(key.clone()).or_default();
        queue.coming = queue.coming.less(Room { messages: 1, bytes });
        queue.room = queue.room.with(bytes);
    }

    /// It is not, and will not be.
    pub(super) fn gives_up(&mut self, key: &Key, bytes: u64) {
        self.less(key, Room { messages: 1, bytes }, |queue| &mut queue.coming);
    }

    fn less(&mut self, key: &Key, gone: Room, of: impl FnOnce(&mut DeviceQueue) -> &mut Room) {
        let Some(queue) = self.devices.get_mut(key) else { return };
        let room = of(queue);
        let gone = Room { messages: gone.messages.min(room.messages), bytes: gone.bytes.min(room.bytes) };
        *room = room.less(gone);
        if !queue.is_of_use() {
            self.devices.remove(key);
        }
        self.sum_less(key, gone);
    }

    fn sum_less(&mut self, key: &Key, gone: Room) {
        self.total = self.total.less(gone);
        if let Some(of_application) = self.applications.get_mut(&key.application) {
            *of_application = of_application.less(gone);
            if of_application.messages == 0 {
                self.applications.remove(&key.application);
            }
        }
    }

    /// Messages ended.
    pub(super) fn ended(&mut self, ended: &[EndedMessage]) {
        for message in ended {
            let key = Key::new(&message.application, &message.device);
            self.less(&key, Room { messages: 1, bytes: message.bytes }, |queue| &mut queue.room);
        }
    }

    /// A device is gone, and its messages.
    pub(super) fn forget(&mut self, key: &Key) {
        let Some(queue) = self.devices.get_mut(key) else { return };
        let gone = std::mem::take(&mut queue.room);
        if !queue.is_of_use() {
            self.devices.remove(key);
        }
        self.sum_less(key, gone);
    }

    pub(super) fn length(&self, key: &Key) -> u64 {
        self.devices.get(key).map_or(0, |queue| queue.room.messages)
    }

    pub(super) fn total(&self) -> u64 {
        self.total.messages
    }

    /// Tells the task that delivers to look again; answers whether one has to begin.
    pub(super) fn wake(&mut self, key: &Key) -> bool {
        let Some(queue) = self.devices.get_mut(key) else { return false };
        queue.woken = true;
        match &queue.delivering {
            Some(task) => {
                task.notify_one();
                false
            }
            None if queue.room.messages > 0 => {
                queue.delivering = Some(Arc::default());
                true
            }
            None => false,
        }
    }

    /// The task looks at everything now; answers what wakes it.
    pub(super) fn looks(&mut self, key: &Key) -> Arc<Notify> {
        let queue = self.devices.entry(key.clone()).or_default();
        queue.woken = false;
        Arc::clone(queue.delivering.get_or_insert_default())
    }

    /// The task has nothing to do; answers whether it ends, because nobody woke it since it looked.
    pub(super) fn ends(&mut self, key: &Key) -> bool {
        let Some(queue) = self.devices.get_mut(key) else { return true };
        if queue.woken {
            return false;
        }
        queue.delivering = None;
        if !queue.is_of_use() {
            self.devices.remove(key);
        }
        true
    }

    /// Messages of a device that are on the way to its session.
    pub(super) fn under_way(&self, key: &Key) -> Vec<i64> {
        self.devices.get(key).map_or_else(Vec::new, |queue| queue.under_way.iter().copied().collect())
    }

    /// Whether more waits than is on the way.
    pub(super) fn has_more(&self, key: &Key) -> bool {
        self.devices.get(key).is_some_and(|queue| queue.room.messages > queue.under_way.len() as u64)
    }

    /// A message is on the way from now on.
    pub(super) fn departs(&mut self, key: &Key, sequence: i64) {
        self.devices.entry(key.clone()).or_default().under_way.insert(sequence);
    }

    /// It is not on the way any more, wherever it is.
    pub(super) fn arrives(&mut self, key: &Key, sequence: i64) {
        if let Some(queue) = self.devices.get_mut(key) {
            queue.under_way.remove(&sequence);
        }
    }

    /// None is on the way any more: their session ended.
    pub(super) fn come_back(&mut self, key: &Key) {
        if let Some(queue) = self.devices.get_mut(key) {
            queue.under_way.clear();
        }
    }
}
