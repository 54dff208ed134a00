#![allow(clippy::unwrap_used)]
//! Links and relayed requests at their limits, with a clock that goes from timer to timer.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use transport::client::LinkState;
use transport::server::link::LinkCommand;
use transport::server::{MethodResponse, Subscriptions};

use super::*;
use crate::hub::tests::alone::{Alone, assert_took};
use crate::limits::UPSTREAM_CONNECT_WAIT;

const MILLISECOND: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_method_has_so_long_to_be_answered() {
    let alone = Alone::new(json!({}));
    let leaf = Identity::device("leaf");
    let methods = Subscriptions { methods: true, ..Subscriptions::default() };
    let mut far_end = alone.connect(&leaf, methods);
    let mut client = async |answer: bool| {
        let LinkCommand::Method { done, .. } = far_end.next().await else { panic!("only methods were asked for") };
        sleep(METHOD_TIMEOUT_MAX - MILLISECOND).await;
        match answer {
            true => done.send(Ok(MethodResponse { status: 200, payload: Bytes::new() })).unwrap(),
            false => sleep(METHOD_TIMEOUT_MAX).await,
        }
    };
    let ((status, _), ()) = tokio::join!(alone.hub.invoke_method(&leaf, "m", Bytes::new()), client(true));
    assert_eq!(status, 200);
    let asked = Instant::now();
    let invoked = async {
        let answer = alone.hub.invoke_method(&leaf, "m", Bytes::new()).await;
        assert_took(asked, METHOD_TIMEOUT_MAX);
        answer
    };
    let ((status, payload), ()) = tokio::join!(invoked, client(false));
    assert_eq!((status, &payload[..]), (504, br#"{"message":"no answer in time"}"#.as_slice()));
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_so_long_for_a_link_that_is_being_set_up() {
    let alone = Alone::new(json!({}));
    let leaf = Identity::device("leaf");
    // Whoever listens there takes the connection and never says a word.
    let asked = Instant::now();
    alone.hub.read_twin(&leaf).await.unwrap();
    assert_took(asked, UPSTREAM_CONNECT_WAIT);
    let version = alone.hub.patch_reported(&leaf, Bytes::from_static(b"{\"a\":1}")).await.unwrap();
    assert_took(asked, 2 * UPSTREAM_CONNECT_WAIT);
    assert_eq!(version, 2, "kept here");
}

/// A link whose events the test makes.
fn followed(alone: &Alone, identity: &Identity) -> (LinkUse, mpsc::Sender<ClientEvent>) {
    let (link, _events) = alone.hub.links.get(identity, None);
    let (events, receiver) = mpsc::channel(1);
    tokio::spawn(follow(Arc::clone(&alone.hub), alone.hub.links.watch(&link), receiver));
    (link, events)
}

#[tokio::test(start_paused = true)]
async fn a_link_nobody_uses_is_closed_after_its_time_whatever_the_hub_above_says() {
    let alone = Alone::new(json!({}));
    let leaf = Identity::device("leaf");
    let (link, events) = followed(&alone, &leaf);
    let mut state = link.client.state();
    sleep(3 * LINK_IDLE_TIMEOUT).await;
    let left_at = Instant::now();
    drop(link);
    let talking = tokio::spawn(async move {
        while events.send(ClientEvent::Desired { version: 2, patch: Bytes::from_static(b"{}") }).await.is_ok() {
            sleep(LINK_IDLE_TIMEOUT / 6).await;
        }
    });
    state.wait_for(|state| *state == LinkState::Stopped).await.unwrap();
    assert_took(left_at, LINK_IDLE_TIMEOUT);
    talking.await.unwrap();
    assert!(alone.hub.links.get(&leaf, None).1.is_some(), "the next use makes a new one");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_used_again_in_time_stays() {
    let alone = Alone::new(json!({}));
    let leaf = Identity::device("leaf");
    let (link, _events) = followed(&alone, &leaf);
    let mut state = link.client.state();
    drop(link);
    sleep(LINK_IDLE_TIMEOUT - MILLISECOND).await;
    // For a moment only: its time begins anew.
    let (link, new) = alone.hub.links.get(&leaf, None);
    assert!(new.is_none());
    let left_at = Instant::now();
    drop(link);
    state.wait_for(|state| *state == LinkState::Stopped).await.unwrap();
    assert_took(left_at, LINK_IDLE_TIMEOUT);
}
