//! What the hub sends: twins, patches, methods, inputs.

use bytes::Bytes;
use model::message::Message;
use protocol::event::{DeliverError, DeviceEvent, Face, HubEvent};
use protocol::limits::DELIVERIES_IN_FLIGHT_MAX;
use testkit::message::json_message;
use testkit::pair::Pair;

use crate::exchange::{device_event, device_options, hub_event, module_options};

#[test]
fn the_twin_is_read_and_patched() {
    let mut pair = Pair::connected(device_options());
    pair.device.twin_get("7").unwrap();
    let HubEvent::TwinGet(request) = hub_event(&mut pair) else { panic!("no request") };
    pair.hub.reply_twin(request, b"{}");
    let expected = DeviceEvent::TwinReply { status: 200, request_id: "7".into(), version: None, body: "{}".into() };
    assert_eq!(device_event(&mut pair), expected);
    pair.device.patch_reported("8", b"{\"a\":1}").unwrap();
    let HubEvent::TwinPatch(request, patch) = hub_event(&mut pair) else { panic!("no request") };
    assert_eq!(patch, "{\"a\":1}");
    pair.hub.reply_patch(request, 12);
    let expected =
        DeviceEvent::TwinReply { status: 204, request_id: "8".into(), version: Some(12), body: Bytes::new() };
    assert_eq!(device_event(&mut pair), expected);
}

#[test]
fn a_refused_request_has_a_body_that_says_why() {
    let mut pair = Pair::connected(device_options());
    pair.device.patch_reported("8", b"[]").unwrap();
    let HubEvent::TwinPatch(request, _) = hub_event(&mut pair) else { panic!("no request") };
    pair.hub.reply_twin_error(request, 413, "too big");
    let DeviceEvent::TwinReply { status: 413, body, .. } = device_event(&mut pair) else { panic!("no reply") };
    assert_eq!(body, r#"{"errorCode":413000,"message":"too big"}"#);
}

#[test]
fn a_desired_patch_carries_its_version() {
    let mut pair = Pair::connected(device_options());
    pair.hub.desired_patch(5, b"{\"$version\":5}").unwrap();
    let expected = DeviceEvent::Desired { version: Some(5), patch: "{\"$version\":5}".into() };
    assert_eq!(device_event(&mut pair), expected);
}

#[test]
fn a_method_is_answered_under_its_id() {
    let mut pair = Pair::connected(device_options());
    let first = pair.hub.invoke_method("a", b"").unwrap();
    let second = pair.hub.invoke_method("b*c", b"[1]").unwrap();
    assert_ne!(first, second);
    let DeviceEvent::Method { name, .. } = device_event(&mut pair) else { panic!("no method") };
    assert_eq!(name, "a");
    let DeviceEvent::Method { name, request_id, payload } = device_event(&mut pair) else { panic!("no method") };
    assert_eq!((name.as_str(), &payload[..]), ("b*c", &b"[1]"[..]));
    pair.device.reply_method(&request_id, 501, b"{}").unwrap();
    let expected = HubEvent::MethodResponse { call: Some(second), status: 501, payload: "{}".into(), receipt: None };
    assert_eq!(hub_event(&mut pair), expected);
}

#[test]
fn inputs_are_delivered_until_settled() {
    let mut pair = Pair::connected(module_options());
    let message = json_message("{}");
    let id = pair.hub.deliver_input("in1", &message).unwrap();
    let DeviceEvent::Input { input, message: received, receipt } = device_event(&mut pair) else { panic!("no input") };
    assert_eq!((input.as_str(), &received, receipt), ("in1", &message, id));
    pair.device.acknowledge(receipt.unwrap());
    assert_eq!(hub_event(&mut pair), HubEvent::Delivered(id.unwrap()));
}

#[test]
fn deliveries_are_bounded() {
    let mut pair = Pair::connected(module_options());
    for _ in 0..DELIVERIES_IN_FLIGHT_MAX {
        pair.hub.deliver_input("in1", &Message::default()).unwrap();
    }
    assert_eq!(pair.hub.deliver_input("in1", &Message::default()), Err(DeliverError::Window));
    let DeviceEvent::Input { receipt, .. } = device_event(&mut pair) else { panic!("no input") };
    pair.device.acknowledge(receipt.unwrap());
    assert!(matches!(hub_event(&mut pair), HubEvent::Delivered(_)));
    pair.hub.deliver_input("in1", &Message::default()).unwrap();
}

#[test]
fn who_did_not_subscribe_gets_nothing() {
    let mut options = device_options();
    options.keep_alive = std::time::Duration::from_secs(600);
    let mut pair = Pair::connected(options);
    let nothing = Err(DeliverError::NotSubscribed);
    assert_eq!(pair.hub.deliver_input("in1", &Message::default()), nothing);
    let mut pair = Pair::new(protocol::mqtt::DeviceOptions::hub(
        &crate::exchange::user(model::identity::Identity::device("dev1")),
        Default::default(),
    ));
    pair.accept();
    device_event(&mut pair);
    assert_eq!(pair.hub.desired_patch(1, b"{}"), Err(DeliverError::NotSubscribed));
    assert_eq!(pair.hub.invoke_method("m", b""), Err(DeliverError::NotSubscribed));
}
