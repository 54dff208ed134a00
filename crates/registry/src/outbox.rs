//! The outbox: events about changes made here, as durable as the changes themselves.
//!
//! ```text
//!   change + its events ──► one commit ──► woken relay: outbox_read ──► event log ──► outbox_relayed
//!                                 │                                                       │
//!                                 └── removes what was relayed before ◄──────────────────┘  (or outbox_remove, when idle)
//! ```
//!
//! Removal rides on the next change's commit, so that an event costs no commit of its own. Killed between the log and the
//! removal, an event is in both: the log's reader finds its `sequence` there, at or after the stored log offset.
//!
//! *Invariant*: numbers are given in the order of commits, without gaps, and an event is removed only after it was relayed.

use std::sync::{Arc, Mutex, MutexGuard};

use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use tokio::sync::Notify;

use super::limits::{OUTBOX_EVENTS_MAX, OUTBOX_EVENTS_PER_STATEMENT_MAX};
use super::{Registry, StoreError};

#[cfg(test)]
mod tests;

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxKind {
    /// Desired properties changed: `{"version":n,"patch":{…}}`.
    DesiredProperties,
    /// Reported properties changed: `{"version":n,"patch":{…}}`.
    ReportedProperties,
    /// A device or module appeared, changed or went: `{"event":"created"…}`.
    Lifecycle,
}

impl OutboxKind {
    const ALL: [Self; 3] = [Self::DesiredProperties, Self::ReportedProperties, Self::Lifecycle];

    fn name(self) -> &'static str {
        match self {
            Self::DesiredProperties => "desired",
            Self::ReportedProperties => "reported",
            Self::Lifecycle => "lifecycle",
        }
    }
}

/// An event about a device or module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEvent {
    /// What it tells of.
    pub kind: OutboxKind,
    /// Application of the device.
    pub application: String,
    /// Device id.
    pub device: String,
    /// Module id, if it is about a module.
    pub module: Option<String>,
    /// Generation id of the device or module; empty when the module has no identity yet.
    pub generation: String,
    /// The device's organization at that time.
    pub organization: Option<String>,
    /// When it happened.
    pub at_ms: i64,
    /// A JSON object.
    pub body: String,
}

/// An event and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its number: one count over all applications, from 1.
    pub sequence: u64,
    /// The event.
    pub event: OutboxEvent,
}

/// How far the relay is; shared by all handles of a registry.
#[derive(Debug, Default)]
pub(super) struct Relayed {
    mark: Mutex<Mark>,
    /// Woken by a commit that wrote events.
    written: Notify,
}

/// How far the relay is. Its members belong together: the offset of one mark with the sequence of another would hide events.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// Every event up to this number is in the log.
    sequence: u64,
    /// Every later event is in the log at or after this offset, or not there.
    log_offset: u64,
    /// Every event up to this number is removed.
    removed: u64,
    /// The last number that was committed.
    committed: u64,
}

impl Relayed {
    /// As a registry that was just opened says.
    pub(super) async fn load(connection: &mut SqliteConnection) -> Result<Arc<Self>, StoreError> {
        let row = sqlx::query(
            "SELECT last_sequence, log_offset, (SELECT MIN(sequence) FROM outbox) AS oldest FROM outbox_position \
             WHERE application = ''",
        )
        .fetch_one(connection)
        .await?;
        let (last, log_offset): (i64, i64) = (row.try_get("last_sequence")?, row.try_get("log_offset")?);
        let oldest: Option<i64> = row.try_get("oldest")?;
        let relayed = oldest.map_or(last, |oldest| oldest - 1).unsigned_abs();
        let mark = Mark {
            sequence: relayed,
            log_offset: log_offset.unsigned_abs(),
            removed: relayed,
            committed: last.unsigned_abs(),
        };
        Ok(Arc::new(Self { mark: Mutex::new(mark), written: Notify::new() }))
    }

    fn mark(&self) -> Mark {
        *self.change()
    }

    fn change(&self) -> MutexGuard<'_, Mark> {
        self.mark.lock().expect("nothing panics while it holds the mark")
    }
}

/// Writes events into the transaction of the change they tell of, and removes those that were relayed.
///
/// Answers the last number given. `OutboxFull` when too many wait. The caller commits and calls [`Registry::outbox_wake`].
pub(super) async fn write(
    relayed: &Relayed,
    connection: &mut SqliteConnection,
    events: &[OutboxEvent],
) -> Result<u64, StoreError> {
    let mark = relayed.mark();
    let row = sqlx::query(
        "UPDATE outbox_position SET last_sequence = last_sequence + $1, log_offset = $2 WHERE application = '' \
         RETURNING last_sequence",
    )
    .bind(stored(events.len() as u64))
    .bind(stored(mark.log_offset))
    .fetch_one(&mut *connection)
    .await?;
    let last: i64 = row.try_get("last_sequence")?;
    if last.unsigned_abs().saturating_sub(mark.sequence) > OUTBOX_EVENTS_MAX {
        return Err(StoreError::OutboxFull);
    }
    let first = last + 1 - stored(events.len() as u64);
    for (at, chunk) in events.chunks(OUTBOX_EVENTS_PER_STATEMENT_MAX).enumerate() {
        let from = first + stored((at * OUTBOX_EVENTS_PER_STATEMENT_MAX) as u64);
        insert(connection, from, chunk).await?;
    }
    if mark.sequence > mark.removed {
        // Not noted as removed: this transaction may yet fail. Removing twice costs next to nothing.
        remove(connection, mark.sequence).await?;
    }
    Ok(last.unsigned_abs())
}

async fn insert(connection: &mut SqliteConnection, from: i64, events: &[OutboxEvent]) -> Result<(), StoreError> {
    let mut statement: QueryBuilder<Sqlite> = QueryBuilder::new(
        "INSERT INTO outbox (application, sequence, kind, device, module, generation, organization, at_ms, body) ",
    );
    statement.push_values((from..).zip(events), |mut row, (sequence, event)| {
        row.push_bind(&event.application)
            .push_bind(sequence)
            .push_bind(event.kind.name())
            .push_bind(&event.device)
            .push_bind(event.module.as_deref().unwrap_or_default())
            .push_bind(&event.generation)
            .push_bind(&event.organization)
            .push_bind(event.at_ms)
            .push_bind(&event.body);
    });
    statement.build().execute(connection).await?;
    Ok(())
}

async fn remove(connection: &mut SqliteConnection, through: u64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM outbox WHERE sequence <= $1").bind(stored(through)).execute(connection).await?;
    Ok(())
}

fn stored(value: u64) -> i64 {
    i64::try_from(value).expect("sequences and offsets stay below 2^63")
}

impl Registry {
    /// Tells the relay that events up to a number were committed.
    pub(super) fn outbox_wake(&self, last: u64) {
        let mut mark = self.outbox.change();
        mark.committed = mark.committed.max(last);
        drop(mark);
        self.outbox.written.notify_one();
    }

    /// Waits until events were committed since the last call, or may have been. For the one relay there is.
    pub async fn outbox_written(&self) {
        self.outbox.written.notified().await;
    }

    /// The oldest events that were not relayed, in order, at most `limit`.
    pub async fn outbox_read(&self, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT application, sequence, kind, device, module, generation, organization, at_ms, body FROM outbox \
             WHERE sequence > $1 ORDER BY sequence LIMIT $2",
        )
        .bind(stored(self.outbox.mark().sequence))
        .bind(stored(limit as u64))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(from_row).collect()
    }

    /// Where in the log the events may be that were relayed and are still here.
    pub fn outbox_log_offset(&self) -> u64 {
        self.outbox.mark().log_offset
    }

    /// Notes that every event up to `through` is in the log, and that the next ones will be at or after `log_offset`. The next
    /// change removes them.
    pub fn outbox_relayed(&self, through: u64, log_offset: u64) {
        let mut mark = self.outbox.change();
        *mark = Mark { sequence: through.max(mark.sequence), log_offset, ..*mark };
    }

    /// Removes what was relayed, if no change did, and stores the log offset given to [`Registry::outbox_relayed`].
    pub async fn outbox_remove(&self) -> Result<(), StoreError> {
        let mark = self.outbox.mark();
        let mut transaction = self.writer().begin().await?;
        remove(&mut transaction, mark.sequence).await?;
        sqlx::query("UPDATE outbox_position SET log_offset = $1 WHERE application = ''")
            .bind(stored(mark.log_offset))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.outbox.change().removed = mark.sequence;
        Ok(())
    }

    /// How many events wait for the relay.
    pub fn outbox_waiting(&self) -> u64 {
        let mark = self.outbox.mark();
        mark.committed.saturating_sub(mark.sequence)
    }

    /// Whether there may be events that were relayed and not yet removed.
    pub fn outbox_has_relayed(&self) -> bool {
        let mark = self.outbox.mark();
        mark.sequence > mark.removed
    }
}

fn from_row(row: &sqlx::sqlite::SqliteRow) -> Result<OutboxRow, StoreError> {
    let (sequence, kind, module): (i64, String, String) =
        (row.try_get("sequence")?, row.try_get("kind")?, row.try_get("module")?);
    let kind = OutboxKind::ALL.into_iter().find(|known| known.name() == kind);
    let kind = kind.ok_or(StoreError::Unknown { what: "kind of event in the outbox" })?;
    let event = OutboxEvent {
        kind,
        application: row.try_get("application")?,
        device: row.try_get("device")?,
        module: Some(module).filter(|module| !module.is_empty()),
        generation: row.try_get("generation")?,
        organization: row.try_get("organization")?,
        at_ms: row.try_get("at_ms")?,
        body: row.try_get("body")?,
    };
    Ok(OutboxRow { sequence: sequence.unsigned_abs(), event })
}
