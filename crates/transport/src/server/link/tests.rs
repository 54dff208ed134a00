#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::task::{Context, Waker};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(30);

fn subscribed() -> (SessionLink, DetachedLink) {
    let (link, far) = SessionLink::detached();
    far.set_subscriptions(Subscriptions::module());
    (link, far)
}

#[tokio::test]
async fn nobody_subscribed_gets_nothing() {
    let (link, mut far) = SessionLink::detached();
    assert_eq!(link.desired_patch(1, Bytes::new()).await, Err(DeliverError::NotSubscribed));
    assert_eq!(link.invoke_method("m", Bytes::new(), TIMEOUT).await, Err(InvokeError::NotSubscribed));
    assert_eq!(link.deliver_input("in1", &Message::default()).await, Err(DeliverError::NotSubscribed));
    assert!(far.try_next().is_none());
}

#[tokio::test]
async fn what_cannot_be_written_is_refused() {
    let (link, _far) = subscribed();
    let too_large = Bytes::from(vec![0; METHOD_PAYLOAD_BYTES_MAX + 1]);
    assert_eq!(link.invoke_method("m", too_large, TIMEOUT).await, Err(InvokeError::Invalid));
    assert_eq!(link.invoke_method("a/b", Bytes::new(), TIMEOUT).await, Err(InvokeError::Invalid));
    assert_eq!(link.deliver_input("a/b", &Message::default()).await, Err(DeliverError::Invalid));
}

#[tokio::test]
async fn a_full_queue_refuses_methods_and_holds_patches_back() {
    let (link, mut far) = subscribed();
    for version in 0..LINK_COMMANDS_MAX as u64 {
        link.desired_patch(version, Bytes::new()).await.unwrap();
    }
    assert_eq!(link.invoke_method("m", Bytes::new(), TIMEOUT).await, Err(InvokeError::Busy));
    let mut waiting = Box::pin(link.desired_patch(99, Bytes::new()));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(matches!(far.next().await, LinkCommand::DesiredPatch { version: 0, .. }));
    assert_eq!(waiting.await, Ok(()));
}

#[tokio::test]
async fn the_far_end_ends_everything() {
    let (link, far) = subscribed();
    let delivery = tokio::spawn({
        let link = link.clone();
        async move { link.deliver_input("in1", &Message::default()).await }
    });
    tokio::task::yield_now().await;
    drop(far);
    assert_eq!(delivery.await.unwrap(), Err(DeliverError::Closed));
    link.closed().await;
    assert!(link.is_closed());
    assert_eq!(link.desired_patch(1, Bytes::new()).await, Err(DeliverError::Closed));
}

/// The queue is emptied when its end goes; what is put in at that very moment stays there as long as the link does.
#[tokio::test]
async fn a_command_that_is_dropped_by_nobody_ends_with_the_connection() {
    let (link, mut far) = subscribed();
    let message = Message::default();
    let mut delivery = Box::pin(link.deliver_input("in1", &message));
    let mut method = Box::pin(link.invoke_method("m", Bytes::new(), TIMEOUT));
    let mut context = Context::from_waker(Waker::noop());
    assert!(delivery.as_mut().poll(&mut context).is_pending());
    assert!(method.as_mut().poll(&mut context).is_pending());
    let _kept = (far.next().await, far.next().await);
    drop(far);
    assert_eq!(delivery.await, Err(DeliverError::Closed));
    assert_eq!(method.await, Err(InvokeError::Closed));
}

#[tokio::test]
async fn a_delivery_nobody_waits_for_loses_its_place_to_one_that_needs_it() {
    let (link, mut far) = subscribed();
    let mut context = Context::from_waker(Waker::noop());
    let message = Message::default();
    let mut awaited = Box::pin(link.deliver_input("in1", &message));
    assert!(awaited.as_mut().poll(&mut context).is_pending());
    let Some(LinkCommand::Input { done: of_awaited, .. }) = far.try_next() else { panic!("no input") };
    let mut abandoned = Vec::new();
    for _ in 1..DELIVERIES_IN_FLIGHT_MAX {
        let mut delivery = Box::pin(link.deliver_input("in1", &message));
        assert!(delivery.as_mut().poll(&mut context).is_pending());
        let Some(LinkCommand::Input { done, .. }) = far.try_next() else { panic!("no input") };
        drop(delivery);
        abandoned.push(done);
        // A task that does this much without a pause is held up by the runtime.
        tokio::task::yield_now().await;
    }
    assert!(!of_awaited.is_closed() && abandoned.iter().all(oneshot::Sender::is_closed));
    // The last of them found no place left behind it, and so does the next one.
    assert!(matches!(far.next_or_close().await, Ok(LinkCommand::GiveUp)));
    let mut next = Box::pin(link.deliver_input("in1", &message));
    assert!(next.as_mut().poll(&mut context).is_pending());
    assert!(far.try_next().is_none(), "more on the way than allowed");
    assert!(matches!(far.next_or_close().await, Ok(LinkCommand::GiveUp)));
    far.delivered();
    assert!(next.as_mut().poll(&mut context).is_pending());
    let Some(LinkCommand::Input { done, .. }) = far.try_next() else { panic!("the place was not given back") };
    done.send(()).unwrap();
    assert_eq!(next.await, Ok(()));
}

#[tokio::test]
async fn the_first_reason_to_close_counts() {
    let (link, mut far) = SessionLink::detached();
    link.close(CloseReason::TakenOver);
    link.close(CloseReason::ShuttingDown);
    assert!(link.is_closed());
    assert_eq!(far.next_or_close().await.unwrap_err(), CloseReason::TakenOver);
    assert_eq!(far.close_reason(), Some(CloseReason::TakenOver));
}

#[tokio::test]
async fn a_late_answer_goes_nowhere() {
    let (link, mut far) = subscribed();
    assert_eq!(link.invoke_method("m", Bytes::new(), Duration::ZERO).await, Err(InvokeError::Timeout));
    let LinkCommand::Method { done, .. } = far.next().await else { panic!("no method") };
    assert!(done.is_closed());
}
