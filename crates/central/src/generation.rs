//! Which registry is the newest: a number that the registry and its data folder share, and that only grows.
//!
//! ```text
//!   registry   the marker `registry`, beside those of the guarded folders      registry n+1 (committed) ──► file n+1
//!   folder     the file `generation`, a state file of kind `central.generation`
//! ```
//!
//! The registry is first, so it is never behind its folder: one that is, is an older copy. The number grows at each start, at each
//! stop, and while Central runs once a minute when the registry changed; never with a change. So a copy is told from the
//! registry it was made of once a minute has gone by, or Central was stopped or started, after a change.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use events::clock::now_ms;
use registry::{Registry, StoreError, Survey};
use serde::{Deserialize, Serialize};
use storage::envelope::{self, Kind, OpenEnvelopeError};
use storage::state_file::{self, Access, ReadFileError, ReplaceFileError};
use tokio_util::sync::CancellationToken;

use crate::data_folder::DataFolder;

/// Name of the file.
pub const FILE_NAME: &str = "generation";

/// Name of the marker in the registry.
const MARKER: &str = "registry";

const KIND: Kind = Kind { name: "central.generation", version: 2 };

/// No such file is larger.
const BYTES_MAX: u64 = 4096;

/// With less room on the disk than this, the number does not grow at a start.
const START_FREE_BYTES: u64 = 1024 * 1024;

/// How often the number grows while the registry changes.
const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize, Deserialize)]
struct Body {
    generation: u64,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadGenerationError {
    /// The system refused.
    #[error(transparent)]
    Read(#[from] ReadFileError),
    /// It is damaged, or a later version of the program wrote it.
    #[error("{} cannot be used", path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: OpenEnvelopeError,
    },
}

/// The number did not grow.
#[derive(Debug, thiserror::Error)]
pub enum RenewGenerationError {
    /// The registry's cannot be read or written.
    #[error("the generation of the registry cannot be changed")]
    Store(#[from] StoreError),
    /// The folder's cannot be read.
    #[error("the generation of the data folder cannot be read")]
    Read(#[from] ReadGenerationError),
    /// The folder's cannot be written.
    #[error("the generation of the data folder cannot be written")]
    Write(#[from] ReplaceFileError),
}

impl RenewGenerationError {
    fn is_for_lack_of_room(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::DiskFull(..)),
            Self::Write(error) => matches!(error.source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded),
            Self::Read(_) => false,
        }
    }
}

/// The folder's number; `None` when it has none yet.
pub fn read(root: &Path) -> Result<Option<u64>, ReadGenerationError> {
    let path = root.join(FILE_NAME);
    let Some(contents) = state_file::read(&path, BYTES_MAX)? else { return Ok(None) };
    let body = envelope::unseal(KIND, &contents);
    let Body { generation } = body.map_err(|source| ReadGenerationError::Contents { path, source })?;
    Ok(Some(generation))
}

/// Writes the folder's number. Blocks for two syncs.
pub fn write(root: &Path, generation: u64) -> Result<(), ReplaceFileError> {
    let contents = envelope::seal(KIND, &Body { generation }).expect("a number always serializes");
    state_file::replace(&root.join(FILE_NAME), &contents, Access::Private)
}

/// The number of a registry that was looked at; 0 when it never had one.
pub fn of(survey: &Survey) -> u64 {
    parse(survey.marker(MARKER))
}

fn parse(marker: Option<&str>) -> u64 {
    marker.and_then(|marker| marker.parse().ok()).unwrap_or(0)
}

/// Makes the number grow, past both. Blocks for the file.
pub async fn renew(folder: &DataFolder, registry: &Registry) -> Result<(), RenewGenerationError> {
    let stored = parse(registry.guarded_folder_marker(MARKER).await?.as_deref());
    let next = stored.max(read(folder.root())?.unwrap_or(0)) + 1;
    registry.guarded_folder_put(MARKER, &next.to_string(), now_ms()).await?;
    Ok(write(folder.root(), next)?)
}

/// [`renew`], for a start: Central starts on a full disk too, to read, and to say that it takes nothing.
/// What little room is left is for what a start cannot do without.
pub async fn renew_if_room(folder: &DataFolder, registry: &Registry) -> Result<(), RenewGenerationError> {
    if folder.disk().is_some_and(|disk| disk.free_bytes < START_FREE_BYTES) {
        tracing::warn!("the registry's generation is that of the last start: the disk is nearly full");
        return Ok(());
    }
    match renew(folder, registry).await {
        Err(error) if error.is_for_lack_of_room() => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the registry's generation is that of the last start: the disk is full");
            Ok(())
        }
        done => done,
    }
}

/// Lets the number grow from time to time.
pub struct Renewal {
    folder: DataFolder,
    registry: Registry,
    seen: Stamp,
}

/// What tells whether a SQLite registry changed, whoever changed it: size and time of its files. Of one on a server there are none.
type Stamp = Option<[(u64, Option<SystemTime>); 2]>;

impl Renewal {
    /// For a registry whose number has just grown.
    pub fn new(folder: DataFolder, registry: Registry) -> Self {
        let seen = stamp(&folder);
        Self { folder, registry, seen }
    }

    /// Runs until the token is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
            self.renew_if_changed().await;
        }
    }

    /// One that could not grow is no worse than before. Registry and disk tell what is wrong with them by themselves.
    async fn renew_if_changed(&mut self) {
        let now = stamp(&self.folder);
        if now.is_some() && now == self.seen {
            return;
        }
        if let Err(error) = renew(&self.folder, &self.registry).await {
            let error = &error as &dyn std::error::Error;
            tracing::info!(error, "the registry's generation could not be renewed");
        }
        self.seen = stamp(&self.folder);
    }
}

fn stamp(folder: &DataFolder) -> Stamp {
    let of = |path: &Path| fs::metadata(path).map_or((0, None), |file| (file.len(), file.modified().ok()));
    let path = folder.registry();
    path.exists().then(|| [of(&path), of(&path.with_file_name("registry.db-wal"))])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    struct Rig {
        _dir: tempfile::TempDir,
        folder: DataFolder,
        registry: Registry,
    }

    impl Rig {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let folder = DataFolder::at(dir.path());
            let registry = Registry::open(&folder.registry()).await.unwrap();
            Self { folder, registry, _dir: dir }
        }

        /// Of the folder, and of the registry.
        async fn numbers(&self) -> (u64, u64) {
            let stored = self.registry.guarded_folder_marker(MARKER).await.unwrap();
            (read(self.folder.root()).unwrap().unwrap_or(0), parse(stored.as_deref()))
        }
    }

    #[tokio::test]
    async fn it_grows_past_both() {
        let rig = Rig::new().await;
        assert_eq!(rig.numbers().await, (0, 0));
        renew(&rig.folder, &rig.registry).await.unwrap();
        assert_eq!(rig.numbers().await, (1, 1));
        // An older registry that was accepted.
        write(rig.folder.root(), 7).unwrap();
        renew(&rig.folder, &rig.registry).await.unwrap();
        assert_eq!(rig.numbers().await, (8, 8));
        // The file is gone, or a crash came before it.
        fs::remove_file(rig.folder.root().join(FILE_NAME)).unwrap();
        renew(&rig.folder, &rig.registry).await.unwrap();
        assert_eq!(rig.numbers().await, (9, 9));
    }

    #[tokio::test]
    async fn it_grows_only_when_the_registry_changed() {
        let rig = Rig::new().await;
        renew(&rig.folder, &rig.registry).await.unwrap();
        let mut renewal = Renewal::new(rig.folder.clone(), rig.registry.clone());
        for _ in 0..3 {
            renewal.renew_if_changed().await;
        }
        assert_eq!(rig.numbers().await, (1, 1));
        let grown = fs::metadata(rig.folder.root().join("registry.db-wal")).unwrap().len();
        rig.registry.data_loss_record("something else changed", 1).await.unwrap();
        assert!(
            fs::metadata(rig.folder.root().join("registry.db-wal")).unwrap().len() > grown,
            "so it is seen to change"
        );
        renewal.renew_if_changed().await;
        assert_eq!(rig.numbers().await, (2, 2));
        renewal.renew_if_changed().await;
        assert_eq!(rig.numbers().await, (2, 2), "its own change is none");
    }

    #[test]
    fn a_damaged_number_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 3).unwrap();
        let path = dir.path().join(FILE_NAME);
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() - 1 {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert!(read(dir.path()).is_err(), "byte {at}");
        }
    }
}
