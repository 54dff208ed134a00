//! Revocation: what was opened with a credential ends when the credential does.
//!
//! ```text
//!   a door lets somebody in ──► hold: what it rests on (grounds), how to judge it again, how to end it ──► held
//!   registry: a ground changed ──► everything held that rests on it ──► judged again ──┬─► stands
//!   its time is over ────────────────────────────────────────────────────────────────┘└─► ended
//! ```
//!
//! Every door comes here: device sessions, provisioning connections, live streams. A call over HTTPS is judged whenever it is
//! made and holds nothing. Judging again is the judgement the door made first, with the same proof: there is no second set of
//! rules that could forget one. What rests on a ground that changed in a way that does not matter to it stays open. What cannot
//! be judged in time is ended: whoever opened it comes back, and is judged then.
//!
//! *Invariant*: between the mark that was taken before the first judgement and the end of `hold`, no change is missed: one that
//! came before it was held is found in the registry's list, and one that comes later finds it among what is held.

use std::collections::{BTreeSet, HashMap, VecDeque, hash_map};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use events::clock::now_ms;
use events::health::with_causes;
use futures_util::StreamExt;
use futures_util::stream;
use registry::{AccessMark, ChangedAccess, Ground, Registry};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub use crate::authenticate::KnownDevices;
use crate::limits::{JUDGE_RETRY_PAUSE, JUDGED_AT_ONCE_MAX, JUDGED_PER_READ_MAX, REVOKED_ENDS_WITHIN};

#[cfg(test)]
mod tests;

/// What came of judging again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It would be let in as it was.
    Stands {
        /// When it has to be judged again although nothing changed, in Unix milliseconds: its token or session ends then.
        again_at_ms: Option<i64>,
    },
    /// It would not.
    Fell,
}

/// A judgement on its way. An error says nothing about what is judged: it is asked again.
pub type Judging<'a> = Pin<Box<dyn Future<Output = Result<Judgement, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// Something a door opened.
pub trait Opened: Send + Sync + 'static {
    /// Judges it again from what the registry says now. What is known of devices already was read after the change.
    fn judge<'a>(&'a self, known: &'a Arc<KnownDevices>) -> Judging<'a>;

    /// Ends it. May be called more than once, and after it ended.
    fn end(&self);
}

/// Why a door stays closed after all.
#[derive(Debug, thiserror::Error)]
pub enum NotHeld {
    /// It fell while it was opened.
    #[error("the credential was revoked meanwhile")]
    Fell,
    /// It could not be found out.
    #[error("it cannot be found out whether the credential is still good")]
    Unknown(#[source] Box<dyn Error + Send + Sync>),
}

/// Everything that is open and rests on a credential. Cheap to clone.
#[derive(Clone)]
pub struct Revocation {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    held: Mutex<Table>,
    /// Woken when something has an end that may come before every other.
    has_end: Notify,
}

/// The one task that ends what fell.
pub struct Revoker {
    revocation: Revocation,
    seen: AccessMark,
    /// What has to be judged, in the order it was asked for: once each, however often.
    waiting: VecDeque<u64>,
    waiting_since: HashMap<u64, Instant>,
    /// What could not be judged.
    doubts: HashMap<u64, Doubt>,
}

#[derive(Clone, Copy)]
struct Doubt {
    since: Instant,
    again_at: Instant,
}

/// Something to be judged.
struct Asked {
    id: u64,
    since: Instant,
    grounds: Box<[Ground]>,
    opened: Arc<dyn Opened>,
}

impl Asked {
    /// How long its judgement may take: what takes longer is ended.
    fn patience(&self) -> Duration {
        match REVOKED_ENDS_WITHIN.saturating_sub(self.since.elapsed()) {
            // Many were judged before it.
            Duration::ZERO => JUDGE_RETRY_PAUSE,
            left => left,
        }
    }
}

/// Keeps something among what is ended when its credential ends, as long as it lives.
pub struct Held {
    revocation: Revocation,
    id: u64,
}

#[derive(Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
    by_ground: BTreeSet<(Ground, u64)>,
    by_time: BTreeSet<(i64, u64)>,
}

struct Entry {
    grounds: Box<[Ground]>,
    again_at_ms: Option<i64>,
    opened: Arc<dyn Opened>,
}

impl Table {
    fn insert(&mut self, grounds: &[Ground], opened: Arc<dyn Opened>) -> u64 {
        let id = self.next;
        self.next += 1;
        self.by_ground.extend(grounds.iter().map(|ground| (ground.clone(), id)));
        self.entries.insert(id, Entry { grounds: grounds.into(), again_at_ms: None, opened });
        id
    }

    fn remove(&mut self, id: u64) {
        self.judge_at(id, None);
        if let Some(entry) = self.entries.remove(&id) {
            for ground in entry.grounds {
                self.by_ground.remove(&(ground, id));
            }
        }
    }

    fn judge_at(&mut self, id: u64, at_ms: Option<i64>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if let Some(before_ms) = std::mem::replace(&mut entry.again_at_ms, at_ms) {
            self.by_time.remove(&(before_ms, id));
        }
        self.by_time.extend(at_ms.map(|at_ms| (at_ms, id)));
    }

    /// What rests on something that changed, and what is due.
    fn asked(&self, changed: &ChangedAccess, now_ms: i64) -> BTreeSet<u64> {
        let mut asked: BTreeSet<u64> = self.by_time.range(..=(now_ms, u64::MAX)).map(|(_, id)| *id).collect();
        match changed {
            ChangedAccess::Anything => asked.extend(self.entries.keys()),
            ChangedAccess::Grounds(grounds) => {
                for ground in grounds {
                    let on = (ground.clone(), 0)..=(ground.clone(), u64::MAX);
                    asked.extend(self.by_ground.range(on).map(|(_, id)| *id));
                }
            }
        }
        asked
    }
}

impl Revocation {
    /// Nothing is open yet; the caller runs the task.
    pub fn new(registry: Registry) -> (Self, Revoker) {
        let seen = registry.access_mark();
        let revocation = Self { inner: Arc::new(Inner { registry, held: Mutex::default(), has_end: Notify::new() }) };
        let (waiting, waiting_since, doubts) = Default::default();
        (revocation.clone(), Revoker { revocation, seen, waiting, waiting_since, doubts })
    }

    /// Now: to be taken before a credential is judged, so that no change after it is missed.
    pub fn mark(&self) -> AccessMark {
        self.inner.registry.access_mark()
    }

    /// Holds what was opened on these grounds. It was judged after `since`; without one, and when a ground changed since, it is
    /// judged here.
    pub async fn hold(
        &self,
        since: Option<AccessMark>,
        grounds: &[Ground],
        opened: Arc<dyn Opened>,
    ) -> Result<Held, NotHeld> {
        let id = self.held().insert(grounds, Arc::clone(&opened));
        let held = Held { revocation: self.clone(), id };
        let changed = since.map(|since| self.inner.registry.access_changed_since(since));
        let is_as_it_was = match changed {
            Some(ChangedAccess::Grounds(changed)) => !changed.iter().any(|changed| grounds.contains(changed)),
            Some(ChangedAccess::Anything) | None => false,
        };
        if is_as_it_was {
            return Ok(held);
        }
        match opened.judge(&Arc::default()).await.map_err(NotHeld::Unknown)? {
            Judgement::Stands { again_at_ms } => {
                self.held().judge_at(id, again_at_ms);
                self.inner.has_end.notify_one();
            }
            Judgement::Fell => return Err(NotHeld::Fell),
        }
        Ok(held)
    }

    fn held(&self) -> MutexGuard<'_, Table> {
        self.inner.held.lock().expect("nothing panics while it holds the table")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.revocation.held().remove(self.id);
    }
}

impl Revoker {
    /// Runs until the token is cancelled.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            self.look();
            let page = self.next_page();
            if page.is_empty() {
                self.wait(&shutdown).await;
            } else {
                self.judge(page).await;
            }
        }
    }

    /// Queues what rests on something that changed, what is due, and what is in doubt since a while.
    fn look(&mut self) {
        let now = Instant::now();
        let mark = self.revocation.mark();
        let changed = self.revocation.inner.registry.access_changed_since(self.seen);
        self.seen = mark;
        let mut asked = self.revocation.held().asked(&changed, now_ms());
        asked.extend(self.doubts.iter().filter(|(_, doubt)| doubt.again_at <= now).map(|(id, _)| *id));
        for id in asked {
            let since = self.doubts.remove(&id).map_or(now, |doubt| doubt.since);
            if let hash_map::Entry::Vacant(entry) = self.waiting_since.entry(id) {
                entry.insert(since);
                self.waiting.push_back(id);
            }
        }
    }

    /// What has waited longest.
    fn next_page(&mut self) -> Vec<Asked> {
        let mut page = Vec::new();
        while page.len() < JUDGED_PER_READ_MAX
            && let Some(id) = self.waiting.pop_front()
        {
            let since = self.waiting_since.remove(&id).unwrap_or_else(Instant::now);
            if let Some(entry) = self.revocation.held().entries.get(&id) {
                page.push(Asked { id, since, grounds: entry.grounds.clone(), opened: Arc::clone(&entry.opened) });
            }
        }
        page
    }

    /// Waits until there may be something to judge.
    async fn wait(&self, shutdown: &CancellationToken) {
        let next_ms = self.revocation.held().by_time.first().map(|(at_ms, _)| *at_ms);
        let due = async {
            match next_ms {
                Some(at_ms) => tokio::time::sleep(until(at_ms)).await,
                None => std::future::pending().await,
            }
        };
        let doubtful = async {
            match self.doubts.values().map(|doubt| doubt.again_at).min() {
                Some(again_at) => tokio::time::sleep_until(again_at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.revocation.inner.registry.access_changed() => {}
            () = due => {}
            () = doubtful => {}
            () = self.revocation.inner.has_end.notified() => {}
            () = shutdown.cancelled() => {}
        }
    }

    /// Judges a page: the devices it rests on are read together.
    async fn judge(&mut self, page: Vec<Asked>) {
        let grounds = page.iter().flat_map(|asked| &asked.grounds);
        let patience = page.iter().map(Asked::patience).min().unwrap_or(JUDGE_RETRY_PAUSE);
        let read = timeout(patience, KnownDevices::read(&self.revocation.inner.registry, grounds)).await;
        let doubtful: Vec<_> = match read.map_err(Into::into).and_then(|read| read.map_err(Into::into)) {
            Ok(known) => {
                let known = Arc::new(known);
                let judged = page.into_iter().map(|asked| self.judge_one(asked, &known));
                let judged = stream::iter(judged).buffer_unordered(JUDGED_AT_ONCE_MAX);
                judged.filter_map(std::future::ready).collect().await
            }
            Err(error) => {
                let error: Box<dyn Error + Send + Sync> = error;
                let reason: Arc<str> = with_causes(&*error).into();
                page.into_iter().map(|asked| (asked, Arc::clone(&reason))).collect()
            }
        };
        self.doubt(doubtful);
    }

    /// Judges one; answers it again, and why, when it cannot be judged.
    async fn judge_one(&self, asked: Asked, known: &Arc<KnownDevices>) -> Option<(Asked, Arc<str>)> {
        let judged = timeout(asked.patience(), asked.opened.judge(known)).await;
        match judged.map_err(Into::into).and_then(|judged| judged) {
            Ok(Judgement::Stands { again_at_ms }) => self.revocation.held().judge_at(asked.id, again_at_ms),
            Ok(Judgement::Fell) => {
                self.revocation.held().judge_at(asked.id, None);
                asked.opened.end();
            }
            Err(error) => return Some((asked, with_causes(&*error).into())),
        }
        None
    }

    /// Tries again soon what could not be judged; ends what would stay open too long that way.
    fn doubt(&mut self, doubtful: Vec<(Asked, Arc<str>)>) {
        let Some((_, reason)) = doubtful.first() else { return };
        let (reason, count) = (Arc::clone(reason), doubtful.len());
        let mut ended = 0;
        for (asked, _) in doubtful {
            self.revocation.held().judge_at(asked.id, None);
            if asked.since.elapsed() + JUDGE_RETRY_PAUSE >= REVOKED_ENDS_WITHIN {
                ended += 1;
                asked.opened.end();
            } else {
                let again_at = Instant::now() + JUDGE_RETRY_PAUSE;
                self.doubts.insert(asked.id, Doubt { since: asked.since, again_at });
            }
        }
        tracing::warn!(
            count,
            ended,
            error = &*reason,
            "what a changed credential opened could not be judged; it is tried again, and ended when that takes too long"
        );
    }
}

fn until(at_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(at_ms.saturating_sub(now_ms())).unwrap_or(0))
}
