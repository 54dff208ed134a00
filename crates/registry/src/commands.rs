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

/// A run to store, with the command it is one of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommand {
    /// The application.
    pub application: String,
    /// The command.
    pub target: CommandTarget,
    /// The run.
    pub run: CommandRow,
}

impl Registry {
    /// Stores runs in one commit, and drops all but the newest `keep` of each command. A device that is gone has no history, which
    /// is no error.
    pub async fn commands_add(&self, runs: &[NewCommand], keep: u32) -> Result<(), StoreError> {
        let statements: Vec<_> = runs.iter().flat_map(|run| [add(run), drop_old(run, keep)]).collect();
        let devices = runs.iter().map(|run| (run.application.as_str(), run.target.device.as_str()));
        self.engine.write(&Locks::devices(devices), &statements).await.map(drop)
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

fn add(NewCommand { application, target, run }: &NewCommand) -> Statement<'_> {
    let sql = "INSERT INTO commands (application, device, module, component, name, id, request, response, \
         response_code, connection_timeout_secs, response_timeout_secs, requested_ms) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 FROM devices WHERE application = $1 AND id = $2";
    of(Statement::new("store a run of a command", TABLE, sql), application, target)
        .bind(&run.id)
        .bind(&run.request)
        .bind(&run.response)
        .bind(run.response_code)
        .bind(run.connection_timeout_secs)
        .bind(run.response_timeout_secs)
        .bind(run.requested_ms)
}

fn drop_old(NewCommand { application, target, .. }: &NewCommand, keep: u32) -> Statement<'_> {
    let sql = "DELETE FROM commands WHERE application = $1 AND id IN (SELECT id FROM commands \
         WHERE application = $1 AND device = $2 AND module = $3 AND component = $4 AND name = $5 \
         ORDER BY requested_ms DESC, id DESC LIMIT 1000 OFFSET $6)";
    of(Statement::new("drop the oldest runs of a command", TABLE, sql), application, target).bind(i64::from(keep))
}

/// Binds `$1` to `$5`.
fn of<'q>(statement: Statement<'q>, application: &'q str, target: &'q CommandTarget) -> Statement<'q> {
    let CommandTarget { device, module, component, name } = target;
    statement.bind(application).bind(device).bind(module).bind(component).bind(name)
}
