//! The network may cut the bytes anywhere: both roles see the same events.

use std::time::Duration;

use protocol::event::{DeviceEvent, Face, HubEvent};
use testkit::message::numbered_messages;
use testkit::pair::Pair;

use crate::exchange::module_options;

/// A whole conversation, with everything that can be on the wire.
fn conversation(chunk_bytes: usize) -> (Vec<HubEvent>, Vec<DeviceEvent>) {
    let mut pair = Pair::new(module_options());
    pair.chunk_bytes = chunk_bytes;
    pair.latency = Duration::from_millis(1);
    pair.accept();
    pair.run_until(|pair| matches!(pair.device_events.back(), Some(DeviceEvent::Ready { .. })));
    let now = pair.clock.now();
    for message in numbered_messages(3) {
        pair.device.publish(now, &message).unwrap();
        pair.hub.deliver_input("in1", &message).unwrap();
    }
    pair.device.twin_get("1").unwrap();
    pair.device.patch_reported("2", b"{\"a\":1}").unwrap();
    pair.hub.desired_patch(4, b"{\"$version\":4}").unwrap();
    pair.hub.invoke_method("m", b"{}").unwrap();
    pair.run_until(|pair| pair.device_events.len() == 6 && pair.hub_events.len() == 7);
    for event in pair.hub_events.clone() {
        match event {
            HubEvent::Telemetry { receipt: Some(id), .. } => pair.hub.acknowledge(id),
            HubEvent::TwinGet(request) => pair.hub.reply_twin(request, b"{}"),
            HubEvent::TwinPatch(request, _) => pair.hub.reply_patch(request, 2),
            _ => {}
        }
    }
    for event in pair.device_events.clone() {
        match event {
            DeviceEvent::Input { receipt: Some(id), .. } => pair.device.acknowledge(id),
            DeviceEvent::Method { request_id, .. } => pair.device.reply_method(&request_id, 200, b"{}").unwrap(),
            _ => {}
        }
    }
    pair.run_until(|pair| pair.device_events.len() == 11 && pair.hub_events.len() == 11);
    pair.device.disconnect();
    pair.run_until(|pair| pair.hub_events.back() == Some(&HubEvent::Disconnect));
    (pair.hub_events.into(), pair.device_events.into())
}

#[test]
fn pieces_of_any_size_give_the_same_events() {
    let whole = conversation(usize::MAX);
    for chunk_bytes in (1..40).chain([64, 100, 1000]) {
        assert_eq!(conversation(chunk_bytes), whole, "{chunk_bytes} bytes at a time");
    }
}
