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

use tokio::sync::Notify;

use super::engine::{Engine, Locks, Statement, Transaction};
use super::limits::{OUTBOX_EVENTS_MAX, OUTBOX_EVENTS_PER_STATEMENT_MAX};
use super::{Registry, StoreError};

const TABLE: &str = "outbox";
const POSITION: &str = "outbox_position";

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
    pub(super) async fn load(engine: &Engine) -> Result<Arc<Self>, StoreError> {
        let sql = "SELECT last_sequence, log_offset, (SELECT MIN(sequence) FROM outbox) FROM outbox_position \
             WHERE application = ''";
        let statement = Statement::new("read where the outbox is", POSITION, sql);
        let missing = StoreError::Missing(statement.act());
        let row: Option<(i64, i64, Option<i64>)> = engine.fetch_optional(statement).await?;
        let (last, log_offset, oldest) = row.ok_or(missing)?;
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
///
/// *Last in a transaction*: from here to its end it holds the row of the numbers, for which every other change waits.
pub(super) async fn write(
    relayed: &Relayed,
    transaction: &mut Transaction,
    events: &[OutboxEvent],
) -> Result<u64, StoreError> {
    let mark = relayed.mark();
    let count = events.len() as u64;
    let sql = "UPDATE outbox_position SET last_sequence = last_sequence + $1, log_offset = $2 WHERE application = '' \
         RETURNING last_sequence";
    let number = Statement::new("number events", POSITION, sql).bind(count).bind(mark.log_offset);
    let row: Option<(i64,)> = transaction.fetch_optional(&number).await?;
    let last = row.ok_or(StoreError::Missing(number.act()))?.0.unsigned_abs();
    if last.saturating_sub(mark.sequence) > OUTBOX_EVENTS_MAX {
        return Err(StoreError::OutboxFull);
    }
    let mut from = last + 1 - count;
    for chunk in events.chunks(OUTBOX_EVENTS_PER_STATEMENT_MAX) {
        transaction.execute(&insert(from, chunk)).await?;
        from += chunk.len() as u64;
    }
    if mark.sequence > mark.removed {
        // Not noted as removed: this transaction may yet fail. Removing twice costs next to nothing.
        transaction.execute(&remove(mark.sequence)).await?;
    }
    Ok(last)
}

fn insert(from: u64, events: &[OutboxEvent]) -> Statement<'_> {
    const COLUMNS: usize = 9;
    let row = |at: usize| {
        let parameters: Vec<String> = (1..=COLUMNS).map(|column| format!("${}", at * COLUMNS + column)).collect();
        format!("({})", parameters.join(", "))
    };
    let rows: Vec<String> = (0..events.len()).map(row).collect();
    let sql = format!(
        "INSERT INTO outbox (application, sequence, kind, device, module, generation, organization, at_ms, body) VALUES {}",
        rows.join(", ")
    );
    (from..).zip(events).fold(Statement::new("store events", TABLE, sql), |statement, (sequence, event)| {
        statement
            .bind(&event.application)
            .bind(sequence)
            .bind(event.kind.name())
            .bind(&event.device)
            .bind(event.module.as_deref().unwrap_or_default())
            .bind(&event.generation)
            .bind(&event.organization)
            .bind(event.at_ms)
            .bind(&event.body)
    })
}

fn remove(through: u64) -> Statement<'static> {
    Statement::new("remove relayed events", TABLE, "DELETE FROM outbox WHERE sequence <= $1").bind(through)
}

/// A row as it is stored.
#[derive(sqlx::FromRow)]
struct StoredEvent {
    application: String,
    #[sqlx(try_from = "i64")]
    sequence: u64,
    kind: String,
    device: String,
    module: Option<String>,
    generation: String,
    organization: Option<String>,
    at_ms: i64,
    body: String,
}

impl StoredEvent {
    fn row(self) -> Result<OutboxRow, StoreError> {
        let kind = OutboxKind::ALL.into_iter().find(|known| known.name() == self.kind);
        let kind = kind.ok_or(StoreError::Unknown { what: "kind of event in the outbox" })?;
        let Self { application, sequence, device, module, generation, organization, at_ms, body, .. } = self;
        let event = OutboxEvent { kind, application, device, module, generation, organization, at_ms, body };
        Ok(OutboxRow { sequence, event })
    }
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
        let sql = "SELECT application, sequence, kind, device, NULLIF(module, '') AS module, generation, organization, at_ms, \
             body FROM outbox WHERE sequence > $1 ORDER BY sequence LIMIT $2";
        let statement = Statement::new("read events", TABLE, sql).bind(self.outbox.mark().sequence).bind(limit as u64);
        let rows: Vec<StoredEvent> = self.engine.fetch_all(statement).await?;
        rows.into_iter().map(StoredEvent::row).collect()
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
        let sql = "UPDATE outbox_position SET log_offset = $1 WHERE application = ''";
        let position = Statement::new("store where the outbox is", POSITION, sql).bind(mark.log_offset);
        // The position first, as changes take them.
        self.engine.write(&Locks::none(), &[position, remove(mark.sequence)]).await?;
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
