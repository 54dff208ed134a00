//! How far records were acknowledged: what tells the last acknowledged group, damaged, from one that was never finished.
//!
//! The file is written over in place after each sync of a group and before anybody is told, and is not synced by itself: a
//! process that is killed leaves it exact, and after a loss of power it may be behind, never ahead. A log that ends before it has
//! lost something.
//!
//! # Format, version 1
//!
//! ```text
//!  0  8  magic "TIDEACK\n"
//!  8  4  version, 1
//! 12  8  offset of the first record that was not acknowledged
//! 20  4  CRC-32 of bytes 0..20
//! ```
//!
//! One that is damaged says nothing.
//!
//! # Version history
//!
//! - 1: the first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use super::recovery::failed;
use super::{Offset, OpenLogError};
use crate::file_layer::{Access, FileLayer, LayerFile, read_exact_at, write_all_at};

/// Its name in the log's folder.
pub(super) const FILE_NAME: &str = "acknowledged";

const MAGIC: &[u8; 8] = b"TIDEACK\n";
const VERSION: u32 = 1;
const BYTES: usize = 24;

/// The mark of a log that is open.
#[derive(Debug)]
pub(super) struct Acknowledged {
    path: PathBuf,
    /// `None` where it cannot be written: then it says nothing.
    file: Option<Arc<dyn LayerFile>>,
}

fn encode(next: Offset) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&next.0.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..20]);
    bytes[20..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// What the mark in a folder says; `None` when there is none, or it is damaged.
pub(super) fn read(files: &dyn FileLayer, dir: &Path) -> Result<Option<Offset>, OpenLogError> {
    let path = dir.join(FILE_NAME);
    let file = match files.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", &path)(error)),
    };
    let mut bytes = [0; BYTES];
    match read_exact_at(&*file, &mut bytes, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(failed("read", &path)(error)),
    }
    decode(&bytes).map_err(|version| OpenLogError::UnknownVersion { segment: path, version, known: VERSION })
}

/// The offset, if the bytes are whole; the version, if it is a later one.
fn decode(bytes: &[u8; BYTES]) -> Result<Option<Offset>, u32> {
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if &bytes[..8] != MAGIC || number(20) != crc32fast::hash(&bytes[..20]) {
        return Ok(None);
    }
    match number(8) {
        VERSION => Ok(Some(Offset(u64::from(number(12)) | u64::from(number(16)) << 32))),
        version => Err(version),
    }
}

impl Acknowledged {
    /// The mark of a log that ends at `next`, durable once the folder is synced. A disk that takes none is no reason not to open.
    pub(super) fn begin(files: &dyn FileLayer, dir: &Path, next: Offset) -> Self {
        let path = dir.join(FILE_NAME);
        let begun = match files.open_writable(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => files.create(&path, Access::Private),
            opened => opened,
        };
        let begun = begun.and_then(|file| {
            write_all_at(&*file, &encode(next), 0)?;
            file.sync_data()?;
            Ok(file)
        });
        let mut mark = Acknowledged { path, file: None };
        match begun {
            Ok(file) => mark.file = Some(file),
            Err(error) => mark.give_up(&error),
        }
        mark
    }

    /// Everything before `next` is about to be acknowledged, and is durable.
    pub(super) fn set(&mut self, next: Offset) {
        let Some(file) = &self.file else { return };
        if let Err(error) = write_all_at(&**file, &encode(next), 0) {
            self.give_up(&error);
        }
    }

    /// One that is behind is safe.
    fn give_up(&mut self, error: &io::Error) {
        self.file = None;
        let path = self.path.display();
        warn!(%path, error = error as &dyn std::error::Error, "how far the log was acknowledged is not noted any more");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    //! The mark, bit by bit.

    use super::*;

    #[test]
    fn a_mark_is_read_as_written_and_a_damaged_one_says_nothing() {
        for next in [0, 1, u64::from(u32::MAX) + 7, u64::MAX] {
            assert_eq!(decode(&encode(Offset(next))), Ok(Some(Offset(next))));
        }
        for bit in 0..BYTES * 8 {
            let mut bytes = encode(Offset(77));
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bytes), Ok(None), "bit {bit}");
        }
        let mut later = encode(Offset(1));
        later[8] = 2;
        let crc = crc32fast::hash(&later[..20]);
        later[20..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode(&later), Err(2));
    }
}
