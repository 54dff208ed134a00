//! Compaction: which segments to merge, and the merge itself, which holds only a batch of each in memory.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;

use super::SegmentMeta;
use super::folder::verify_segment;
use super::layout::ColumnCounts;
use super::read::{ReadSegmentError, SegmentReader, SegmentRows};
use super::write::{SegmentFile, SegmentName, WriteSegmentError};
use crate::limits::{COMPACT_SEGMENT_BYTES, COMPACT_SEGMENTS_MAX};
use crate::row::Row;
use crate::selection::{Names, Selection};

/// Segments could not be merged. The old ones are untouched.
#[derive(Debug, thiserror::Error)]
pub enum CompactSegmentsError {
    /// Fewer than two, or more than [`COMPACT_SEGMENTS_MAX`].
    #[error("{0} segments cannot be compacted at once")]
    WrongCount(usize),
    /// One of them cannot be read.
    #[error("cannot read a segment to compact")]
    Read(#[source] ReadSegmentError),
    /// The new one cannot be written.
    #[error("cannot write the compacted segment")]
    Write(#[source] WriteSegmentError),
}

/// The segments to merge next, if any: neighbours in the log of the same generation, [`COMPACT_SEGMENTS_MAX`] of them, each still
/// small. A row is therefore rewritten once a generation, and a segment stays a short piece of time.
pub fn plan_compaction(segments: &[SegmentMeta]) -> Option<Vec<SegmentMeta>> {
    let mut ordered: Vec<&SegmentMeta> = segments.iter().collect();
    ordered.sort_by_key(|meta| meta.offset_first);
    let runs = ordered.chunk_by(|left, right| {
        left.generation == right.generation && left.bytes < COMPACT_SEGMENT_BYTES && right.bytes < COMPACT_SEGMENT_BYTES
    });
    // The lowest generation first: these are the smallest and the most numerous.
    runs.filter(|run| run.len() >= COMPACT_SEGMENTS_MAX)
        .min_by_key(|run| run[0].generation)
        .map(|run| run[..COMPACT_SEGMENTS_MAX].iter().map(|meta| (*meta).clone()).collect())
}

/// Merges `inputs` into one segment of the next generation in the same folder and returns its entry. The caller replaces the entries
/// of `inputs` with it in one transaction, then deletes their files. Each input is compared with its checksum first, so that damage
/// is never copied into a file that looks sound.
pub fn compact(folder: &Path, application: &str, inputs: &[SegmentMeta]) -> Result<SegmentMeta, CompactSegmentsError> {
    if !(2..=COMPACT_SEGMENTS_MAX).contains(&inputs.len()) {
        return Err(CompactSegmentsError::WrongCount(inputs.len()));
    }
    let mut counts = ColumnCounts::default();
    for meta in inputs {
        verify_segment(folder, meta).map_err(CompactSegmentsError::Read)?;
        for column in &meta.columns {
            counts.add(&Arc::from(column.name.as_str()), column.kind, column.values);
        }
    }
    let name = merged_name(inputs);
    let mut output =
        SegmentFile::create(folder, application, name, &counts.into_columns()).map_err(CompactSegmentsError::Write)?;
    let mut merge = Merge::open(folder, inputs).map_err(CompactSegmentsError::Read)?;
    // A message's rows are all in one file; what another one has of it is the same again.
    let mut previous: Option<(u64, usize)> = None;
    while let Some(Head { row, input }) = merge.next().map_err(CompactSegmentsError::Read)? {
        if previous.is_none_or(|(offset, of)| offset != row.offset || of == input) {
            output.append(&row).map_err(CompactSegmentsError::Write)?;
            previous = Some((row.offset, input));
        }
    }
    output.finish().map_err(CompactSegmentsError::Write)
}

fn merged_name(inputs: &[SegmentMeta]) -> SegmentName {
    SegmentName {
        offset_first: inputs.iter().map(|meta| meta.offset_first).min().unwrap_or(0),
        offset_last: inputs.iter().map(|meta| meta.offset_last).max().unwrap_or(0),
        generation: inputs.iter().map(|meta| meta.generation).max().unwrap_or(0) + 1,
    }
}

/// The rows of several segments in storage order.
struct Merge {
    inputs: Vec<SegmentRows>,
    heads: BinaryHeap<Reverse<Head>>,
}

/// The next row of one input.
struct Head {
    row: Row,
    input: usize,
}

impl Merge {
    fn open(folder: &Path, inputs: &[SegmentMeta]) -> Result<Self, ReadSegmentError> {
        let everything = Selection::everything();
        let mut merge =
            Merge { inputs: Vec::with_capacity(inputs.len()), heads: BinaryHeap::with_capacity(inputs.len()) };
        for (input, meta) in inputs.iter().enumerate() {
            merge.inputs.push(SegmentReader::open(folder, meta)?.rows(&everything, &Names::All)?);
            merge.advance(input)?;
        }
        Ok(merge)
    }

    fn next(&mut self) -> Result<Option<Head>, ReadSegmentError> {
        let Some(Reverse(head)) = self.heads.pop() else { return Ok(None) };
        self.advance(head.input)?;
        Ok(Some(head))
    }

    fn advance(&mut self, input: usize) -> Result<(), ReadSegmentError> {
        if let Some(row) = self.inputs[input].next() {
            self.heads.push(Reverse(Head { row: row?, input }));
        }
        Ok(())
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.row.storage_order(&other.row).then_with(|| self.input.cmp(&other.input))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}
