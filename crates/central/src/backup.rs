//! Backups: a consistent cut of a data folder, taken while Central serves or not, and the way back.
//!
//! ```text
//!   backup     admin.token ─► registry (a snapshot) ─► keys, certificates, uploads, the telemetry files it lists ─► log
//!              ─► checked as a start would check it ─► backup.json
//!   restore    backup.json, every file against it, the registry's version ─► copy ─► registry.db
//! ```
//!
//! The registry says where the log's readers are and which telemetry files there are; so it comes first, and the log, which goes on,
//! after it. What Central merges or trims meanwhile makes the attempt start over with a newer registry; files that were copied
//! stay. A backup without `backup.json` did not come to its end.
//!
//! `backup.json` is a state file of kind `central.backup`: when and by which version it was made, and path, size and CRC-32 of
//! each file.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use readers::timeseries::{CatalogSegment, newest_committed};
use registry::{Look, OpenRegistryError, Registry, Survey};
use serde::{Deserialize, Serialize};
use storage::envelope::{self, Kind, OpenEnvelopeError};
use storage::log::OpenLogError;
use storage::state_file::{self, Access, ReadFileError, ReplaceFileError};

use crate::data_folder::{DataFolder, DataFolderError, Guarded};
use crate::database::Database;
use crate::generation;
use crate::limits::{BACKUP_ATTEMPTS_MAX, BACKUP_LIST_BYTES_MAX};
use crate::serve::ServeError;
use crate::serve::guard::{self, GuardError, Reached};

/// Name of the list of files.
const LIST: &str = "backup.json";

const KIND: Kind = Kind { name: "central.backup", version: 2 };

/// Bytes copied at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// Name of the registry until everything else is there.
const RESTORING: &str = "registry.db.restoring";

#[derive(Debug, Serialize, Deserialize)]
struct List {
    /// Version of the program.
    version: String,
    /// When it was finished, Unix milliseconds.
    made_ms: i64,
    /// Every file, by its path below the folder.
    files: BTreeMap<String, Entry>,
}

/// What a file must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    crc32: u32,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files.
    pub files: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Telemetry files that are not as they were written, and are in the backup as they are.
    pub damaged: Vec<String>,
}

/// A backup was not made or not restored. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The registry is elsewhere.
    #[error(
        "the registry of this data folder is in PostgreSQL, which this command does not copy: stop Central, take the database \
         with pg_dump and a copy of the folder, and start it again (see the guide, \"The registry in PostgreSQL\")"
    )]
    OnServer,
    /// The place is taken.
    #[error("{} is there and not empty: name an empty or new folder", .0.display())]
    NotEmpty(PathBuf),
    /// There is no backup.
    #[error("{} is no finished backup: it has no {LIST}", .0.display())]
    NoBackup(PathBuf),
    /// The list cannot be used.
    #[error("the list of the backup, {}, cannot be used", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: OpenEnvelopeError,
    },
    /// A file of the backup is not what was stored.
    #[error("the backup is damaged: {} is missing or not what was stored; nothing was restored", .0.display())]
    Damaged(PathBuf),
    /// The list names a place outside.
    #[error("the backup lists {0:?}, which is no file of a data folder; nothing was restored")]
    Outside(String),
    /// Central changed the files faster than they could be copied.
    #[error(
        "Central kept changing its files while they were copied, {BACKUP_ATTEMPTS_MAX} times; try again when it has less to do"
    )]
    Overtaken,
    /// The folder would not start either.
    #[error("the data folder cannot be backed up: it would not start")]
    Unsound(#[source] Box<ServeError>),
    /// The registry.
    #[error("the registry cannot be copied")]
    Registry(#[from] OpenRegistryError),
    /// A file of the folder.
    #[error("the data folder cannot be read")]
    Folder(#[from] DataFolderError),
    /// A state file.
    #[error("a file of the backup cannot be read")]
    Read(#[from] ReadFileError),
    /// A state file.
    #[error("a file of the backup cannot be written")]
    Write(#[from] ReplaceFileError),
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
}

fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { act, path, source }
}

/// Copies a data folder, served or not, to an empty place.
pub async fn make(folder: &DataFolder, database: &Database, to: &Path) -> Result<Copied, BackupError> {
    if !matches!(database, Database::Folder) {
        return Err(BackupError::OnServer);
    }
    make_empty(to)?;
    let (from, to) = (folder.clone(), DataFolder::at(to));
    let mut backup = Backup { from, to, files: BTreeMap::new(), damaged: Vec::new(), missing: HashSet::new() };
    for _ in 0..BACKUP_ATTEMPTS_MAX {
        match backup.attempt().await {
            Err(error) if is_overtaken(&error) => {}
            Err(error) => return Err(error),
            Ok(()) => return backup.finish(),
        }
    }
    Err(BackupError::Overtaken)
}

/// Whether Central took away what was being copied. What is really missing is so each time.
fn is_overtaken(error: &BackupError) -> bool {
    match error {
        BackupError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        BackupError::Unsound(error) => matches!(
            &**error,
            ServeError::Reader(_) | ServeError::Log(OpenLogError::SegmentMissing { .. } | OpenLogError::Corrupt { .. })
        ),
        _ => false,
    }
}

/// A backup that is being made.
struct Backup {
    from: DataFolder,
    to: DataFolder,
    files: BTreeMap<String, Entry>,
    damaged: Vec<String>,
    /// Telemetry files an earlier attempt did not find.
    missing: HashSet<String>,
}

impl Backup {
    async fn attempt(&mut self) -> Result<(), BackupError> {
        let to = self.to.root().to_owned();
        // Before the registry, which then knows the token in it.
        self.copy_if_there("admin.token")?;
        let reached = Reached::by(&self.from).map_err(unsound)?;
        let snapshot = self.to.registry();
        remove(&snapshot)?;
        Registry::snapshot(&self.from.registry(), &snapshot).await?;
        self.note("registry.db", measure(&snapshot)?);
        let survey = Survey::of_file(&snapshot, Look::Start).await?.unwrap_or_default();
        reached.refuse_older(&self.from, &survey).map_err(unsound)?;
        self.copy_if_there("ca.pem")?;
        for name in ["keys", "tls", "files"] {
            self.copy_folder(name)?;
        }
        let stored = survey.checkpoint(readers::timeseries::reader::NAME.name).unwrap_or(0);
        generation::write(&to, generation::of(&survey))?;
        self.note(generation::FILE_NAME, measure(&to.join(generation::FILE_NAME))?);
        self.copy_telemetry(survey)?;
        newest_committed::write(&self.to.guarded(Guarded::Telemetry), stored)?;
        let name = format!("telemetry/{}", newest_committed::FILE_NAME);
        self.note(&name, measure(&to.join(&name))?);
        self.copy_log()?;
        // What a start would refuse is no backup.
        let checked = guard::inspect(&self.to, &Database::Folder, false).await;
        checked.map(drop).map_err(|error| BackupError::Unsound(Box::new(error)))
    }

    /// The files of the catalog, which never change: what is there from an earlier attempt stays, what is no longer listed goes.
    fn copy_telemetry(&mut self, survey: Survey) -> Result<(), BackupError> {
        self.make_folder("telemetry")?;
        self.copy("telemetry/FOLDER")?;
        let mut wanted = HashSet::new();
        self.damaged.clear();
        for row in survey.segments {
            let name = format!("telemetry/{}/{}", row.application, row.file_name);
            self.make_folder(&format!("telemetry/{}", row.application))?;
            if !self.files.contains_key(&name) {
                match self.copy(&name) {
                    // Listed again by a later registry: it was not merged away, it is lost.
                    Err(BackupError::Io { source, .. })
                        if source.kind() == io::ErrorKind::NotFound && self.missing.contains(&name) =>
                    {
                        self.damaged.push(name);
                        continue;
                    }
                    Err(error) => {
                        self.missing.insert(name);
                        return Err(error);
                    }
                    Ok(()) => {}
                }
            }
            let meta = CatalogSegment::from_row(row).ok().map(|segment| segment.meta);
            let expected = meta.map(|meta| Entry { bytes: meta.bytes, crc32: meta.crc32 });
            if self.files.get(&name) != expected.as_ref() {
                self.damaged.push(name.clone());
            }
            wanted.insert(name);
        }
        let is_segment = |name: &str| name.starts_with("telemetry/") && name.matches('/').count() == 2;
        let stale: Vec<String> =
            self.files.keys().filter(|name| is_segment(name) && !wanted.contains(*name)).cloned().collect();
        for name in stale {
            remove(&self.to.root().join(&name))?;
            self.files.remove(&name);
        }
        Ok(())
    }

    /// The log from its oldest segment to where it is by now. The mark of what was acknowledged is copied before the records.
    fn copy_log(&mut self) -> Result<(), BackupError> {
        let place = self.to.guarded(Guarded::Log);
        match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &place)(error)),
            _ => self.files.retain(|name, _| !name.starts_with("log/")),
        }
        self.make_folder("log")?;
        self.copy("log/FOLDER")?;
        for name in storage::log::STATE_FILES {
            self.copy_if_there(&format!("log/{name}"))?;
        }
        let log = self.from.guarded(Guarded::Log);
        let mut names = names_in(&log)?;
        names.retain(|name| name.ends_with(".log"));
        names.sort();
        names.iter().try_for_each(|name| self.copy(&format!("log/{name}")))
    }

    fn copy_folder(&mut self, name: &str) -> Result<(), BackupError> {
        let from = self.from.root().join(name);
        if !from.is_dir() {
            return Ok(());
        }
        self.make_folder(name)?;
        for entry in names_in(&from)? {
            let path = format!("{name}/{entry}");
            // What is being replaced just now is none of it.
            if entry.starts_with('.') && entry.ends_with(".tmp") {
                continue;
            }
            if from.join(&entry).is_dir() {
                self.copy_folder(&path)?;
            } else {
                self.copy_if_there(&path)?;
            }
        }
        Ok(())
    }

    fn copy_if_there(&mut self, name: &str) -> Result<(), BackupError> {
        match self.copy(name) {
            Err(BackupError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            copied => copied,
        }
    }

    fn copy(&mut self, name: &str) -> Result<(), BackupError> {
        let entry = copy_file(&self.from.root().join(name), &self.to.root().join(name))?;
        self.note(name, entry);
        Ok(())
    }

    fn note(&mut self, name: &str, entry: Entry) {
        self.files.insert(name.to_owned(), entry);
    }

    fn make_folder(&self, name: &str) -> Result<(), BackupError> {
        create_private(&self.to.root().join(name))
    }

    /// Everything is durable before the list says that it is there.
    fn finish(self) -> Result<Copied, BackupError> {
        let root = self.to.root();
        sync_folders(root)?;
        let copied = summary(&self.files, self.damaged);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let list = List { version, made_ms: events::clock::now_ms(), files: self.files };
        let contents = envelope::seal(KIND, &list).expect("names and numbers always serialize");
        state_file::replace(&root.join(LIST), &contents, Access::Private)?;
        Ok(copied)
    }
}

fn unsound(error: GuardError) -> BackupError {
    BackupError::Unsound(Box::new(error.into()))
}

fn summary(files: &BTreeMap<String, Entry>, damaged: Vec<String>) -> Copied {
    Copied { files: files.len(), bytes: files.values().map(|entry| entry.bytes).sum(), damaged }
}

/// Makes a data folder of a backup, in an empty place. Everything is checked before anything is written.
pub async fn restore(from: &Path, to: &Path) -> Result<Copied, BackupError> {
    let list = read_list(from)?;
    refuse_taken(to)?;
    for (name, entry) in &list.files {
        let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_inside || name.is_empty() {
            return Err(BackupError::Outside(name.clone()));
        }
        let path = from.join(name);
        match measure(&path) {
            Ok(found) if found == *entry => {}
            Err(BackupError::Io { source, .. }) if source.kind() != io::ErrorKind::NotFound => {
                return Err(failed("read", &path)(source));
            }
            _ => return Err(BackupError::Damaged(path)),
        }
    }
    let checked = guard::inspect(&DataFolder::at(from), &Database::Folder, false).await;
    checked.map_err(|error| BackupError::Unsound(Box::new(error)))?;

    make_empty(to)?;
    for name in list.files.keys() {
        // The registry gets its name last: a folder without one does not start.
        let place = if name == "registry.db" { to.join(RESTORING) } else { to.join(name) };
        create_private(place.parent().unwrap_or(to))?;
        copy_file(&from.join(name), &place)?;
    }
    sync_folders(to)?;
    let registry = to.join("registry.db");
    fs::rename(to.join(RESTORING), &registry).map_err(failed("rename", &registry))?;
    sync_folder(to)?;
    Ok(summary(&list.files, Vec::new()))
}

fn read_list(from: &Path) -> Result<List, BackupError> {
    let path = from.join(LIST);
    let Some(contents) = state_file::read(&path, BACKUP_LIST_BYTES_MAX)? else {
        return Err(BackupError::NoBackup(from.to_owned()));
    };
    let damaged = |source| BackupError::List { path: path.clone(), source };
    let body = envelope::open(KIND, &contents).map_err(damaged)?;
    serde_json::from_str(body.json).map_err(|error| damaged(OpenEnvelopeError::Damaged(error.to_string())))
}

fn refuse_taken(path: &Path) -> Result<(), BackupError> {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(BackupError::NotEmpty(path.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("list", path)(error)),
    }
}

fn make_empty(path: &Path) -> Result<(), BackupError> {
    refuse_taken(path)?;
    create_private(path)
}

fn create_private(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn names_in(path: &Path) -> Result<Vec<String>, BackupError> {
    let entries = fs::read_dir(path).map_err(failed("list", path))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect::<io::Result<_>>().map_err(failed("list", path))
}

/// Copies what a file holds now, with its mode, and makes it durable. One that grows meanwhile is copied as far as it was.
fn copy_file(from: &Path, to: &Path) -> Result<Entry, BackupError> {
    let source = File::open(from).map_err(failed("open", from))?;
    let metadata = source.metadata().map_err(failed("read", from))?;
    let mode = metadata.permissions().mode() & 0o777;
    let target = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(to);
    let mut target = target.map_err(failed("create", to))?;
    let entry =
        digest(&mut source.take(metadata.len()), |block| target.write_all(block)).map_err(failed("copy", from))?;
    target.sync_all().map_err(failed("sync", to))?;
    Ok(entry)
}

fn measure(path: &Path) -> Result<Entry, BackupError> {
    let mut file = File::open(path).map_err(failed("open", path))?;
    digest(&mut file, |_| Ok(())).map_err(failed("read", path))
}

fn digest(file: &mut dyn Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Entry> {
    let (mut crc, mut bytes, mut buffer) = (crc32fast::Hasher::new(), 0, vec![0; BLOCK_BYTES]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Entry { bytes, crc32: crc.finalize() }),
            Ok(read) => {
                let block = &buffer[..read];
                crc.update(block);
                bytes += read as u64;
                each(block)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn sync_folder(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("sync", path))
}

/// Makes every name in a folder, and below it, durable.
fn sync_folders(path: &Path) -> Result<(), BackupError> {
    for name in names_in(path)? {
        let below = path.join(name);
        if below.is_dir() {
            sync_folders(&below)?;
        }
    }
    sync_folder(path)
}
