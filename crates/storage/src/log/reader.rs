//! Reading from any position, at any pace, without disturbing the writer or other readers.
//!
//! A reader looks, in this order: at the group it is in the middle of; at the newest groups in memory; at its file buffer;
//! on the disk. A reader that keeps up therefore costs no file operation at all, and one that lags costs one per
//! [`READ_BUFFER_BYTES`](crate::limits::READ_BUFFER_BYTES).
//!
//! The position is the only thing that counts; group, buffer and open file are caches of it. So a
//! [`Reader::next_batch`] that is dropped half-way loses nothing: the next call begins at the same record.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::cursor::{CursorError, SegmentCursor, Step};
use super::segment::{GroupRecords, segment_path};
use super::state::{End, Segment, Shared, TailGroup, lock};
use super::{Offset, ReadError, Record};

/// Reads a log's durable records in order. Made by [`Log::reader`](super::Log::reader).
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    end: watch::Receiver<End>,
    position: Offset,
    group: Option<GroupRecords>,
    cursor: Option<SegmentCursor>,
}

/// Where the record at a position is.
enum Place {
    Memory(TailGroup),
    Disk(Segment),
    /// Not appended yet.
    End,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, position: Offset) -> Self {
        let end = shared.end.subscribe();
        Reader { shared, end, position, group: None, cursor: None }
    }

    /// The offset of the next record this reader returns.
    pub fn position(&self) -> Offset {
        self.position
    }

    /// Goes to another position, forwards or backwards.
    pub fn seek(&mut self, position: Offset) {
        self.position = position;
        self.group = None;
    }

    /// Waits for at least one durable record, then returns what is at hand: at most `records_max` records whose payloads
    /// have at most `bytes_max` bytes together, but always at least one record.
    ///
    /// Dropping the future loses nothing. Payloads share memory with the whole group they were appended in; copy what is
    /// kept for long.
    pub async fn next_batch(&mut self, records_max: usize, bytes_max: usize) -> Result<Vec<Record>, ReadError> {
        loop {
            // Read before looking, so that what is appended after the look wakes us.
            let closed = self.end.borrow_and_update().closed;
            let batch = self.take_at_hand(records_max, bytes_max)?;
            if !batch.is_empty() {
                return Ok(batch);
            }
            match self.locate()? {
                Place::Memory(_) => {}
                Place::Disk(segment) => self.load_in_background(segment).await?,
                Place::End if closed => return Err(ReadError::Closed),
                Place::End => self.end.changed().await.map_err(|_| ReadError::Closed)?,
            }
        }
    }

    /// Like [`Reader::next_batch`] without waiting: empty at the end. Blocks for a disk read when the records are not in memory.
    pub fn try_next_batch(&mut self, records_max: usize, bytes_max: usize) -> Result<Vec<Record>, ReadError> {
        loop {
            let batch = self.take_at_hand(records_max, bytes_max)?;
            if !batch.is_empty() {
                return Ok(batch);
            }
            match self.locate()? {
                Place::Memory(_) => {}
                Place::Disk(segment) => self.load(segment)?,
                Place::End => return Ok(batch),
            }
        }
    }

    /// Records from memory and buffers only.
    fn take_at_hand(&mut self, records_max: usize, bytes_max: usize) -> Result<Vec<Record>, ReadError> {
        let mut batch = Vec::new();
        let mut bytes: usize = 0;
        while batch.len() < records_max.max(1) {
            if !self.find_group_at_hand().or_else(|error| if batch.is_empty() { Err(error) } else { Ok(false) })? {
                break;
            }
            let group = self.group.as_mut().expect("a group has just been found");
            let next_bytes = group.peek_bytes().unwrap_or_default();
            if !batch.is_empty() && bytes.saturating_add(next_bytes) > bytes_max {
                break;
            }
            let Some(record) = group.take_next() else { break };
            bytes = bytes.saturating_add(next_bytes);
            self.position = Offset(record.offset.0 + 1);
            batch.push(record);
        }
        Ok(batch)
    }

    /// Whether the record at the position could be had without a file operation; then it is the next of `self.group`.
    fn find_group_at_hand(&mut self) -> Result<bool, ReadError> {
        let in_group = |group: &GroupRecords, position| group.next_offset() == position && group.end() > position;
        if self.group.as_ref().is_some_and(|group| in_group(group, self.position)) {
            return Ok(true);
        }
        self.group = match self.locate()? {
            Place::Memory(group) => {
                self.place_cursor_after(&group);
                let mut records = group.records;
                records.skip_to(self.position);
                Some(records)
            }
            Place::Disk(segment) => {
                let (position, cursor) = (self.position, self.cursor_in(segment));
                match cursor.step_to(position, segment.bytes, None) {
                    Ok(Step::Group(group)) => Some(group),
                    Ok(_) => None,
                    Err(error) => return Err(self.read_error(error, segment)),
                }
            }
            Place::End => None,
        };
        Ok(self.group.is_some())
    }

    fn locate(&mut self) -> Result<Place, ReadError> {
        self.position = self.shared.lost.after(self.position);
        let state = lock(&self.shared.state);
        let (first, next) = (state.first(), state.next);
        if self.position < first {
            return Err(ReadError::Trimmed { first });
        }
        if self.position > next {
            return Err(ReadError::BeyondEnd { next });
        }
        if self.position == next {
            return Ok(Place::End);
        }
        Ok(match state.tail_group(self.position) {
            Some(group) => Place::Memory(group.clone()),
            None => Place::Disk(state.segment_of(self.position)),
        })
    }

    fn load(&mut self, segment: Segment) -> Result<(), ReadError> {
        let position = self.position;
        let files = Arc::clone(&self.shared.environment.files);
        let found = self.cursor_in(segment).step_to(position, segment.bytes, Some(&*files));
        self.take_loaded(found, segment)
    }

    /// [`Reader::load`] where blocking is allowed. The cursor travels there and back; if we are dropped meanwhile it is lost,
    /// which costs a search and no record.
    async fn load_in_background(&mut self, segment: Segment) -> Result<(), ReadError> {
        self.cursor_in(segment);
        let mut cursor = self.cursor.take().expect("placed by the line above");
        let (position, files) = (self.position, Arc::clone(&self.shared.environment.files));
        let loading = tokio::task::spawn_blocking(move || {
            let found = cursor.step_to(position, segment.bytes, Some(&*files));
            (cursor, found)
        });
        // The task can fail only by being cancelled with its runtime.
        let (cursor, found) = loading.await.map_err(|_| ReadError::Closed)?;
        self.cursor = Some(cursor);
        self.take_loaded(found, segment)
    }

    fn take_loaded(&mut self, found: Result<Step, CursorError>, segment: Segment) -> Result<(), ReadError> {
        match found {
            Ok(Step::Group(group)) => {
                self.group = Some(group);
                Ok(())
            }
            // The segment holds the position, so its data cannot end before.
            Ok(Step::End | Step::NotBuffered) => {
                Err(ReadError::Corrupt { segment: self.path_of(segment), at_byte: segment.bytes })
            }
            Err(error) => Err(self.read_error(error, segment)),
        }
    }

    /// The cursor at or before the position in this segment: the one at hand, or one at the segment's start.
    fn cursor_in(&mut self, segment: Segment) -> &mut SegmentCursor {
        let usable = |cursor: &SegmentCursor| cursor.base() == segment.base && cursor.offset() <= self.position;
        if !self.cursor.as_ref().is_some_and(usable) {
            self.cursor = Some(SegmentCursor::at_start(
                self.path_of(segment),
                segment.base,
                segment.salt,
                self.shared.lost.holes(segment.base),
            ));
        }
        self.cursor.as_mut().expect("placed above")
    }

    /// Remembers where the next group will be, in case this reader falls behind what memory holds.
    fn place_cursor_after(&mut self, group: &TailGroup) {
        if self.cursor.as_ref().is_none_or(|cursor| cursor.base() != group.segment_base) {
            let segment = lock(&self.shared.state).segment_of(group.first);
            let path = self.path_of(segment);
            let holes = self.shared.lost.holes(segment.base);
            self.cursor = Some(SegmentCursor::at_start(path, segment.base, segment.salt, holes));
        }
        if let Some(cursor) = self.cursor.as_mut().filter(|cursor| cursor.base() == group.segment_base) {
            cursor.jump_to(group.end_byte, group.records.end());
        }
    }

    fn read_error(&self, error: CursorError, segment: Segment) -> ReadError {
        let first = lock(&self.shared.state).first();
        match error {
            // Trimmed between the look and the read.
            _ if self.position < first => ReadError::Trimmed { first },
            CursorError::Io(source) => ReadError::Io { path: self.path_of(segment), source },
            CursorError::Corrupt { at_byte } => ReadError::Corrupt { segment: self.path_of(segment), at_byte },
        }
    }

    fn path_of(&self, segment: Segment) -> PathBuf {
        segment_path(&self.shared.dir, segment.base)
    }
}
