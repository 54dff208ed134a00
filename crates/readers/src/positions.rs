//! Where each reader is, and what of the log may go: what the slowest reader that counts has made durable.
//!
//! *Invariant*: a position here is never ahead of the one in the registry, and the log is never trimmed past one that counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use events::{Events, LogConfig};
use registry::{Registry, StoreError};
use storage::log::{Log, LogEnds, Offset};

#[cfg(test)]
mod tests;

/// Where a reader without a stored position begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With record 0: it must have all of them.
    First,
    /// Where another reader stands, or as that one begins: it was a part of the other.
    Like(&'static str),
    /// With the next record: what is older does not concern it.
    Next,
}

/// What a reader is called and how it stands to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderName {
    /// Name of its position, of its condition, and in metrics.
    pub name: &'static str,
    /// What it makes of the log, in a sentence for people.
    pub about: &'static str,
    /// Whether the log keeps what it has not covered. Otherwise it misses what is trimmed before it comes.
    pub counts: bool,
    /// Where it begins.
    pub begin: Begin,
}

/// One reader's place in the log; clones are the same one.
#[derive(Debug, Clone)]
pub struct Position {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    reader: ReaderName,
    /// Everything before it is durable.
    durable: AtomicU64,
    /// Everything before it was handled.
    handled: AtomicU64,
    /// When it handled something last, Unix milliseconds; [`NEVER`] before.
    moved_ms: AtomicI64,
    /// When the newest record it has handled was appended, Unix milliseconds; [`NEVER`] before.
    handled_until_ms: AtomicI64,
    /// It ended unasked, and has not passed that place since.
    has_ended: AtomicBool,
}

/// The time of what has not happened in this process.
const NEVER: i64 = i64::MIN;

/// The positions of all readers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Positions {
    all: Arc<[Position]>,
    log: Log,
}

/// A reader as an operator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its name, and how it stands to the log.
    pub reader: ReaderName,
    /// Records it has not handled.
    pub lag: u64,
    /// Records the log keeps for it, or would if it counted.
    pub uncommitted: u64,
    /// When it handled something last, Unix milliseconds; `None` when it has not since this process started.
    pub moved_ms: Option<i64>,
    /// Since when its oldest unread record waits, Unix milliseconds. Once that record has left memory it is the time of the
    /// newest one it has read, which came just before; `None` when that is not known either, or nothing waits.
    pub unread_since_ms: Option<i64>,
    /// It ended unasked and is started again, and has not passed that place since.
    pub has_ended: bool,
}

/// A reader cannot go on where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum OpenPositionsError {
    /// The positions cannot be read or stored.
    #[error("the positions of the readers cannot be read")]
    Store(#[from] StoreError),
    /// The log ends before what was already read from it.
    #[error("the log ends at record {next}, but reader {reader} has covered {stored} records of it: log/ was replaced")]
    LogReplaced {
        /// Name of the reader.
        reader: &'static str,
        /// The log's end.
        next: u64,
        /// Records covered.
        stored: u64,
    },
    /// The log begins after what was read from it.
    #[error(
        "the log begins at record {first}, but reader {reader} has covered {stored} only: files of log/ were removed"
    )]
    LogGap {
        /// Name of the reader.
        reader: &'static str,
        /// The log's first record.
        first: u64,
        /// Records covered.
        stored: u64,
    },
}

/// Where a new log begins: behind every record any reader has covered, so that no number is used twice.
pub async fn first_offset(registry: &Registry) -> Result<Offset, StoreError> {
    let stored = registry.checkpoints_list().await?;
    Ok(Offset(stored.into_iter().map(|(_, next)| next).max().unwrap_or(0)))
}

impl Positions {
    /// Finds where each reader goes on, and stores where new ones begin.
    pub async fn open(registry: &Registry, log: &Log, readers: &[ReaderName]) -> Result<Self, OpenPositionsError> {
        let stored = registry.checkpoints_list().await?;
        let mut all = Vec::with_capacity(readers.len());
        for &reader in readers {
            let found = stored.iter().find(|(name, _)| name == reader.name).map(|&(_, next)| next);
            let next = match found {
                Some(next) => next,
                None => {
                    let begin = begin(reader.begin, &stored, readers, log);
                    registry.checkpoint_put(reader.name, begin).await?;
                    begin
                }
            };
            all.push(Position::new(reader, check(reader, next, ends(log))?));
        }
        Ok(Self { all: all.into(), log: log.clone() })
    }

    /// The position of a reader that was named when they were opened.
    pub fn of(&self, name: &str) -> Option<Position> {
        self.all.iter().find(|position| position.name() == name).cloned()
    }

    /// Each reader.
    pub fn standings(&self) -> Vec<Standing> {
        let next = self.log.next_offset().0;
        self.all.iter().map(|position| self.standing(position, next)).collect()
    }

    fn standing(&self, position: &Position, next: u64) -> Standing {
        let inner = &position.inner;
        let handled = position.handled();
        let waiting = (handled < next).then_some(Offset(handled));
        Standing {
            reader: inner.reader,
            lag: next.saturating_sub(handled),
            uncommitted: next.saturating_sub(position.durable()),
            moved_ms: time(&inner.moved_ms),
            unread_since_ms: waiting.and_then(|offset| {
                let in_memory = self.log.appended_at_ms(offset).map(unix_ms);
                in_memory.or_else(|| time(&inner.handled_until_ms))
            }),
            has_ended: inner.has_ended.load(Ordering::Acquire),
        }
    }

    /// The lowest durable position of those that count: what lies before it may go.
    pub fn slowest(&self) -> u64 {
        let counting = self.all.iter().filter(|position| position.inner.reader.counts);
        counting.map(Position::durable).min().unwrap_or(0)
    }

    /// Lets go of log segments that every reader that counts has covered, keeping a margin unless room is short.
    pub async fn trim(&self, events: &Events, config: &LogConfig) {
        let log = self.log.clone();
        let margin = if log.bytes() > config.max_bytes / 2 { 0 } else { config.keep_records };
        let keep_from = Offset(self.slowest().saturating_sub(margin));
        let trimmed = tokio::task::spawn_blocking(move || log.trim_before(keep_from)).await;
        match trimmed {
            Ok(Ok(trimmed)) if trimmed.segments > 0 => events.room_made(),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the log could not be trimmed");
            }
            Err(error) => tracing::warn!(%error, "the log could not be trimmed"),
        }
    }
}

fn unix_ms(appended_at_ms: u64) -> i64 {
    i64::try_from(appended_at_ms).unwrap_or(i64::MAX)
}

fn time(at_ms: &AtomicI64) -> Option<i64> {
    Some(at_ms.load(Ordering::Acquire)).filter(|at_ms| *at_ms != NEVER)
}

fn begin(begin: Begin, stored: &[(String, u64)], readers: &[ReaderName], log: &Log) -> u64 {
    match begin {
        Begin::First => 0,
        Begin::Next => log.next_offset().0,
        Begin::Like(other) => match stored.iter().find(|(name, _)| name == other) {
            Some(&(_, next)) => next,
            None => match readers.iter().find(|reader| reader.name == other).map(|reader| reader.begin) {
                Some(Begin::Next) => log.next_offset().0,
                _ => 0,
            },
        },
    }
}

fn ends(log: &Log) -> LogEnds {
    LogEnds { first: log.first_offset(), next: log.next_offset() }
}

/// Refuses a log in which a reader with a stored position cannot go on, before anything is opened or changed.
pub fn refuse(stored: &[(String, u64)], readers: &[ReaderName], log: LogEnds) -> Result<(), OpenPositionsError> {
    for &reader in readers {
        if let Some(&(_, next)) = stored.iter().find(|(name, _)| name == reader.name) {
            check(reader, next, log)?;
        }
    }
    Ok(())
}

/// Where the reader can go on. Who does not count passes over a gap.
fn check(reader: ReaderName, stored: u64, log: LogEnds) -> Result<u64, OpenPositionsError> {
    let (first, next) = (log.first.0, log.next.0);
    if stored > next {
        return Err(OpenPositionsError::LogReplaced { reader: reader.name, next, stored });
    }
    if first > stored && reader.counts {
        return Err(OpenPositionsError::LogGap { reader: reader.name, first, stored });
    }
    Ok(stored.max(first))
}

impl Position {
    fn new(reader: ReaderName, at: u64) -> Self {
        let inner = Inner {
            reader,
            durable: AtomicU64::new(at),
            handled: AtomicU64::new(at),
            moved_ms: AtomicI64::new(NEVER),
            handled_until_ms: AtomicI64::new(NEVER),
            has_ended: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The reader's name.
    pub fn name(&self) -> &'static str {
        self.inner.reader.name
    }

    /// Whether the log keeps what it has not covered.
    pub fn counts(&self) -> bool {
        self.inner.reader.counts
    }

    /// Everything before it is durable.
    pub fn durable(&self) -> u64 {
        self.inner.durable.load(Ordering::Acquire)
    }

    /// Everything before it was handled.
    pub fn handled(&self) -> u64 {
        self.inner.handled.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self, next: u64) {
        self.inner.durable.store(next, Ordering::Release);
    }

    pub(crate) fn set_handled(&self, next: u64) {
        self.inner.handled.store(next, Ordering::Release);
    }

    /// It handled records at `now_ms`, the newest of which was appended at `appended_at_ms`.
    pub(crate) fn set_moved(&self, appended_at_ms: u64, now_ms: i64) {
        self.inner.moved_ms.store(now_ms, Ordering::Release);
        self.inner.handled_until_ms.fetch_max(unix_ms(appended_at_ms), Ordering::AcqRel);
    }

    pub(crate) fn set_ended(&self, has_ended: bool) {
        self.inner.has_ended.store(has_ended, Ordering::Release);
    }
}
