//! Commands that were run: the newest few of each.

use super::engine::{Locks, Statement};
use super::{Registry, StoreError};

const TABLE: &str = "commands";

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
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
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

impl Registry {
    /// Stores a run and drops all but the newest `keep` of the same command.
    pub async fn command_add(
        &self,
        application: &str,
        target: &CommandTarget,
        command: &CommandRow,
        keep: u32,
    ) -> Result<(), StoreError> {
        let add = "INSERT INTO commands (application, device, module, component, name, id, request, response, \
             response_code, connection_timeout_secs, response_timeout_secs, requested_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        let add = of(Statement::new("store a run of a command", TABLE, add), application, target)
            .bind(&command.id)
            .bind(&command.request)
            .bind(&command.response)
            .bind(command.response_code)
            .bind(command.connection_timeout_secs)
            .bind(command.response_timeout_secs)
            .bind(command.requested_ms);
        let drop_old = "DELETE FROM commands WHERE application = $1 AND id IN (SELECT id FROM commands \
             WHERE application = $1 AND device = $2 AND module = $3 AND component = $4 AND name = $5 \
             ORDER BY requested_ms DESC, id DESC LIMIT 1000 OFFSET $6)";
        let drop_old = Statement::new("drop the oldest runs of a command", TABLE, drop_old);
        let drop_old = of(drop_old, application, target).bind(i64::from(keep));
        self.engine.write(&Locks::device(application, &target.device), &[add, drop_old]).await.map(drop)
    }

    /// The runs of a command that are kept, newest first.
    pub async fn command_history(
        &self,
        application: &str,
        target: &CommandTarget,
    ) -> Result<Vec<CommandRow>, StoreError> {
        let sql = "SELECT id, request, response, response_code, connection_timeout_secs, response_timeout_secs, \
             requested_ms FROM commands \
             WHERE application = $1 AND device = $2 AND module = $3 AND component = $4 AND name = $5 \
             ORDER BY requested_ms DESC, id DESC";
        self.engine.fetch_all(of(Statement::new("list the runs of a command", TABLE, sql), application, target)).await
    }
}

/// Binds `$1` to `$5`.
fn of<'q>(statement: Statement<'q>, application: &'q str, target: &'q CommandTarget) -> Statement<'q> {
    let CommandTarget { device, module, component, name } = target;
    statement.bind(application).bind(device).bind(module).bind(component).bind(name)
}
