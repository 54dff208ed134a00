//! Commands that were run: the newest few of each.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Registry, StoreError};

/// Which command of what. `module` and `component` are empty at device level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandTarget {
    /// The device.
    pub device: String,
    /// The module, or empty.
    pub module: String,
    /// The component, or empty.
    pub component: String,
    /// The command's name.
    pub name: String,
}

/// One run of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRow {
    /// Id of the run.
    pub id: String,
    /// What was sent, JSON text.
    pub request: Option<String>,
    /// What came back, JSON text.
    pub response: Option<String>,
    /// The status the device answered.
    pub response_code: Option<i64>,
    /// Wait for the connection as asked for.
    pub connection_timeout_secs: Option<i64>,
    /// Wait for the answer as asked for.
    pub response_timeout_secs: Option<i64>,
    /// When it was run.
    pub requested_ms: i64,
}

fn from_row(row: &SqliteRow) -> Result<CommandRow, sqlx::Error> {
    Ok(CommandRow {
        id: row.try_get("id")?,
        request: row.try_get("request")?,
        response: row.try_get("response")?,
        response_code: row.try_get("response_code")?,
        connection_timeout_secs: row.try_get("connection_timeout_secs")?,
        response_timeout_secs: row.try_get("response_timeout_secs")?,
        requested_ms: row.try_get("requested_ms")?,
    })
}

impl Registry {
    /// Stores a run and drops all but the newest `keep` of the same command.
    pub async fn command_add(
        &self,
        application: &str,
        target: &CommandTarget,
        command: &CommandRow,
        keep: u32,
    ) -> Result<(), StoreError> {
        let mut transaction = self.writer().begin().await?;
        sqlx::query(
            "INSERT INTO commands (application, id, device, module, component, name, request, response, response_code, \
             connection_timeout_secs, response_timeout_secs, requested_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(application)
        .bind(&command.id)
        .bind(&target.device)
        .bind(&target.module)
        .bind(&target.component)
        .bind(&target.name)
        .bind(&command.request)
        .bind(&command.response)
        .bind(command.response_code)
        .bind(command.connection_timeout_secs)
        .bind(command.response_timeout_secs)
        .bind(command.requested_ms)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "DELETE FROM commands WHERE application = $1 AND id IN (SELECT id FROM commands WHERE application = $1 AND device = $2 \
             AND module = $3 AND component = $4 AND name = $5 ORDER BY requested_ms DESC, id DESC LIMIT 1000 OFFSET $6)",
        )
        .bind(application)
        .bind(&target.device)
        .bind(&target.module)
        .bind(&target.component)
        .bind(&target.name)
        .bind(i64::from(keep))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The runs of a command that are kept, newest first.
    pub async fn command_history(
        &self,
        application: &str,
        target: &CommandTarget,
    ) -> Result<Vec<CommandRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, request, response, response_code, connection_timeout_secs, response_timeout_secs, requested_ms \
             FROM commands WHERE application = $1 AND device = $2 AND module = $3 AND component = $4 AND name = $5 \
             ORDER BY requested_ms DESC, id DESC",
        )
        .bind(application)
        .bind(&target.device)
        .bind(&target.module)
        .bind(&target.component)
        .bind(&target.name)
        .fetch_all(self.reader())
        .await?;
        Ok(rows.iter().map(from_row).collect::<Result<_, _>>()?)
    }
}
