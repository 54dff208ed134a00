//! What `telemetry/` itself knows of how far it goes: the file `NEWEST`, a state file of kind `central.telemetry.newest`.
//!
//! It is written after each commit of the catalog, so it is never ahead of the registry the files belong to. A registry that is
//! behind it is an older copy: its catalog does not list the newest files, and the log may no longer hold what is in them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use storage::envelope::{self, Kind, OpenEnvelopeError};
use storage::state_file::{self, Access, ReadFileError, ReplaceFileError};

/// Name in the telemetry folder.
pub const FILE_NAME: &str = "NEWEST";

const KIND: Kind = Kind { name: "central.telemetry.newest", version: 2 };

/// No such file is larger.
const BYTES_MAX: u64 = 4096;

#[derive(Debug, Serialize, Deserialize)]
struct Body {
    /// Everything before this log offset was committed.
    next: u64,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadNewestError {
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

/// The log offset before which everything was committed, as the telemetry folder knows it; `None` when nothing ever was.
pub fn read(folder: &Path) -> Result<Option<u64>, ReadNewestError> {
    let path = folder.join(FILE_NAME);
    let Some(contents) = state_file::read(&path, BYTES_MAX)? else { return Ok(None) };
    let body = envelope::unseal(KIND, &contents);
    let Body { next } = body.map_err(|source| ReadNewestError::Contents { path, source })?;
    Ok(Some(next))
}

/// Notes that everything before `next` was committed. Blocks for two syncs.
pub fn write(folder: &Path, next: u64) -> Result<(), ReplaceFileError> {
    let contents = envelope::seal(KIND, &Body { next }).expect("a number always serializes");
    state_file::replace(&folder.join(FILE_NAME), &contents, Access::Private)
}
