//! What can go wrong with the log, named for the act that failed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::Offset;

/// The log was not opened, and nothing in its folder was changed beyond what a crash had left unfinished.
#[derive(Debug, Error)]
pub enum OpenLogError {
    /// Another process, or this one, has the folder open.
    #[error("the folder {} is in use by another process", dir.display())]
    InUse {
        /// The log's folder.
        dir: PathBuf,
    },
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
    /// A file in the middle of the log is gone.
    #[error("the log segment {} is missing: {} follows it", missing.display(), follower.display())]
    SegmentMissing {
        /// The file that must exist.
        missing: PathBuf,
        /// The file whose header says so.
        follower: PathBuf,
    },
    /// Records that had been acknowledged are damaged.
    #[error("the log segment {} is damaged at byte {at_byte}: {what}", segment.display())]
    Corrupt {
        /// The damaged file.
        segment: PathBuf,
        /// Where the damage starts.
        at_byte: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The log was written by a newer program.
    #[error("the log segment {} has format version {version}, this program knows version {known}", segment.display())]
    UnknownVersion {
        /// The file.
        segment: PathBuf,
        /// Its version.
        version: u32,
        /// Ours.
        known: u32,
    },
}

impl OpenLogError {
    /// Whether opening it again would fail the same way until somebody mends something.
    pub fn needs_mending(&self) -> bool {
        self.is_damage() || matches!(self, Self::UnknownVersion { .. })
    }

    /// Whether it says that a part of the log is damaged or missing, without which it could be gone on with.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::SegmentMissing { .. } | Self::Corrupt { .. })
    }
}

/// Nothing of the append is in the log, except after [`AppendError::Poisoned`] and [`AppendError::Closed`], when it may
/// turn out to be once the log is opened again.
#[derive(Debug, Clone, Error)]
pub enum AppendError {
    /// The log has reached its hard limit; trimming makes room.
    #[error("the log is full: its limit is {limit_bytes} bytes")]
    Full {
        /// The limit, from [`LogOptions::total_bytes_max`](super::LogOptions::total_bytes_max).
        limit_bytes: u64,
    },
    /// One append is larger than a group may be.
    #[error("an append of {bytes} bytes exceeds the {limit_bytes} bytes allowed at once")]
    TooLarge {
        /// The size of the append, framing included.
        bytes: usize,
        /// The limit, from [`LogOptions::group_bytes_max`](super::LogOptions::group_bytes_max).
        limit_bytes: usize,
    },
    /// There was nothing to append.
    #[error("an append needs at least one record")]
    Empty,
    /// The disk (or a quota) is full. The log stays usable: appends succeed again once there is room.
    #[error("no space left on the disk for {}", path.display())]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// Writing failed for another reason. The log stays usable.
    #[error("cannot write to {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A sync failed, so what the disk holds is unknown, and asking again would not tell. The log takes no more records
    /// until it is opened again.
    #[error("the log stopped after a failed sync of {}; it must be opened again", path.display())]
    Poisoned {
        /// The file or folder that was not synced.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// The log takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProbeError {
    /// The disk or the log's limit leaves no room, or the disk refuses.
    #[error("there is no room for more records")]
    NoRoom,
    /// The log was closed, or stopped after a failed sync: it must be opened again.
    #[error("the log is closed")]
    Closed,
}

/// There is no next batch.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The position lies before the oldest record: retention or a trim overtook the reader.
    #[error("the records up to {first} were trimmed")]
    Trimmed {
        /// The oldest record there is.
        first: Offset,
    },
    /// The position lies after the end: the log has lost records since the position was taken (a deleted or restored
    /// folder). Waiting here would skip others silently.
    #[error("the position is beyond the log's end {next}")]
    BeyondEnd {
        /// The offset the next record will get.
        next: Offset,
    },
    /// Stored records are damaged; the reader stays where it is.
    #[error("the log segment {} is damaged at byte {at_byte}", segment.display())]
    Corrupt {
        /// The damaged file.
        segment: PathBuf,
        /// Where the damage starts.
        at_byte: u64,
    },
    /// The system refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// All was read, and no more will come: the log was closed, or stopped after a failed sync.
    #[error("the log is closed")]
    Closed,
}

/// Not everything that may go was deleted; what is left can be trimmed again.
#[derive(Debug, Error)]
#[error("cannot delete {}", path.display())]
pub struct TrimError {
    /// The segment, or the folder when only its sync failed.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}
