//! What the writer, the readers and the trimmer of one log share: the list of segments, the newest groups in memory, and
//! the durable end.
//!
//! Invariants: segments are in order and without gaps, and at least one is there. `next` is the end of the newest. The tail
//! holds consecutive groups that end at `next`. Only durable data is ever entered here, so a reader cannot see more.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;

use super::lost::Lost;
use super::segment::GroupRecords;
use super::{Environment, LogOptions, Offset};

#[derive(Debug)]
pub(super) struct Shared {
    pub dir: PathBuf,
    pub options: LogOptions,
    pub environment: Environment,
    pub state: Mutex<State>,
    /// What readers pass over.
    pub lost: Lost,
    /// Held while segments are deleted, so that two trims do not interleave.
    pub trimming: Mutex<()>,
    /// Wakes waiting readers.
    pub end: watch::Sender<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub next: Offset,
    /// No more records will come.
    pub closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub base: Offset,
    /// Durable bytes, header included.
    pub bytes: u64,
    pub salt: u32,
    pub created_at_ms: u64,
}

#[derive(Debug)]
pub(super) struct State {
    pub segments: VecDeque<Segment>,
    pub next: Offset,
    pub bytes: u64,
    /// As [`LogOptions::total_bytes_max`] says, until it is changed.
    pub total_bytes_max: Option<u64>,
    /// What the group that is being written takes beyond `bytes`, at most.
    pub promised_bytes: u64,
    tail: VecDeque<TailGroup>,
    tail_bytes: usize,
}

/// A durable group that is still in memory, and where it lies in its file.
#[derive(Debug, Clone)]
pub(super) struct TailGroup {
    pub first: Offset,
    pub records: GroupRecords,
    pub group_bytes: usize,
    pub segment_base: Offset,
    pub end_byte: u64,
}

impl TailGroup {
    /// What it costs in memory, bookkeeping included.
    fn cost_bytes(&self) -> usize {
        self.group_bytes + size_of::<Self>()
    }
}

impl State {
    pub(super) fn new(segments: VecDeque<Segment>, next: Offset, total_bytes_max: Option<u64>) -> Self {
        assert!(!segments.is_empty(), "a log has at least the segment it writes to");
        let bytes = segments.iter().map(|segment| segment.bytes).sum();
        State { segments, next, bytes, total_bytes_max, promised_bytes: 0, tail: VecDeque::new(), tail_bytes: 0 }
    }

    pub(super) fn first(&self) -> Offset {
        self.segments.front().expect("at least one segment, by the invariant").base
    }

    pub(super) fn newest(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("at least one segment, by the invariant")
    }

    /// Enters a segment that has just been created at the end.
    pub(super) fn push_segment(&mut self, segment: Segment) {
        assert_eq!(segment.base, self.next, "segments follow each other without a gap");
        self.bytes += segment.bytes;
        self.segments.push_back(segment);
    }

    /// Enters a group that has just become durable at the end.
    pub(super) fn push_group(&mut self, group: TailGroup, tail_bytes_max: usize) {
        assert_eq!(group.first, self.next, "groups follow each other without a gap");
        self.next = group.records.end();
        self.bytes += group.group_bytes as u64;
        self.newest().bytes += group.group_bytes as u64;
        self.tail_bytes += group.cost_bytes();
        self.tail.push_back(group);
        while self.tail_bytes > tail_bytes_max {
            let Some(oldest) = self.tail.pop_front() else { break };
            self.tail_bytes -= oldest.cost_bytes();
        }
    }

    pub(super) fn tail_group(&self, position: Offset) -> Option<&TailGroup> {
        let index = self.tail.partition_point(|group| group.records.end() <= position);
        self.tail.get(index).filter(|group| group.first <= position)
    }

    /// The segment that holds `position`, which must lie in the log.
    pub(super) fn segment_of(&self, position: Offset) -> Segment {
        let following = self.segments.partition_point(|segment| segment.base <= position);
        self.segments[following.saturating_sub(1)]
    }

    /// Takes the oldest segment out if all its records lie before `offset` and it is not the newest.
    pub(super) fn take_oldest_before(&mut self, offset: Offset) -> Option<Segment> {
        if self.segments.get(1)?.base > offset {
            return None;
        }
        let oldest = self.segments.pop_front()?;
        self.bytes -= oldest.bytes;
        Some(oldest)
    }

    pub(super) fn put_back_oldest(&mut self, segment: Segment) {
        self.bytes += segment.bytes;
        self.segments.push_front(segment);
    }
}

/// Locks; a panic while holding one of these locks is a broken invariant, and going on would risk the data.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panics while it changes the log's state")
}
