//! The provisioning exchange over MQTT.

use protocol::dps::{OperationStatus, RETRY_AFTER_SECS};
use protocol::event::{DeviceEvent, Face, HubEvent, Refusal, Subscriptions};
use protocol::hub::username::DpsUserName;
use protocol::mqtt::ConnectReturnCode;
use protocol::mqtt::{CloseDevice, DeviceOptions};
use testkit::pair::Pair;

use crate::exchange::{device_event, hub_event};

fn options() -> DeviceOptions {
    DeviceOptions::dps(&DpsUserName { id_scope: "0ne00000001".to_owned(), registration_id: "Reg-1".to_owned() })
}

#[test]
fn register_and_poll() {
    let mut pair = Pair::new(options());
    let HubEvent::DpsConnect(attempt) = hub_event(&mut pair) else { panic!("no CONNECT") };
    assert_eq!((attempt.user.id_scope.as_str(), attempt.user.registration_id.as_str()), ("0ne00000001", "Reg-1"));
    // A session is never present, whatever the handler thinks.
    pair.hub.accept(pair.clock.now(), true, Subscriptions::device(), None);
    assert_eq!(device_event(&mut pair), DeviceEvent::Ready { session_present: false });
    pair.device.dps_register("1", b"{}").unwrap();
    let HubEvent::DpsRegister(request, body) = hub_event(&mut pair) else { panic!("no request") };
    assert_eq!(body, "{}");
    let assigning = OperationStatus::assigning("op", "Reg-1").to_json();
    pair.hub.reply_dps(request, 202, Some(RETRY_AFTER_SECS), &assigning);
    let DeviceEvent::DpsReply { reply, body } = device_event(&mut pair) else { panic!("no reply") };
    assert_eq!((reply.status, reply.retry_after_secs), (202, Some(RETRY_AFTER_SECS)));
    assert_eq!(body, assigning);
    pair.device.dps_status("2", "op").unwrap();
    let HubEvent::DpsStatus(request, operation) = hub_event(&mut pair) else { panic!("no request") };
    assert_eq!(operation, "op");
    pair.hub.reply_dps(request, 200, None, b"{}");
    let DeviceEvent::DpsReply { reply, .. } = device_event(&mut pair) else { panic!("no reply") };
    assert_eq!((reply.request_id, reply.status, reply.retry_after_secs), ("2".into(), 200, None));
    pair.device.disconnect();
    assert_eq!(hub_event(&mut pair), HubEvent::Disconnect);
}

#[test]
fn a_wrong_key_is_refused_at_connect() {
    let mut pair = Pair::new(options());
    hub_event(&mut pair);
    pair.hub.refuse(Refusal::NotAuthorized);
    pair.run_until(|pair| pair.device_closed.is_some());
    assert_eq!(pair.device_closed, Some(CloseDevice::Refused(ConnectReturnCode::NotAuthorized)));
}
