//! What a reader is, and what runs it.
//!
//! Each reader is a task of its own in the readers' pool: it reads batches, handles them, and commits what they lead to together
//! with its position. One that is slow, broken or panics holds back no other and no connection: the log absorbs it. A reader
//! that ends unasked makes Central not ready, with its name, and is started again from its durable position, after a pause that
//! doubles up to a limit; it counts as well again once it has passed where it ended.
//!
//! A commit is due when the reader says so, when the log fills up and this reader is what keeps it full, and at a stop. A
//! commit that fails is tried again; what it was to store stays in memory and in the log. A commit of which nobody knows whether
//! it was made ends the run: the next one begins where the registry says it is.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use events::clock::now_ms;
use events::health::{Condition, Health, with_causes};
use events::{Events, LogConfig};
use registry::StoreError;
use storage::log::{Offset, ReadError, Record};
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{BYTES_PER_READ_MAX, RECORDS_PER_READ_MAX};
use crate::metrics::RunnerMetrics;
use crate::positions::{Position, Positions, ReaderName};

#[cfg(test)]
mod tests;

/// Pause before a commit that failed is tried again.
pub(crate) const COMMIT_RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Pause before a reader that ended unasked is started again; doubled while it ends at the same place.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(250);

/// The longest such pause.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long a reader may take for the batch it is at when Central stops.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Why a reader cannot go on. It is started again.
pub type ReaderError = Box<dyn std::error::Error + Send + Sync>;

/// A reader, as it is known for the life of the process.
pub trait Reader: Send + Sync + 'static {
    /// What one run of it holds.
    type Run: Run;

    /// What it is called, whether it counts for retention, and where it begins.
    const NAME: ReaderName;

    /// Where to read from for a run that begins at a durable position: earlier, when something in memory is rebuilt from
    /// records that are covered already.
    fn read_from(&self, position: u64) -> u64 {
        position
    }

    /// Begins a run at its durable position, and answers that position: after a crash the registry knows it best.
    fn start(&self) -> impl Future<Output = Result<(Self::Run, u64), ReaderError>> + Send;
}

/// One run of a reader, from a start to an end or crash.
pub trait Run: Send + 'static {
    /// Takes records in, in the order of the log and without gaps. May hold them in memory until the next commit; must not
    /// wait for another reader.
    fn handle(&mut self, batch: &[Record]) -> impl Future<Output = Result<(), ReaderError>> + Send;

    /// When what was handled is to be committed; `None` when that can wait for more.
    fn commit_at(&self) -> Option<Instant>;

    /// Makes durable what the records before `next` lead to, and `next` as the position, in one transaction.
    fn commit(&mut self, next: u64) -> impl Future<Output = Result<(), ReaderError>> + Send;
}

/// What every reader's task works with. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    /// Where records come from.
    pub events: Events,
    /// Where the readers are.
    pub positions: Positions,
    /// Size of the log.
    pub log_config: LogConfig,
    /// What keeps Central from being ready.
    pub health: Health,
    /// What an operator sees.
    pub metrics: RunnerMetrics,
}

/// One reader and what it works with.
struct Task<R> {
    reader: Arc<R>,
    runner: Runner,
    position: Position,
    health: Condition,
    shutdown: CancellationToken,
    /// The end of the batch it was handed last.
    attempted: AtomicU64,
}

/// The log no longer has what the reader has not read.
#[derive(Debug, thiserror::Error)]
#[error("the log begins at record {first}, behind record {position}, where this reader is")]
struct GapError {
    first: Offset,
    position: Offset,
}

impl Runner {
    /// Runs a reader on the current runtime until the token is cancelled; then it commits and ends. Its name must be among the
    /// positions.
    pub fn spawn<R: Reader>(&self, reader: R, tasks: &TaskTracker, shutdown: CancellationToken) {
        let name = R::NAME.name;
        let position = self.position(R::NAME);
        let health = condition(&self.health, name);
        let (reader, attempted) = (Arc::new(reader), AtomicU64::new(0));
        let task = Task { reader, runner: self.clone(), position, health, shutdown, attempted };
        tasks.spawn(task.supervise());
    }

    /// Where a reader is, which must be among the positions.
    pub fn position(&self, reader: ReaderName) -> Position {
        self.positions.of(reader.name).expect("the positions were opened with every reader")
    }
}

/// The condition of a reader.
pub fn condition(health: &Health, name: &str) -> Condition {
    health.condition(condition_name(name))
}

/// What the condition of a reader is called.
pub fn condition_name(name: &str) -> String {
    format!("reader {name}")
}

impl<R: Reader> Task<R> {
    async fn supervise(self) {
        let task = Arc::new(self);
        let mut pause = RESTART_PAUSE_MIN;
        let mut ended_at = 0;
        loop {
            let run = tokio::spawn({
                let task = Arc::clone(&task);
                async move { task.follow(ended_at).await }
            });
            let problem = match run.await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => with_causes(&*error),
                Err(error) => panic_text(error),
            };
            let name = task.position.name();
            task.position.set_ended(true);
            task.health.break_with(format!("it ended and is started again: {problem}"));
            tracing::error!(reader = name, "a reader ended and is started again in {pause:?}: {problem}");
            task.runner.metrics.restarted(name);
            // Ending at the same place again makes it wait longer; passing it makes it well.
            let attempted = task.attempted.load(Ordering::Acquire);
            pause = if attempted > ended_at { RESTART_PAUSE_MIN } else { (pause * 2).min(RESTART_PAUSE_MAX) };
            ended_at = attempted.max(ended_at);
            if task.shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// One run. `ended_at` is the end of the batch that ended the run before: it is well again when it has handled that.
    async fn follow(&self, ended_at: u64) -> Result<(), ReaderError> {
        let (mut run, durable) = self.reader.start().await?;
        self.position.set_durable(durable);
        let log = self.runner.events.log();
        let from = self.reader.read_from(durable).clamp(log.first_offset().0, durable.max(log.first_offset().0));
        let mut reader = log.reader(Offset(from));
        let mut retry_at: Option<Instant> = None;
        if durable >= ended_at {
            self.restore();
        }
        loop {
            let due = self.commit_due(&run, reader.position().0).map(|due| retry_at.map_or(due, |at| due.max(at)));
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                () = sleep_until(due) => {
                    let committed = self.commit(&mut run, reader.position().0).await?;
                    retry_at = (!committed).then(|| Instant::now() + COMMIT_RETRY_PAUSE);
                    continue;
                }
                batch = reader.next_batch(RECORDS_PER_READ_MAX, BYTES_PER_READ_MAX) => match batch {
                    Ok(batch) => {
                        self.attempted.store(reader.position().0, Ordering::Release);
                        if !self.handle(&mut run, &batch).await? {
                            return Ok(());
                        }
                        if let Some(newest) = batch.last() {
                            self.position.set_moved(newest.appended_at_ms, now_ms());
                        }
                    }
                    Err(ReadError::Closed) => break,
                    Err(ReadError::Trimmed { first }) => {
                        let gap = GapError { first, position: reader.position() };
                        if self.position.counts() {
                            return Err(gap.into());
                        }
                        tracing::warn!(reader = self.position.name(), "records were trimmed before they were read: {gap}");
                        reader.seek(first);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            self.position.set_handled(reader.position().0.max(durable));
            if reader.position().0 >= ended_at && retry_at.is_none() {
                self.restore();
            }
        }
        if reader.position().0 > self.position.durable() {
            self.commit(&mut run, reader.position().0).await?;
        }
        Ok(())
    }

    /// Answers whether the batch was handled; at a stop the reader has a while for it and is then left where it is: what it did
    /// not commit is in the log.
    async fn handle(&self, run: &mut R::Run, batch: &[Record]) -> Result<bool, ReaderError> {
        let stopped = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::select! {
            biased;
            handled = run.handle(batch) => {
                handled?;
                self.runner.metrics.read(self.position.name(), batch.len());
                Ok(true)
            }
            () = stopped => Ok(false),
        }
    }

    /// When to commit what was handled up to `next`.
    fn commit_due(&self, run: &R::Run, next: u64) -> Option<Instant> {
        let durable = self.position.durable();
        if next <= durable {
            return None;
        }
        let max_bytes = self.runner.log_config.max_bytes;
        let is_filling = self.runner.events.log().bytes() > max_bytes / 4 * 3;
        // Committing early makes room only if this reader is what the log waits for.
        let holds_back = self.position.counts() && durable <= self.runner.positions.slowest();
        if is_filling && holds_back { Some(Instant::now()) } else { run.commit_at() }
    }

    /// Answers whether it went well; one that did not is tried again.
    async fn commit(&self, run: &mut R::Run, next: u64) -> Result<bool, ReaderError> {
        match run.commit(next).await {
            Ok(()) => {
                self.position.set_durable(next);
                self.restore();
                self.runner.positions.trim(&self.runner.events, &self.runner.log_config).await;
                Ok(true)
            }
            Err(error) if is_in_doubt(&*error) => Err(error),
            Err(error) => {
                let problem = with_causes(&*error);
                if self.health.break_with(problem.clone()) {
                    let name = self.position.name();
                    tracing::error!(reader = name, "what a reader made is in the log only: {problem}");
                }
                Ok(false)
            }
        }
    }

    fn restore(&self) {
        if self.health.restore() {
            tracing::info!(reader = self.position.name(), "a reader works again");
        }
        self.position.set_ended(false);
    }
}

/// Whether it says of a commit that nobody knows whether it was made.
pub(crate) fn is_in_doubt(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.filter_map(|cause| cause.downcast_ref()).any(|cause| matches!(cause, StoreError::InDoubt(_)))
}

/// What a task that ended by itself said, for people.
pub fn panic_text(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "its task was cancelled".to_owned() };
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without a message"))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl<R> fmt::Debug for Task<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("position", &self.position).finish_non_exhaustive()
    }
}
