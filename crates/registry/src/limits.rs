//! Every bound of the registry.

use std::time::Duration;

/// Connections that may read a SQLite registry at the same time. One more writes.
pub const SQLITE_READERS_MAX: u32 = 4;

/// Statements that go to SQLite as one text, `BEGIN` and `COMMIT` with them. Longer transactions go statement by statement: each
/// of them is then prepared once, whatever it stands together with.
pub const STATEMENTS_TOGETHER_MAX: usize = 4;

/// Connections to PostgreSQL, for reads and writes together.
pub const POSTGRES_CONNECTIONS_MAX: u32 = 10;

/// How long a caller waits for a connection before the registry counts as unavailable.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one read, one write or one step of a transaction may take on PostgreSQL: a server that stopped answering
/// without closing its connections must not hold a caller for ever.
pub const POSTGRES_OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a write is tried that PostgreSQL refuses because of other writes at the same time.
pub const WRITE_ATTEMPTS_MAX: u32 = 5;

/// How often PostgreSQL is asked what became of a commit whose answer was lost, while it is still at it …
pub const OUTCOME_ATTEMPTS_MAX: u32 = 20;

/// … and the time between.
pub const OUTCOME_INTERVAL: Duration = Duration::from_millis(100);

/// Texts one filter may name: each is a parameter, and SQLite takes 32,766 in a statement, PostgreSQL 65,535.
pub const LIST_TEXTS_MAX: usize = 1_000;

/// Changes of who may come in that are remembered. Whoever missed more looks at everything that is open.
pub const ACCESS_CHANGES_KEPT_MAX: usize = 4_096;

/// Events of changes that may wait for the event log. Beyond it changes are refused, and nothing is lost.
pub const OUTBOX_EVENTS_MAX: u64 = 10_000;

/// Events written with one statement: nine parameters each, and SQLite takes 32,766, PostgreSQL 65,535.
pub const OUTBOX_EVENTS_PER_STATEMENT_MAX: usize = 256;

/// Length of a database's URL.
pub const DATABASE_URL_BYTES_MAX: usize = 4_096;

/// Runs of queued commands of one device that are listed together.
pub const QUEUED_COMMANDS_LISTED_MAX: u32 = 1_000;

/// Runs of one queued command of one device that are kept once they have ended. Those that have not are as many as messages of
/// the device wait.
pub const QUEUED_COMMAND_RUNS_KEPT: u32 = 10;
