//! Who is connected, and what earlier sessions were subscribed to.
//!
//! Client libraries keep their session (`clean session` off) and do not subscribe again when the hub says it knows the
//! session; so the subscriptions are on disk, and a restart of this daemon keeps them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use model::identity::Identity;
use tokio::sync::watch;
use transport::server::{SessionLink, Subscriptions};

use crate::limits::SESSIONS_MAX;
use crate::state::{self, State, StateError, StateKind};

/// All sessions.
pub(super) struct Sessions {
    path: PathBuf,
    live: Mutex<Live>,
    /// Counts changes: who waits for a session looks again.
    changes: watch::Sender<u64>,
}

/// What is on disk: subscriptions by client id.
impl State for BTreeMap<String, u8> {
    const KIND: &'static StateKind = &state::SESSIONS;
}

#[derive(Default)]
struct Live {
    links: HashMap<Identity, (u64, SessionLink)>,
    kept: BTreeMap<String, u8>,
    next_number: u64,
}

impl Live {
    /// What is kept is bounded like the sessions themselves. One that is not connected goes; its client subscribes anew.
    fn forget_one_too_many(&mut self, newest: &Identity) {
        if self.kept.len() <= SESSIONS_MAX {
            return;
        }
        let newest_id = newest.to_string();
        let absent = |id: &&String| **id != newest_id && !self.links.contains_key(&Identity::from_client_id(id));
        let forgotten = self.kept.keys().find(absent).cloned().unwrap_or(newest_id);
        self.kept.remove(&forgotten);
    }
}

impl Sessions {
    pub(super) fn open(path: PathBuf) -> Result<Self, StateError> {
        let kept = state::open(&path)?.unwrap_or_default();
        let live = Mutex::new(Live { kept, ..Live::default() });
        Ok(Self { path, live, changes: watch::channel(0).0 })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Live) -> T) -> T {
        act(&mut self.live.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Registers a session and hands back the one it replaces. `None` when there are too many.
    pub(super) fn insert(&self, identity: &Identity, link: SessionLink) -> Option<(u64, Option<SessionLink>)> {
        let inserted = self.with(|live| {
            if live.links.len() >= SESSIONS_MAX && !live.links.contains_key(identity) {
                return None;
            }
            live.next_number += 1;
            let number = live.next_number;
            let old = live.links.insert(identity.clone(), (number, link));
            Some((number, old.map(|(_, link)| link)))
        });
        self.changed();
        inserted
    }

    /// Forgets a session, unless a newer one took its place; says whether it was there.
    pub(super) fn remove(&self, identity: &Identity, number: u64) -> bool {
        let removed = self.with(|live| match live.links.get(identity) {
            Some((current, _)) if *current == number => live.links.remove(identity).is_some(),
            _ => false,
        });
        self.changed();
        removed
    }

    /// The live session of an identity.
    pub(super) fn get(&self, identity: &Identity) -> Option<SessionLink> {
        self.with(|live| live.links.get(identity).map(|(_, link)| link.clone()))
    }

    /// The live sessions of an identity; of a device, those of its modules too.
    pub(super) fn of(&self, identity: &Identity) -> Vec<(Identity, SessionLink)> {
        let is_of = |found: &Identity| {
            found == identity || (identity.module_id().is_none() && found.device_id() == identity.device_id())
        };
        self.with(|live| {
            let of = live.links.iter().filter(|(found, _)| is_of(found));
            of.map(|(found, (_, link))| (found.clone(), link.clone())).collect()
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.with(|live| live.links.len())
    }

    /// Waits until an identity is connected and takes inputs.
    pub(super) async fn with_inputs(&self, identity: &Identity) -> SessionLink {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(link) = self.get(identity).filter(|link| link.subscriptions().inputs && !link.is_closed()) {
                return link;
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// What an earlier session was subscribed to.
    pub(super) fn kept(&self, identity: &Identity) -> Option<Subscriptions> {
        self.with(|live| live.kept.get(&identity.to_string()).copied()).map(Subscriptions::from_bits)
    }

    /// Keeps (or, with `None`, forgets) what an identity is subscribed to. `Ok` means durable.
    pub(super) fn keep(&self, identity: &Identity, subscriptions: Option<Subscriptions>) -> Result<(), StateError> {
        let changed = self.with(|live| {
            let before = live.kept.clone();
            match subscriptions {
                Some(subscriptions) => drop(live.kept.insert(identity.to_string(), subscriptions.to_bits())),
                None => drop(live.kept.remove(&identity.to_string())),
            }
            live.forget_one_too_many(identity);
            (before != live.kept).then(|| live.kept.clone())
        });
        let written = changed.map_or(Ok(()), |kept| state::write(&self.path, &kept));
        self.changed();
        written
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_newer_session_is_not_removed_by_the_older_ones_end() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path().join("sessions.json")).unwrap();
        let identity = Identity::device("d");
        let (first, old) = sessions.insert(&identity, SessionLink::detached().0).unwrap();
        assert!(old.is_none());
        let (second, old) = sessions.insert(&identity, SessionLink::detached().0).unwrap();
        assert!(old.is_some());
        assert!(!sessions.remove(&identity, first));
        assert!(sessions.get(&identity).is_some());
        assert!(sessions.remove(&identity, second));
        assert!(sessions.get(&identity).is_none());
    }

    #[test]
    fn subscriptions_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions.json");
        let identity = Identity::module("d", "m");
        let subscriptions = Subscriptions { methods: true, inputs: true, ..Subscriptions::default() };
        Sessions::open(path.clone()).unwrap().keep(&identity, Some(subscriptions)).unwrap();
        let again = Sessions::open(path.clone()).unwrap();
        assert_eq!(again.kept(&identity), Some(subscriptions));
        again.keep(&identity, None).unwrap();
        assert_eq!(Sessions::open(path).unwrap().kept(&identity), None);
    }

    #[test]
    fn one_session_too_many_is_refused_until_another_ends() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path().join("sessions.json")).unwrap();
        let client = |number: usize| Identity::device(&format!("leaf{number}"));
        let numbers: Vec<_> = (0..SESSIONS_MAX)
            .map(|number| sessions.insert(&client(number), SessionLink::detached().0).unwrap().0)
            .collect();
        assert!(sessions.insert(&client(SESSIONS_MAX), SessionLink::detached().0).is_none());
        assert!(sessions.get(&client(SESSIONS_MAX)).is_none());
        assert!(sessions.insert(&client(3), SessionLink::detached().0).is_some(), "one that is there may come again");
        assert!(sessions.remove(&client(7), numbers[7]));
        assert!(sessions.insert(&client(SESSIONS_MAX), SessionLink::detached().0).is_some());
        assert_eq!(sessions.count(), SESSIONS_MAX);
    }

    #[test]
    fn of_too_many_kept_subscriptions_those_of_an_absent_client_go() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path().join("sessions.json")).unwrap();
        // By name, those that are connected come first.
        let absent: Vec<_> = (0..SESSIONS_MAX - 1).map(|n| Identity::device(&format!("z{n:04}"))).collect();
        let (first, newest) = (Identity::device("a"), Identity::device("b"));
        let subscriptions = Subscriptions { methods: true, ..Subscriptions::default() };
        // As an earlier run left it: the file is not written once more for each.
        sessions.with(|live| live.kept.extend(absent.iter().map(|id| (id.to_string(), subscriptions.to_bits()))));
        sessions.insert(&first, SessionLink::detached().0).unwrap();
        sessions.keep(&first, Some(subscriptions)).unwrap();
        assert_eq!(sessions.kept(&absent[0]), Some(subscriptions), "so many are kept");
        sessions.keep(&newest, Some(subscriptions)).unwrap();
        assert_eq!(sessions.kept(&absent[0]), None);
        for kept in [&first, &newest, &absent[1], absent.last().unwrap()] {
            assert_eq!(sessions.kept(kept), Some(subscriptions), "{kept}");
        }
    }

    #[tokio::test]
    async fn waiting_for_inputs_ends_when_they_are_subscribed() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path().join("sessions.json")).unwrap();
        let identity = Identity::module("d", "m");
        let (link, far_end) = SessionLink::detached();
        sessions.insert(&identity, link).unwrap();
        tokio::join!(sessions.with_inputs(&identity), async {
            far_end.set_subscriptions(Subscriptions { inputs: true, ..Subscriptions::default() });
            sessions.keep(&identity, Some(far_end.subscriptions())).unwrap();
        });
    }
}
