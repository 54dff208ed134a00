//! The one door: appended to the log, then told to live listeners.
//!
//! What [`Events::publish`] answered `Ok` for is durable; only then may it be acknowledged. Whoever cannot have its event lost
//! waits:
//!
//! - telemetry waits for its append;
//! - what the registry commits is in its outbox until it is in the log;
//! - connections, whose state is in memory, take a place in a bounded [`queue`](crate::queue) before their state changes.
//!
//! A full log or disk refuses messages without acknowledging them (clients send again), shows as not ready, and ends by itself
//! once there is room.
//!
//! The live event of a telemetry value is not told here but by the reader that makes the value readable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use model::identity::Identity;
use serde_json::Value;
use storage::log::{AppendError, AppendedRange, Log, Records};

use crate::health::{Condition, Health};
use crate::live::{Live, LiveEvent};
use crate::metrics::EventMetrics;
use crate::record::{EncodeRecordError, Kind, Origin, Source};

#[cfg(test)]
pub(crate) mod tests;

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    log: Log,
    live: Live,
    metrics: EventMetrics,
    health: Condition,
    /// Whether the last messages were refused. Until some are taken, an event that is says nothing: it is small.
    messages_refused: Arc<AtomicBool>,
}

/// Something that happened to a device or module and is no telemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind.
    pub kind: Kind,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Application of the device.
    pub application: Arc<str>,
    /// Whom it is about.
    pub identity: Identity,
    /// Generation id of the identity.
    pub generation: Arc<str>,
    /// Model id of the connection, if it is about one.
    pub model: Option<Arc<str>>,
    /// The device's organization at that time.
    pub organization: Option<Arc<str>>,
    /// Number of an event that was committed in the registry.
    pub sequence: Option<u64>,
    /// A JSON object, see [`record`](crate::record).
    pub body: Bytes,
}

/// What is published together: durable together, in order and without others between.
#[derive(Default)]
pub struct Batch {
    records: Records,
    messages: usize,
    message_bytes: usize,
    events: Vec<Event>,
}

impl Events {
    /// For an open log.
    pub fn new(log: Log, live: Live, metrics: EventMetrics, health: &Health) -> Self {
        Self { log, live, metrics, health: health.condition("log"), messages_refused: Arc::default() }
    }

    /// Appends to the log, then tells live listeners. `Ok` means durable; an empty batch is refused.
    pub async fn publish(&self, batch: Batch) -> Result<AppendedRange, AppendError> {
        let Batch { records, messages, message_bytes, events } = batch;
        let started = Instant::now();
        let appended = self.log.append(records).await;
        if messages > 0 {
            self.messages_refused.store(appended.is_err(), Ordering::Release);
        }
        if appended.is_err() || !self.messages_refused.load(Ordering::Acquire) {
            self.tell_fullness(appended.as_ref().err());
        }
        let range = appended?;
        self.metrics.published(messages, message_bytes, &events, started.elapsed());
        for event in &events {
            self.tell(event);
        }
        Ok(range)
    }

    /// The log behind it.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Whoever listens.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The log was trimmed: it takes messages again, as far as anybody knows.
    pub fn room_made(&self) {
        self.messages_refused.store(false, Ordering::Release);
        self.tell_fullness(None);
    }

    /// Says once that the log takes no more, and once that it does again.
    fn tell_fullness(&self, error: Option<&AppendError>) {
        match error {
            None => {
                if self.health.restore() {
                    tracing::info!("the log takes messages again");
                }
            }
            Some(AppendError::Empty | AppendError::TooLarge { .. }) => {}
            Some(error) => {
                if self.health.break_with(error.to_string()) {
                    tracing::error!("messages are refused: {error}");
                }
            }
        }
    }

    fn tell(&self, event: &Event) {
        let app = &event.application;
        let device = event.identity.device_id();
        let module = event.identity.module_id().map(str::to_owned);
        match event.kind {
            Kind::Connection => {
                let connected = body_member(event, "connected") == Some(Value::Bool(true));
                self.live.publish(app, LiveEvent::Connection { device: device.to_owned(), module, connected });
            }
            Kind::ReportedProperties if self.live.is_watched(app, device) => {
                let device = device.to_owned();
                if module.as_deref().is_some_and(|module| module.starts_with('$')) {
                    self.live.publish(app, LiveEvent::Edge { device: device.clone() });
                }
                let properties = body_member(event, "patch").unwrap_or_default();
                self.live.publish(app, LiveEvent::Properties { device, module, properties });
            }
            Kind::ReportedProperties | Kind::DesiredProperties | Kind::Lifecycle | Kind::Telemetry => {}
        }
    }
}

fn body_member(event: &Event, name: &str) -> Option<Value> {
    let body: Value = serde_json::from_slice(&event.body).ok()?;
    body.get(name).cloned()
}

impl Event {
    /// A session of the identity began or ended.
    pub fn connection(source: &Source, at_ms: i64, connected: bool) -> Self {
        let body: &'static [u8] = if connected { br#"{"connected":true}"# } else { br#"{"connected":false}"# };
        Self {
            kind: Kind::Connection,
            at_ms,
            application: Arc::clone(&source.application),
            identity: source.identity.clone(),
            generation: Arc::clone(&source.generation),
            model: source.model.clone(),
            organization: source.organization.clone(),
            sequence: None,
            body: Bytes::from_static(body),
        }
    }
}

impl Batch {
    /// Nothing yet, with room for records of `bytes` bytes together.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self { records: Records::with_capacity(count, bytes), ..Self::default() }
    }

    /// Adds a message. Encoded straight into the batch's one buffer.
    pub fn telemetry(&mut self, origin: &Origin, at_ms: i64, bag: &[u8], body: &[u8]) -> Result<(), EncodeRecordError> {
        self.records.push_with(|out| origin.encode_into(out, Kind::Telemetry, at_ms, bag, body))?;
        self.messages += 1;
        self.message_bytes += origin.encoded_bytes(bag, body);
        Ok(())
    }

    /// Adds an event.
    pub fn event(&mut self, event: Event) -> Result<(), EncodeRecordError> {
        let Event { kind, at_ms, application, identity, generation, model, organization, sequence, body } = &event;
        let origin = Origin::new(application, identity, generation, model.as_deref(), organization.as_deref())?;
        let number = sequence.map(u64::to_le_bytes);
        let bag: &[u8] = number.as_ref().map_or(&[], |number| &number[..]);
        self.records.push_with(|out| origin.encode_into(out, *kind, *at_ms, bag, body))?;
        self.events.push(event);
        Ok(())
    }

    /// Records in it.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of the records together.
    pub fn bytes(&self) -> usize {
        self.records.bytes()
    }
}
