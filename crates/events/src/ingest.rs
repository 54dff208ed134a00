//! The way into the log.
//!
//! Telemetry is appended and waited for: what [`Ingest::append`] answered `Ok` for is durable, and only then acknowledged.
//! Events (connections, twin changes, lifecycle) are noted: they queue for a task that appends them in groups, so that a
//! connect or a twin patch never waits for the log; when it cannot keep up they are dropped and counted, and the registry
//! still has the state they tell about.
//!
//! A full log or disk refuses messages without acknowledging them (clients send again), shows as not ready, and ends by itself
//! once there is room.

use bytes::Bytes;
use storage::log::{AppendError, AppendedRange, Log, Records};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::limits::{EVENTS_PER_APPEND_MAX, EVENTS_QUEUED_MAX};
use crate::metrics::Metrics;
use crate::record::EncodeRecordError;

/// Writes records. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    log: Log,
    metrics: Metrics,
    events: mpsc::Sender<Bytes>,
}

/// Appends noted events until it is told to stop, and then what is left.
pub struct EventWriter {
    log: Log,
    metrics: Metrics,
    events: mpsc::Receiver<Bytes>,
}

impl Ingest {
    /// For an open log.
    pub fn new(log: Log, metrics: Metrics) -> (Self, EventWriter) {
        let (sender, receiver) = mpsc::channel(EVENTS_QUEUED_MAX);
        let writer = EventWriter { log: log.clone(), metrics: metrics.clone(), events: receiver };
        (Self { log, metrics, events: sender }, writer)
    }

    /// Appends encoded records, in order. `Ok` means durable.
    pub async fn append(&self, records: Records) -> Result<AppendedRange, AppendError> {
        let (count, bytes) = (records.len(), records.bytes());
        let appended = self.log.append(records).await;
        tell_fullness(&self.metrics, appended.as_ref().err());
        let range = appended?;
        self.metrics.messages_accepted(count, bytes);
        Ok(range)
    }

    /// Notes an event. Never waits; what does not fit is dropped and counted.
    pub fn note(&self, record: Result<Bytes, EncodeRecordError>) {
        if !record.is_ok_and(|bytes| self.events.try_send(bytes).is_ok()) {
            self.metrics.event_dropped();
        }
    }

    /// The log behind it.
    pub fn log(&self) -> &Log {
        &self.log
    }
}

impl EventWriter {
    /// Runs until the token is cancelled; then appends what is queued and ends.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut group = Vec::with_capacity(EVENTS_PER_APPEND_MAX);
        loop {
            let received = tokio::select! {
                received = self.events.recv_many(&mut group, EVENTS_PER_APPEND_MAX) => received,
                () = shutdown.cancelled() => break,
            };
            if received == 0 {
                return;
            }
            self.append(std::mem::take(&mut group)).await;
        }
        self.events.close();
        while self.events.recv_many(&mut group, EVENTS_PER_APPEND_MAX).await > 0 {
            self.append(std::mem::take(&mut group)).await;
        }
    }

    async fn append(&self, group: Vec<Bytes>) {
        let count = group.len();
        // A full log may still have room for an event: that says nothing about messages.
        if let Err(error) = self.log.append(group).await {
            tracing::debug!(%error, count, "events were not logged");
            (0..count).for_each(|_| self.metrics.event_dropped());
        }
    }
}

/// Says once that the log takes no more, and once that it does again.
pub fn tell_fullness(metrics: &Metrics, error: Option<&AppendError>) {
    let problem = match error {
        None => None,
        Some(AppendError::Empty | AppendError::TooLarge { .. }) => return,
        Some(error) => Some(error.to_string()),
    };
    match (metrics.set_log_problem(problem.clone()), problem) {
        (true, Some(problem)) => tracing::error!("messages are refused: {problem}"),
        (true, None) => tracing::info!("the log takes messages again"),
        (false, _) => {}
    }
}
