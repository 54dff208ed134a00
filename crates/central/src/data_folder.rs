//! The data folder of Central: names, modes, the lock, and the markers that tell when a part of it was removed.
//!
//! ```text
//! DIR/                 0700
//!   ca.pem                   trust bundle for devices
//!   admin.token        0600  API token of the built-in administrator
//!   endpoints.json           where the listeners are, written before ready
//!   serve.lock               locked while `tidegate serve` runs; other commands do not take it
//!   generation         0600  which registry is the newest, see `generation`
//!   registry.db        0600  SQLite: everything that is not telemetry or log, unless that is in PostgreSQL
//!   database           0600  which PostgreSQL database holds it then; never a password
//!   log/               0700  segments of accepted messages         + FOLDER
//!   telemetry/         0700  Parquet                               + FOLDER
//!   files/             0700  uploads: a folder an application, in it one an upload, see `hub::files`
//!   tls/               0700  server.pem, server.key (0600)
//!   keys/              0700  ca.key (0600)
//! ```
//!
//! `FOLDER` is the marker: it holds an id that the registry knows too. A folder the registry knows without its marker was
//! removed or replaced, and the start is refused until an operator says that the loss is accepted: starting over silently
//! would look like a platform that never had data. `telemetry/NEWEST` says how far the telemetry goes, so that an older
//! registry is told from its own. What refuses a start is looked at before anything is changed: see `serve::guard`.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use storage::file_layer::Access;
use storage::state_file;

#[cfg(test)]
mod tests;

/// The folders below the data folder that are not guarded.
const FOLDERS: [&str; 3] = ["files", "tls", "keys"];
/// Name of the marker file.
const MARKER: &str = "FOLDER";
/// No marker or endpoints file is larger.
const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where things are in a data folder. Holding one takes no lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFolder {
    root: PathBuf,
}

/// Proof that no other `serve` runs on the folder; released when dropped, or by the system when the process dies.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// A part of the folder that must not vanish unnoticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarded {
    /// `log/`: messages accepted but not yet in the telemetry store, and the tail kept for replay.
    Log,
    /// `telemetry/`: the time series.
    Telemetry,
}

impl Guarded {
    /// Both.
    pub const ALL: [Guarded; 2] = [Guarded::Log, Guarded::Telemetry];

    /// Name below the data folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Telemetry => "telemetry",
        }
    }
}

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// It is not there, and this command does not make one.
    #[error("there is no data folder at {}; `tidegate serve --data {}` makes one", .0.display(), .0.display())]
    Missing(PathBuf),
    /// It is there, and its registry is not.
    #[error("the data folder {} has no registry.db; restore it with `tidegate restore` or from your own copy", .0.display())]
    NoRegistry(PathBuf),
    /// Another `serve` runs on it.
    #[error("the data folder {} is in use by another tidegate serve", .0.display())]
    InUse(PathBuf),
    /// The system refused.
    #[error("cannot {act} {}", path.display())]
    Io {
        /// The step that failed, as a verb.
        act: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file was not written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: state_file::ReplaceFileError,
    },
}

/// `endpoints.json`: where the listeners are. A listener that is off is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// HTTPS listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    /// Plain HTTP on loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// MQTT over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtts: Option<String>,
    /// AMQP over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amqps: Option<String>,
    /// Host name of the first application.
    pub hostname: String,
}

/// Room below which a disk counts as full.
const DISK_FULL_BYTES: u64 = 1 << 20;

/// Room below which a disk counts as nearly full.
const DISK_LOW_BYTES: u64 = 1 << 30;

/// The disk a data folder is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// What is free for us.
    pub free_bytes: u64,
    /// Its size.
    pub total_bytes: u64,
}

/// Whether a disk has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// There is enough.
    Enough,
    /// It will soon be full.
    Low,
    /// Messages and changes are refused.
    Full,
}

impl Disk {
    /// Whether it has room.
    pub fn room(&self) -> Room {
        match self.free_bytes {
            ..DISK_FULL_BYTES => Room::Full,
            DISK_FULL_BYTES..DISK_LOW_BYTES => Room::Low,
            DISK_LOW_BYTES.. => Room::Enough,
        }
    }
}

impl Endpoints {
    /// Port of the HTTPS listener.
    pub fn https_port(&self) -> Option<u16> {
        self.https.as_deref()?.rsplit(':').next()?.parse().ok()
    }
}

impl DataFolder {
    /// Makes the folder, unless it is there, and nothing below it: what is missing there must be missed first.
    pub fn create(root: &Path) -> Result<Self, DataFolderError> {
        create_private(root)?;
        Ok(Self { root: absolute(root)? })
    }

    /// Makes the folders that are not guarded, unless they are there.
    pub fn create_folders(&self) -> Result<(), DataFolderError> {
        FOLDERS.iter().try_for_each(|name| create_private(&self.root.join(name)))
    }

    /// An existing folder, for commands that only work on one.
    pub fn existing(root: &Path) -> Result<Self, DataFolderError> {
        let folder = Self::at(root);
        let has_registry = fs::metadata(folder.registry()).is_ok_and(|file| file.is_file() && file.len() > 0);
        if !has_registry && !folder.database().is_file() {
            let is_used = folder.admin_token().exists() || folder.registry().exists();
            let missing = if is_used { DataFolderError::NoRegistry } else { DataFolderError::Missing };
            return Err(missing(root.to_owned()));
        }
        Ok(Self { root: absolute(root)? })
    }

    /// Names in a folder that another process looks after.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// SQLite file of the registry.
    pub fn registry(&self) -> PathBuf {
        self.root.join("registry.db")
    }

    /// Note of the PostgreSQL database the registry is in.
    pub fn database(&self) -> PathBuf {
        self.root.join("database")
    }

    /// A guarded folder.
    pub fn guarded(&self, guarded: Guarded) -> PathBuf {
        self.root.join(guarded.name())
    }

    /// What devices uploaded.
    pub fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    /// Certificate of the CA: the trust bundle.
    pub fn ca_pem(&self) -> PathBuf {
        self.root.join("ca.pem")
    }

    /// Key of the CA.
    pub fn ca_key(&self) -> PathBuf {
        self.root.join("keys/ca.key")
    }

    /// Server certificate chain.
    pub fn server_certificate(&self) -> PathBuf {
        self.root.join("tls/server.pem")
    }

    /// Key of the server certificate.
    pub fn server_key(&self) -> PathBuf {
        self.root.join("tls/server.key")
    }

    /// Key that signs the API tokens of an application.
    pub fn token_key(&self, application: &str) -> PathBuf {
        self.root.join(format!("keys/api-tokens-{application}.key"))
    }

    /// Token of the built-in administrator.
    pub fn admin_token(&self) -> PathBuf {
        self.root.join("admin.token")
    }

    /// Where the listeners are.
    pub fn endpoints(&self) -> PathBuf {
        self.root.join("endpoints.json")
    }

    /// Takes the folder for this process.
    pub fn lock(&self) -> Result<FolderLock, DataFolderError> {
        let path = self.root.join("serve.lock");
        let failed = |act, source| DataFolderError::Io { act, path: path.clone(), source };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| failed("open", source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataFolderError::InUse(self.root.clone())),
            Err(TryLockError::Error(source)) => return Err(failed("lock", source)),
        }
        // The number is for people who look; only the lock counts.
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|source| failed("write", source))?;
        Ok(FolderLock { _file: file })
    }

    /// Whether a `serve` runs on it. Leaves everything as it is; a `serve` that starts in the very moment this looks is refused.
    pub fn is_served(&self) -> Result<bool, DataFolderError> {
        let path = self.root.join("serve.lock");
        let failed = |act, source| DataFolderError::Io { act, path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(failed("open", source)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(failed("lock", source)),
        }
    }

    /// The id in a guarded folder's marker; `None` when folder or marker are missing.
    pub fn marker(&self, guarded: Guarded) -> Result<Option<String>, DataFolderError> {
        let path = self.guarded(guarded).join(MARKER);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataFolderError::Io { act: "read", path, source }),
        }
    }

    /// Makes a guarded folder and its marker.
    pub fn mark(&self, guarded: Guarded, id: &str) -> Result<(), DataFolderError> {
        create_private(&self.guarded(guarded))?;
        self.write(&self.guarded(guarded).join(MARKER), format!("{id}\n").as_bytes(), Access::Private)
    }

    /// Gives a guarded folder another name, so that a new one can be made in its place; answers that name.
    pub fn set_aside(&self, guarded: Guarded, now_ms: i64) -> Result<PathBuf, DataFolderError> {
        let (path, place) = (self.guarded(guarded), self.root.join(format!("{}.set-aside-{now_ms}", guarded.name())));
        fs::rename(&path, &place).map_err(|source| DataFolderError::Io { act: "rename", path, source })?;
        Ok(place)
    }

    /// Gives a damaged file another name, if it is there.
    pub fn set_file_aside(&self, path: &Path) -> Result<(), DataFolderError> {
        let mut place = path.as_os_str().to_owned();
        place.push(".damaged");
        match fs::rename(path, place) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(DataFolderError::Io { act: "rename", path: path.to_owned(), source })
            }
            _ => Ok(()),
        }
    }

    /// Replaces a file of the folder so that a crash leaves the old or the new contents.
    pub fn write(&self, path: &Path, contents: &[u8], access: Access) -> Result<(), DataFolderError> {
        state_file::replace(path, contents, access)
            .map_err(|source| DataFolderError::Write { path: path.to_owned(), source })
    }

    /// Reads a text file of the folder; `None` when it is not there.
    pub fn read(&self, path: &Path) -> Result<Option<String>, DataFolderError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataFolderError::Io { act: "read", path: path.to_owned(), source }),
        }
    }

    /// Writes `endpoints.json`.
    pub fn write_endpoints(&self, endpoints: &Endpoints) -> Result<(), DataFolderError> {
        let text = serde_json::to_string_pretty(endpoints).expect("texts always serialize");
        self.write(&self.endpoints(), format!("{text}\n").as_bytes(), Access::Shared)
    }

    /// Takes `endpoints.json` away: it is there only while `serve` is ready.
    pub fn remove_endpoints(&self) -> Result<(), DataFolderError> {
        remove(self.endpoints())
    }

    /// Takes `admin.token` away; it is made again at the next start.
    pub fn remove_admin_token(&self) -> Result<(), DataFolderError> {
        remove(self.admin_token())
    }

    /// Reads `endpoints.json`; `None` when no `serve` has run yet, or the file is not ours.
    pub fn read_endpoints(&self) -> Option<Endpoints> {
        let bytes = state_file::read(&self.endpoints(), SMALL_FILE_BYTES_MAX).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// The disk it is on, if the system tells. Blocks.
    pub fn disk(&self) -> Option<Disk> {
        let disk = rustix::fs::statvfs(&self.root).ok()?;
        let bytes = |blocks: u64| blocks.checked_mul(disk.f_frsize);
        Some(Disk { free_bytes: bytes(disk.f_bavail)?, total_bytes: bytes(disk.f_blocks)? })
    }

    /// Files that only the owner may read and that others can: path and mode.
    pub fn exposed_secrets(&self) -> Vec<(PathBuf, u32)> {
        [self.admin_token(), self.ca_key(), self.server_key(), self.registry()]
            .into_iter()
            .filter_map(|path| {
                let mode = fs::metadata(&path).ok()?.permissions().mode() & 0o777;
                (mode & 0o077 != 0).then_some((path, mode))
            })
            .collect()
    }
}

fn remove(path: PathBuf) -> Result<(), DataFolderError> {
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DataFolderError::Io { act: "remove", path, source })
        }
        _ => Ok(()),
    }
}

fn create_private(path: &Path) -> Result<(), DataFolderError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| DataFolderError::Io {
        act: "create",
        path: path.to_owned(),
        source,
    })
}

fn absolute(path: &Path) -> Result<PathBuf, DataFolderError> {
    fs::canonicalize(path).map_err(|source| DataFolderError::Io { act: "find", path: path.to_owned(), source })
}
