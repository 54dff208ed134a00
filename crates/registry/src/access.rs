//! Changes of what lets somebody in: told to whoever holds something open.
//!
//! ```text
//!   change of a device, module, group, token, user ──► commit ──► noted: its ground, numbered ──► woken: who holds things open
//! ```
//!
//! A ground is what an open connection rests on. What became of it is not told: whoever hears of it reads the rows again, so
//! that a change that is told twice, or too late, or in vain, does no harm. *Invariant*: a change that was committed, or may have
//! been, is noted after its commit and before its caller hears of it.
//!
//! Notes are kept in memory only: nothing is open when a process starts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::limits::ACCESS_CHANGES_KEPT_MAX;
use super::outbox::{OutboxEvent, OutboxKind};
use super::{Registry, StoreError};

/// What an open connection rests on. Ids are of one application each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ground {
    /// A device with its keys, its modules and its place below a gateway.
    Device(Arc<str>, Arc<str>),
    /// An enrollment group.
    Group(Arc<str>, Arc<str>),
    /// An API token.
    Token(Arc<str>, Arc<str>),
    /// A user, with the sessions of that user.
    User(Arc<str>, Arc<str>),
}

impl Ground {
    /// A device.
    pub fn device(application: &str, id: &str) -> Self {
        Self::Device(application.into(), id.into())
    }

    /// An enrollment group.
    pub fn group(application: &str, id: &str) -> Self {
        Self::Group(application.into(), id.into())
    }

    /// An API token.
    pub fn token(application: &str, id: &str) -> Self {
        Self::Token(application.into(), id.into())
    }

    /// A user.
    pub fn user(application: &str, id: &str) -> Self {
        Self::User(application.into(), id.into())
    }
}

/// A moment between two changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessMark(u64);

/// What changed since a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangedAccess {
    /// These grounds, some of them perhaps more than once.
    Grounds(Vec<Ground>),
    /// More than is remembered: anything.
    Anything,
}

/// The newest changes; shared by all handles of a registry.
#[derive(Debug, Default)]
pub(super) struct AccessChanges {
    newest: Mutex<Newest>,
    noted: Notify,
}

#[derive(Debug, Default)]
struct Newest {
    /// How many there ever were.
    count: u64,
    /// The last of them, oldest first.
    grounds: VecDeque<Ground>,
}

impl AccessChanges {
    fn note(&self, ground: Ground) {
        let mut newest = self.newest();
        if newest.grounds.len() >= ACCESS_CHANGES_KEPT_MAX {
            newest.grounds.pop_front();
        }
        newest.grounds.push_back(ground);
        newest.count += 1;
        drop(newest);
        self.noted.notify_one();
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().expect("nothing panics while it holds the changes")
    }
}

/// Whether a write that ended so may have changed something.
fn may_have_changed<T>(done: &Result<T, StoreError>) -> bool {
    matches!(done, Ok(_) | Err(StoreError::InDoubt(_)))
}

impl Registry {
    /// Now, as a moment between two changes.
    pub fn access_mark(&self) -> AccessMark {
        AccessMark(self.access.newest().count)
    }

    /// What changed since then.
    pub fn access_changed_since(&self, AccessMark(mark): AccessMark) -> ChangedAccess {
        let newest = self.access.newest();
        let missed = newest.count.saturating_sub(mark);
        match usize::try_from(missed) {
            Ok(missed) if missed <= newest.grounds.len() => {
                ChangedAccess::Grounds(newest.grounds.range(newest.grounds.len() - missed..).cloned().collect())
            }
            _ => ChangedAccess::Anything,
        }
    }

    /// Waits until something changed since the last call, or may have. For the one who ends what was opened.
    pub async fn access_changed(&self) {
        self.access.noted.notified().await;
    }

    /// Notes the grounds of events that a commit brought, or may have: every change of a device or module is one of them.
    pub(super) fn note_lifecycle(&self, done: &Result<(), StoreError>, events: &[OutboxEvent]) {
        if !may_have_changed(done) {
            return;
        }
        for event in events.iter().filter(|event| event.kind == OutboxKind::Lifecycle) {
            self.access.note(Ground::device(&event.application, &event.device));
        }
    }

    /// Notes a change of a ground, if a write that ended so may have made it.
    pub(super) fn note_access<T>(&self, done: &Result<T, StoreError>, ground: Option<Ground>) {
        if let Some(ground) = ground.filter(|_| may_have_changed(done)) {
            self.access.note(ground);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_changes_are_remembered_and_then_it_may_have_been_anything() {
        let changes = AccessChanges::default();
        for n in 0..=ACCESS_CHANGES_KEPT_MAX {
            changes.note(Ground::device("a", &n.to_string()));
        }
        let newest = changes.newest();
        assert_eq!((newest.count, newest.grounds.len()), (ACCESS_CHANGES_KEPT_MAX as u64 + 1, ACCESS_CHANGES_KEPT_MAX));
        assert_eq!(newest.grounds.front(), Some(&Ground::device("a", "1")));
    }
}
