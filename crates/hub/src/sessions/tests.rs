//! One live session an identity; the end of an old one is no news.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;

use transport::server::Subscriptions;
use transport::server::link::{DetachedLink, LinkCommand};

use super::*;
use crate::limits::{DESIRED_NOTIFY_TIMEOUT, DESIRED_PATCHES_WAITING_MAX};

fn link() -> (SessionLink, DetachedLink) {
    SessionLink::detached()
}

#[tokio::test]
async fn a_takeover_closes_the_older_session_and_its_end_is_no_news() {
    let sessions = Sessions::default();
    let identity = Identity::device("d");
    let ((first, first_far), (second, second_far)) = (link(), link());
    let told = Cell::new(0);
    let tell = || told.set(told.get() + 1);
    let first_id = sessions.register("a", &identity, first, tell);
    assert_eq!(told.get(), 1);
    let second_id = sessions.register("a", &identity, second, tell);
    assert_eq!(told.get(), 1, "a takeover is no news");
    assert_eq!(first_far.close_reason(), Some(CloseReason::TakenOver));
    assert_eq!(second_far.close_reason(), None);

    assert!(!sessions.remove("a", &identity, first_id, tell));
    assert!(sessions.status("a", &identity).connected);
    assert!(sessions.remove("a", &identity, second_id, tell));
    assert_eq!(told.get(), 2);
    let status = sessions.status("a", &identity);
    assert!(!status.connected && status.last_seen_ms.is_some());
}

#[tokio::test]
async fn devices_that_are_there_are_counted_once() {
    let sessions = Sessions::default();
    let mut links = Vec::new();
    let mut register = |app: &str, identity: &Identity| {
        let (near, far) = link();
        links.push(far);
        sessions.register(app, identity, near, || {})
    };
    let (device, agent) = (Identity::device("e"), Identity::module("e", "$edgeAgent"));
    register("a", &device);
    let newer = register("a", &device);
    let of_agent = register("a", &agent);
    register("a", &Identity::module("m", "m"));
    register("b", &device);
    assert_eq!((sessions.devices("a"), sessions.devices("b"), sessions.devices("c")), (1, 1, 0));
    assert!(sessions.remove("a", &device, newer, || {}));
    assert_eq!(sessions.devices("a"), 1, "the runtime is still there");
    assert!(sessions.remove("a", &agent, of_agent, || {}));
    assert_eq!(sessions.devices("a"), 0);
}

#[test]
fn last_seen_never_moves_back() {
    let sessions = Sessions::default();
    let identity = Identity::device("d");
    assert_eq!(sessions.status("a", &identity), Connection::default());
    for at in [5, 9, 7] {
        sessions.seen("a", &identity).at(at);
    }
    assert_eq!(sessions.status("a", &identity).last_seen_ms, Some(9));
    sessions.forget_device("a", "d");
    assert_eq!(sessions.status("a", &identity).last_seen_ms, None);
}

#[tokio::test(start_paused = true)]
async fn a_method_waits_for_the_subscription_but_not_longer_than_asked() {
    let sessions = Sessions::default();
    let identity = Identity::device("d");
    let timeouts = MethodTimeouts { connect: Duration::from_secs(10), response: Duration::from_secs(10) };
    let (near, mut far) = link();
    sessions.register("a", &identity, near, || {});
    let unanswered = sessions.invoke("a", &identity, "go", Bytes::new(), timeouts).await;
    assert_eq!(unanswered.unwrap_err(), InvokeFailure::NotConnected);

    let caller = sessions.clone();
    let call =
        tokio::spawn(async move { caller.invoke("a", &Identity::device("d"), "go", Bytes::new(), timeouts).await });
    tokio::task::yield_now().await;
    far.set_subscriptions(Subscriptions { methods: true, ..Subscriptions::default() });
    sessions.subscriptions_changed();
    let LinkCommand::Method { name, done, .. } = far.next().await else { panic!("a method must come") };
    assert_eq!(name, "go");
    done.send(Ok(MethodResponse { status: 200, payload: Bytes::new() })).unwrap();
    assert_eq!(call.await.unwrap().unwrap().status, 200);
}

fn wanting_desired() -> (SessionLink, DetachedLink) {
    let (near, far) = link();
    far.set_subscriptions(Subscriptions { desired: true, ..Subscriptions::default() });
    (near, far)
}

/// As many patches as a session's queue takes, and as many as may wait behind it.
const PATCHES_MAX: u64 = (transport::limits::LINK_COMMANDS_MAX + DESIRED_PATCHES_WAITING_MAX) as u64;

#[tokio::test(start_paused = true)]
async fn a_slow_session_gets_its_patches_in_order_and_nobody_waits_for_it() {
    let sessions = Sessions::default();
    let (slow, other) = (Identity::device("slow"), Identity::device("other"));
    let (near, mut far) = wanting_desired();
    let (other_near, mut other_far) = wanting_desired();
    sessions.register("a", &slow, near, || {});
    sessions.register("a", &other, other_near, || {});
    for version in 0..PATCHES_MAX {
        sessions.notify_desired("a", &slow, version, Bytes::new());
    }
    sessions.notify_desired("a", &other, 7, Bytes::new());
    assert!(matches!(other_far.try_next(), Some(LinkCommand::DesiredPatch { version: 7, .. })));
    for expected in 0..PATCHES_MAX {
        let LinkCommand::DesiredPatch { version, .. } = far.next().await else { panic!("a patch must come") };
        assert_eq!(version, expected);
    }
    // It has caught up: the next one goes the direct way, behind all others.
    tokio::task::yield_now().await;
    sessions.notify_desired("a", &slow, PATCHES_MAX, Bytes::new());
    let LinkCommand::DesiredPatch { version, .. } = far.next().await else { panic!("a patch must come") };
    assert_eq!((version, far.close_reason()), (PATCHES_MAX, None));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_takes_no_desired_patches_is_cut_after_a_while() {
    let sessions = Sessions::default();
    let identity = Identity::device("d");
    let (near, mut far) = wanting_desired();
    sessions.register("a", &identity, near, || {});
    for version in 0..=transport::limits::LINK_COMMANDS_MAX as u64 {
        sessions.notify_desired("a", &identity, version, Bytes::new());
    }
    assert_eq!(far.close_reason(), None);
    let started = Instant::now();
    while far.close_reason().is_none() {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert!(started.elapsed() >= DESIRED_NOTIFY_TIMEOUT);
    assert!(far.try_next().is_some());
}

#[tokio::test(start_paused = true)]
async fn one_patch_more_than_may_wait_cuts_the_session() {
    let sessions = Sessions::default();
    let identity = Identity::device("d");
    let (near, far) = wanting_desired();
    sessions.register("a", &identity, near, || {});
    for version in 0..PATCHES_MAX {
        sessions.notify_desired("a", &identity, version, Bytes::new());
    }
    assert_eq!(far.close_reason(), None);
    sessions.notify_desired("a", &identity, PATCHES_MAX, Bytes::new());
    assert!(far.close_reason().is_some());
}
