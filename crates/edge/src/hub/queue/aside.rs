//! Messages set aside: those of a queue that nobody takes from, out of the one log, so that they do not hold it.
//!
//! ```text
//! queues/aside/filter%2Fin.default/    a log for one queue: its oldest messages, in order; the rest is in queues/log/
//! ```
//! The one log is freed from its beginning, so one message for a module that is away would hold everything that was stored
//! after it, delivered long ago. Where the log has become large and little of it waits for the queue that is furthest behind,
//! the messages of that queue are moved out of its way. What one of them is as bytes is in `record`.
//!
//! *Invariants*: what is set aside is older than what waits for the same queue in the log, and is taken first. A message keeps
//! its number: how far a queue was delivered is one number, wherever its messages are. A message is durable in `aside/` before
//! the log forgets it; killed between the two, it is in both, and the one in the log is passed over. A log of `aside/` is
//! removed only once it is noted that all of it was delivered.

pub(in crate::hub) mod record;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use storage::file_layer::FileLayer;
use storage::log::{
    AppendError, AppendedRange, Checkpoints, Environment, Log, LogOptions, Offset, ReadError, Reader, Records,
};

use super::super::record::{StoredRecord, expires_at_ms};
use super::cursor::Cursor;
use super::{
    Mark, OpenQueuesError, Place, QueueId, Queues, State, Waiting, WaitingMessage, each_record, lock, open_log,
    remove_folder,
};
use record::AsideRecord;

use crate::limits::{
    ASIDE_GAIN_MIN, ASIDE_LOG_SHARE, ASIDE_SEGMENTS_IN_TOTAL, ASIDES_MAX, PUMP_BATCH_BYTES, PUMP_BATCH_MESSAGES,
    QUEUE_SEGMENT_BYTES,
};

/// The folder of all of them.
pub(super) const ASIDE: &str = "aside";
const GONE: &str = ".gone";

/// Messages cannot be set aside; they stay where they are.
#[derive(Debug, thiserror::Error)]
pub enum SetAsideError {
    /// Their log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenQueuesError),
    /// The one log cannot be read.
    #[error("cannot read the log of the queues")]
    Read(#[from] ReadError),
    /// Their log cannot be written.
    #[error("cannot write what is set aside")]
    Append(#[from] AppendError),
}

/// What is set aside of one queue.
#[derive(Debug)]
pub(super) struct Aside {
    log: Log,
    dir: PathBuf,
    /// Tells it from an earlier one of the same queue.
    serial: u64,
    /// Nothing before this record of its log waits.
    next: u64,
    /// No message with a smaller number waits.
    settled: u64,
    /// Behind the number of its newest message.
    end: u64,
    /// Behind the record of its log that holds it: what follows is still being moved.
    log_end: u64,
    waiting: Waiting,
    /// None that waits expires before this, milliseconds since 1970.
    expires_at_ms: u64,
}

/// Where the oldest waiting messages of a queue are in what is set aside.
#[derive(Debug)]
pub(super) struct AsideHead {
    log: Log,
    serial: u64,
    from: Offset,
    log_end: Offset,
    settled: u64,
    end: u64,
    /// None of them expires before this, milliseconds since 1970.
    pub(super) expires_at_ms: u64,
}

impl Aside {
    /// Nothing waits in it yet, nor ever will with a number below `first`.
    fn new(log: Log, dir: PathBuf, serial: u64, first: u64) -> Self {
        let (log_end, waiting) = (log.next_offset().0, Waiting::default());
        let expires_at_ms = u64::MAX;
        Self { log, dir, serial, next: log_end, settled: first, end: first, log_end, waiting, expires_at_ms }
    }

    /// Enters a message behind all others.
    fn enter(&mut self, number: u64, bytes: u64, expires_at_ms: u64) {
        self.end = number + 1;
        self.waiting.add(Waiting::one(bytes));
        self.expires_at_ms = self.expires_at_ms.min(expires_at_ms);
    }

    /// What waits.
    pub(super) fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// Behind the number of its newest message.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// How far the queue was delivered; `None` when nothing waits here.
    pub(super) fn position(&self) -> Option<u64> {
        (self.waiting.messages > 0).then_some(self.settled)
    }

    /// What the disk holds of it.
    pub(super) fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    pub(super) fn head(&self) -> Option<AsideHead> {
        (self.waiting.messages > 0).then(|| AsideHead {
            log: self.log.clone(),
            serial: self.serial,
            from: Offset(self.next),
            log_end: Offset(self.log_end),
            settled: self.settled,
            end: self.end,
            expires_at_ms: self.expires_at_ms,
        })
    }

    /// What of a mark is here needs no more delivery, wherever it was read.
    pub(super) fn settle(&mut self, mark: &Mark) {
        if mark.end <= self.settled {
            return;
        }
        let here = mark.messages.iter().filter(|(number, _)| (self.settled..self.end).contains(number));
        self.waiting.take(here.map(|(_, bytes)| Waiting::one(*bytes)).sum());
        self.settled = mark.end.min(self.end);
        self.next = self.next.max(mark.aside_next.unwrap_or_default());
        if self.waiting.messages == 0 || self.settled == self.end {
            self.clear();
        }
    }

    /// Nothing waits any more. Says how much did.
    pub(super) fn clear(&mut self) -> Waiting {
        (self.settled, self.next) = (self.end, self.log_end);
        self.expires_at_ms = u64::MAX;
        std::mem::take(&mut self.waiting)
    }

    /// Its log, and what of it may be freed.
    pub(super) fn delivered(&self) -> (Log, Offset) {
        (self.log.clone(), Offset(self.next))
    }
}

/// The places of one pump in what is set aside.
#[derive(Debug, Default)]
pub(super) struct AsideReaders {
    readers: BTreeMap<QueueId, (u64, Reader)>,
}

impl AsideHead {
    /// Where it is.
    pub(super) fn place(&self) -> Place {
        Place { aside: Some(self.serial), from: self.from.0 }
    }
}

impl AsideReaders {
    /// Reads the oldest messages of a queue.
    pub(super) async fn read(
        &mut self,
        queue: &QueueId,
        head: AsideHead,
    ) -> Result<(Vec<WaitingMessage>, Mark), ReadError> {
        let known = self.readers.remove(queue).filter(|(serial, _)| *serial == head.serial);
        let mut reader = known.map_or_else(|| head.log.reader(head.from), |(_, reader)| reader);
        if reader.position() != head.from {
            reader.seek(head.from);
        }
        let mut messages = Vec::new();
        while messages.is_empty() && reader.position() < head.log_end {
            let left = usize::try_from(head.log_end.0 - reader.position().0).unwrap_or(usize::MAX);
            for record in reader.next_batch(left.min(PUMP_BATCH_MESSAGES), PUMP_BATCH_BYTES).await? {
                let offset = record.offset.0;
                // Read when it was opened, and written by us since.
                let Ok(AsideRecord { number, bytes, stored, .. }) = AsideRecord::parse(record.payload) else {
                    continue;
                };
                let Some(expires_at_ms) = stored.expires_at_ms(queue).filter(|_| number >= head.settled) else {
                    continue;
                };
                let aside_next = Some(offset + 1);
                messages.push(WaitingMessage { stored: stored.message(), expires_at_ms, number, bytes, aside_next });
            }
        }
        self.readers.insert(queue.clone(), (head.serial, reader));
        let mark = match messages.is_empty() {
            true => Mark { end: head.end, messages: Vec::new(), aside_next: None },
            false => Mark::of(&messages),
        };
        Ok((messages, mark))
    }
}

/// Opens what is set aside, and finds what waits. Blocks.
pub(super) fn open(
    dir: &Path,
    bytes_max: u64,
    environment: &Environment,
    positions: &Checkpoints,
) -> Result<BTreeMap<QueueId, Aside>, OpenQueuesError> {
    let folder = dir.join(ASIDE);
    let files = &*environment.files;
    let failed = |source| OpenQueuesError::Folder { path: dir.to_owned(), source };
    let mut asides = BTreeMap::new();
    if !files.list(dir).map_err(failed)?.iter().any(|name| name == ASIDE) {
        return Ok(asides);
    }
    let failed = |source| OpenQueuesError::Folder { path: folder.clone(), source };
    for (serial, name) in files.list(&folder).map_err(failed)?.into_iter().enumerate() {
        let path = folder.join(&name);
        if name.ends_with(GONE) {
            remove_folder(files, &path)?;
            continue;
        }
        let log = open_log(&path, options(bytes_max), environment)?;
        match scan(log, &path, serial as u64, positions)? {
            Some((queue, aside)) => drop(asides.insert(queue, aside)),
            None => remove(files, &folder, &path)?,
        }
    }
    Ok(asides)
}

fn segment_bytes(bytes_max: u64) -> u64 {
    QUEUE_SEGMENT_BYTES.min(bytes_max / ASIDE_SEGMENTS_IN_TOTAL)
}

fn options(bytes_max: u64) -> LogOptions {
    LogOptions {
        segment_bytes_max: segment_bytes(bytes_max),
        // Nobody takes from it, or its reader is far behind.
        tail_bytes_max: 0,
        ..LogOptions::default()
    }
}

/// Finds what waits in one of them; `None` when it holds nothing at all.
fn scan(
    log: Log,
    dir: &Path,
    serial: u64,
    positions: &Checkpoints,
) -> Result<Option<(QueueId, Aside)>, OpenQueuesError> {
    let mut found: Option<(QueueId, u64, Aside)> = None;
    each_record(dir, &log, |record| {
        let offset = record.offset;
        let damaged = |source| OpenQueuesError::Record { dir: dir.to_owned(), offset, source };
        let AsideRecord { number, bytes, target, stored } = AsideRecord::parse(record.payload).map_err(damaged)?;
        let expires_at_ms = expires_at_ms(stored.stored_at_ms(), target.lifetime_secs);
        let (_, position, aside) = match &mut found {
            Some(found) => found,
            None => {
                let position = positions.get(&target.queue.position_name()).unwrap_or_default().0;
                let aside = Aside::new(log.clone(), dir.to_owned(), serial, number.max(position));
                // Its log may have been freed up to here.
                found.insert((target.queue, position, Aside { next: offset.0, ..aside }))
            }
        };
        aside.log_end = offset.0 + 1;
        if number >= *position {
            aside.enter(number, bytes, expires_at_ms);
        } else {
            (aside.next, aside.end) = (offset.0 + 1, number + 1);
        }
        Ok(())
    })?;
    Ok(found.map(|(queue, _, aside)| (queue, aside)))
}

/// Removes one of them, at once or not at all. Blocks.
fn remove(files: &dyn FileLayer, folder: &Path, dir: &Path) -> Result<(), OpenQueuesError> {
    let mut gone = dir.as_os_str().to_owned();
    gone.push(GONE);
    let failed = |source| OpenQueuesError::Folder { path: dir.to_owned(), source };
    files.rename(dir, Path::new(&gone)).map_err(failed)?;
    files.sync_dir(folder).map_err(failed)?;
    remove_folder(files, Path::new(&gone))
}

impl Queues {
    /// Moves messages of queues nobody takes from out of the way of the others, when the log has become large for little. Called
    /// by whoever calls [`Self::write_progress`], after it. Blocks.
    pub fn set_aside(&self) -> Result<(), SetAsideError> {
        let mut place: Option<(QueueId, Reader)> = None;
        while let Some(queue) = self.to_set_aside() {
            if !self.move_some(&queue, &mut place)? {
                break;
            }
            self.free();
        }
        Ok(())
    }

    /// The queue that holds the log, if moving what waits for it costs little of what it frees.
    fn to_set_aside(&self) -> Option<QueueId> {
        let (state, bytes) = (lock(&self.state), self.log.bytes());
        if bytes <= self.bytes_max / ASIDE_LOG_SHARE {
            return None;
        }
        let behind = state.behind()?;
        let has_place = state.asides.contains_key(&behind.queue) || state.asides.len() < ASIDES_MAX;
        (has_place && behind.waiting.bytes <= bytes / ASIDE_GAIN_MIN).then_some(behind.queue)
    }

    /// Moves the oldest messages of a queue. Answers whether there was room to.
    pub(super) fn move_some(
        &self,
        queue: &QueueId,
        place: &mut Option<(QueueId, Reader)>,
    ) -> Result<bool, SetAsideError> {
        let head = lock(&self.state).cursors.get(queue).and_then(Cursor::head);
        let Some(head) = head else { return Ok(true) };
        let start = Offset(head.offsets.start);
        let known = place.take().filter(|(known, _)| known == queue);
        let mut reader = known.map_or_else(|| self.log.reader(start), |(_, reader)| reader);
        if reader.position() != start {
            reader.seek(start);
        }
        let left = usize::try_from(head.offsets.end - start.0).unwrap_or(usize::MAX);
        let (mut records, mut moved) = (Records::default(), Vec::new());
        // What is appended together is freed together.
        let step = usize::try_from(segment_bytes(self.bytes_max)).unwrap_or(usize::MAX).min(PUMP_BATCH_BYTES);
        for record in reader.try_next_batch(left.min(PUMP_BATCH_MESSAGES), step)? {
            let (number, bytes) = (record.offset.0, record.payload.len() as u64);
            let Ok(stored) = StoredRecord::parse(record.payload) else { continue };
            let Some(target) = stored.targets().find(|target| target.queue == *queue) else { continue };
            let Ok(()) = records.push_with(|out| {
                AsideRecord::encode(out, number, bytes, &target, &stored.message());
                Ok::<_, Infallible>(())
            });
            moved.push((number, bytes, expires_at_ms(stored.stored_at_ms(), target.lifetime_secs)));
        }
        let end = reader.position().0;
        *place = Some((queue.clone(), reader));
        let mut log_end = 0;
        if let Some((first, ..)) = moved.first() {
            if !self.reserve(records.disk_bytes_max()) {
                return Ok(false);
            }
            let appended = self.append_aside(queue, *first, records);
            self.share_room();
            log_end = appended?.last.0 + 1;
        }
        lock(&self.state).moved(queue, end, &moved, log_end);
        Ok(true)
    }

    /// Appends to the log of a queue, which is begun if there is none.
    fn append_aside(&self, queue: &QueueId, first: u64, records: Records) -> Result<AppendedRange, SetAsideError> {
        let known = lock(&self.state).asides.get(queue).map(|aside| aside.log.clone());
        let log = match known {
            Some(log) => log,
            None => {
                let folder = self.dir.join(ASIDE);
                let failed = |source| OpenQueuesError::Folder { path: folder.clone(), source };
                self.environment.files.create_dir(&folder).map_err(failed)?;
                let dir = folder.join(queue.position_name());
                let log = open_log(&dir, options(self.bytes_max), &self.environment)?;
                let mut state = lock(&self.state);
                state.aside_serial += 1;
                let aside = Aside::new(log.clone(), dir, state.aside_serial, first);
                state.asides.insert(queue.clone(), aside);
                tracing::info!(%queue, "messages nobody takes are set aside, so that they do not hold the others");
                log
            }
        };
        Ok(log.append_blocking(records)?)
    }

    /// Makes room for more in `aside/`, within the limit of all. Answers whether there is.
    fn reserve(&self, bytes: u64) -> bool {
        let aside_bytes = lock(&self.state).aside_bytes();
        let left = self.bytes_max.saturating_sub(aside_bytes + bytes);
        if self.log.set_total_bytes_max(left) <= left {
            return true;
        }
        self.share_room();
        false
    }

    /// The one log may take what `aside/` leaves.
    pub(super) fn share_room(&self) {
        let aside_bytes = lock(&self.state).aside_bytes();
        self.log.set_total_bytes_max(self.bytes_max.saturating_sub(aside_bytes));
    }

    /// Removes what was set aside and is delivered, once that is noted. Blocks.
    pub(super) fn remove_delivered_asides(&self, delivered: &[QueueId]) -> Result<(), OpenQueuesError> {
        for queue in delivered {
            let aside = lock(&self.state).asides.remove(queue);
            let Some(Aside { log, dir, .. }) = aside else { continue };
            // Its folder is free once its writer has ended.
            drop(log);
            remove(&*self.environment.files, &self.dir.join(ASIDE), &dir)?;
        }
        if !delivered.is_empty() {
            self.share_room();
        }
        Ok(())
    }
}

impl State {
    /// Messages of the log, up to `end`, are in `aside/` now. Those that were delivered or dropped on the way are not waited for.
    fn moved(&mut self, queue: &QueueId, end: u64, moved: &[(u64, u64, u64)], log_end: u64) {
        let next = self.end;
        let Some(cursor) = self.cursors.get_mut(queue) else { return };
        let position = cursor.position(next);
        let mut waiting = Waiting::default();
        if let (Some(aside), Some((first, ..))) = (self.asides.get_mut(queue), moved.first()) {
            if *first < position {
                // Whoever passed the first of them passed all older ones.
                aside.clear();
                aside.settled = position;
            }
            aside.log_end = log_end;
            for (number, bytes, expires_at_ms) in moved {
                if *number >= position {
                    aside.enter(*number, *bytes, *expires_at_ms);
                    waiting.add(Waiting::one(*bytes));
                } else {
                    aside.end = number + 1;
                }
            }
        }
        cursor.settle(end, waiting);
    }
}

#[cfg(test)]
mod tests;
