//! Reads what is intact in the folder of a log that is damaged, and says what is not. Changes nothing.
//!
//! A log is opened whole or not at all; this is for what is done with one that was given up. Each group is held against its
//! checksums as ever. Where none fits, the next one that does is looked for: the salt of the segment tells a group from anything
//! that looks like one.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::recovery::failed;
use super::segment::{SEGMENT_HEADER_BYTES, parse_segment_name, segment_path};
use super::whole_group::{WholeGroup, next_whole_group, salt_of_segment};
use super::{Offset, OpenLogError, Record};
use crate::file_layer::{FileLayer, read_exact_at};

/// A part of a log that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPart {
    /// The segment it is in, or would be in.
    pub segment: PathBuf,
    /// The bytes of it; none where the file is missing.
    pub bytes: Range<u64>,
    /// The records, as far as what follows tells. The last part of a log may hold some that nobody knows of.
    pub records: Range<u64>,
}

impl std::fmt::Display for MissingPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Range { start, end } = &self.bytes;
        write!(f, "{}: bytes {start} to {end}", self.segment.display())?;
        match self.records.end - self.records.start {
            0 => write!(f, ", records {} and later, if there were any", self.records.start),
            records => write!(f, ", {records} records from {}", self.records.start),
        }
    }
}

/// Hands out every record that is intact, in order. Answers what is lost. One segment is in memory at a time.
pub fn salvage<E: From<OpenLogError>>(
    files: &dyn FileLayer,
    dir: &Path,
    mut each: impl FnMut(Record) -> Result<(), E>,
) -> Result<Vec<MissingPart>, E> {
    let names = files.list(dir).map_err(failed("list", dir))?;
    let mut bases: Vec<Offset> = names.iter().filter_map(|name| parse_segment_name(name)).collect();
    bases.sort_unstable();
    let mut lost = Vec::new();
    let mut next = bases.first().copied().unwrap_or_default();
    for base in bases {
        let segment = segment_path(dir, base);
        if base > next {
            lost.push(MissingPart { segment: segment_path(dir, next), bytes: 0..0, records: next.0..base.0 });
            next = base;
        }
        let file = files.open(&segment).map_err(failed("open", &segment))?;
        let mut bytes = vec![0; file.bytes().map_err(failed("read", &segment))? as usize];
        read_exact_at(&*file, &mut bytes, 0).map_err(failed("read", &segment))?;
        next = salvage_segment(&segment, Bytes::from(bytes), next, &mut lost, &mut each)?;
    }
    Ok(lost)
}

/// Answers the offset behind the last record.
fn salvage_segment<E>(
    segment: &Path,
    bytes: Bytes,
    mut next: Offset,
    lost: &mut Vec<MissingPart>,
    each: &mut impl FnMut(Record) -> Result<(), E>,
) -> Result<Offset, E> {
    // If the salt cannot be told, no group fits it.
    let salt = salt_of_segment(&bytes);
    let mut at = SEGMENT_HEADER_BYTES as usize;
    while at < bytes.len() {
        let found = salt.and_then(|salt| next_whole_group(&bytes, at, salt, next));
        let (start, end) = found.as_ref().map_or((bytes.len(), bytes.len()), |found| (found.at, found.end));
        let first = found.as_ref().map_or(next, |found| found.records.next_offset());
        if start > at || first > next {
            let (bytes, records) = (at as u64..start as u64, next.0..first.0);
            lost.push(MissingPart { segment: segment.to_owned(), bytes, records });
        }
        if let Some(WholeGroup { mut records, .. }) = found {
            next = records.end();
            while let Some(record) = records.take_next() {
                each(record)?;
            }
        }
        at = end;
    }
    Ok(next)
}

#[cfg(test)]
mod tests;
