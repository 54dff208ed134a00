//! The queues: one durable log for all messages, and a cursor for each endpoint and priority.
//!
//! ```text
//! queues/log/          every message once, with where it goes (see `record`)
//! queues/aside/        what a queue nobody takes from would hold the log with (see `aside`)
//! queues/positions     how far each queue was delivered; replaced as a whole
//! queues/damaged/      parts that were found damaged, as they were (see `damage`)
//! ```
//! Storing a batch is one append, whatever the number of its routes, and batches that come at the same time share one
//! `fdatasync`. What waits where is kept in memory (see `cursor`), made from the log when it is opened and kept up by the log's
//! writer in the order of the log. A message is free to go when no queue waits for it; the log is freed from its beginning, so
//! the queue that is furthest behind decides, until its messages are set aside.
//!
//! All of it takes at most `[tidegate] max_disk`, exactly. When that is reached nothing is thrown away: new messages are
//! refused with the name of the queue that holds the log, senders' connections are closed without acknowledgement, and they
//! send again later.
//!
//! Version history of the folder:
//! - 2: one log.
//! - 1: a folder with a log for each endpoint and priority. Moved into the one log when it is opened (see `migrate`).

mod aside;
mod cursor;
mod damage;
mod error;
mod id;
mod migrate;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::route::Endpoint;
use storage::file_layer::FileLayer;
use storage::log::{
    AppendError, Checkpoints, Environment, Log, LogOptions, Offset, ReadError, Reader, Record, Records,
};
use tokio::sync::Notify;

use super::record::{StoredMessage, StoredRecord, Target, encode, expires_at_ms};
use crate::limits::{
    CURSORS_MAX, PUMP_BATCH_BYTES, PUMP_BATCH_MESSAGES, QUEUE_COMMIT_INTERVAL, QUEUE_SEGMENT_BYTES, QUEUE_TAIL_BYTES,
};
#[cfg(feature = "testing")]
pub use aside::record::AsideRecord;
use aside::{ASIDE, Aside, AsideHead, AsideReaders};
use cursor::Cursor;
pub use cursor::Waiting;
pub use error::{OpenQueuesError, StoreError};
pub use id::{QueueId, endpoint_name};

const LOG: &str = "log";
const POSITIONS: &str = "positions";

/// A queue that holds the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Which one.
    pub queue: QueueId,
    /// What waits in it.
    pub waiting: Waiting,
}

/// Messages on their way into the log, each with its targets.
#[derive(Debug, Default)]
pub struct Batch {
    records: Records,
    queues: Vec<QueueId>,
    entries: Vec<Entry>,
}

/// A record of a batch in one of the batch's queues.
#[derive(Debug)]
struct Entry {
    record: u64,
    queue: usize,
    bytes: u64,
    expires_at_ms: u64,
}

impl Batch {
    /// Adds a message with its targets, of which there is at least one.
    pub fn add(&mut self, targets: &[Target], message: &StoredMessage) {
        let (record, before) = (self.records.len() as u64, self.records.bytes());
        let Ok(()) = self.records.push_with(|out| {
            encode(out, targets, message);
            Ok::<_, std::convert::Infallible>(())
        });
        let bytes = (self.records.bytes() - before) as u64;
        for target in targets {
            let known = self.queues.iter().position(|queue| *queue == target.queue);
            let queue = known.unwrap_or_else(|| {
                self.queues.push(target.queue.clone());
                self.queues.len() - 1
            });
            let expires_at_ms = expires_at_ms(message.stored_at_ms, target.lifetime_secs);
            self.entries.push(Entry { record, queue, bytes, expires_at_ms });
        }
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Where its messages go.
    pub fn queues(&self) -> &[QueueId] {
        &self.queues
    }
}

/// A message to be delivered.
#[derive(Debug)]
pub struct WaitingMessage {
    /// The message.
    pub stored: StoredMessage,
    /// When its time is up, milliseconds since 1970.
    pub expires_at_ms: u64,
    /// Its number: where it was stored in the log.
    number: u64,
    /// Of its record there.
    bytes: u64,
    /// When it was read from `aside/`: behind its record there.
    aside_next: Option<u64>,
}

/// What a pump took from a queue, to be given back with [`Queues::settle`].
#[derive(Debug)]
pub struct Taken {
    /// From which queue.
    pub queue: QueueId,
    /// At least one message, in order.
    pub messages: Vec<WaitingMessage>,
    /// What to settle once nothing of it needs delivery any more.
    pub mark: Mark,
}

/// Up to where, and what that is.
#[derive(Debug)]
pub struct Mark {
    /// Behind the last of them; or behind records that are for others.
    end: u64,
    /// Number and bytes of each message: they may be moved to `aside/` while they are delivered.
    messages: Vec<(u64, u64)>,
    /// When they were read from `aside/`: behind the last one's record there.
    aside_next: Option<u64>,
}

impl Mark {
    /// Behind these messages, of which there is at least one.
    fn of(messages: &[WaitingMessage]) -> Self {
        let last = messages.last();
        Self {
            end: last.map_or(0, |last| last.number + 1),
            messages: messages.iter().map(|message| (message.number, message.bytes)).collect(),
            aside_next: last.and_then(|last| last.aside_next),
        }
    }
}

/// Where the oldest waiting messages of a queue are.
enum QueueHead {
    Log(cursor::Head),
    Aside(AsideHead),
}

/// A place in one of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// In which one set aside; `None`: the one log.
    aside: Option<u64>,
    from: u64,
}

impl QueueHead {
    fn place(&self) -> Place {
        match self {
            Self::Log(head) => Place { aside: None, from: head.offsets.start },
            Self::Aside(head) => head.place(),
        }
    }

    /// None of them expires before this, milliseconds since 1970.
    fn expires_at_ms(&self) -> u64 {
        match self {
            Self::Log(head) => head.expires_at_ms,
            Self::Aside(head) => head.expires_at_ms,
        }
    }
}

/// The places of one pump in the log, a reader for each of its queues.
#[derive(Debug, Default)]
pub struct Readers {
    readers: BTreeMap<QueueId, Reader>,
    asides: AsideReaders,
}

/// All queues.
pub struct Queues {
    dir: PathBuf,
    log: Log,
    positions: Checkpoints,
    bytes_max: u64,
    environment: Environment,
    state: Arc<Mutex<State>>,
    damage: Vec<String>,
    progress: Notify,
    pressed: Notify,
}

#[derive(Default)]
struct State {
    /// What waits in the log.
    cursors: BTreeMap<QueueId, Cursor>,
    /// What was set aside: older than what waits in the log. Its queues have a cursor too.
    asides: BTreeMap<QueueId, Aside>,
    /// Of the newest.
    aside_serial: u64,
    /// One per endpoint, told when something was stored for it.
    stored: HashMap<Endpoint, Arc<Notify>>,
    /// Behind the last record of the log that was looked at.
    end: u64,
}

impl State {
    /// Enters durable records. The log's writer calls it, in the order of the log.
    fn enter(&mut self, first: u64, records: u64, queues: &[QueueId], entries: &[Entry]) {
        for entry in entries {
            let queue = &queues[entry.queue];
            let cursor = match self.cursors.get_mut(queue) {
                Some(cursor) => cursor,
                None => self.cursors.entry(queue.clone()).or_default(),
            };
            cursor.push(first + entry.record, entry.bytes, entry.expires_at_ms);
        }
        self.end = first + records;
        for queue in queues {
            if let Some(stored) = self.stored.get(&queue.endpoint) {
                stored.notify_one();
            }
        }
    }

    fn of_endpoint(&self, endpoint: &Endpoint) -> impl Iterator<Item = (&QueueId, &Cursor)> {
        let first = QueueId { endpoint: endpoint.clone(), priority: 0 };
        self.cursors.range(first..).take_while(|(queue, _)| queue.endpoint == *endpoint)
    }

    /// What waits in a queue, wherever it is.
    fn waiting(&self, queue: &QueueId, cursor: &Cursor) -> Waiting {
        self.asides.get(queue).map(Aside::waiting).into_iter().chain([cursor.waiting()]).sum()
    }

    /// What the disk holds of what was set aside.
    fn aside_bytes(&self) -> u64 {
        self.asides.values().map(Aside::bytes).sum()
    }

    fn head(&self, queue: &QueueId) -> Option<QueueHead> {
        let aside = self.asides.get(queue).and_then(Aside::head).map(QueueHead::Aside);
        aside.or_else(|| self.cursors.get(queue)?.head().map(QueueHead::Log))
    }

    fn settle(&mut self, queue: &QueueId, mark: &Mark) {
        let aside = self.asides.get_mut(queue);
        let aside_end = aside.map_or(0, |aside| {
            aside.settle(mark);
            aside.end()
        });
        if mark.end > aside_end
            && let Some(cursor) = self.cursors.get_mut(queue)
        {
            let here = mark.messages.iter().filter(|(number, _)| *number >= aside_end);
            cursor.settle(mark.end, here.map(|(_, bytes)| Waiting::one(*bytes)).sum());
        }
    }

    /// The first record of the log that waits for some queue.
    fn first_waiting(&self) -> Offset {
        Offset(self.cursors.values().map(|cursor| cursor.position(self.end)).min().unwrap_or(self.end))
    }

    /// The queue whose oldest message is the oldest of the log.
    fn behind(&self) -> Option<Behind> {
        let waiting = self.cursors.iter().filter(|(_, cursor)| cursor.waiting().messages > 0);
        let (queue, cursor) = waiting.min_by_key(|(_, cursor)| cursor.position(self.end))?;
        Some(Behind { queue: queue.clone(), waiting: cursor.waiting() })
    }
}

impl Queues {
    /// Opens the queues in a folder, on these files and with this clock; blocks while it reads everything that waits. A part that
    /// is damaged is set aside, and another one begun: [`Self::damage`] tells. With `accept_loss`, what is intact in what was set
    /// aside, now or earlier, waits again.
    pub fn open_in(
        dir: &Path,
        bytes_max: u64,
        environment: Environment,
        accept_loss: bool,
    ) -> Result<Self, OpenQueuesError> {
        let mut told = Vec::new();
        // Each round without an end sets a part aside, of which there are as many as there are logs.
        loop {
            match Self::open_parts(dir, bytes_max, environment.clone(), accept_loss, &mut told) {
                Ok(mut queues) => {
                    queues.damage = told;
                    return Ok(queues);
                }
                Err(error) => match error.damaged_part() {
                    Some(part) => told.push(damage::set_aside(dir, part, &environment, &error)?),
                    None => return Err(error),
                },
            }
        }
    }

    fn open_parts(
        dir: &Path,
        bytes_max: u64,
        environment: Environment,
        accept_loss: bool,
        told: &mut Vec<String>,
    ) -> Result<Self, OpenQueuesError> {
        let failed = |source| OpenQueuesError::Folder { path: dir.to_owned(), source };
        environment.files.create_dir(dir).map_err(failed)?;
        let path = dir.join(POSITIONS);
        let positions = Checkpoints::open_on(&path, Arc::clone(&environment.files))
            .map_err(|source| OpenQueuesError::Positions { path, source })?;
        let asides = aside::open(dir, bytes_max, &environment, &positions)?;
        // A log that was lost must not give numbers anew that are noted as delivered, or of what is set aside.
        let aside_ends = asides.values().map(|aside| Offset(aside.end()));
        let first_offset = positions.all().into_values().chain(aside_ends).max().unwrap_or_default();
        let aside_bytes: u64 = asides.values().map(Aside::bytes).sum();
        let options = LogOptions {
            segment_bytes_max: QUEUE_SEGMENT_BYTES.min(bytes_max / 8),
            total_bytes_max: Some(bytes_max.saturating_sub(aside_bytes)),
            tail_bytes_max: QUEUE_TAIL_BYTES,
            commit_interval: QUEUE_COMMIT_INTERVAL,
            first_offset,
            ..LogOptions::default()
        };
        migrate::run(dir, &options, &environment)?;
        let log_bytes_max = bytes_max.saturating_sub(aside_bytes);
        // What is salvaged was acknowledged: it is taken in also where nothing new would be.
        let options = LogOptions { total_bytes_max: (!accept_loss).then_some(log_bytes_max), ..options };
        let log = open_log(&dir.join(LOG), options, &environment)?;
        if accept_loss {
            told.extend(damage::salvage_all(dir, &environment, &log)?);
            log.set_total_bytes_max(log_bytes_max);
        }
        let state = scan(&dir.join(LOG), &log, &positions, asides)?;
        Ok(Self {
            dir: dir.to_owned(),
            log,
            positions,
            bytes_max,
            environment,
            state: Arc::new(Mutex::new(state)),
            damage: Vec::new(),
            progress: Notify::new(),
            pressed: Notify::new(),
        })
    }

    /// What was found damaged when they were opened, and what became of it.
    pub fn damage(&self) -> &[String] {
        &self.damage
    }

    /// Milliseconds since 1970, by the clock that messages grow older by.
    pub fn now_ms(&self) -> u64 {
        (self.environment.clock)()
    }

    /// Stores a batch. Durable, and known to the queues, when it returns; the same when the future is dropped on the way.
    pub async fn store(&self, batch: Batch) -> Result<(), StoreError> {
        let Batch { records, queues, entries } = batch;
        self.check_number(&queues)?;
        let (state, count) = (Arc::clone(&self.state), records.len() as u64);
        let enter = move |range: storage::log::AppendedRange| {
            lock(&state).enter(range.first.0, count, &queues, &entries);
        };
        match self.log.append_then(records, enter).await {
            Ok(_) => Ok(()),
            Err(AppendError::Full { .. }) => {
                self.pressed.notify_one();
                let behind = lock(&self.state).behind();
                Err(StoreError::Full { bytes: self.bytes(), bytes_max: self.bytes_max, behind })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn check_number(&self, queues: &[QueueId]) -> Result<(), StoreError> {
        let state = lock(&self.state);
        let new = queues.iter().filter(|queue| !state.cursors.contains_key(queue)).count();
        if new > 0 && state.cursors.len() + new > CURSORS_MAX { Err(StoreError::TooMany) } else { Ok(()) }
    }

    /// What is told when something was stored for an endpoint.
    pub fn stored(&self, endpoint: &Endpoint) -> Arc<Notify> {
        Arc::clone(lock(&self.state).stored.entry(endpoint.clone()).or_default())
    }

    /// Takes the oldest messages of an endpoint's most urgent queue that has some; `None` when nothing waits. What is taken
    /// still waits until it is settled: taken again, it is the same.
    pub async fn take(&self, endpoint: &Endpoint, readers: &mut Readers) -> Result<Option<Taken>, ReadError> {
        loop {
            let next = {
                let state = lock(&self.state);
                state.of_endpoint(endpoint).find_map(|(queue, _)| Some((queue.clone(), state.head(queue)?)))
            };
            let Some((queue, head)) = next else { return Ok(None) };
            let Some((messages, mark)) = self.read(&queue, head, readers).await? else { continue };
            if !messages.is_empty() {
                return Ok(Some(Taken { queue, messages, mark }));
            }
            self.settle(&queue, &mark);
        }
    }

    /// Reads the oldest messages of one queue; `None` when they were moved or dropped meanwhile.
    async fn read(
        &self,
        queue: &QueueId,
        head: QueueHead,
        readers: &mut Readers,
    ) -> Result<Option<(Vec<WaitingMessage>, Mark)>, ReadError> {
        let place = head.place();
        let read = match head {
            QueueHead::Log(head) => self.read_log(queue, head.offsets, readers).await,
            QueueHead::Aside(head) => readers.asides.read(queue, head).await,
        };
        match read {
            Err(ReadError::Trimmed { .. })
                if lock(&self.state).head(queue).is_none_or(|head| head.place() != place) =>
            {
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// Reads messages of one queue in a part of the log, passing over those of others.
    async fn read_log(
        &self,
        queue: &QueueId,
        offsets: std::ops::Range<u64>,
        readers: &mut Readers,
    ) -> Result<(Vec<WaitingMessage>, Mark), ReadError> {
        let start = Offset(offsets.start);
        let reader = match readers.readers.get_mut(queue) {
            Some(reader) => reader,
            None => readers.readers.entry(queue.clone()).or_insert(self.log.reader(start)),
        };
        if reader.position() != start {
            reader.seek(start);
        }
        let mut messages = Vec::new();
        while messages.is_empty() && reader.position().0 < offsets.end {
            let left = usize::try_from(offsets.end - reader.position().0).unwrap_or(usize::MAX);
            for record in reader.next_batch(left.min(PUMP_BATCH_MESSAGES), PUMP_BATCH_BYTES).await? {
                let (number, bytes) = (record.offset.0, record.payload.len() as u64);
                let Ok(stored) = StoredRecord::parse(record.payload) else { continue };
                let Some(expires_at_ms) = stored.expires_at_ms(queue) else { continue };
                messages.push(WaitingMessage {
                    stored: stored.message(),
                    expires_at_ms,
                    number,
                    bytes,
                    aside_next: None,
                });
            }
        }
        let mark = Mark { end: reader.position().0, ..Mark::of(&messages) };
        Ok((messages, mark))
    }

    /// What was taken up to this mark needs no more delivery.
    pub fn settle(&self, queue: &QueueId, mark: &Mark) {
        lock(&self.state).settle(queue, mark);
        self.progress.notify_one();
    }

    /// Takes out and settles the messages at the head of an endpoint's queues whose time is up, but for the queue that is being
    /// delivered: what nobody may have any more must not hold the log. `now_ms` as of [`Self::now_ms`].
    pub async fn take_expired(
        &self,
        endpoint: &Endpoint,
        delivering: &QueueId,
        now_ms: u64,
        readers: &mut Readers,
    ) -> Result<Vec<(QueueId, WaitingMessage)>, ReadError> {
        let mut expired = Vec::new();
        let queues: Vec<_> = lock(&self.state).of_endpoint(endpoint).map(|(queue, _)| queue.clone()).collect();
        for queue in queues.into_iter().filter(|queue| queue != delivering) {
            loop {
                let head = lock(&self.state).head(&queue);
                let Some(head) = head.filter(|head| head.expires_at_ms() <= now_ms) else { break };
                let Some((messages, mark)) = self.read(&queue, head, readers).await? else { continue };
                let live = messages.iter().position(|message| message.expires_at_ms > now_ms);
                let all = live.is_none();
                let gone: Vec<_> = messages.into_iter().take(live.unwrap_or(usize::MAX)).collect();
                let mark = if all { mark } else { Mark::of(&gone) };
                if all || !gone.is_empty() {
                    self.settle(&queue, &mark);
                }
                expired.extend(gone.into_iter().map(|message| (queue.clone(), message)));
                if !all {
                    break;
                }
            }
        }
        Ok(expired)
    }

    /// Drops everything that waits for an endpoint; says how much that was.
    pub fn clear(&self, endpoint: &Endpoint) -> Waiting {
        let mut state = lock(&self.state);
        let State { cursors, asides, .. } = &mut *state;
        let here =
            cursors.iter_mut().filter(|(queue, _)| queue.endpoint == *endpoint).map(|(_, cursor)| cursor.clear());
        let aside = asides.iter_mut().filter(|(queue, _)| queue.endpoint == *endpoint).map(|(_, aside)| aside.clear());
        let dropped = here.chain(aside).sum();
        drop(state);
        self.progress.notify_one();
        dropped
    }

    /// Whether something waits for an endpoint.
    pub fn has_waiting(&self, endpoint: &Endpoint) -> bool {
        let state = lock(&self.state);
        state.of_endpoint(endpoint).any(|(queue, cursor)| state.waiting(queue, cursor).messages > 0)
    }

    /// Every endpoint that something waits for.
    pub fn endpoints(&self) -> BTreeSet<Endpoint> {
        let waiting = self.waiting().into_iter().filter(|(_, waiting)| waiting.messages > 0);
        waiting.map(|(queue, _)| queue.endpoint).collect()
    }

    /// What waits in each queue.
    pub fn waiting(&self) -> Vec<(QueueId, Waiting)> {
        let state = lock(&self.state);
        state.cursors.iter().map(|(queue, cursor)| (queue.clone(), state.waiting(queue, cursor))).collect()
    }

    /// What all of it takes on disk.
    pub fn bytes(&self) -> u64 {
        let aside_bytes = lock(&self.state).aside_bytes();
        self.log.bytes() + aside_bytes
    }

    /// Waits until something was settled since this was last asked.
    pub async fn progressed(&self) {
        self.progress.notified().await;
    }

    /// Waits until a batch was refused because the log is full.
    pub async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// Frees what no queue waits for, and notes how far each was delivered. Blocks.
    ///
    /// In this order, because a full disk can do the first and not the second, and then the second again: messages whose
    /// delivery is not noted are delivered again, and freed ones cannot be.
    pub fn write_progress(&self) -> Result<(), OpenQueuesError> {
        let (positions, delivered) = {
            let mut state = lock(&self.state);
            let (first, end) = (self.log.first_offset().0, state.end);
            let State { cursors, asides, .. } = &mut *state;
            // A position is of no use once neither the log nor `aside/` holds anything for its queue.
            cursors.retain(|queue, cursor| {
                cursor.waiting().messages > 0 || cursor.end() > first || asides.contains_key(queue)
            });
            let position = |queue, cursor: &Cursor| {
                Offset(asides.get(queue).and_then(Aside::position).unwrap_or_else(|| cursor.position(end)))
            };
            let positions = cursors.iter().map(|(queue, cursor)| (queue.position_name(), position(queue, cursor)));
            let positions = positions.collect();
            let delivered = asides.iter().filter(|(_, aside)| aside.position().is_none());
            (positions, delivered.map(|(queue, _)| queue.clone()).collect::<Vec<_>>())
        };
        self.free();
        let written = self.positions.replace_all(positions);
        written.map_err(|source| OpenQueuesError::Positions { path: self.dir.join(POSITIONS), source })?;
        self.remove_delivered_asides(&delivered)
    }

    /// Frees what no queue waits for. Blocks.
    fn free(&self) {
        let (first_waiting, asides) = {
            let state = lock(&self.state);
            (state.first_waiting(), state.asides.values().map(Aside::delivered).collect::<Vec<_>>())
        };
        for (log, before) in std::iter::once((self.log.clone(), first_waiting)).chain(asides) {
            if let Err(error) = log.trim_before(before) {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot free delivered messages yet");
            }
        }
    }
}

impl Drop for Queues {
    /// An orderly end leaves nothing to deliver twice.
    fn drop(&mut self) {
        if let Err(error) = self.write_progress() {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot note what was delivered");
        }
    }
}

fn open_log(dir: &Path, options: LogOptions, environment: &Environment) -> Result<Log, OpenQueuesError> {
    Log::open_in(dir, options, environment.clone())
        .map_err(|source| OpenQueuesError::Log { dir: dir.to_owned(), source })
}

/// Removes a folder of files.
fn remove_folder(files: &dyn FileLayer, dir: &Path) -> Result<(), OpenQueuesError> {
    let removed = files.list(dir).and_then(|names| {
        names.iter().try_for_each(|name| files.remove(&dir.join(name)))?;
        files.remove_dir(dir)
    });
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(OpenQueuesError::Folder { path: dir.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Finds what waits.
fn scan(
    dir: &Path,
    log: &Log,
    positions: &Checkpoints,
    asides: BTreeMap<QueueId, Aside>,
) -> Result<State, OpenQueuesError> {
    let mut noted: HashMap<QueueId, u64> = HashMap::new();
    let mut state = State { aside_serial: asides.len() as u64, ..State::default() };
    for (queue, aside) in &asides {
        let noted_at = positions.get(&queue.position_name()).unwrap_or_default().0;
        // What is in `aside/` waits there only.
        noted.insert(queue.clone(), noted_at.max(aside.end()));
        state.cursors.insert(queue.clone(), Cursor::default());
    }
    each_record(dir, log, |record| {
        let (offset, bytes) = (record.offset, record.payload.len() as u64);
        let stored = StoredRecord::parse(record.payload).map_err(|source| OpenQueuesError::Record {
            dir: dir.to_owned(),
            offset,
            source,
        })?;
        for Target { queue, lifetime_secs } in stored.targets() {
            let position = *noted
                .entry(queue.clone())
                .or_insert_with(|| positions.get(&queue.position_name()).unwrap_or_default().0);
            let cursor = state.cursors.entry(queue).or_default();
            match offset.0 < position {
                true => cursor.pass(offset.0),
                false => cursor.push(offset.0, bytes, expires_at_ms(stored.stored_at_ms(), lifetime_secs)),
            }
        }
        Ok(())
    })?;
    (state.end, state.asides) = (log.next_offset().0, asides);
    Ok(state)
}

/// Looks at every record of a log, in order.
fn each_record(
    dir: &Path,
    log: &Log,
    mut look: impl FnMut(Record) -> Result<(), OpenQueuesError>,
) -> Result<(), OpenQueuesError> {
    let mut reader = log.reader(log.first_offset());
    loop {
        let records = reader
            .try_next_batch(PUMP_BATCH_MESSAGES, PUMP_BATCH_BYTES)
            .map_err(|source| OpenQueuesError::Read { dir: dir.to_owned(), source })?;
        if records.is_empty() {
            return Ok(());
        }
        records.into_iter().try_for_each(&mut look)?;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
