//! Named reader positions, all in one small file that is replaced atomically.
//!
//! # Format, version 1
//!
//! Text, so that an operator can read it; the last line is the CRC-32 of everything before it.
//!
//! ```text
//! tidegate-checkpoints 1
//! exports/archive 1200
//! telemetry 1534
//! crc32 0badf00d
//! ```
//!
//! # Version history
//!
//! - 1: the first.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use thiserror::Error;

use super::Offset;
use super::state::lock;
use crate::file_layer::{FileLayer, RealFiles};
use crate::limits::{CHECKPOINT_FILE_BYTES_MAX, CHECKPOINT_NAME_BYTES_MAX, CHECKPOINTS_MAX};
use crate::state_file::{self, Access, ReadFileError, ReplaceFileError};

/// Version of the format.
const VERSION: u32 = 1;
/// What the first line starts with; the version follows.
const FIRST_WORD: &str = "tidegate-checkpoints ";

/// The checkpoints were not opened or not changed.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("cannot read the checkpoints")]
    Read(#[source] ReadFileError),
    /// The file was written by a newer program. It is left as it is.
    #[error("the checkpoint file {} has format version {version}, this program knows version {known}", path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// Ours.
        known: u32,
    },
    /// The file is not what was written: damaged, or of another program. It is left as it is; deleting it starts every
    /// reader from the beginning.
    #[error("the checkpoint file {} is damaged", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
    /// The new position is not durable; the old one holds.
    #[error("cannot write the checkpoints")]
    Write(#[source] ReplaceFileError),
    /// A name must be 1 to 200 bytes without white space or control characters.
    #[error("the checkpoint name {name:?} is not allowed")]
    Name {
        /// The name.
        name: String,
    },
    /// There are as many checkpoints as there may be.
    #[error("there are already {limit} checkpoints")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

/// Named positions, each durable when set. One per file; share it behind an [`Arc`].
#[derive(Debug)]
pub struct Checkpoints {
    files: Arc<dyn FileLayer>,
    path: PathBuf,
    positions: Mutex<BTreeMap<String, Offset>>,
}

impl Checkpoints {
    /// Reads the file; without one there are no checkpoints yet.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::open_on(path, Arc::new(RealFiles))
    }

    /// [`Checkpoints::open`] on a given file layer.
    pub fn open_on(path: &Path, files: Arc<dyn FileLayer>) -> Result<Self, CheckpointError> {
        let contents = state_file::read_on(&*files, path, CHECKPOINT_FILE_BYTES_MAX).map_err(CheckpointError::Read)?;
        let positions = match contents {
            None => BTreeMap::new(),
            Some(contents) => decode(&contents).map_err(|error| match error {
                DecodeError::Damaged => CheckpointError::Corrupt { path: path.to_owned() },
                DecodeError::Version(version) => {
                    CheckpointError::UnknownVersion { path: path.to_owned(), version, known: VERSION }
                }
            })?,
        };
        Ok(Checkpoints { files, path: path.to_owned(), positions: Mutex::new(positions) })
    }

    /// The position stored under a name.
    pub fn get(&self, name: &str) -> Option<Offset> {
        lock(&self.positions).get(name).copied()
    }

    /// Stores a position; durable when it returns. Backwards is allowed, that is how a replay begins. Blocks for two syncs.
    pub fn set(&self, name: &str, position: Offset) -> Result<(), CheckpointError> {
        if !is_name(name) {
            return Err(CheckpointError::Name { name: name.to_owned() });
        }
        self.change(|positions| {
            positions.insert(name.to_owned(), position);
        })
    }

    /// Stores these positions and forgets every other name, in one write; durable when it returns. Blocks for two syncs,
    /// unless nothing changes.
    pub fn replace_all(&self, positions: BTreeMap<String, Offset>) -> Result<(), CheckpointError> {
        if let Some(name) = positions.keys().find(|name| !is_name(name)) {
            return Err(CheckpointError::Name { name: name.clone() });
        }
        self.change(|current| *current = positions)
    }

    /// Forgets a name; durable when it returns.
    pub fn remove(&self, name: &str) -> Result<(), CheckpointError> {
        self.change(|positions| {
            positions.remove(name);
        })
    }

    /// Every name with its position.
    pub fn all(&self) -> BTreeMap<String, Offset> {
        lock(&self.positions).clone()
    }

    /// The smallest position: what every named reader has read, and a log may forget.
    pub fn min(&self) -> Option<Offset> {
        lock(&self.positions).values().min().copied()
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Offset>)) -> Result<(), CheckpointError> {
        // Held during the write: two changes must reach the disk in the order they take effect.
        let mut positions = lock(&self.positions);
        let mut changed = positions.clone();
        change(&mut changed);
        if changed == *positions {
            return Ok(());
        }
        if changed.len() > CHECKPOINTS_MAX {
            return Err(CheckpointError::TooMany { limit: CHECKPOINTS_MAX });
        }
        state_file::replace_on(&*self.files, &self.path, encode(&changed).as_bytes(), Access::Private)
            .map_err(CheckpointError::Write)?;
        *positions = changed;
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |character: char| !character.is_whitespace() && !character.is_control();
    !name.is_empty() && name.len() <= CHECKPOINT_NAME_BYTES_MAX && name.chars().all(allowed)
}

fn encode(positions: &BTreeMap<String, Offset>) -> String {
    let mut text = format!("{FIRST_WORD}{VERSION}\n");
    for (name, position) in positions {
        writeln!(text, "{name} {position}").expect("writing to a string does not fail");
    }
    let crc = crc32fast::hash(text.as_bytes());
    writeln!(text, "crc32 {crc:08x}").expect("writing to a string does not fail");
    text
}

/// Why a file holds no checkpoints.
enum DecodeError {
    Damaged,
    Version(u32),
}

fn decode(contents: &[u8]) -> Result<BTreeMap<String, Offset>, DecodeError> {
    let text = checked_text(contents).ok_or(DecodeError::Damaged)?;
    let (first, lines) = text.split_once('\n').ok_or(DecodeError::Damaged)?;
    match first.strip_prefix(FIRST_WORD).and_then(|version| version.parse().ok()) {
        Some(VERSION) => positions(lines).ok_or(DecodeError::Damaged),
        Some(version) => Err(DecodeError::Version(version)),
        None => Err(DecodeError::Damaged),
    }
}

/// What the checksum in the last line covers, if it fits. Every version ends with such a line.
fn checked_text(contents: &[u8]) -> Option<&str> {
    let text = str::from_utf8(contents).ok()?;
    let (covered, crc) = text.strip_suffix('\n')?.rsplit_once("\ncrc32 ")?;
    let covered = &text[..covered.len() + 1];
    if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(covered.as_bytes()) {
        return None;
    }
    Some(covered)
}

fn positions(lines: &str) -> Option<BTreeMap<String, Offset>> {
    let mut positions = BTreeMap::new();
    for line in lines.lines() {
        let (name, position) = line.split_once(' ')?;
        positions.insert(name.to_owned(), Offset(position.parse().ok()?));
    }
    Some(positions)
}

#[cfg(test)]
mod tests;
