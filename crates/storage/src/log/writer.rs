//! The one thread that writes: takes what waits, makes one group of it, one write, one `fdatasync`, then answers.
//!
//! ```text
//! append ─▶ queue (bounded) ─▶ pace ─▶ gather ─▶ admit ─▶ roll? ─▶ write ─▶ fdatasync ─▶ on durable ─▶ publish ─▶ answer
//!                                                   │        │        │          └ failed: poisoned, until opened again
//!                                                   │        │        └ failed: cut back to the last durable byte, error
//!                                                   │        └ failed: the segment stays as it is, answer the error
//!                                                   └ over the hard limit: answer `Full`
//! ```
//!
//! While one group is being synced the next one collects, so the busier the log, the larger the groups and the cheaper a
//! record. A thread and not a task, because it blocks; with a small runtime of its own, for the queue and the retention
//! timer.

use std::borrow::BorrowMut;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{error, warn};

use super::acknowledged::Acknowledged;
use super::pace::Pace;
use super::recovery::draw_salt;
use super::segment::{
    CreateSegmentError, GROUP_HEADER_BYTES, GroupRecords, SEGMENT_HEADER_BYTES, SegmentHeader, create_segment,
    encode_group, segment_path,
};
use super::state::{Segment, Shared, TailGroup, lock};
use super::{APPEND_OVERHEAD_BYTES, AppendError, AppendedRange, Offset, Records};
use crate::file_layer::{LayerFile, write_all_at};
use crate::limits::RETENTION_INTERVAL;

/// What a caller wants done with the offsets of its records before anybody else learns of them.
pub(super) type OnDurable = Box<dyn FnOnce(AppendedRange) + Send>;

/// An append on its way to the writer.
pub(super) struct Append {
    pub records: Records,
    pub reply: oneshot::Sender<Result<AppendedRange, AppendError>>,
    pub queue_share: OwnedSemaphorePermit,
    pub on_durable: Option<OnDurable>,
}

impl Append {
    /// What the records take in a group's body.
    fn body_bytes(&self) -> usize {
        self.records.body().len()
    }

    /// Gives its share of the queue back, then tells the caller. One that no longer waits has given up the answer, not the
    /// records.
    fn answer(self, result: Result<AppendedRange, AppendError>) {
        drop(self.queue_share);
        let _ = self.reply.send(result);
    }
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Append>,
    file: Arc<dyn LayerFile>,
    acknowledged: Acknowledged,
    /// An append that did not fit the group at hand; it is the first of the next one.
    carried: Option<Append>,
    pace: Pace,
    poisoned: Option<AppendError>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        queue: mpsc::Receiver<Append>,
        file: Arc<dyn LayerFile>,
        acknowledged: Acknowledged,
    ) -> Self {
        let pace = Pace::new(shared.options.commit_interval);
        Writer { shared, queue, file, acknowledged, carried: None, pace, poisoned: None }
    }

    /// Runs until every sender is gone and the queue is empty.
    pub(super) fn run(mut self, runtime: &Runtime) {
        runtime.block_on(async {
            let mut retention_due = tokio::time::interval(RETENTION_INTERVAL);
            retention_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    append = self.queue.recv() => match append {
                        Some(append) => {
                            let until = self.pace.wait_until(Instant::now());
                            if let Some(until) = until {
                                tokio::time::sleep_until(until).await;
                            }
                            self.commit_waiting(append, until.is_some());
                        }
                        None => break,
                    },
                    _ = retention_due.tick() => self.retain(),
                }
            }
        });
    }

    fn commit_waiting(&mut self, first: Append, waited: bool) {
        let mut next = Some(first);
        while let Some(first) = next {
            let group = self.gather(first);
            let records = group.iter().map(|append| append.records.len()).sum();
            self.commit(group);
            self.pace.committed(records, waited, Instant::now());
            next = self.carried.take();
        }
    }

    /// What waits now, up to the size of a group.
    fn gather(&mut self, first: Append) -> Vec<Append> {
        let mut body_bytes = first.body_bytes();
        let mut group = vec![first];
        while let Ok(append) = self.queue.try_recv() {
            body_bytes += append.body_bytes();
            if body_bytes > self.shared.options.group_bytes_max {
                self.carried = Some(append);
                break;
            }
            group.push(append);
        }
        group
    }

    fn commit(&mut self, group: Vec<Append>) {
        if let Some(poisoned) = &self.poisoned {
            return answer_all(group, poisoned);
        }
        let mut group = self.admit(group);
        if group.is_empty() {
            return;
        }
        let written = self.write_group(&mut group);
        lock(&self.shared.state).promised_bytes = 0;
        match written {
            Ok(first) => {
                for (append, range) in ranges(group, first) {
                    append.answer(Ok(range));
                }
            }
            Err(error) => answer_all(group, &error),
        }
    }

    /// Answers `Full` to what would take the log past its hard limit, and returns the rest.
    fn admit(&mut self, group: Vec<Append>) -> Vec<Append> {
        let group_bytes: u64 = group.iter().map(|append| append.body_bytes() as u64).sum();
        let would_be_full = {
            let state = lock(&self.shared.state);
            let bytes = state.bytes + APPEND_OVERHEAD_BYTES + group_bytes;
            state.total_bytes_max.is_some_and(|limit_bytes| bytes > limit_bytes)
        };
        if would_be_full {
            self.retain();
        }
        // Counted and promised under one lock: whoever lowers the limit knows what may still come.
        let mut state = lock(&self.shared.state);
        let limit_bytes = state.total_bytes_max.unwrap_or(u64::MAX);
        let mut bytes = state.bytes + APPEND_OVERHEAD_BYTES;
        let (admitted, refused): (Vec<_>, Vec<_>) = group.into_iter().partition(|append| {
            let fits = bytes + append.body_bytes() as u64 <= limit_bytes;
            bytes += if fits { append.body_bytes() as u64 } else { 0 };
            fits
        });
        state.promised_bytes = if admitted.is_empty() { 0 } else { bytes - state.bytes };
        drop(state);
        for append in refused {
            append.answer(Err(AppendError::Full { limit_bytes }));
        }
        admitted
    }

    /// Makes a group durable and visible; returns the offset of its first record.
    fn write_group(&mut self, group: &mut [Append]) -> Result<Offset, AppendError> {
        let body_bytes = group.iter().map(Append::body_bytes).sum();
        let group_bytes = GROUP_HEADER_BYTES + body_bytes;
        let mut newest = *lock(&self.shared.state).newest();
        if newest.bytes > SEGMENT_HEADER_BYTES
            && newest.bytes + group_bytes as u64 > self.shared.options.segment_bytes_max
        {
            newest = self.roll(newest)?;
        }
        let first = lock(&self.shared.state).next;
        let appended_at_ms = (self.shared.environment.clock)();
        let count: usize = group.iter().map(|append| append.records.len()).sum();
        let bodies = group.iter().map(|append| append.records.body());
        let encoded = encode_group(bodies, (count as u32, body_bytes), first, appended_at_ms, newest.salt);

        let path = segment_path(&self.shared.dir, newest.base);
        if let Err(error) = write_all_at(&*self.file, &encoded, newest.bytes) {
            return Err(self.undo_write(&path, newest.bytes, error));
        }
        if let Err(error) = self.file.sync_data() {
            // Best effort: what is cut cannot be mistaken for durable by whoever opens the log next.
            let _ = self.file.truncate(newest.bytes);
            return Err(self.poison(path, error));
        }
        self.acknowledged.set(Offset(first.0 + count as u64));
        for (append, range) in ranges(&mut *group, first) {
            if let Some(on_durable) = append.on_durable.take() {
                on_durable(range);
            }
        }
        let body = encoded.slice(GROUP_HEADER_BYTES..);
        self.publish(TailGroup {
            first,
            records: GroupRecords::trusted(first, count as u32, appended_at_ms, body),
            group_bytes,
            segment_base: newest.base,
            end_byte: newest.bytes + group_bytes as u64,
        });
        Ok(first)
    }

    fn publish(&self, group: TailGroup) {
        let next = group.records.end();
        lock(&self.shared.state).push_group(group, self.shared.options.tail_bytes_max);
        self.shared.end.send_modify(|end| end.next = next);
    }

    /// Begins a new segment after `newest`.
    fn roll(&mut self, newest: Segment) -> Result<Segment, AppendError> {
        let header = SegmentHeader {
            salt: draw_salt(),
            base: lock(&self.shared.state).next,
            created_at_ms: (self.shared.environment.clock)(),
            previous_base: newest.base,
            previous_bytes: newest.bytes,
        };
        let path = segment_path(&self.shared.dir, header.base);
        self.file = match create_segment(&*self.shared.environment.files, &self.shared.dir, &header) {
            Ok(file) => file,
            Err(CreateSegmentError::Write(error)) => return Err(write_error(&path, error)),
            Err(CreateSegmentError::Sync(error)) => return Err(self.poison(path, error)),
        };
        let segment = Segment {
            base: header.base,
            bytes: SEGMENT_HEADER_BYTES,
            salt: header.salt,
            created_at_ms: header.created_at_ms,
        };
        lock(&self.shared.state).push_segment(segment);
        self.trim_retained();
        Ok(segment)
    }

    /// Closes the newest segment if it is so old that it should be able to go, then applies retention.
    fn retain(&mut self) {
        let newest = *lock(&self.shared.state).newest();
        let now_ms = (self.shared.environment.clock)();
        let closes = newest.bytes > SEGMENT_HEADER_BYTES && self.shared.options.retention.closes(&newest, now_ms);
        if closes && self.poisoned.is_none() {
            // Rolling applies retention too. If it fails, the next append meets the same trouble and reports it.
            if let Err(error) = self.roll(newest) {
                warn!(error = &error as &dyn std::error::Error, "cannot close an old log segment");
            }
        } else {
            self.trim_retained();
        }
    }

    fn trim_retained(&self) {
        if let Err(error) = self.shared.retain() {
            warn!(error = &error as &dyn std::error::Error, "cannot apply the log's retention");
        }
    }

    /// After a failed write: the file ends again where it ended before.
    fn undo_write(&mut self, path: &Path, durable_bytes: u64, error: io::Error) -> AppendError {
        match self.file.truncate(durable_bytes) {
            Ok(()) => write_error(path, error),
            // Writing on would leave garbage between groups.
            Err(error) => self.poison(path.to_owned(), error),
        }
    }

    /// From here on nothing is written. Readers may read what is durable, and are told that no more will come.
    fn poison(&mut self, path: PathBuf, source: io::Error) -> AppendError {
        error!(path = %path.display(), error = &source as &dyn std::error::Error, "the log stops: its disk failed");
        let poisoned = AppendError::Poisoned { path, source: Arc::new(source) };
        self.poisoned = Some(poisoned.clone());
        self.shared.end.send_modify(|end| end.closed = true);
        poisoned
    }
}

impl Drop for Writer {
    /// However the thread ends, nobody waits for it for ever.
    fn drop(&mut self) {
        self.shared.end.send_modify(|end| end.closed = true);
    }
}

fn write_error(path: &Path, source: io::Error) -> AppendError {
    let full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let (path, source) = (path.to_owned(), Arc::new(source));
    if full { AppendError::DiskFull { path, source } } else { AppendError::Io { path, source } }
}

/// Each append of a group with the offsets it got, the first of them being `first`.
fn ranges<A: BorrowMut<Append>>(
    group: impl IntoIterator<Item = A>,
    mut first: Offset,
) -> impl Iterator<Item = (A, AppendedRange)> {
    group.into_iter().map(move |append| {
        let end = Offset(first.0 + append.borrow().records.len() as u64);
        let range = AppendedRange { first, last: Offset(end.0 - 1) };
        first = end;
        (append, range)
    })
}

fn answer_all(group: Vec<Append>, error: &AppendError) {
    for append in group {
        append.answer(Err(error.clone()));
    }
}
