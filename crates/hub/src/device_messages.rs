//! Cloud-to-device messages: a queue a device, in the registry, delivered over whatever door the device comes by.
//!
//! ```text
//!   send ──▶ writer (many to a commit) ──▶ registry ──▶ Ok: durable
//!                │                            │
//!                ▼                            ├── take ──▶ delivery (a task while there is something to send) ──▶ session
//!      lengths in memory ── wake ─────────────┘                                                    PUBACK ──▶ complete
//!                                             └── fetch, complete, abandon, reject ◀── HTTPS
//! ```
//!
//! A message is delivered at least once: it leaves its queue when the device has settled it, or when it has come to its end. Each
//! delivery is counted before it begins. What waits is known in memory by device, so that a device with an empty queue costs
//! nothing, neither at connect nor when it polls.
//!
//! *Invariant*: no message is on the way to a session and locked over HTTPS at the same time, nor on the way to two sessions.

mod delivery;
mod error;
mod queues;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use events::clock::rfc3339_ms;
use model::identity::Identity;
use model::message::Message;
use protocol::hub::{bag, delivery as fits};
use registry::{
    Ack, DeviceMessageRow, NewDeviceMessage, PutMessage, QueuedCommandRow, Registry, Settlement, StoreError, new_id,
};
use tokio::sync::{mpsc, oneshot};

use crate::limits::{
    DEVICE_MESSAGE_DELIVERIES_MAX, DEVICE_MESSAGE_LIFE_DEFAULT, DEVICE_MESSAGE_LIFE_MAX, DEVICE_MESSAGE_LOCK,
    QUEUE_CHANGES_QUEUED_MAX,
};
use crate::metrics::MessageMetrics;
use crate::sessions::Sessions;

pub use error::{QueueError, SendError};
pub use queues::{QueueLimits, Room};
pub use writer::MessageWriter;

use queues::{Key, Queues};
use writer::{Change, Which};

/// Tells the time, in Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A message for a device.
#[derive(Debug, Clone)]
pub struct CloudToDevice {
    /// Its id; one is made when there is none.
    pub id: Option<String>,
    /// Properties and body. Id, expiry and the wish for feedback are added to the properties.
    pub message: Message,
    /// What the sender wants to be told.
    pub ack: Ack,
    /// How long it may wait; [`DEVICE_MESSAGE_LIFE_DEFAULT`] when its sender does not say.
    pub life: Option<Duration>,
    /// The command it runs; it has the message's id.
    pub command: Option<QueuedCommandRow>,
}

/// A message that was fetched and waits to be settled.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The message.
    pub message: DeviceMessageRow,
    /// The token to settle it with.
    pub lock: String,
}

/// Every device's queue. Cheap to clone.
#[derive(Clone)]
pub struct DeviceMessages {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    sessions: Sessions,
    changes: mpsc::Sender<Change>,
    queues: Mutex<Queues>,
    clock: Clock,
    metrics: MessageMetrics,
}

impl DeviceMessages {
    /// Finds what waits in a registry; the caller runs the writer.
    pub async fn open(
        registry: Registry,
        sessions: Sessions,
        metrics: MessageMetrics,
        limits: QueueLimits,
        clock: Clock,
    ) -> Result<(Self, MessageWriter), StoreError> {
        let (changes, receiver) = mpsc::channel(QUEUE_CHANGES_QUEUED_MAX);
        let queues = Queues::new(limits, registry.message_queues().await?);
        let inner = Inner { registry, sessions, changes, queues: Mutex::new(queues), clock, metrics };
        let messages = Self { inner: Arc::new(inner) };
        let writer = MessageWriter::new(messages.clone(), receiver);
        Ok((messages, writer))
    }

    /// Puts a message into a device's queue; answers its id. `Ok` means durable. Where there is no room for the message of a command,
    /// its run is kept as one that was refused before that is told.
    pub async fn send(&self, application: &str, device: &str, message: CloudToDevice) -> Result<String, SendError> {
        let run = message.command.clone().map(Box::new);
        let sent = self.put(application, device, message).await;
        if let (Err(SendError::DeviceFull | SendError::ApplicationFull | SendError::PlatformFull), Some(run)) =
            (&sent, run)
        {
            let key = Key::new(application, device);
            self.ask(|done| Change::Refuse { key, run, done }).await?;
        }
        sent
    }

    async fn put(&self, application: &str, device: &str, message: CloudToDevice) -> Result<String, SendError> {
        let CloudToDevice { id, message, ack, life, command } = message;
        let life = life.unwrap_or(DEVICE_MESSAGE_LIFE_DEFAULT);
        if life.is_zero() || life > DEVICE_MESSAGE_LIFE_MAX {
            return Err(SendError::Life);
        }
        let id = id.or_else(|| command.as_ref().map(|command| command.id.clone())).unwrap_or_else(new_id);
        let now_ms = self.now_ms();
        let expires_ms = now_ms.saturating_add(i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let message = Message { bag: stamped(&message.bag, &id, expires_ms, ack), body: message.body };
        fits::to_device(&Identity::device(device), &message)?;
        let key = Key::new(application, device);
        let bytes = (message.bag.len() + message.body.len()) as u64;
        let row = NewDeviceMessage {
            id: id.clone(),
            bag: String::from_utf8_lossy(&message.bag).into_owned(),
            body: message.body.to_vec(),
            ack,
            enqueued_ms: now_ms,
            expires_ms,
            command,
        };
        let (done, answer) = oneshot::channel();
        // Room is taken once the change can be handed over: from then on it is the writer's to give back, whoever stops waiting.
        let place = self.inner.changes.reserve().await.map_err(|_| QueueError::Stopping)?;
        self.queues().reserve(&key, bytes)?;
        place.send(Change::Put { key, message: Box::new(row), bytes, done });
        match answer.await.unwrap_or(Err(QueueError::Stopping))? {
            PutMessage::Put { .. } => Ok(id),
            PutMessage::Full => Err(SendError::DeviceFull),
            PutMessage::NoDevice => Err(SendError::NoDevice),
        }
    }

    /// Locks the next message of a device for whoever fetches it over HTTPS.
    pub async fn fetch(&self, application: &str, device: &str) -> Result<Option<Fetched>, QueueError> {
        let key = Key::new(application, device);
        while self.queues().length(&key) > 0 {
            let lock = new_id();
            let taken = self.ask(|done| Change::Take { key: key.clone(), lock: Some(lock.clone()), most: 1, done });
            let mut taken = taken.await?;
            if let Some(message) = taken.messages.pop() {
                return Ok(Some(Fetched { message, lock }));
            }
            if !taken.have_ended {
                break;
            }
        }
        Ok(None)
    }

    /// Settles a message that was fetched; `false` when its lock is not held.
    pub async fn settle_fetched(
        &self,
        application: &str,
        device: &str,
        lock: &str,
        settlement: Settlement,
    ) -> Result<bool, QueueError> {
        let key = Key::new(application, device);
        if self.queues().length(&key) == 0 {
            return Ok(false);
        }
        let which = Which::Lock(lock.to_owned());
        let settled = self.ask(|done| Change::Settle { key, which, settlement, done }).await?;
        if settled {
            self.wake(application, device);
        }
        Ok(settled)
    }

    /// Empties a device's queue; answers how many messages it had.
    pub async fn purge(&self, application: &str, device: &str) -> Result<usize, QueueError> {
        let key = Key::new(application, device);
        self.ask(|done| Change::Purge { key, done }).await
    }

    /// How many messages wait for a device.
    pub fn waiting(&self, application: &str, device: &str) -> u64 {
        self.queues().length(&Key::new(application, device))
    }

    /// How many wait for all.
    pub fn waiting_for_all(&self) -> u64 {
        self.queues().total()
    }

    /// Begins to deliver, if something waits for the device and a session takes it: to be called when either may have become true.
    pub fn wake(&self, application: &str, device: &str) {
        self.wake_queue(Key::new(application, device));
    }

    fn wake_queue(&self, key: Key) {
        let begins = self.queues().wake(&key);
        if begins {
            let messages = self.clone();
            tokio::spawn(async move { messages.deliver(key).await });
        }
    }

    /// A device was deleted, and its queue with it.
    pub fn forget_device(&self, application: &str, device: &str) {
        self.queues().forget(&Key::new(application, device));
    }

    /// What gives a message back.
    pub fn abandon() -> Settlement {
        Settlement::Abandon { deliveries_max: i64::from(DEVICE_MESSAGE_DELIVERIES_MAX) }
    }

    async fn ask<T>(
        &self,
        change: impl FnOnce(oneshot::Sender<Result<T, QueueError>>) -> Change,
    ) -> Result<T, QueueError> {
        let (done, answer) = oneshot::channel();
        self.inner.changes.send(change(done)).await.map_err(|_| QueueError::Stopping)?;
        answer.await.unwrap_or(Err(QueueError::Stopping))
    }

    fn now_ms(&self) -> i64 {
        (self.inner.clock)()
    }

    /// Until when a message that is taken now is held.
    fn held_until_ms(&self) -> i64 {
        self.now_ms().saturating_add(i64::try_from(DEVICE_MESSAGE_LOCK.as_millis()).unwrap_or(i64::MAX))
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.inner.queues.lock().expect("nothing panics while it holds the lengths of the queues")
    }
}

/// The properties as the device gets them: what the hub says of a message comes first, and is its word alone.
fn stamped(properties: &[u8], id: &str, expires_ms: i64, ack: Ack) -> bytes::Bytes {
    let hubs = [bag::MESSAGE_ID, bag::EXPIRY, bag::TO, "iothub-ack", "ack"];
    let mut stamped = bag::BagBuilder::new();
    stamped.push(bag::MESSAGE_ID, id).push(bag::EXPIRY, &round_trip(expires_ms)).push("iothub-ack", ack.as_str());
    for (name, value) in bag::iter(properties).filter(|(name, _)| !hubs.contains(&&**name)) {
        match value {
            Some(value) => stamped.push(&name, &value),
            None => stamped.push_null(&name),
        };
    }
    stamped.build()
}

/// A time in the one form C# reads: seven digits after the point.
fn round_trip(unix_ms: i64) -> String {
    rfc3339_ms(unix_ms).replace('Z', "0000Z")
}
