//! The registry: the only place that holds SQL.
//!
//! [`Registry`] is a cheap-to-clone handle on the SQLite file `registry.db`. WAL with `synchronous=FULL`: what a method
//! answered `Ok` for has reached the disk. One writer connection (SQLite has one writer anyway; queueing here is fairer than
//! its busy loop) and a few readers, which see committed states only and never wait for the writer.
//!
//! Statements keep to what SQLite and PostgreSQL share, with `$1` parameters; the schema is in `migrations/`. Every method
//! takes the application first: rows of two applications never meet.

mod api_tokens;
mod applications;
mod attestations;
mod commands;
mod devices;
mod enrollment_groups;
mod guarded_folders;
mod lifecycle;
mod limits;
mod manifests;
mod migrations;
mod modules;
mod outbox;
mod random;
mod relationships;
mod segments;
mod templates;
mod twins;
mod users;
mod web_sessions;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};

pub use api_tokens::ApiTokenRow;
pub use applications::ApplicationRow;
pub use attestations::AttestationRow;
pub use commands::{CommandRow, CommandTarget};
pub use devices::{
    CloudPropertyRow, Comparison, DeviceChange, DeviceField, DeviceFilter, DevicePage, DeviceRow, NewDevice,
    SymmetricKeys,
};
pub use enrollment_groups::EnrollmentGroupRow;
pub use manifests::{DeviceManifestRow, ManifestRow};
pub use modules::{ModuleAuthentication, ModuleChange, ModuleRow};
pub use outbox::{OutboxEvent, OutboxKind, OutboxRow};
pub use random::{new_etag, new_generation_id, new_id, new_symmetric_keys, random_bytes};
pub use relationships::RelationshipRow;
pub use segments::{LastSeenRow, SegmentRow};
pub use templates::TemplateRow;
pub use twins::{OwnedTwin, TwinTransaction};
pub use users::UserRow;
pub use web_sessions::SecretHash;

/// Readers that may look at the registry at the same time.
const READERS_MAX: u32 = 4;

/// How long a caller waits for a connection before the registry counts as overloaded.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// SQLite's code for a disk without room.
const SQLITE_FULL: &str = "13";

/// Why the registry could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenRegistryError {
    /// The database file cannot be opened or created.
    #[error("the registry {path} could not be opened")]
    Open {
        /// The file.
        path: String,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// A later version of the program has been here. Nothing was changed.
    #[error("the registry {path} has schema version {version}, this program knows version {known}")]
    LaterVersion {
        /// The file.
        path: String,
        /// Its version.
        version: i64,
        /// Ours.
        known: i64,
    },
    /// The schema could not be brought up to date.
    #[error("the registry's schema could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// What it holds could not be read.
    #[error("the registry could not be read")]
    Read(#[source] StoreError),
}

/// Why a read or write of the registry failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or failed.
    #[error("the registry could not be read or written")]
    Database(#[source] sqlx::Error),
    /// The disk has no room for the change, which was not made.
    #[error("no space left on the disk for the registry (registry.db in the data folder)")]
    DiskFull(#[source] sqlx::Error),
    /// A row with this key exists already.
    #[error("the registry has such a row already")]
    Duplicate(#[source] sqlx::Error),
    /// The row changed since the caller read it.
    #[error("the stored etag differs from the one given")]
    EtagMismatch,
    /// A row the change needs is not there.
    #[error("the registry has no such row")]
    Missing,
    /// Too many events of changes wait for the event log, which takes none; the change was not made.
    #[error("changes are refused: {} events wait for the event log, which takes none", limits::OUTBOX_EVENTS_MAX)]
    OutboxFull,
    /// A stored name is not known to this version.
    #[error("a stored {what} is not known")]
    Unknown {
        /// What was being read.
        what: &'static str,
    },
    /// A stored document is not what this version understands.
    #[error("a stored {what} could not be understood")]
    Corrupt {
        /// What was being read.
        what: &'static str,
        /// Why it could not be read.
        #[source]
        source: serde_json::Error,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(detail) if detail.is_unique_violation() => Self::Duplicate(error),
            sqlx::Error::Database(detail) if detail.is_foreign_key_violation() => Self::Missing,
            sqlx::Error::Database(detail) if detail.code().as_deref() == Some(SQLITE_FULL) => Self::DiskFull(error),
            _ => Self::Database(error),
        }
    }
}

/// Handle on the registry; cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    writer: SqlitePool,
    readers: SqlitePool,
    outbox: Arc<outbox::Relayed>,
}

impl Registry {
    /// Opens the registry file, creating it and bringing its schema up to date where needed.
    pub async fn open(path: &Path) -> Result<Self, OpenRegistryError> {
        let failed = |source| OpenRegistryError::Open { path: path.display().to_string(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE_TIMEOUT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.clone())
            .await
            .map_err(failed)?;
        migrations::run(&writer).await.map_err(OpenRegistryError::Migrate)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.create_if_missing(false).read_only(true))
            .await
            .map_err(failed)?;
        let outbox = async { outbox::Relayed::load(&mut *readers.acquire().await?).await };
        let outbox = outbox.await.map_err(OpenRegistryError::Read)?;
        Ok(Self { writer, readers, outbox })
    }

    /// Refuses a file whose schema is of a later version, without changing it. A file that is empty or not there is fine.
    ///
    /// What SQLite keeps beside the file (`-shm`) may be made anew; its contents, and what waits in `-wal`, stay.
    pub async fn refuse_later_version(path: &Path) -> Result<(), OpenRegistryError> {
        if std::fs::metadata(path).map_or(true, |file| file.len() == 0) {
            return Ok(());
        }
        let failed = |source| OpenRegistryError::Open { path: path.display().to_string(), source };
        // Without the right to write, closing the last connection does not move what waits in `-wal` into the file. Where
        // nothing waits, SQLite need not make that file to look.
        let waiting = path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().display()));
        let nothing_waits = std::fs::metadata(waiting).map_or(true, |file| file.len() == 0);
        let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(nothing_waits);
        let options = options.busy_timeout(ACQUIRE_TIMEOUT);
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
        let version = migrations::newest_applied(&mut connection).await.map_err(failed);
        connection.close().await.map_err(failed)?;
        match version? {
            Some(version) if version > migrations::NEWEST => {
                let path = path.display().to_string();
                Err(OpenRegistryError::LaterVersion { path, version, known: migrations::NEWEST })
            }
            _ => Ok(()),
        }
    }

    /// Waits until no statement runs and closes the file. Later calls fail.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Commits a change together with its events.
    async fn commit_with(
        &self,
        mut transaction: Transaction<'_, Sqlite>,
        events: &[OutboxEvent],
    ) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(transaction.commit().await?);
        }
        let last = outbox::write(&self.outbox, &mut transaction, events).await?;
        transaction.commit().await?;
        self.outbox_wake(last);
        Ok(())
    }

    /// Runs one statement that changes something and answers a row (`… RETURNING …`), and commits it.
    ///
    /// In a transaction of its own: without one SQLite commits when the statement ends, which is after its row was taken,
    /// and a commit that fails then (on a full disk) would be answered with `Ok`.
    async fn change_returning(
        &self,
        statement: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Option<SqliteRow>, sqlx::Error> {
        let mut transaction = self.writer.begin().await?;
        let row = statement.fetch_optional(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(row)
    }

    /// The pool for statements that change something; it holds one connection.
    fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// The pool for statements that only read.
    fn reader(&self) -> &SqlitePool {
        &self.readers
    }
}
