//! A durable, segmented log: append in groups, read by any number of readers, trim from the front.
//!
//! What holds, whatever happens:
//! 1. An append that returned `Ok` is on the disk, whole and in order; a crash at any moment after that loses nothing of it.
//! 2. Offsets are dense: the first record ever has offset 0 ([`LogOptions::first_offset`] if a log was lost), each next one is one higher, none is used twice.
//! 3. A reader sees only what is durable.
//! 4. Damage and missing files are reported, never skipped unasked ([`accept_loss`]). Only the end of the newest segment, which was never
//!    acknowledged, is cut off; [`Log::recovery`] says so.
//! 5. The files never take more than [`LogOptions::total_bytes_max`], and memory is bounded by the queue, the group and the tail
//!    (see [`limits`]).
//!
//! | Module | Holds |
//! | --- | --- |
//! | `segment` | the format, byte by byte, with its version history |
//! | `recovery` | what happens when a log is opened |
//! | `records` | records on their way into a group |
//! | `writer` | group commit; what happens when a write or a sync fails |
//! | `pace` | whether to wait for more before a commit |
//! | `reader`, `cursor` | reading from memory, buffer, disk |
//! | `retention` | what may be deleted, and in which order |
//! | `checkpoint` | named positions of readers |
//! | `salvage` | reading what is intact in one that is damaged |
//! | `acknowledged` | how far records were acknowledged |
//! | `lost` | going on without what is damaged |
//! | `verify` | reading all of one that is not open |
//! | `whole_group` | the next group that is whole, past damage |
//! | `state` | what they share |

mod acknowledged;
mod checkpoint;
mod cursor;
mod error;
mod lost;
mod pace;
mod reader;
mod records;
mod recovery;
mod retention;
mod salvage;
mod segment;
mod state;
mod verify;
mod whole_group;
mod writer;

use std::fmt;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tracing::{error, warn};

pub use checkpoint::{CheckpointError, Checkpoints};
pub use error::{AppendError, OpenLogError, ProbeError, ReadError, TrimError};
pub use lost::{LostPart, accept_loss};
pub use reader::Reader;
pub use records::Records;
pub use recovery::{CutTail, LogEnds, RecoveryReport, refuse_later_version, survey};
pub use retention::Retention;
pub use salvage::{MissingPart, salvage};
pub use verify::{VerifiedLog, verify};

use crate::file_layer::{Access, FileLayer, LockGuard, RealFiles, write_all_at};
use crate::limits;
use recovery::{Recovered, failed};
use state::{End, Shared, State, lock};
use writer::{Append, OnDurable, Writer};

/// What a group takes at most beside its records: it may begin a segment.
const APPEND_OVERHEAD_BYTES: u64 = segment::SEGMENT_HEADER_BYTES + segment::GROUP_HEADER_BYTES as u64;

/// The files in a log's folder that say something about it, beside its segments.
pub const STATE_FILES: [&str; 2] = [acknowledged::FILE_NAME, lost::FILE_NAME];

/// A record's number in its log. Dense, from 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What was appended, with what the log adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub offset: Offset,
    /// The wall clock when its group was written, in milliseconds since 1970. It goes back when the clock does.
    pub appended_at_ms: u64,
    /// The bytes given to [`Log::append`].
    pub payload: Bytes,
}

/// The offsets an append got, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendedRange {
    /// Of its first record.
    pub first: Offset,
    /// Of its last record.
    pub last: Offset,
}

/// What a trim deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trimmed {
    /// The oldest offset now.
    pub first: Offset,
    /// Deleted segments.
    pub segments: usize,
    /// Bytes they had.
    pub bytes: u64,
}

/// How a log behaves. All of it may change from one opening to the next.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// A segment is closed when it would grow past this. Lowered to a quarter of [`Self::total_bytes_max`] where that is less.
    pub segment_bytes_max: u64,
    /// The hard limit for all files together: an append that would pass it fails with [`AppendError::Full`], after retention
    /// got its chance. `None` leaves it to the disk.
    pub total_bytes_max: Option<u64>,
    /// What is forgotten unasked. Default: nothing.
    pub retention: Retention,
    /// The most one group, and so one append, may hold, 4 bytes a record included. At most [`limits::QUEUE_BYTES_MAX`].
    pub group_bytes_max: usize,
    /// How much of the newest data stays in memory for readers. Memory is taken only as records come.
    pub tail_bytes_max: usize,
    /// While records come faster than this, they are collected for so long: fewer syncs, which is less processor time and
    /// less wear, for so much latency. Where waiting brings nothing together (a single caller that waits for each answer, or a
    /// quiet log) nobody waits. Default: zero, which leaves it to the disk to be slow.
    pub commit_interval: Duration,
    /// The offset of the first record of a log that is started in an empty folder: after the loss of a folder, records must not
    /// get numbers that were used before. Of no effect on a log that exists.
    pub first_offset: Offset,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions {
            segment_bytes_max: limits::SEGMENT_BYTES_MAX_DEFAULT,
            total_bytes_max: None,
            retention: Retention::default(),
            group_bytes_max: limits::GROUP_BYTES_MAX_DEFAULT,
            tail_bytes_max: limits::TAIL_BYTES_MAX_DEFAULT,
            commit_interval: Duration::ZERO,
            first_offset: Offset(0),
        }
    }
}

impl LogOptions {
    /// The options with every bound in relation to the others.
    fn bounded(mut self) -> Self {
        let share = self.total_bytes_max.map(|total| total / limits::SEGMENTS_IN_TOTAL_MIN);
        self.segment_bytes_max = self.segment_bytes_max.min(share.unwrap_or(u64::MAX));
        self.group_bytes_max = self.group_bytes_max.min(limits::QUEUE_BYTES_MAX);
        self
    }
}

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What the log needs from outside: files and a clock. Tests bring their own.
#[derive(Clone)]
pub struct Environment {
    /// Where the files are.
    pub files: Arc<dyn FileLayer>,
    /// What time it is.
    pub clock: Clock,
}

impl Default for Environment {
    /// The operating system's.
    fn default() -> Self {
        let clock = || {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
        };
        Environment { files: Arc::new(RealFiles), clock: Arc::new(clock) }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("files", &self.files).finish_non_exhaustive()
    }
}

/// An open log. Clones are handles to the same one; it closes with [`Log::close`] or when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    report: RecoveryReport,
    /// One permit a byte that waits for the writer.
    queue_bytes: Arc<Semaphore>,
    /// `None` when closed.
    queue: Mutex<Option<mpsc::Sender<Append>>>,
    running: Mutex<Option<Running>>,
}

/// What closing has to end, in this order.
#[derive(Debug)]
struct Running {
    writer: JoinHandle<()>,
    folder: LockGuard,
}

impl Log {
    /// Opens the log in a folder, or starts one there; blocks for file operations. See [`Log::recovery`] for what it found.
    pub fn open(dir: &Path, options: LogOptions) -> Result<Log, OpenLogError> {
        Self::open_in(dir, options, Environment::default())
    }

    /// [`Log::open`] with given files and clock.
    pub fn open_in(dir: &Path, options: LogOptions, environment: Environment) -> Result<Log, OpenLogError> {
        let options = options.bounded();
        let files = Arc::clone(&environment.files);
        files.create_dir(dir).map_err(failed("create", dir))?;
        let lock_path = dir.join("log.lock");
        let folder = files.lock(&lock_path).map_err(failed("lock", &lock_path))?;
        let folder = folder.ok_or_else(|| OpenLogError::InUse { dir: dir.to_owned() })?;
        let Recovered { segments, newest, acknowledged, lost, report } =
            recovery::recover(&*files, dir, (environment.clock)(), options.first_offset)?;
        tell(dir, &report);

        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            state: Mutex::new(State::new(segments, report.next, options.total_bytes_max)),
            lost,
            options,
            environment,
            trimming: Mutex::default(),
            end: watch::Sender::new(End { next: report.next, closed: false }),
        });
        let (queue, queued) = mpsc::channel(limits::QUEUE_APPENDS_MAX);
        let writer = Writer::new(Arc::clone(&shared), queued, newest, acknowledged);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(failed("start the writer of", dir))?;
        let writer = thread::Builder::new().name("log-writer".to_owned()).spawn(move || writer.run(&runtime));
        let writer = writer.map_err(failed("start the writer of", dir))?;
        let inner = Inner {
            shared,
            report,
            queue_bytes: Arc::new(Semaphore::new(limits::QUEUE_BYTES_MAX)),
            queue: Mutex::new(Some(queue)),
            running: Mutex::new(Some(Running { writer, folder })),
        };
        Ok(Log { inner: Arc::new(inner) })
    }

    /// Appends records, in order and without others between them. They are durable when this returns: one `fdatasync` covers
    /// every append that waits at that moment. Waits while the queue is full.
    ///
    /// Dropping the future does not take the records back once they are queued.
    pub async fn append(&self, records: impl Into<Records>) -> Result<AppendedRange, AppendError> {
        self.enqueue(records.into(), None).await
    }

    /// [`Log::append`] that also runs `on_durable`, on the writer's thread, as soon as the records are durable: before the
    /// caller or any reader knows of them, and for all appends in the order of their offsets. It runs although the future was
    /// dropped meanwhile, and never when the append fails. What it does holds up the writer.
    pub async fn append_then(
        &self,
        records: impl Into<Records>,
        on_durable: impl FnOnce(AppendedRange) + Send + 'static,
    ) -> Result<AppendedRange, AppendError> {
        self.enqueue(records.into(), Some(Box::new(on_durable))).await
    }

    async fn enqueue(&self, records: Records, on_durable: Option<OnDurable>) -> Result<AppendedRange, AppendError> {
        let body_bytes = records.body().len();
        let limit_bytes = self.inner.shared.options.group_bytes_max;
        if records.is_empty() {
            return Err(AppendError::Empty);
        }
        if body_bytes > limit_bytes {
            return Err(AppendError::TooLarge { bytes: body_bytes, limit_bytes });
        }
        let share = Arc::clone(&self.inner.queue_bytes).acquire_many_owned(body_bytes as u32).await;
        let queue_share = share.map_err(|_| AppendError::Closed)?;
        let queue = lock(&self.inner.queue).clone().ok_or(AppendError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let append = Append { records, reply, queue_share, on_durable };
        queue.send(append).await.map_err(|_| AppendError::Closed)?;
        drop(queue);
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    /// [`Log::append`] for threads that may block; never call it from asynchronous code.
    pub fn append_blocking(&self, records: impl Into<Records>) -> Result<AppendedRange, AppendError> {
        block_on(self.append(records))
    }

    /// A reader that begins with the record at `from`.
    pub fn reader(&self, from: Offset) -> Reader {
        Reader::new(Arc::clone(&self.inner.shared), from)
    }

    /// The oldest offset that can be read.
    pub fn first_offset(&self) -> Offset {
        lock(&self.inner.shared.state).first()
    }

    /// The durable end: the offset the next record gets.
    pub fn next_offset(&self) -> Offset {
        lock(&self.inner.shared.state).next
    }

    /// When the record at this offset was appended, if it is among the newest, which are in memory: costs no file operation.
    pub fn appended_at_ms(&self, offset: Offset) -> Option<u64> {
        lock(&self.inner.shared.state).tail_group(offset).map(|group| group.records.appended_at_ms())
    }

    /// What the segments take on the disk.
    pub fn bytes(&self) -> u64 {
        lock(&self.inner.shared.state).bytes
    }

    /// Changes [`LogOptions::total_bytes_max`] of an open log, and answers what the log takes at most until something else is
    /// appended: its files, with the group that is being written. What is appended from now on keeps to the new limit; what
    /// is there already stays.
    pub fn set_total_bytes_max(&self, total_bytes_max: u64) -> u64 {
        let mut state = lock(&self.inner.shared.state);
        state.total_bytes_max = Some(total_bytes_max);
        state.bytes + state.promised_bytes
    }

    /// Whether an append would find room now: tried with a file beside the segments, so that nothing is appended. Blocks.
    pub fn probe(&self) -> Result<(), ProbeError> {
        let shared = &self.inner.shared;
        if shared.end.borrow().closed {
            return Err(ProbeError::Closed);
        }
        let limit_bytes = lock(&shared.state).total_bytes_max.unwrap_or(u64::MAX);
        if self.bytes().saturating_add(APPEND_OVERHEAD_BYTES + limits::PROBE_BYTES as u64) > limit_bytes {
            return Err(ProbeError::NoRoom);
        }
        let (files, path) = (&*shared.environment.files, shared.dir.join("room.tmp"));
        let written = files.create(&path, Access::Private).and_then(|file| {
            write_all_at(&*file, &[0; limits::PROBE_BYTES], 0)?;
            file.sync_data()
        });
        // One that cannot be removed is written over by the next probe.
        let _ = files.remove(&path);
        written.map_err(|_| ProbeError::NoRoom)
    }

    /// What opening found and did.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.inner.report
    }

    /// Deletes the segments all of whose records lie before `offset`: what every reader has acknowledged. The newest
    /// segment stays. Blocks for file operations.
    pub fn trim_before(&self, offset: Offset) -> Result<Trimmed, TrimError> {
        self.inner.shared.trim_before(offset)
    }

    /// Applies [`LogOptions::retention`] now; it is also applied when a segment is closed, when the log is full, and every
    /// [`limits::RETENTION_INTERVAL`]. Blocks for file operations.
    pub fn retain(&self) -> Result<Trimmed, TrimError> {
        self.inner.shared.retain()
    }

    /// Finishes what is queued, stops the writer and unlocks the folder. Other handles and readers get `Closed`.
    pub async fn close(self) {
        let closing = tokio::task::spawn_blocking(move || self.inner.shut_down());
        if let Err(error) = closing.await {
            error!(error = &error as &dyn std::error::Error, "closing the log failed");
        }
    }
}

impl Inner {
    fn shut_down(&self) {
        // Poisoned or not: closing only takes things out. Who still waits for a place in the queue gets one and finds it gone.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Held until all has ended, so that a second caller waits for it as well.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Running { writer, folder }) = running.take() else { return };
        if writer.join().is_err() {
            error!("the log's writer panicked");
        }
        drop(folder);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn tell(dir: &Path, report: &RecoveryReport) {
    if let Some(cut) = &report.cut {
        let segment = cut.segment.display();
        warn!(%segment, at_byte = cut.at_byte, bytes = cut.bytes, "cut an unfinished write off the log");
    }
    if let Some(segment) = &report.unfinished_segment {
        warn!(segment = %segment.display(), "removed a log segment whose creation was interrupted");
    }
    tracing::debug!(dir = %dir.display(), ?report, "log opened");
}

/// Runs a future that needs no runtime on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests;
