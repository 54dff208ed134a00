//! What may wait for a client's task, and for how long.
#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::task::unconstrained;
use tokio::time::Instant;

use super::*;

/// A handle whose task never takes anything, with the far ends of its queues.
fn idle() -> (HubClient, mpsc::Receiver<SendCall>, mpsc::Receiver<Request>) {
    let (sends, sends_receiver) = mpsc::channel(CLIENT_SENDS_MAX);
    let (requests, requests_receiver) = mpsc::channel(CLIENT_REQUESTS_MAX);
    let (_, state) = watch::channel(LinkState::Connecting);
    let identity = Identity::device("d");
    let (messages, stop) = (Arc::new(watch::channel(None).0), CancellationToken::new());
    (HubClient { identity, sends, requests, state, messages, stop }, sends_receiver, requests_receiver)
}

/// Futures are polled outside of tokio's budget, which is smaller than the queues.
fn poll_once<T>(future: &mut Pin<Box<impl Future<Output = T>>>) {
    let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

#[tokio::test]
async fn sends_queue_up_to_their_limit_and_then_wait_outside() {
    let (client, mut taken, _requests) = idle();
    let mut calls: Vec<_> =
        (0..=CLIENT_SENDS_MAX).map(|_| Box::pin(unconstrained(client.send(vec![Message::default()])))).collect();
    calls.iter_mut().for_each(poll_once);
    for _ in 0..CLIENT_SENDS_MAX {
        taken.try_recv().unwrap();
    }
    assert!(taken.try_recv().is_err(), "one more has no place");
    calls.iter_mut().for_each(poll_once);
    taken.try_recv().unwrap();
}

#[tokio::test]
async fn a_call_sends_so_many_messages_and_no_more() {
    let (client, mut taken, _requests) = idle();
    let messages = vec![Message::default(); CLIENT_SEND_MESSAGES_MAX + 1];
    assert_eq!(client.send(messages.clone()).await, Err(SendError::TooLarge));
    let mut call = Box::pin(client.send(messages[1..].to_vec()));
    poll_once(&mut call);
    assert_eq!(taken.try_recv().unwrap().messages.len(), CLIENT_SEND_MESSAGES_MAX);
}

#[tokio::test(start_paused = true)]
async fn requests_queue_up_to_their_limit_and_give_up_in_time() {
    let (client, _sends, mut taken) = idle();
    let mut calls: Vec<_> = (0..=CLIENT_REQUESTS_MAX).map(|_| Box::pin(unconstrained(client.twin()))).collect();
    calls.iter_mut().for_each(poll_once);
    for _ in 0..CLIENT_REQUESTS_MAX {
        taken.try_recv().unwrap();
    }
    assert!(taken.try_recv().is_err(), "one more has no place");
    let began = Instant::now();
    assert_eq!(client.twin().await, Err(RequestError::Timeout));
    assert_eq!(began.elapsed(), REQUEST_TIMEOUT);
}
