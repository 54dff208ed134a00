//! What may go wrong with the queues.

use std::io;
use std::path::PathBuf;

use storage::log::{AppendError, CheckpointError, Offset, OpenLogError, ReadError};

use super::super::record::UnknownRecord;
use super::Behind;
use super::cursor::Waiting;
use crate::limits::CURSORS_MAX;

/// The queues cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenQueuesError {
    /// A folder cannot be made, read or removed.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A log cannot be opened.
    #[error("cannot open the log of the queues in {}", dir.display())]
    Log {
        /// Its folder.
        dir: PathBuf,
        /// Why.
        #[source]
        source: OpenLogError,
    },
    /// A log cannot be read.
    #[error("cannot read the log of the queues in {}", dir.display())]
    Read {
        /// Its folder.
        dir: PathBuf,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// How far the queues were delivered cannot be read or written.
    #[error("cannot use {}, which says how far the queues were delivered", path.display())]
    Positions {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CheckpointError,
    },
    /// The log holds what this program cannot read.
    #[error("cannot read message {offset} of the queues in {}", dir.display())]
    Record {
        /// The folder of its log.
        dir: PathBuf,
        /// Its number.
        offset: Offset,
        /// Why.
        #[source]
        source: UnknownRecord,
    },
    /// A message of an earlier version cannot be moved into the one log.
    #[error("cannot move the messages of the queue {name}, which an earlier version wrote")]
    Move {
        /// The queue's folder.
        name: String,
        /// Why.
        #[source]
        source: AppendError,
    },
}

/// Messages were not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queues have reached their limit.
    #[error("the queues hold {bytes} of {bytes_max} bytes{}", behind_text(behind.as_ref()))]
    Full {
        /// What they hold.
        bytes: u64,
        /// What they may.
        bytes_max: u64,
        /// The queue that is furthest behind.
        behind: Option<Behind>,
    },
    /// The log refused.
    #[error("the queues cannot be written")]
    Append(#[from] AppendError),
    /// There would be more queues than there may be.
    #[error("there are already {CURSORS_MAX} queues")]
    TooMany,
}

fn behind_text(behind: Option<&Behind>) -> String {
    match behind {
        Some(Behind { queue, waiting: Waiting { messages, bytes } }) => {
            format!(", held since the oldest of {messages} messages ({bytes} bytes) that wait for {queue}")
        }
        None => String::new(),
    }
}
