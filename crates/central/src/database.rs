//! Which database the registry is in: the data folder's SQLite file, or PostgreSQL.
//!
//! A folder that is used with PostgreSQL says so in its file `database` (one line, the URL without its password), so that a
//! command or a start that forgets to name the database is refused, instead of making an empty registry beside a full log.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use registry::{DatabaseUrl, Look, OpenRegistryError, ParseDatabaseUrlError, Registry, Survey};
use storage::file_layer::Access;

use crate::data_folder::{DataFolder, DataFolderError};

#[cfg(test)]
mod tests;

/// Where the registry is.
#[derive(Debug, Clone, Default)]
pub enum Database {
    /// In the data folder: SQLite.
    #[default]
    Folder,
    /// On a PostgreSQL server.
    Server(DatabaseUrl),
}

/// The configuration does not lead to a database.
#[derive(Debug, thiserror::Error)]
pub enum FindDatabaseError {
    /// The file cannot be read.
    #[error("cannot read {}, which [database] url_file names", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can read the password in it.
    #[error("others can read {} (mode {mode:o}), which holds the password of the database; run chmod 600 on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not a URL.
    #[error("{origin} does not hold the URL of a database")]
    Url {
        /// The flag or file.
        origin: String,
        /// What is wrong with it.
        #[source]
        source: ParseDatabaseUrlError,
    },
    /// The folder's registry is elsewhere.
    #[error(
        "the registry of the data folder {} is {registry}; name that database with --database or [database] url_file",
        folder.display()
    )]
    OnServer {
        /// The data folder.
        folder: PathBuf,
        /// Its database, without the password.
        registry: String,
    },
    /// The folder's registry is in the folder.
    #[error(
        "the registry of the data folder {} is its file registry.db, and is not moved to PostgreSQL: start with an empty \
         folder, or without --database and [database] url_file",
        folder.display()
    )]
    InFolder {
        /// The data folder.
        folder: PathBuf,
    },
    /// The folder cannot be looked at.
    #[error("the data folder cannot be used")]
    Folder(#[from] DataFolderError),
}

impl Database {
    /// The database of a URL given on the command line or in the environment.
    pub fn of_argument(url: &str) -> Result<Self, FindDatabaseError> {
        parse("--database", url)
    }

    /// The database of a URL that stands in a file, which only its owner may read.
    pub fn of_file(path: &Path) -> Result<Self, FindDatabaseError> {
        let failed = |source| FindDatabaseError::Read { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(FindDatabaseError::Exposed { path: path.to_owned(), mode });
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        parse(&path.display().to_string(), text.trim())
    }

    /// Checks that it is the one the folder is used with, if it is used already.
    pub fn check(&self, folder: &DataFolder) -> Result<(), FindDatabaseError> {
        let root = folder.root().to_owned();
        match (self, folder.read(&folder.database())?) {
            (Self::Folder, Some(registry)) => {
                Err(FindDatabaseError::OnServer { folder: root, registry: registry.trim().to_owned() })
            }
            (Self::Server(_), None) if folder.registry().exists() => Err(FindDatabaseError::InFolder { folder: root }),
            _ => Ok(()),
        }
    }

    /// Whether the folder was used with a server before.
    pub fn is_known(&self, folder: &DataFolder) -> Result<bool, DataFolderError> {
        Ok(folder.read(&folder.database())?.is_some())
    }

    /// Notes in the folder that it is used with this database.
    pub fn note(&self, folder: &DataFolder) -> Result<(), DataFolderError> {
        match self {
            Self::Folder => Ok(()),
            Self::Server(url) => folder.write(&folder.database(), format!("{url}\n").as_bytes(), Access::Private),
        }
    }

    /// Whether it was named with a password.
    pub fn has_password(&self) -> bool {
        matches!(self, Self::Server(url) if url.has_password())
    }

    /// Looks at the registry in it without changing anything; `None` when nothing was ever in it.
    pub async fn survey(&self, folder: &DataFolder, look: Look) -> Result<Option<Survey>, OpenRegistryError> {
        match self {
            Self::Folder => Survey::of_file(&folder.registry(), look).await,
            Self::Server(url) => Survey::of_server(url).await,
        }
    }

    /// Opens the registry in it.
    pub async fn open(&self, folder: &DataFolder) -> Result<Registry, OpenRegistryError> {
        match self {
            Self::Folder => Registry::open(&folder.registry()).await,
            Self::Server(url) => Registry::connect(url).await,
        }
    }
}

fn parse(origin: &str, url: &str) -> Result<Database, FindDatabaseError> {
    let url = url.parse().map_err(|source| FindDatabaseError::Url { origin: origin.to_owned(), source })?;
    Ok(Database::Server(url))
}
