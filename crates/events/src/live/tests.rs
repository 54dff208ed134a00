//! Delivery, isolation and the cut of slow subscribers.
#![allow(clippy::unwrap_used)]

use super::*;

fn connected(device: &str) -> LiveEvent {
    LiveEvent::Connection { device: device.into(), module: None, connected: true }
}

fn edge(device: &str) -> LiveEvent {
    LiveEvent::Edge { device: device.into() }
}

#[tokio::test]
async fn a_subscriber_sees_its_device_of_its_application_only() {
    let live = Live::default();
    let mut stream = live.subscribe("a", Some("d1".into())).unwrap();
    live.publish("a", edge("d2"));
    live.publish("b", edge("d1"));
    live.publish("a", edge("d1"));
    assert_eq!(*stream.next().await.unwrap(), edge("d1"));
    assert!(live.is_watched("a", "d1"));
    assert!(!live.is_watched("a", "d2"));
}

#[tokio::test]
async fn the_fleet_stream_holds_connection_events_only() {
    let live = Live::default();
    let mut stream = live.subscribe("a", None).unwrap();
    live.publish("a", edge("d1"));
    live.publish("a", connected("d2"));
    assert_eq!(*stream.next().await.unwrap(), connected("d2"));
}

#[tokio::test]
async fn a_slow_subscriber_is_cut_and_knows_why() {
    let live = Live::default();
    let mut stream = live.subscribe("a", Some("d1".into())).unwrap();
    for _ in 0..=LIVE_EVENTS_PER_SUBSCRIBER_MAX {
        live.publish("a", edge("d1"));
    }
    let mut received = 0;
    while stream.next().await.is_some() {
        received += 1;
    }
    assert_eq!(received, LIVE_EVENTS_PER_SUBSCRIBER_MAX);
    assert!(stream.lagged());
    assert!(!live.is_watched("a", "d1"));
}

#[test]
fn a_dropped_subscriber_frees_its_place() {
    let live = Live::default();
    let streams: Vec<_> = (0..LIVE_SUBSCRIBERS_MAX).map(|_| live.subscribe("a", None).unwrap()).collect();
    assert_eq!(live.subscribe("a", None).err(), Some(SubscribeError));
    drop(streams);
    assert!(live.subscribe("a", None).is_ok());
}

#[test]
fn data_leaves_out_what_is_absent() {
    assert_eq!(connected("d").data(), json!({ "device": "d", "status": "connected" }));
    let event = LiveEvent::Properties { device: "d".into(), module: Some("m".into()), properties: json!({ "a": 1 }) };
    assert_eq!(event.data(), json!({ "device": "d", "module": "m", "properties": { "a": 1 } }));
}
