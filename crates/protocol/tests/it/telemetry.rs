//! Publishing within a window, acknowledging when told.

use model::message::Message;
use protocol::event::{DeviceEvent, Face, HubEvent, Receipt};
use protocol::mqtt::PublishError;
use testkit::message::numbered_messages;
use testkit::pair::Pair;

use crate::exchange::device_options;

fn telemetry(pair: &mut Pair) -> Vec<(Message, Receipt)> {
    let taken = std::mem::take(&mut pair.hub_events);
    taken
        .into_iter()
        .map(|event| match event {
            HubEvent::Telemetry { message, receipt: Some(id) } => (message, id),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn nothing_is_acknowledged_before_the_hub_says_so() {
    let mut pair = Pair::connected(device_options());
    let now = pair.clock.now();
    let sent = numbered_messages(3);
    let ids: Vec<Receipt> = sent.iter().map(|message| pair.device.publish(now, message).unwrap()).collect();
    pair.run_until(|pair| pair.hub_events.len() == 3);
    pair.run_for(pair.latency * 10);
    assert!(pair.device_events.is_empty());
    let (messages, received): (Vec<_>, Vec<_>) = telemetry(&mut pair).into_iter().unzip();
    assert_eq!(messages, sent);
    assert_eq!(received, ids);
    received.into_iter().for_each(|id| pair.hub.acknowledge(id));
    pair.run_until(|pair| pair.device_events.len() == 3);
    assert_eq!(pair.device_events, ids.into_iter().map(DeviceEvent::Acknowledged).collect::<Vec<_>>());
    assert_eq!(pair.device.in_flight(), 0);
}

#[test]
fn the_window_bounds_what_is_on_the_way() {
    let mut pair = Pair::connected(device_options());
    let messages = numbered_messages(9);
    for message in &messages[..8] {
        pair.device.publish(pair.clock.now(), message).unwrap();
    }
    assert_eq!(pair.device.window_left(), 0);
    assert_eq!(pair.device.publish(pair.clock.now(), &messages[8]), Err(PublishError::Window));
    pair.run_until(|pair| pair.hub_events.len() == 8);
    let (_, first) = telemetry(&mut pair)[0];
    pair.hub.acknowledge(first);
    pair.run_until(|pair| pair.device.window_left() == 1);
    pair.device.publish(pair.clock.now(), &messages[8]).unwrap();
}

#[test]
fn packet_ids_wrap_around_and_skip_those_on_the_way() {
    let mut pair = Pair::connected(device_options());
    let message = Message::default();
    let held = pair.device.publish(pair.clock.now(), &message).unwrap();
    pair.latency = std::time::Duration::ZERO;
    let mut seen = 0;
    while seen < 66_000 {
        let free = pair.device.window_left();
        for _ in 0..free {
            assert_ne!(pair.device.publish(pair.clock.now(), &message).unwrap(), held);
        }
        pair.run_until(|pair| pair.hub_events.len() >= free);
        for (_, id) in telemetry(&mut pair) {
            if id != held {
                pair.hub.acknowledge(id);
            }
        }
        pair.run_until(|pair| pair.device.in_flight() == 1);
        pair.device_events.clear();
        seen += free;
    }
}
