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
//! rules that could forget one. What rests on a ground that changed in a way that does not matter to it stays open.
//!
//! *Invariant*: between the mark that was taken before the first judgement and the end of `hold`, no change is missed: one that
//! came before it was held is found in the registry's list, and one that comes later finds it among what is held.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use events::clock::now_ms;
use futures_util::StreamExt;
use futures_util::stream;
use registry::{AccessMark, ChangedAccess, Ground, Registry};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::limits::{JUDGE_RETRY_PAUSE, JUDGED_AT_ONCE_MAX};

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
    /// Judges it again from what the registry says now.
    fn judge(&self) -> Judging<'_>;

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
        (revocation.clone(), Revoker { revocation, seen })
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
        match opened.judge().await.map_err(NotHeld::Unknown)? {
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
            let now = self.revocation.mark();
            let changed = self.revocation.inner.registry.access_changed_since(self.seen);
            self.seen = now;
            let asked = self.revocation.held().asked(&changed, now_ms());
            self.judge(asked).await;
            let next_ms = self.revocation.held().by_time.first().map(|(at_ms, _)| *at_ms);
            let due = async {
                match next_ms {
                    Some(at_ms) => tokio::time::sleep(until(at_ms)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.revocation.inner.registry.access_changed() => {}
                () = due => {}
                () = self.revocation.inner.has_end.notified() => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    async fn judge(&self, asked: BTreeSet<u64>) {
        let judged = asked.into_iter().map(|id| self.judge_one(id));
        stream::iter(judged).buffer_unordered(JUDGED_AT_ONCE_MAX).collect::<()>().await;
    }

    async fn judge_one(&self, id: u64) {
        let opened = self.revocation.held().entries.get(&id).map(|entry| Arc::clone(&entry.opened));
        let Some(opened) = opened else { return };
        match opened.judge().await {
            Ok(Judgement::Stands { again_at_ms }) => self.revocation.held().judge_at(id, again_at_ms),
            Ok(Judgement::Fell) => {
                self.revocation.held().judge_at(id, None);
                opened.end();
            }
            Err(error) => {
                let error = &*error as &dyn Error;
                tracing::warn!(error, "what a changed credential opened could not be judged; it is tried again");
                let again_ms = i64::try_from(JUDGE_RETRY_PAUSE.as_millis()).unwrap_or(i64::MAX);
                self.revocation.held().judge_at(id, Some(now_ms().saturating_add(again_ms)));
            }
        }
    }
}

fn until(at_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(at_ms.saturating_sub(now_ms())).unwrap_or(0))
}
