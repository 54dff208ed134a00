//! Who is connected, and what earlier sessions were subscribed to.
//!
//! Client libraries keep their session (`clean session` off) and do not subscribe again when the hub says it knows the
//! session; so the subscriptions are on disk, and a restart of this daemon keeps them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use model::identity::Identity;
use tokio::sync::watch;
use transport::server::{SessionLink, Subscriptions};

use crate::limits::SESSIONS_MAX;
use crate::state::{self, State, StateError, StateKind};

/// All sessions.
pub(super) struct Sessions {
    shared: Arc<Shared>,
    /// Counts changes: who waits for a session looks again.
    changes: watch::Sender<u64>,
}

/// What whoever writes the file needs.
struct Shared {
    path: PathBuf,
    live: Mutex<Live>,
    /// Which version of what is kept is on disk. Held while one is written, so that an older one never replaces a newer.
    written: Mutex<u64>,
}

/// What is on disk: subscriptions by client id.
impl State for BTreeMap<String, u8> {
    const KIND: &'static StateKind = &state::SESSIONS;
}

#[derive(Default)]
struct Live {
    links: HashMap<Identity, (u64, SessionLink)>,
    /// What tells how much was known of an identity when its session was let in.
    marks: HashMap<Identity, u64>,
    kept: BTreeMap<String, u8>,
    /// Counts the changes of what is kept.
    version: u64,
    next_number: u64,
}

/// A session that was registered.
pub(super) struct Inserted {
    /// Tells it from others of its identity.
    pub(super) number: u64,
    /// The one it replaces.
    pub(super) old: Option<SessionLink>,
    /// What it goes on with of an earlier one.
    pub(super) kept: Option<Subscriptions>,
}

impl Live {
    /// Keeps, or with `None` forgets, what an identity is subscribed to.
    fn keep(&mut self, identity: &Identity, subscriptions: Option<Subscriptions>) {
        let bits = subscriptions.map(Subscriptions::to_bits);
        let before = match bits {
            Some(bits) => self.kept.insert(identity.to_string(), bits),
            None => self.kept.remove(&identity.to_string()),
        };
        self.version += u64::from(before != bits);
        self.forget_one_too_many(identity);
    }

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

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut Live) -> T) -> T {
        act(&mut self.live.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes what is kept, unless this version of it or a later one is on disk already: those who come together are written
    /// together. Blocks.
    fn write(&self, version: u64) -> Result<(), StateError> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written >= version {
            return Ok(());
        }
        let (newest, kept) = self.with(|live| (live.version, live.kept.clone()));
        state::write(&self.path, &kept)?;
        *written = newest;
        Ok(())
    }
}

impl Sessions {
    pub(super) fn open(path: PathBuf) -> Result<Self, StateError> {
        let kept = state::open(&path)?.unwrap_or_default();
        let live = Mutex::new(Live { kept, ..Live::default() });
        Ok(Self { shared: Arc::new(Shared { path, live, written: Mutex::default() }), changes: watch::channel(0).0 })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Live) -> T) -> T {
        self.shared.with(act)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Registers a session; one that is not `clean` goes on with what is kept of an earlier one, and is found with it from the
    /// first moment on. `None` when there are too many.
    pub(super) fn insert(&self, identity: &Identity, link: SessionLink, clean: bool) -> Option<Inserted> {
        let inserted = self.with(|live| {
            if live.links.len() >= SESSIONS_MAX && !live.links.contains_key(identity) {
                return None;
            }
            if clean {
                live.keep(identity, None);
            }
            let kept = live.kept.get(&identity.to_string()).copied().map(Subscriptions::from_bits);
            kept.into_iter().for_each(|kept| link.restore_subscriptions(kept));
            live.next_number += 1;
            let number = live.next_number;
            let old = live.links.insert(identity.clone(), (number, link));
            live.marks.remove(identity);
            Some(Inserted { number, old: old.map(|(_, link)| link), kept })
        });
        self.changed();
        inserted
    }

    /// Notes what the session of an identity was judged by.
    pub(super) fn judged(&self, identity: &Identity, number: u64, mark: u64) {
        self.with(|live| {
            if live.links.get(identity).is_some_and(|(current, _)| *current == number) {
                live.marks.insert(identity.clone(), mark);
            }
        });
    }

    /// Whether the session of an identity was judged by just this.
    pub(super) fn was_judged_by(&self, identity: &Identity, mark: u64) -> bool {
        self.with(|live| live.marks.get(identity) == Some(&mark))
    }

    /// Forgets a session, unless a newer one took its place; says whether it was there.
    pub(super) fn remove(&self, identity: &Identity, number: u64) -> bool {
        let removed = self.with(|live| match live.links.get(identity) {
            Some((current, _)) if *current == number => {
                live.marks.remove(identity);
                live.links.remove(identity).is_some()
            }
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

    /// Whether an identity is connected and takes cloud-to-device messages.
    pub(super) fn takes_messages(&self, identity: &Identity) -> bool {
        self.get(identity).is_some_and(|link| link.subscriptions().cloud_to_device && !link.is_closed())
    }

    /// Waits until an identity is connected and takes cloud-to-device messages.
    pub(super) async fn with_messages(&self, identity: &Identity) -> SessionLink {
        self.with_subscription(identity, |subscriptions| subscriptions.cloud_to_device).await
    }

    /// Waits until an identity is connected and takes inputs.
    pub(super) async fn with_inputs(&self, identity: &Identity) -> SessionLink {
        self.with_subscription(identity, |subscriptions| subscriptions.inputs).await
    }

    async fn with_subscription(&self, identity: &Identity, wanted: impl Fn(Subscriptions) -> bool) -> SessionLink {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(link) = self.get(identity).filter(|link| wanted(link.subscriptions()) && !link.is_closed()) {
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

    /// Keeps (or, with `None`, forgets) what an identity is subscribed to. `Ok` means durable; a write that has begun is ended,
    /// also when nobody waits for it any more.
    pub(super) async fn keep(
        &self,
        identity: &Identity,
        subscriptions: Option<Subscriptions>,
    ) -> Result<(), StateError> {
        let version = self.with(|live| {
            live.keep(identity, subscriptions);
            live.version
        });
        let shared = Arc::clone(&self.shared);
        // A slow disk must not hold up those who share the thread.
        let written = tokio::task::spawn_blocking(move || shared.write(version)).await;
        self.changed();
        match written {
            Ok(written) => written,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and we with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_newer_session_is_not_removed_by_the_older_ones_end() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path().join("sessions.json")).unwrap();
        let identity = Identity::device("d");
        let first = sessions.insert(&identity, SessionLink::detached().0, false).unwrap();
        assert!(first.old.is_none());
        let second = sessions.insert(&identity, SessionLink::detached().0, false).unwrap();
        assert!(second.old.is_some());
        assert!(!sessions.remove(&identity, first.number));
        assert!(sessions.get(&identity).is_some());
        assert!(sessions.remove(&identity, second.number));
        assert!(sessions.get(&identity).is_none());
    }

    #[tokio::test]
    async fn subscriptions_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions.json");
        let identity = Identity::module("d", "m");
        let subscriptions = Subscriptions { methods: true, inputs: true, ..Subscriptions::default() };
        Sessions::open(path.clone()).unwrap().keep(&identity, Some(subscriptions)).await.unwrap();
        let again = Sessions::open(path.clone()).unwrap();
        assert_eq!(again.kept(&identity), Some(subscriptions));
        again.keep(&identity, None).await.unwrap();
        assert_eq!(Sessions::open(path).unwrap().kept(&identity), None);
    }

    #[test]
    fn one_session_too_many_is_refused_until_another_ends() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path().join("sessions.json")).unwrap();
        let client = |number: usize| Identity::device(&format!("leaf{number}"));
        let numbers: Vec<_> = (0..SESSIONS_MAX)
            .map(|number| sessions.insert(&client(number), SessionLink::detached().0, false).unwrap().number)
            .collect();
        assert!(sessions.insert(&client(SESSIONS_MAX), SessionLink::detached().0, false).is_none());
        assert!(sessions.get(&client(SESSIONS_MAX)).is_none());
        assert!(
            sessions.insert(&client(3), SessionLink::detached().0, false).is_some(),
            "one that is there may come again"
        );
        assert!(sessions.remove(&client(7), numbers[7]));
        assert!(sessions.insert(&client(SESSIONS_MAX), SessionLink::detached().0, false).is_some());
        assert_eq!(sessions.count(), SESSIONS_MAX);
    }

    #[tokio::test]
    async fn of_too_many_kept_subscriptions_those_of_an_absent_client_go() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path().join("sessions.json")).unwrap();
        // By name, those that are connected come first.
        let absent: Vec<_> = (0..SESSIONS_MAX - 1).map(|n| Identity::device(&format!("z{n:04}"))).collect();
        let (first, newest) = (Identity::device("a"), Identity::device("b"));
        let subscriptions = Subscriptions { methods: true, ..Subscriptions::default() };
        // As an earlier run left it: the file is not written once more for each.
        sessions.with(|live| live.kept.extend(absent.iter().map(|id| (id.to_string(), subscriptions.to_bits()))));
        sessions.insert(&first, SessionLink::detached().0, false).unwrap();
        sessions.keep(&first, Some(subscriptions)).await.unwrap();
        assert_eq!(sessions.kept(&absent[0]), Some(subscriptions), "so many are kept");
        sessions.keep(&newest, Some(subscriptions)).await.unwrap();
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
        sessions.insert(&identity, link, false).unwrap();
        tokio::join!(sessions.with_inputs(&identity), async {
            far_end.set_subscriptions(Subscriptions { inputs: true, ..Subscriptions::default() });
            sessions.keep(&identity, Some(far_end.subscriptions())).await.unwrap();
        });
    }

    /// The client of a kept session says nothing more: nobody looks again after this.
    #[tokio::test]
    async fn a_session_that_goes_on_is_found_with_its_inputs_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path().join("sessions.json")).unwrap();
        let identity = Identity::module("d", "m");
        let subscriptions = Subscriptions { inputs: true, inputs_unacknowledged: true, ..Subscriptions::default() };
        sessions.keep(&identity, Some(subscriptions)).await.unwrap();
        let mut waiting = std::pin::pin!(sessions.with_inputs(&identity));
        assert!(waiting.as_mut().now_or_never().is_none());
        let (link, far_end) = SessionLink::detached();
        let inserted = sessions.insert(&identity, link, false).unwrap();
        assert_eq!((inserted.kept, far_end.subscriptions()), (Some(subscriptions), subscriptions));
        assert!(waiting.as_mut().now_or_never().is_some());
        let (link, far_end) = SessionLink::detached();
        let clean = sessions.insert(&identity, link, true).unwrap();
        assert_eq!((clean.kept, far_end.subscriptions()), (None, Subscriptions::default()));
        assert_eq!(sessions.kept(&identity), None);
    }

    /// Each would be lost in turn if an older state could be written after a newer one.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn those_who_subscribe_together_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions.json");
        let sessions = Arc::new(Sessions::open(path.clone()).unwrap());
        let subscriptions = Subscriptions { inputs: true, ..Subscriptions::default() };
        let clients: Vec<_> = (0..64).map(|number| Identity::module("d", &format!("m{number}"))).collect();
        let mut keeping = tokio::task::JoinSet::new();
        for client in clients.clone() {
            let (sessions, path) = (Arc::clone(&sessions), path.clone());
            keeping.spawn(async move {
                sessions.keep(&client, Some(subscriptions)).await.unwrap();
                let on_disk = Sessions::open(path).unwrap();
                assert_eq!(on_disk.kept(&client), Some(subscriptions), "{client} was told that it is kept");
            });
        }
        keeping.join_all().await;
        let on_disk = Sessions::open(path).unwrap();
        assert!(clients.iter().all(|client| on_disk.kept(client) == Some(subscriptions)));
    }
}
