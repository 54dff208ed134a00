//! Why the registry could not be opened, read or written. The same on both engines, which tell their errors apart in
//! `engine/`.

use std::fmt;
use std::path::PathBuf;

use super::DatabaseUrl;
use super::limits::OUTBOX_EVENTS_MAX;

/// What was being done, and to which table: every failure says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// What was being done, as a phrase with a verb: `delete a device`.
    pub act: &'static str,
    /// The table it was done to.
    pub table: &'static str,
}

impl fmt::Display for Act {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (table {})", self.act, self.table)
    }
}

/// Why the registry could not be opened. No text of it holds a database's password.
#[derive(Debug, thiserror::Error)]
pub enum OpenRegistryError {
    /// The SQLite file cannot be opened or created.
    #[error("the registry {} could not be opened", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// PostgreSQL cannot be reached, or does not let the user in.
    #[error("the database {database} could not be opened")]
    Connect {
        /// The database, without its password.
        database: DatabaseUrl,
        /// What PostgreSQL or the network said.
        #[source]
        source: sqlx::Error,
    },
    /// PostgreSQL did not answer at all.
    #[error("the database {database} did not answer in time")]
    Silent {
        /// The database, without its password.
        database: DatabaseUrl,
    },
    /// A database with another encoding would refuse texts that devices send.
    #[error("the database {database} is encoded in {encoding}; create one with ENCODING 'UTF8'")]
    Encoding {
        /// The database, without its password.
        database: DatabaseUrl,
        /// The encoding it has.
        encoding: String,
    },
    /// What it holds could not be read.
    #[error("the registry could not be read")]
    Read(#[source] StoreError),
    /// A later version of the program has been here. Nothing was changed.
    #[error("the registry {place} has schema version {version}, this program knows version {known}")]
    LaterVersion {
        /// The file or database, without its password.
        place: String,
        /// Its version.
        version: i64,
        /// Ours.
        known: i64,
    },
    /// The schema could not be brought up to date.
    #[error("the registry's schema could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
}

/// SQLite's codes for a file that is damaged, or is no database.
const DAMAGE: [u32; 2] = [11, 26];

impl OpenRegistryError {
    /// Whether opening it again would fail the same way until somebody mends something.
    pub fn needs_mending(&self) -> bool {
        let is_damage = |source: &sqlx::Error| {
            let code = source.as_database_error().and_then(|detail| detail.code());
            code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| DAMAGE.contains(&(code & 0xff)))
        };
        match self {
            Self::LaterVersion { .. } | Self::Encoding { .. } => true,
            Self::File { source, .. } => is_damage(source),
            Self::Read(StoreError::Database(_, source)) => is_damage(source),
            Self::Connect { .. } | Self::Silent { .. } | Self::Read(_) | Self::Migrate(_) => false,
        }
    }
}

/// Why a read or write of the registry failed. Then nothing of it was made; but for `InDoubt`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or failed.
    #[error("the registry could not {0}")]
    Database(Act, #[source] sqlx::Error),
    /// The database was not reached, or the connection was lost on the way. The next call connects anew.
    #[error("the registry's database is not reachable: could not {0}")]
    Unavailable(Act, #[source] sqlx::Error),
    /// The database did not answer in time.
    #[error("the registry's database did not answer in time: could not {0}")]
    Silent(Act),
    /// The disk of the database has no room for the change.
    #[error("no space left on the disk of the registry's database: could not {0}")]
    DiskFull(Act, #[source] sqlx::Error),
    /// Other changes kept getting in the way, however often it was tried.
    #[error("other changes kept getting in the way: could not {0}")]
    Conflict(Act, #[source] sqlx::Error),
    /// The connection was lost while the change was being made durable, and the database could not be asked since: it may have
    /// been made, or not.
    #[error("the connection was lost during the commit, whose outcome is not known: {0}")]
    InDoubt(Act),
    /// A row with this key exists already.
    #[error("the registry has such a row already: could not {0}")]
    Duplicate(Act, #[source] sqlx::Error),
    /// The row changed since the caller read it.
    #[error("the stored etag differs from the one given: did not {0}")]
    EtagMismatch(Act),
    /// The application has as many rows of the kind as it may.
    #[error("the application has as many as it may: did not {0}")]
    LimitReached(Act),
    /// A row the change needs is not there.
    #[error("the registry has no such row: could not {0}")]
    Missing(Act),
    /// A text holds a NUL character, which PostgreSQL cannot store; refused on both engines alike.
    #[error("a text holds a NUL character: could not {0}")]
    NulCharacter(Act),
    /// An earlier step of the transaction failed, so that none of it was made.
    #[error("an earlier step of the transaction failed: could not {0}")]
    RolledBack(Act),
    /// Too many events of changes wait for the event log, which takes none; the change was not made.
    #[error("changes are refused: {} events wait for the event log, which takes none", OUTBOX_EVENTS_MAX)]
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

impl StoreError {
    /// Whether the same change may go well later: nothing is wrong with it, only the database was away, busy or full.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable(..)
            | Self::Silent(_)
            | Self::DiskFull(..)
            | Self::Conflict(..)
            | Self::InDoubt(_)
            | Self::OutboxFull => true,
            Self::Database(..)
            | Self::Duplicate(..)
            | Self::EtagMismatch(_)
            | Self::LimitReached(_)
            | Self::Missing(_)
            | Self::NulCharacter(_)
            | Self::RolledBack(_)
            | Self::Unknown { .. }
            | Self::Corrupt { .. } => false,
        }
    }
}
