//! Runs of commands that wait in the queue of their device, from when they were asked for.

use super::{EndOfMessage, MessageTransaction};
use crate::engine::Statement;
use crate::limits::{QUEUED_COMMAND_RUNS_KEPT, QUEUED_COMMANDS_LISTED_MAX};
use crate::{CommandTarget, Registry, StoreError};

const TABLE: &str = "queued_commands";

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueuedCommandState {
    /// It waits for the device.
    Queued,
    /// It was sent to the device, which has not said yet that it took it.
    Sent,
    /// The device took it.
    Answered,
    /// The device refused it, or never settled it however often it was sent; or there was no room for it in the queue.
    Refused,
    /// The device did not take it in time.
    Expired,
    /// The queue was emptied.
    Purged,
}

impl QueuedCommandState {
    const ALL: [Self; 6] = [Self::Queued, Self::Sent, Self::Answered, Self::Refused, Self::Expired, Self::Purged];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Purged => "purged",
        }
    }

    /// What the end of its message makes of a run.
    pub(super) const fn of(end: EndOfMessage) -> Self {
        match end {
            EndOfMessage::Completed => Self::Answered,
            EndOfMessage::Rejected | EndOfMessage::DeliveryCountExceeded => Self::Refused,
            EndOfMessage::Expired => Self::Expired,
            EndOfMessage::Purged => Self::Purged,
        }
    }
}

impl TryFrom<String> for QueuedCommandState {
    type Error = StoreError;

    fn try_from(name: String) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == name);
        found.ok_or(StoreError::Unknown { what: "state of a command" })
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct QueuedCommandRow {
    /// Id of the run, and of its message.
    pub id: String,
    /// The component, or empty.
    pub component: String,
    /// The command's name.
    pub name: String,
    /// What is sent, JSON text.
    pub request: Option<String>,
    /// Wait for the connection as asked for.
    pub connection_timeout_secs: Option<i64>,
    /// Wait for the answer as asked for.
    pub response_timeout_secs: Option<i64>,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: QueuedCommandState,
    /// When it was asked for.
    pub requested_ms: i64,
    /// Since when it stands there.
    pub changed_ms: i64,
}

/// Every column of a row.
const COLUMNS: &str = "id, component, name, request, connection_timeout_secs, response_timeout_secs, state, \
     requested_ms, changed_ms";

/// The states of a run that has not ended.
const OPEN: &str = "('queued', 'sent')";

impl MessageTransaction {
    /// Stores a run, and drops all but the newest of those of the same command that have ended.
    pub(super) async fn add_command(
        &mut self,
        application: &str,
        device: &str,
        run: &QueuedCommandRow,
    ) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO queued_commands (application, device, {COLUMNS}) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        );
        let add = Statement::new("store a run of a command", TABLE, sql)
            .bind(application)
            .bind(device)
            .bind(&run.id)
            .bind(&run.component)
            .bind(&run.name)
            .bind(&run.request)
            .bind(run.connection_timeout_secs)
            .bind(run.response_timeout_secs)
            .bind(run.state.as_str())
            .bind(run.requested_ms)
            .bind(run.changed_ms);
        self.transaction.execute(&add).await?;
        let sql = format!(
            "DELETE FROM queued_commands WHERE application = $1 AND id IN (SELECT id FROM queued_commands \
             WHERE application = $1 AND device = $2 AND component = $3 AND name = $4 AND state NOT IN {OPEN} \
             ORDER BY requested_ms DESC, id DESC LIMIT 1000 OFFSET $5)"
        );
        let drop_old = Statement::new("drop the oldest runs of a command", TABLE, sql)
            .bind(application)
            .bind(device)
            .bind(&run.component)
            .bind(&run.name)
            .bind(i64::from(QUEUED_COMMAND_RUNS_KEPT));
        self.transaction.execute(&drop_old).await.map(drop)
    }

    /// Stores a run that came to nothing because there is no room for its message; not one of a device that is not there.
    pub async fn refuse_command(
        &mut self,
        application: &str,
        device: &str,
        run: &QueuedCommandRow,
    ) -> Result<(), StoreError> {
        if !self.is_there(application, device).await? {
            return Ok(());
        }
        let refused = QueuedCommandRow { state: QueuedCommandState::Refused, ..run.clone() };
        self.add_command(application, device, &refused).await
    }

    /// A run that has not ended stands somewhere else.
    pub(super) async fn change_command(
        &mut self,
        application: &str,
        run: &str,
        state: QueuedCommandState,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let sql = format!(
            "UPDATE queued_commands SET state = $3, changed_ms = $4 \
             WHERE application = $1 AND id = $2 AND state IN {OPEN} AND state <> $3"
        );
        let change = Statement::new("tell what became of a command", TABLE, sql);
        let change = change.bind(application).bind(run).bind(state.as_str()).bind(now_ms);
        self.transaction.execute(&change).await.map(drop)
    }
}

impl Registry {
    /// The runs of a command that are kept, newest first. Commands of modules are never queued.
    pub async fn queued_command_runs(
        &self,
        application: &str,
        target: &CommandTarget,
    ) -> Result<Vec<QueuedCommandRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM queued_commands WHERE application = $1 AND device = $2 AND component = $3 AND name = $4 \
             ORDER BY requested_ms DESC, id DESC"
        );
        let statement = Statement::new("list the runs of a command", TABLE, sql).bind(application);
        self.engine.fetch_all(statement.bind(&target.device).bind(&target.component).bind(&target.name)).await
    }

    /// The runs of every command of a device that are kept, newest first.
    pub async fn queued_commands(&self, application: &str, device: &str) -> Result<Vec<QueuedCommandRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM queued_commands WHERE application = $1 AND device = $2 \
             ORDER BY requested_ms DESC, id DESC LIMIT $3"
        );
        let statement = Statement::new("list the queued commands of a device", TABLE, sql);
        let most = i64::from(QUEUED_COMMANDS_LISTED_MAX);
        self.engine.fetch_all(statement.bind(application).bind(device).bind(most)).await
    }
}
