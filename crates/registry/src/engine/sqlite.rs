//! SQLite: the file `registry.db`, in WAL with `synchronous=FULL`: what a method answered `Ok` for has reached the disk.
//!
//! One writer connection (SQLite has one writer anyway; queueing here is fairer than its busy loop) and a few readers, which
//! see committed states only and never wait for the writer. Write transactions begin as such: another process (a command beside a
//! running `serve`) then waits for its turn instead of failing halfway.

mod connections;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection};

pub(super) use self::connections::{Connections, Lent, Ran, transaction_text};

use crate::limits::{ACQUIRE_TIMEOUT, SQLITE_READERS_MAX, WRITE_ATTEMPTS_MAX};
use crate::migrations::{self, NEWEST_APPLIED, SQLITE_NEWEST};
use crate::survey::Look;
use crate::{Act, OpenRegistryError, StoreError, new_id};

/// SQLite's primary codes, the low byte of what it answers.
const BUSY: u32 = 5;
const FULL: u32 = 13;

/// The connections to the file.
#[derive(Debug, Clone)]
pub(crate) struct SqliteEngine {
    pub(super) writer: Connections,
    pub(super) readers: Connections,
}

impl SqliteEngine {
    /// Opens the file, creating it and bringing its schema up to date where needed.
    pub(crate) async fn open(path: &Path) -> Result<Self, OpenRegistryError> {
        let failed = |source| OpenRegistryError::File { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE_TIMEOUT);
        let writer = Connections::open(options.clone(), 1).await.map_err(failed)?;
        migrate(writer.lend().await.map_err(failed)?.connection()).await.map_err(OpenRegistryError::Migrate)?;
        let options = options.create_if_missing(false).read_only(true);
        let readers = Connections::open(options, SQLITE_READERS_MAX).await.map_err(failed)?;
        Ok(Self { writer, readers })
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(&self) -> Result<Lent, sqlx::Error> {
        let mut lent = self.writer.lend().await?;
        lent.begin().await?;
        Ok(lent)
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl SqliteEngine {
    /// Opens the file to look at it, with the version of its schema; `None` when nothing was ever in it. Refuses a file of a later
    /// version. The file's contents, and what waits in `-wal`, stay; the copy that is looked at for [`Look::Untouched`] is to be
    /// kept until the end.
    pub(crate) async fn look(
        path: &Path,
        look: Look,
    ) -> Result<Option<(Self, i64, Option<ScratchCopy>)>, OpenRegistryError> {
        // Without the right to write, closing the last connection does not move what waits in `-wal` into the file. Where
        // nothing waits, SQLite need not make `-shm` to look.
        let nothing_waits = bytes_of(&beside(path)) == 0;
        if bytes_of(path) == 0 && (nothing_waits || !path.exists()) {
            return Ok(None);
        }
        if look != Look::Untouched || nothing_waits {
            let looked = Self::look_at(path, nothing_waits && look != Look::Beside).await?;
            return Ok(looked.map(|(engine, version)| (engine, version, None)));
        }
        let failed = |error| OpenRegistryError::File { path: path.to_owned(), source: sqlx::Error::Io(error) };
        let copy = ScratchCopy::of(path).map_err(failed)?;
        match Self::look_at(&copy.file(), false).await {
            Ok(looked) => Ok(looked.map(|(engine, version)| (engine, version, Some(copy)))),
            // Of the file, not of its copy.
            Err(OpenRegistryError::File { source, .. }) => {
                Err(OpenRegistryError::File { path: path.to_owned(), source })
            }
            Err(OpenRegistryError::LaterVersion { version, known, .. }) => {
                Err(OpenRegistryError::LaterVersion { place: path.display().to_string(), version, known })
            }
            Err(error) => Err(error),
        }
    }

    async fn look_at(path: &Path, is_immutable: bool) -> Result<Option<(Self, i64)>, OpenRegistryError> {
        let failed = |source| OpenRegistryError::File { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(is_immutable);
        let connections = Connections::open(options.busy_timeout(ACQUIRE_TIMEOUT), 1).await.map_err(failed)?;
        let version = match connections.lend().await {
            Ok(mut lent) => newest_applied(lent.connection()).await,
            Err(error) => Err(error),
        };
        match version.map_err(failed)? {
            Some(version) if version > SQLITE_NEWEST => {
                connections.close().await;
                let place = path.display().to_string();
                Err(OpenRegistryError::LaterVersion { place, version, known: SQLITE_NEWEST })
            }
            Some(version) => Ok(Some((Self { writer: connections.clone(), readers: connections }, version))),
            None => {
                connections.close().await;
                Ok(None)
            }
        }
    }
}

/// What SQLite has not moved into a file yet.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().display()))
}

fn bytes_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// A copy of a file that nobody writes to, with what waits beside it, in a place of its own that only the owner may enter. Removed
/// when dropped.
#[derive(Debug)]
pub(crate) struct ScratchCopy {
    folder: PathBuf,
}

impl ScratchCopy {
    fn of(path: &Path) -> io::Result<Self> {
        let copy = Self { folder: std::env::temp_dir().join(format!("tidegate-{}", new_id())) };
        DirBuilder::new().mode(0o700).create(&copy.folder)?;
        fs::copy(path, copy.file())?;
        fs::copy(beside(path), beside(&copy.file()))?;
        Ok(copy)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("registry.db")
    }
}

impl Drop for ScratchCopy {
    fn drop(&mut self) {
        // One that cannot be removed is the system's to clean up.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// See [`crate::Registry::snapshot`].
pub(crate) async fn snapshot(from: &Path, to: &Path) -> Result<(), OpenRegistryError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenRegistryError::File { path, source }
    };
    // Made first, with its mode: SQLite would use the umask.
    let made = OpenOptions::new().create_new(true).write(true).mode(0o600).open(to);
    made.map_err(|error| failed(to)(sqlx::Error::Io(error)))?;
    let options = |path| SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(ACQUIRE_TIMEOUT);
    let mut source = SqliteConnection::connect_with(&options(from)).await.map_err(failed(from))?;
    let copied = sqlx::query("VACUUM INTO $1").bind(to.to_string_lossy().into_owned()).execute(&mut source).await;
    source.close().await.map_err(failed(from))?;
    copied.map_err(failed(from))?;
    let mut copy = SqliteConnection::connect_with(&options(to).immutable(true)).await.map_err(failed(to))?;
    let found: Result<String, _> = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut copy).await;
    copy.close().await.map_err(failed(to))?;
    let found = found.map_err(failed(to))?;
    if found != "ok" {
        return Err(failed(from)(sqlx::Error::Protocol(found)));
    }
    let synced = fs::File::open(to).and_then(|file| file.sync_all());
    synced.map_err(|error| failed(to)(sqlx::Error::Io(error)))
}

async fn newest_applied(connection: &mut SqliteConnection) -> Result<Option<i64>, sqlx::Error> {
    let known = "SELECT COUNT(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let tables: i64 = sqlx::query_scalar(known).fetch_one(&mut *connection).await?;
    if tables == 0 {
        return Ok(None);
    }
    sqlx::query_scalar(NEWEST_APPLIED).fetch_one(connection).await
}

/// SQLite has no lock that spans the files of a history: when another process is faster with one of them, the next attempt goes
/// on after it.
async fn migrate(writer: &mut SqliteConnection) -> Result<(), MigrateError> {
    let mut attempt = 1;
    loop {
        match migrations::sqlite().run_direct(None, writer, false).await {
            Err(MigrateError::ExecuteMigration(..) | MigrateError::Execute(_)) if attempt < WRITE_ATTEMPTS_MAX => {
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// What an error means.
pub(super) fn classify(act: Act, error: sqlx::Error) -> StoreError {
    let sqlx::Error::Database(detail) = &error else {
        return match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                StoreError::Unavailable(act, error)
            }
            error => StoreError::Database(act, error),
        };
    };
    if detail.is_unique_violation() {
        return StoreError::Duplicate(act, error);
    }
    if detail.is_foreign_key_violation() {
        return StoreError::Missing(act);
    }
    let code = detail.code().and_then(|code| code.parse::<u32>().ok());
    match code.map(|code| code & 0xff) {
        Some(FULL) => StoreError::DiskFull(act, error),
        Some(BUSY) => StoreError::Conflict(act, error),
        _ => StoreError::Database(act, error),
    }
}
