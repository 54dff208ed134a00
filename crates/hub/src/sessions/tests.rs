//! One live session an identity; the end of an old one is no news.
#![allow(clippy::unwrap_used)]

use transport::server::Subscriptions;
use transport::server::link::{DetachedLink, LinkCommand};

use super::*;

fn link() -> (SessionLink, DetachedLink) {
    SessionLink::detached()
}

#[tokio::test]
async fn a_takeover_closes_the_older_session_and_its_end_is_no_news() {
    let sessions = Sessions::default();
    let identity = Identity::device("d");
    let ((first, first_far), (second, second_far)) = (link(), link());
    let Registered { id: first_id, was_connected, .. } = sessions.register("a", &identity, first);
    assert!(!was_connected);
    let Registered { id: second_id, was_connected, .. } = sessions.register("a", &identity, second);
    assert!(was_connected);
    assert_eq!(first_far.close_reason(), Some(CloseReason::TakenOver));
    assert_eq!(second_far.close_reason(), None);

    assert!(!sessions.remove("a", &identity, first_id));
    assert!(sessions.status("a", &identity).connected);
    assert!(sessions.remove("a", &identity, second_id));
    let status = sessions.status("a", &identity);
    assert!(!status.connected && status.last_seen_ms.is_some());
}

#[tokio::test]
async fn a_device_is_cut_with_its_modules_in_its_application_only() {
    let sessions = Sessions::default();
    let far: Vec<DetachedLink> = [
        ("a", Identity::device("d")),
        ("a", Identity::module("d", "m")),
        ("a", Identity::device("e")),
        ("b", Identity::device("d")),
    ]
    .into_iter()
    .map(|(app, identity)| {
        let (near, far) = link();
        sessions.register(app, &identity, near);
        far
    })
    .collect();
    sessions.disconnect_device("a", "d", CloseReason::Disabled);
    let reasons: Vec<_> = far.iter().map(DetachedLink::close_reason).collect();
    assert_eq!(reasons, [Some(CloseReason::Disabled), Some(CloseReason::Disabled), None, None]);
}

#[test]
fn last_seen_never_moves_back() {
    let sessions = Sessions::default();
    let identity = Identity::device("d");
    assert_eq!(sessions.status("a", &identity), Connection::default());
    for at in [5, 9, 7] {
        sessions.touch("a", &identity, at);
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
    sessions.register("a", &identity, near);
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

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_take_its_desired_patches_is_cut() {
    let sessions = Sessions::default();
    let identity = Identity::device("d");
    let (near, far) = link();
    far.set_subscriptions(Subscriptions { desired: true, ..Subscriptions::default() });
    sessions.register("a", &identity, near);
    for version in 0..=transport::limits::LINK_COMMANDS_MAX as u64 {
        assert_eq!(far.close_reason(), None);
        sessions.notify_desired("a", &identity, version, Bytes::new()).await;
    }
    assert!(far.close_reason().is_some());
}
