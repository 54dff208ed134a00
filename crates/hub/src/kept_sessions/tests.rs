//! Kept sessions are durable, bounded on their way, and many to a commit.
#![allow(clippy::unwrap_used)]

use futures_util::future::{JoinAll, join_all};
use registry::{ApplicationRow, NewDevice};
use tokio::task::{Unconstrained, unconstrained};

use super::*;

async fn registry(folder: &tempfile::TempDir) -> Registry {
    let registry = Registry::open(&folder.path().join("registry.db")).await.unwrap();
    let application = ApplicationRow { id: "a".into(), name: "a".into(), id_scope: "0ne1".into(), created_ms: 0 };
    registry.application_create(&application, &[]).await.unwrap();
    registry.device_create("a", NewDevice { id: "d".into(), ..NewDevice::default() }).await.unwrap();
    registry
}

/// One poll has a budget, which would not do for all of them.
fn queue<F: Future>(asked: impl Iterator<Item = F>) -> JoinAll<Unconstrained<F>> {
    join_all(asked.map(unconstrained))
}

async fn kept(registry: &Registry) -> u8 {
    registry.device_get("a", "d").await.unwrap().unwrap().subscriptions
}

#[tokio::test]
async fn of_one_session_the_last_word_counts_however_they_are_grouped() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(&folder).await;
    let (sessions, writer) = KeptSessions::new(registry.clone());
    let (app, identity) = (Arc::from("a"), Identity::device("d"));
    let stop = CancellationToken::new();
    // In their order, before anybody writes: more than one commit takes.
    let words = (0..=SESSIONS_KEPT_PER_COMMIT_MAX + 3).map(|n| Subscriptions::from_bits(n as u8 & 3));
    let mut asked = queue(words.map(|word| sessions.keep(&app, &identity, word)));
    assert!(futures_util::poll!(&mut asked).is_pending());
    stop.cancel();
    writer.run(stop).await;
    assert!(asked.await.iter().all(Result::is_ok));
    assert_eq!(kept(&registry).await, (SESSIONS_KEPT_PER_COMMIT_MAX + 3) as u8 & 3);
    let stopped = sessions.keep(&app, &identity, Subscriptions::device()).await;
    assert!(matches!(stopped, Err(GroupCommitError::Stopping)));
}

#[tokio::test]
async fn so_many_wait_for_the_writer_and_further_ones_for_room() {
    let folder = tempfile::tempdir().unwrap();
    let (sessions, writer) = KeptSessions::new(registry(&folder).await);
    let (app, identity) = (Arc::from("a"), Identity::device("d"));
    let all = Subscriptions::device();
    let mut asked = queue((0..=SESSIONS_KEPT_QUEUED_MAX).map(|_| sessions.keep(&app, &identity, all)));
    assert!(futures_util::poll!(&mut asked).is_pending());
    assert_eq!(writer.changes.queued(), SESSIONS_KEPT_QUEUED_MAX, "the last one waits outside");
}

#[tokio::test]
async fn an_identity_that_is_gone_has_no_session_to_keep() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(&folder).await;
    let (sessions, writer) = KeptSessions::new(registry.clone());
    let stop = CancellationToken::new();
    let running = tokio::spawn(writer.run(stop.clone()));
    let app = Arc::from("a");
    for identity in [Identity::device("gone"), Identity::module("d", "gone"), Identity::device("d")] {
        sessions.keep(&app, &identity, Subscriptions::device()).await.unwrap();
    }
    assert_eq!(kept(&registry).await, Subscriptions::device().to_bits());
    stop.cancel();
    running.await.unwrap();
}
