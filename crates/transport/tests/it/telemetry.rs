//! Telemetry: acknowledged when the handler has it, in order, in batches, with the will and the size limit.

use bytes::Bytes;
use model::message::{MESSAGE_BYTES_MAX, Message};
use protocol::hub::bag;
use testkit::message::{json_message, numbered_messages};
use transport::client::SendError;
use transport::limits::CLIENT_WINDOW;

use crate::rig::{Rig, device, module};

#[tokio::test]
async fn messages_arrive_in_order_and_whole() {
    let rig = Rig::start().await;
    let (client, _events) = rig.connect(device()).await;
    let sent = numbered_messages(4 * CLIENT_WINDOW + 3);
    client.send(sent.clone()).await.unwrap();
    let taken: Vec<Message> = rig.hub.telemetry().into_iter().map(|(_, message)| message).collect();
    assert_eq!(taken, sent);
}

#[tokio::test]
async fn one_read_is_one_batch() {
    let rig = Rig::start().await;
    let (client, _events) = rig.connect(device()).await;
    client.send(numbered_messages(CLIENT_WINDOW)).await.unwrap();
    let counts = rig.hub.counts();
    assert_eq!(counts.messages, CLIENT_WINDOW);
    assert!(counts.batches <= CLIENT_WINDOW / 8, "{} batches for {CLIENT_WINDOW} messages", counts.batches);
}

#[tokio::test]
async fn calls_at_the_same_time_are_answered_each() {
    let rig = Rig::start().await;
    let (client, _events) = rig.connect(device()).await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.send(numbered_messages(10)).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(rig.hub.counts().messages, 1000);
}

#[tokio::test]
async fn a_module_output_is_named_in_the_bag() {
    let rig = Rig::start().await;
    let (client, _events) = rig.connect(module()).await;
    client.send_to_output("out1", vec![json_message("{}")]).await.unwrap();
    let (from, message) = rig.hub.telemetry().remove(0);
    assert_eq!(from, module());
    assert_eq!(bag::get(&message.bag, bag::OUTPUT_NAME).unwrap(), "out1");
    assert_eq!(bag::get(&message.bag, bag::CONTENT_TYPE).unwrap(), "application/json");
}

#[tokio::test]
async fn the_largest_message_passes_and_a_larger_one_is_not_sent() {
    let rig = Rig::start().await;
    let (client, _events) = rig.connect(device()).await;
    let of_size = |size| Message { bag: Bytes::new(), body: vec![b'x'; size].into() };
    client.send(vec![of_size(MESSAGE_BYTES_MAX)]).await.unwrap();
    assert_eq!(client.send(vec![of_size(MESSAGE_BYTES_MAX + 1)]).await, Err(SendError::TooLarge));
    assert_eq!(rig.hub.counts().messages, 1);
}

#[tokio::test]
async fn what_the_hub_cannot_store_is_not_acknowledged() {
    let rig = Rig::start().await;
    let (client, _events) = rig.connect(device()).await;
    rig.hub.set_fail_telemetry(true);
    assert_eq!(client.send(numbered_messages(3)).await, Err(SendError::Disconnected));
    rig.hub.set_fail_telemetry(false);
    client.send(numbered_messages(3)).await.unwrap();
    assert_eq!(rig.hub.counts().messages, 3);
}

#[tokio::test]
async fn nothing_to_send_is_done_at_once() {
    let rig = Rig::start().await;
    let (client, _events) = rig.connect(device()).await;
    client.send(Vec::new()).await.unwrap();
    client.stop().await;
    assert_eq!(client.send(numbered_messages(1)).await, Err(SendError::Stopped));
    let counts = rig.hub.wait_until(|counts| counts.disconnected == 1).await;
    assert_eq!(counts.graceful, 1);
}
