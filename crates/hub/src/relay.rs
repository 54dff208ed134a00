//! The relay: takes events from the registry's outbox to the log, in order, once each.
//!
//! ```text
//!   outbox (committed with its change) ──► publish (log, live) ──► marked as relayed; the next change removes it
//! ```
//!
//! Killed between log and removal, an event is in both. At the start the relay reads the log from where it stood before the
//! oldest event that may be in both, and passes over what it finds there: no event is lost, none is doubled. Should the log
//! have been replaced meanwhile, an event may come twice, with the same sequence number.
//!
//! A log that takes nothing makes the relay wait; the outbox is bounded, and then changes are refused.

use std::time::Duration;

use events::health::with_causes;
use events::record::{Kind, RecordParts};
use events::{Batch, Event, Events};
use model::identity::Identity;
use registry::{OutboxEvent, OutboxKind, OutboxRow, Registry, StoreError};
use storage::log::{Offset, ReadError};
use tokio_util::sync::CancellationToken;

use crate::limits::{RELAY_BYTES_PER_APPEND_MAX, RELAY_EVENTS_PER_APPEND_MAX};

#[cfg(test)]
mod tests;

/// Pause before events are offered again to a log that took none.
const LOG_RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Pause before the registry is asked again after it failed.
const REGISTRY_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How long nothing must have been relayed before what was is removed by a commit of its own.
const IDLE: Duration = Duration::from_secs(1);

/// Log records after which the place where a start would begin to read the log is stored anew.
const SCAN_WHOLE_RECORDS: u64 = 100_000;

/// Log records read at a time when looking for events that are there already.
const SCAN_RECORDS: usize = 4_096;

/// Bytes of the log read at a time when looking for events that are there already.
const SCAN_BYTES: usize = 1 << 20;

/// The one task that relays.
pub struct Relay {
    registry: Registry,
    events: Events,
    /// Where a start would begin to read the log, or later.
    stored_offset: u64,
}

/// The relay cannot find out which events are in the log already.
#[derive(Debug, thiserror::Error)]
pub enum StartRelayError {
    /// The registry failed.
    #[error("the outbox of the registry cannot be read")]
    Store(#[from] StoreError),
    /// The log failed.
    #[error("the log cannot be read to find the events that are already in it")]
    Log(#[from] ReadError),
}

/// Why a round ended early.
enum Trouble {
    Store(StoreError),
    /// The log took nothing, which the door told.
    Append,
}

impl Relay {
    /// Finds out what is in the log already.
    pub async fn start(registry: Registry, events: Events) -> Result<Self, StartRelayError> {
        let stored_offset = registry.outbox_log_offset();
        let next = events.log().next_offset().0;
        let is_empty = registry.outbox_read(1).await?.is_empty();
        let last = if is_empty { 0 } else { last_logged(&events, stored_offset)? };
        registry.outbox_relayed(last, next);
        Ok(Self { registry, events, stored_offset })
    }

    /// Runs until the token is cancelled; then relays what the log takes and ends.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let relayed = self.relay_all().await;
            if shutdown.is_cancelled() {
                break;
            }
            let wait = async {
                match relayed {
                    Ok(()) => self.wait_for_events().await,
                    Err(Trouble::Append) => tokio::time::sleep(LOG_RETRY_PAUSE).await,
                    Err(Trouble::Store(error)) => {
                        tracing::error!("the outbox of the registry cannot be read: {}", with_causes(&error));
                        tokio::time::sleep(REGISTRY_RETRY_PAUSE).await;
                    }
                }
            };
            tokio::select! {
                () = wait => {}
                () = shutdown.cancelled() => {}
            }
        }
        self.remove().await;
    }

    async fn wait_for_events(&mut self) {
        if self.registry.outbox_has_relayed() {
            if tokio::time::timeout(IDLE, self.registry.outbox_written()).await.is_ok() {
                return;
            }
            self.remove().await;
        }
        self.registry.outbox_written().await;
    }

    /// Removes what was relayed. An error costs nothing: the next change removes it, or the next start finds it in the log.
    async fn remove(&mut self) {
        let offset = self.registry.outbox_log_offset();
        match self.registry.outbox_remove().await {
            Ok(()) => self.stored_offset = offset,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "relayed events were not removed from the registry");
            }
        }
    }

    /// Relays until the outbox is empty.
    async fn relay_all(&mut self) -> Result<(), Trouble> {
        loop {
            // Nothing that is appended from here on lies before it.
            let log_offset = self.events.log().next_offset().0;
            let rows = self.registry.outbox_read(RELAY_EVENTS_PER_APPEND_MAX).await.map_err(Trouble::Store)?;
            let Some(last) = rows.last().map(|row| row.sequence) else {
                self.registry.outbox_relayed(0, log_offset);
                return Ok(());
            };
            if log_offset.saturating_sub(self.stored_offset) > SCAN_WHOLE_RECORDS {
                // Many records came since: were this event in both, a start would have to read them all.
                self.registry.outbox_relayed(0, log_offset);
                self.remove().await;
            }
            let (batch, through) = batch(rows, last);
            if !batch.is_empty() {
                self.events.publish(batch).await.map_err(|_| Trouble::Append)?;
            }
            self.registry.outbox_relayed(through, log_offset);
        }
    }
}

/// The highest sequence number in the log from an offset on; 0 when there is none. Reads blocking.
fn last_logged(events: &Events, from: u64) -> Result<u64, ReadError> {
    let log = events.log();
    let from = from.clamp(log.first_offset().0, log.next_offset().0);
    let mut reader = log.reader(Offset(from));
    let mut last = 0;
    loop {
        let batch = reader.try_next_batch(SCAN_RECORDS, SCAN_BYTES)?;
        if batch.is_empty() {
            return Ok(last);
        }
        let numbers = batch.into_iter().filter_map(|logged| RecordParts::decode(logged.payload).ok()?.sequence());
        last = numbers.fold(last, u64::max);
    }
}

/// The events that are appended together, and the number of the last of them.
fn batch(rows: Vec<OutboxRow>, last: u64) -> (Batch, u64) {
    let mut batch = Batch::default();
    for row in rows {
        let sequence = row.sequence;
        if let Err(error) = batch.event(event(row)) {
            // Ids are checked where they enter, so this names a bug; one event must not stop all that follow.
            tracing::error!(sequence, %error, "an event cannot be logged");
        }
        if batch.bytes() > RELAY_BYTES_PER_APPEND_MAX {
            return (batch, sequence);
        }
    }
    (batch, last)
}

fn event(row: OutboxRow) -> Event {
    let OutboxEvent { kind, application, device, module, generation, organization, at_ms, body } = row.event;
    Event {
        kind: match kind {
            OutboxKind::DesiredProperties => Kind::DesiredProperties,
            OutboxKind::ReportedProperties => Kind::ReportedProperties,
            OutboxKind::Lifecycle => Kind::Lifecycle,
        },
        at_ms,
        application: application.into(),
        identity: match module {
            Some(module) => Identity::module(&device, &module),
            None => Identity::device(&device),
        },
        generation: generation.into(),
        model: None,
        organization: organization.map(Into::into),
        sequence: Some(row.sequence),
        body: body.into(),
    }
}
