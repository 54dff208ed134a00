//! Which segments may go: by acknowledgement, by age, by size.
//!
//! What goes is always whole segments, oldest first, one by one and each made durable before the next, so that a crash in
//! between leaves a shorter log and never one with a hole. The newest segment stays, which keeps the offsets going.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::error::TrimError;
use super::segment::segment_path;
use super::state::{Segment, Shared, lock};
use super::{Offset, Trimmed};

/// What the log forgets by itself, read or not. The default forgets nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Records older than this go. A segment goes when its newest record is that old, so some records live longer, by the
    /// time one segment spans (at most about this age again, since an old segment is closed).
    pub age: Option<Duration>,
    /// The oldest segments go while the log takes more than this many bytes.
    pub bytes: Option<u64>,
}

impl Retention {
    /// The first offset to keep. Pure, so that every rule can be tested as a table.
    pub(super) fn keep_from(&self, segments: &VecDeque<Segment>, now_ms: u64) -> Option<Offset> {
        let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let mut keep_from = None;
        for (oldest, next) in segments.iter().zip(segments.iter().skip(1)) {
            // Nothing in a segment is newer than the creation of the next one.
            let too_old = self.age.is_some_and(|age| is_older(next.created_at_ms, age, now_ms));
            let too_much = self.bytes.is_some_and(|limit| bytes > limit);
            if !too_old && !too_much {
                break;
            }
            bytes -= oldest.bytes;
            keep_from = Some(next.base);
        }
        keep_from
    }

    /// Whether the newest segment should be closed because all retention waits for is that it is no longer the newest.
    pub(super) fn closes(&self, newest: &Segment, now_ms: u64) -> bool {
        self.age.is_some_and(|age| is_older(newest.created_at_ms, age, now_ms))
    }
}

fn is_older(at_ms: u64, age: Duration, now_ms: u64) -> bool {
    u128::from(now_ms.saturating_sub(at_ms)) >= age.as_millis()
}

impl Shared {
    /// Applies the configured retention once.
    pub(super) fn retain(&self) -> Result<Trimmed, TrimError> {
        let now_ms = (self.environment.clock)();
        let keep_from = self.options.retention.keep_from(&lock(&self.state).segments, now_ms);
        self.trim_before(keep_from.unwrap_or(Offset(0)))
    }

    /// Deletes the segments that hold nothing at or after `offset`.
    pub(super) fn trim_before(&self, offset: Offset) -> Result<Trimmed, TrimError> {
        let _one_at_a_time = lock(&self.trimming);
        let mut trimmed = Trimmed { first: lock(&self.state).first(), segments: 0, bytes: 0 };
        loop {
            // Taken out before the file goes: readers then get a clear `Trimmed`, not a missing file.
            let oldest = lock(&self.state).take_oldest_before(offset);
            let Some(segment) = oldest else { return Ok(trimmed) };
            let path = segment_path(&self.dir, segment.base);
            match self.environment.files.remove(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    lock(&self.state).put_back_oldest(segment);
                    return Err(TrimError { path, source });
                }
                // Already gone is what was wanted: an earlier trim may have failed only to sync the folder.
                _ => {}
            }
            let synced = self.environment.files.sync_dir(&self.dir);
            synced.map_err(|source| TrimError { path: self.dir.clone(), source })?;
            trimmed.first = lock(&self.state).first();
            trimmed.segments += 1;
            trimmed.bytes += segment.bytes;
        }
    }
}

#[cfg(test)]
mod tests;
