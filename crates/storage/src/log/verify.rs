//! Reading a whole log without opening it: nothing is made, cut or locked.

use std::path::Path;

use super::cursor::{CursorError, SegmentCursor, Step};
use super::recovery::{Examined, Found, examine, failed};
use super::segment::{SEGMENT_HEADER_BYTES, segment_path};
use super::{CutTail, LogEnds, OpenLogError};
use crate::file_layer::{FileLayer, RealFiles};

/// A log of which every record can be read, but for those that were given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLog {
    /// Where it begins and ends.
    pub ends: LogEnds,
    /// What its segments take.
    pub bytes: u64,
    /// An unfinished write at its end, which opening it would cut off.
    pub cut: Option<CutTail>,
}

/// Reads and checks every record of the log of a folder, which must not be open; `None` when there is no log. Blocks; takes as
/// long as the disk needs for all of it.
///
/// # Errors
/// What would refuse to open it, and damage that would be found later, by whoever reads.
pub fn verify(dir: &Path) -> Result<Option<VerifiedLog>, OpenLogError> {
    if !dir.exists() {
        return Ok(None);
    }
    verify_in(&RealFiles, dir)
}

/// [`verify`] with given files.
pub(super) fn verify_in(files: &dyn FileLayer, dir: &Path) -> Result<Option<VerifiedLog>, OpenLogError> {
    let Examined { segments, next, cut, lost, .. } = match examine(files, dir)? {
        Found::Log(examined) => examined,
        Found::Unfinished(base) => {
            let ends = LogEnds { first: base, next: base };
            return Ok(Some(VerifiedLog { ends, bytes: SEGMENT_HEADER_BYTES, cut: None }));
        }
        Found::Nothing => return Ok(None),
    };
    // The newest was read already, to find where it ends.
    for (segment, follower) in segments.iter().zip(segments.iter().skip(1)) {
        let path = segment_path(dir, segment.base);
        let mut cursor = SegmentCursor::at_start(path.clone(), segment.base, segment.salt, lost.holes(segment.base));
        while cursor.offset() < follower.base {
            match cursor.step(segment.bytes, Some(files)) {
                Ok(Step::Group(_)) => {}
                Ok(Step::End | Step::NotBuffered) | Err(CursorError::Corrupt { .. }) => break,
                Err(CursorError::Io(source)) => return Err(failed("read", &path)(source)),
            }
        }
        // What lies between was given up, or it is damage.
        if lost.after(cursor.offset()) < follower.base {
            return Err(OpenLogError::Corrupt {
                segment: path,
                at_byte: cursor.at_byte(),
                what: "its records are broken",
            });
        }
    }
    let first = segments.front().map_or(next, |segment| segment.base);
    let bytes = segments.iter().map(|segment| segment.bytes).sum();
    Ok(Some(VerifiedLog { ends: LogEnds { first, next }, bytes, cut }))
}
