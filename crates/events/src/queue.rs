//! Events whose state is in memory only: they wait in a bounded queue for the log, in the order of the state.
//!
//! A place is taken before the state changes and filled while it changes. So the log has the events in the order of the state,
//! none is dropped while the program runs, and who would make one more waits in its own task: a reconnect storm, or a log that
//! is full, costs places and not memory. What a stop finds in the queue is appended if the log takes it; what the events tell
//! of ends with the process.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits::{EVENTS_APPEND_INTERVAL, EVENTS_PER_APPEND_MAX, EVENTS_QUEUED_MAX};
use crate::publish::{Batch, Event, Events};

#[cfg(test)]
mod tests;

/// Pause before events are offered again to a log that took none.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Takes events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventQueue {
    places: mpsc::Sender<Event>,
}

/// A place in the queue.
#[derive(Debug)]
pub struct Place<'a>(mpsc::Permit<'a, Event>);

/// The queue takes no more: Central is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("central is stopping")]
pub struct Stopping;

/// Publishes what is queued.
pub struct QueueWriter {
    events: Events,
    queued: mpsc::Receiver<Event>,
}

impl EventQueue {
    /// An empty queue; the caller runs the writer.
    pub fn new(events: Events) -> (Self, QueueWriter) {
        let (places, queued) = mpsc::channel(EVENTS_QUEUED_MAX);
        (Self { places }, QueueWriter { events, queued })
    }

    /// Waits for a place.
    pub async fn place(&self) -> Result<Place<'_>, Stopping> {
        self.places.reserve().await.map(Place).map_err(|_| Stopping)
    }
}

impl Place<'_> {
    /// Puts the event there.
    pub fn fill(self, event: Event) {
        self.0.send(event);
    }
}

impl QueueWriter {
    /// Runs until the token is cancelled; then publishes what is queued and ends.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut group = Vec::with_capacity(EVENTS_PER_APPEND_MAX);
        let mut next_at = Instant::now();
        loop {
            let received = tokio::select! {
                received = self.queued.recv_many(&mut group, EVENTS_PER_APPEND_MAX) => received,
                () = shutdown.cancelled() => break,
            };
            if received == 0 {
                return;
            }
            self.collect(&mut group, next_at, &shutdown).await;
            self.publish(std::mem::take(&mut group), &shutdown).await;
            next_at = Instant::now() + EVENTS_APPEND_INTERVAL;
        }
        self.queued.close();
        while self.queued.recv_many(&mut group, EVENTS_PER_APPEND_MAX).await > 0 {
            self.publish(std::mem::take(&mut group), &shutdown).await;
        }
    }

    /// Adds what comes until `until`. An append of their own costs the events of a busy time more than all else; nobody waits for
    /// one, and the first after a quiet time is published at once.
    async fn collect(&mut self, group: &mut Vec<Event>, until: Instant, shutdown: &CancellationToken) {
        let room = |group: &Vec<Event>| EVENTS_PER_APPEND_MAX.saturating_sub(group.len());
        if Instant::now() >= until || room(group) == 0 {
            return;
        }
        shutdown.run_until_cancelled(tokio::time::sleep_until(until)).await;
        while room(group) > 0
            && let Ok(event) = self.queued.try_recv()
        {
            group.push(event);
        }
    }

    /// Publishes a group, however long the log takes none; at a stop it is tried once.
    async fn publish(&self, group: Vec<Event>, shutdown: &CancellationToken) {
        loop {
            let mut batch = Batch::default();
            for event in &group {
                if let Err(error) = batch.event(event.clone()) {
                    tracing::error!(identity = %event.identity, %error, "an event cannot be logged");
                }
            }
            if batch.is_empty() {
                return;
            }
            let Err(error) = self.events.publish(batch).await else { return };
            if shutdown.is_cancelled() {
                return tracing::warn!(%error, events = group.len(), "connection events were not logged before the stop");
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_PAUSE) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }
}
