//! Direct methods and module inputs.

use std::time::Duration;

use bytes::Bytes;
use model::message::Message;
use protocol::hub::bag;
use protocol::limits::{DELIVERIES_GIVEN_UP_MAX, DELIVERIES_IN_FLIGHT_MAX};
use testkit::message::numbered_messages;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use transport::client::{ClientEvent, InputMessage};
use transport::server::{DeliverError, InvokeError, SessionLink};

use crate::rig::{Rig, device, module, next};

const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_method_is_answered() {
    let rig = Rig::start().await;
    let (_client, mut events) = rig.connect(device()).await;
    let link = rig.hub.link(&device()).unwrap();
    let caller = tokio::spawn(async move { link.invoke_method("comp*reboot", "{\"in\":5}".into(), TIMEOUT).await });
    let ClientEvent::Method(call) = next(&mut events).await else { panic!("no method") };
    assert_eq!((call.name.as_str(), &call.payload[..]), ("comp*reboot", &b"{\"in\":5}"[..]));
    call.reply(207, Bytes::from_static(b"{\"ok\":true}")).await;
    let response = caller.await.unwrap().unwrap();
    assert_eq!((response.status, &response.payload[..]), (207, &b"{\"ok\":true}"[..]));
}

#[tokio::test]
async fn answers_find_their_callers_in_any_order() {
    let rig = Rig::start().await;
    let (_client, mut events) = rig.connect(device()).await;
    let link = rig.hub.link(&device()).unwrap();
    let callers: Vec<_> = (0..10)
        .map(|number| {
            let link = link.clone();
            tokio::spawn(async move { link.invoke_method(&format!("m{number}"), Bytes::new(), TIMEOUT).await })
        })
        .collect();
    let mut calls = Vec::new();
    while calls.len() < callers.len() {
        if let ClientEvent::Method(call) = next(&mut events).await {
            calls.push(call);
        }
    }
    for call in calls.into_iter().rev() {
        let name = call.name.clone();
        call.reply(200, name.into()).await;
    }
    for (number, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.await.unwrap().unwrap().payload, format!("m{number}"));
    }
}

#[tokio::test]
async fn a_method_without_answer_times_out_and_a_late_answer_is_dropped() {
    let rig = Rig::start().await;
    let (client, mut events) = rig.connect(device()).await;
    let link = rig.hub.link(&device()).unwrap();
    let no_time = Duration::ZERO;
    assert_eq!(link.invoke_method("slow", Bytes::new(), no_time).await, Err(InvokeError::Timeout));
    let ClientEvent::Method(call) = next(&mut events).await else { panic!("no method") };
    call.reply(200, Bytes::new()).await;
    client.twin().await.unwrap();
}

#[tokio::test]
async fn methods_that_cannot_be_sent_fail_at_once() {
    let rig = Rig::start().await;
    let mut options = rig.options(device());
    options.subscribe.methods = false;
    let (client, _events) = crate::rig::connect(options).await;
    let link = rig.hub.link(&device()).unwrap();
    assert_eq!(link.invoke_method("m", Bytes::new(), TIMEOUT).await, Err(InvokeError::NotSubscribed));
    client.stop().await;
    link.closed().await;
    assert_eq!(link.invoke_method("m", Bytes::new(), TIMEOUT).await, Err(InvokeError::Closed));
}

#[tokio::test]
async fn a_caller_learns_that_the_connection_ended() {
    let rig = Rig::start().await;
    let (client, mut events) = rig.connect(device()).await;
    let link = rig.hub.link(&device()).unwrap();
    let caller = tokio::spawn(async move { link.invoke_method("m", Bytes::new(), TIMEOUT).await });
    let ClientEvent::Method(_) = next(&mut events).await else { panic!("no method") };
    client.stop().await;
    assert_eq!(caller.await.unwrap(), Err(InvokeError::Closed));
}

#[tokio::test]
async fn inputs_are_settled_by_the_module_and_bounded_in_number() {
    let rig = Rig::start().await;
    let (_client, mut events) = rig.connect(module()).await;
    let link = rig.hub.link(&module()).unwrap();
    let count = 3 * DELIVERIES_IN_FLIGHT_MAX;
    let callers: Vec<_> = numbered_messages(count)
        .into_iter()
        .map(|message| {
            let link = link.clone();
            tokio::spawn(async move { link.deliver_input("in1", &message).await })
        })
        .collect();
    let mut held = Vec::new();
    for _ in 0..DELIVERIES_IN_FLIGHT_MAX {
        let ClientEvent::Input(delivery) = next(&mut events).await else { panic!("no input") };
        assert_eq!(delivery.input, "in1");
        assert_eq!(bag::get(&delivery.message.bag, bag::CONTENT_TYPE).unwrap(), "application/json");
        held.push(delivery);
    }
    assert!(events.try_recv().is_err(), "more were delivered than may be on the way");
    for delivery in held {
        delivery.acknowledge().await;
    }
    for _ in DELIVERIES_IN_FLIGHT_MAX..count {
        let ClientEvent::Input(delivery) = next(&mut events).await else { panic!("no input") };
        delivery.acknowledge().await;
    }
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_delivery_without_settlement_ends_with_the_connection() {
    let rig = Rig::start().await;
    let (client, mut events) = rig.connect(module()).await;
    let link = rig.hub.link(&module()).unwrap();
    let caller = tokio::spawn(async move { link.deliver_input("in1", &Message::default()).await });
    let ClientEvent::Input(delivery) = next(&mut events).await else { panic!("no input") };
    assert_eq!(bag::get(&delivery.message.bag, bag::CONNECTION_DEVICE_ID).unwrap(), "dev1");
    client.stop().await;
    assert_eq!(caller.await.unwrap(), Err(DeliverError::Closed));
}

fn deliver(link: &SessionLink) -> JoinHandle<Result<(), DeliverError>> {
    let link = link.clone();
    tokio::spawn(async move { link.deliver_input("in1", &Message::default()).await })
}

async fn input(events: &mut mpsc::Receiver<ClientEvent>) -> InputMessage {
    let ClientEvent::Input(delivery) = next(events).await else { panic!("no input") };
    delivery
}

/// Delivers an input that nobody waits for once it came.
async fn swallowed(link: &SessionLink, events: &mut mpsc::Receiver<ClientEvent>) -> InputMessage {
    let caller = deliver(link);
    let delivery = input(events).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    delivery
}

#[tokio::test]
async fn a_module_that_swallows_an_input_for_ever_still_gets_others() {
    let rig = Rig::start().await;
    let (_client, mut events) = rig.connect(module()).await;
    let link = rig.hub.link(&module()).unwrap();
    let mut held = Vec::new();
    for _ in 0..2 * DELIVERIES_IN_FLIGHT_MAX {
        held.push(swallowed(&link, &mut events).await);
    }
    let caller = deliver(&link);
    let awaited = input(&mut events).await;
    // All that were swallowed are acknowledged late, and behind them one that was not.
    for delivery in held {
        delivery.acknowledge().await;
    }
    let behind = deliver(&link);
    input(&mut events).await.acknowledge().await;
    behind.await.unwrap().unwrap();
    assert!(!caller.is_finished(), "what was acknowledged is something else");
    awaited.acknowledge().await;
    caller.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_leaves_more_unacknowledged_than_can_be_told_apart_begins_anew() {
    let rig = Rig::start().await;
    let (_client, mut events) = rig.connect(module()).await;
    let link = rig.hub.link(&module()).unwrap();
    for _ in 0..DELIVERIES_GIVEN_UP_MAX - DELIVERIES_IN_FLIGHT_MAX {
        swallowed(&link, &mut events).await;
    }
    let caller = deliver(&link);
    input(&mut events).await.acknowledge().await;
    caller.await.unwrap().unwrap();
    let message = Message::default();
    for _ in 0..=DELIVERIES_IN_FLIGHT_MAX {
        tokio::select! {
            _ = link.deliver_input("in1", &message) => {}
            event = next(&mut events) => drop(event),
        }
    }
    tokio::time::timeout(TIMEOUT, link.closed()).await.expect("the session ends");
}
