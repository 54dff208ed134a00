//! Cloud-to-device messages: through this hub to a downstream device, and acknowledged above when the device has them.

use futures_util::FutureExt;
use model::message::MESSAGE_BYTES_MAX;
use protocol::limits::DELIVERIES_IN_FLIGHT_MAX;
use tokio::sync::mpsc;
use transport::client::InputMessage;
use transport::server::{Delivery, QueueNumber};

use super::*;
use crate::limits::MESSAGES_FROM_ABOVE_MAX;

async fn next_message(events: &mut mpsc::Receiver<ClientEvent>) -> InputMessage {
    soon(async {
        loop {
            if let ClientEvent::CloudToDevice(message) = events.recv().await.unwrap() {
                return message;
            }
        }
    })
    .await
}

/// The link of the leaf, once it asks for messages or has stopped to.
async fn listening(site: &Site, listens: bool) -> SessionLink {
    soon(async {
        loop {
            let link = site.upstream.link(&Identity::device("leaf")).await;
            if link.subscriptions().cloud_to_device == listens && !link.is_closed() {
                return link;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

fn is_pending(
    delivery: &mut std::pin::Pin<Box<impl Future<Output = Result<(), transport::server::DeliverError>>>>,
) -> bool {
    delivery.as_mut().now_or_never().is_none()
}

async fn send(link: &SessionLink, number: usize) -> Delivery {
    link.send_to_device(QueueNumber::first(number as u64), &numbered(number)).await.unwrap()
}

#[tokio::test]
async fn a_message_is_acknowledged_above_when_the_device_has_it_however_often_it_comes_and_goes() {
    let mut site = Site::new(json!({})).await;
    let leaf = Identity::device("leaf");
    let (client, mut events) = site.client(&leaf);
    let link = listening(&site, true).await;
    let mut first = Box::pin(send(&link, 7).await.acknowledged());
    let message = next_message(&mut events).await;
    assert_eq!((message.number(), &message.message.body[..]), (7, b"{\"n\":7}".as_slice()));
    assert!(!message.again);
    assert!(is_pending(&mut first), "the device has not acknowledged it");
    // It goes away with the message unacknowledged, and nothing more is asked for.
    client.stop().await;
    listening(&site, false).await;
    assert!(is_pending(&mut first));
    assert_eq!(
        link.send_to_device(QueueNumber::first(8), &numbered(8)).await.unwrap_err(),
        transport::server::DeliverError::NotSubscribed
    );
    let (client, mut events) = site.client_subscribing(&leaf, site::LEAF_KEY, Subscriptions::default());
    let message = next_message(&mut events).await;
    assert_eq!((message.number(), message.again), (7, true), "it comes again under its number");
    message.acknowledge().await;
    soon(first).await.unwrap();
    // The link above breaks: what it brought is that hub's to send again.
    let link = listening(&site, true).await;
    let second = send(&link, 9).await;
    let message = next_message(&mut events).await;
    assert_eq!(message.number(), 9);
    site.stop_upstream().await;
    assert!(soon(second.acknowledged()).await.is_err());
    message.acknowledge().await;
    site.start_upstream().await;
    let link = listening(&site, true).await;
    let again = QueueNumber { number: 9, again: true };
    let again = link.send_to_device(again, &numbered(9)).await.unwrap();
    let message = next_message(&mut events).await;
    assert!(message.again, "the hub above says so");
    message.acknowledge().await;
    soon(again.acknowledged()).await.unwrap();
    client.stop().await;
}

#[tokio::test]
async fn as_many_as_the_hub_above_sends_wait_for_the_device_and_stay_in_order() {
    assert_eq!(MESSAGES_FROM_ABOVE_MAX, DELIVERIES_IN_FLIGHT_MAX);
    let site = Site::new(json!({})).await;
    let (_client, mut events) = site.client(&Identity::device("leaf"));
    let link = listening(&site, true).await;
    let mut deliveries = Vec::new();
    for number in 1..=MESSAGES_FROM_ABOVE_MAX {
        deliveries.push(send(&link, number).await);
    }
    for number in 1..=MESSAGES_FROM_ABOVE_MAX {
        let message = next_message(&mut events).await;
        assert_eq!(message.number(), number as u64);
        message.acknowledge().await;
    }
    for delivery in deliveries {
        soon(delivery.acknowledged()).await.unwrap();
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_delivered_holds_nobody_and_stays_in_the_queue_above() {
    let site = Site::new(json!({})).await;
    site.complaints.expect("a message from the hub above cannot be delivered");
    let (_client, mut events) = site.client(&Identity::device("leaf"));
    let link = listening(&site, true).await;
    let message = Message { bag: Bytes::new(), body: vec![0; MESSAGE_BYTES_MAX + 1].into() };
    let mut too_large = Box::pin(link.send_to_device(QueueNumber::first(1), &message).await.unwrap().acknowledged());
    let behind = send(&link, 2).await;
    let message = next_message(&mut events).await;
    assert_eq!(message.number(), 2);
    message.acknowledge().await;
    soon(behind.acknowledged()).await.unwrap();
    assert!(is_pending(&mut too_large));
}
