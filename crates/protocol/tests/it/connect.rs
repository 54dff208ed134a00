//! CONNECT, subscriptions, refusals.

use model::identity::Identity;
use protocol::event::{DeviceEvent, Face, HubEvent, Refusal, Subscriptions};
use protocol::mqtt::ConnectReturnCode;
use protocol::mqtt::{CloseDevice, CloseHub, DeviceConnection, DeviceOptions};
use testkit::pair::Pair;

use crate::exchange::{device_event, device_options, hub_event, module_options, user};

#[test]
fn the_hub_learns_who_connects_and_the_device_that_it_may() {
    let mut pair = Pair::new(device_options());
    let HubEvent::Connect(attempt) = hub_event(&mut pair) else { panic!("no CONNECT") };
    assert_eq!(attempt.user, user(Identity::device("dev1")));
    assert_eq!(attempt.password.as_deref(), Some("SharedAccessSignature sr=x&sig=eA==&se=1"));
    assert!(!attempt.clean_session);
    pair.hub.accept(pair.clock.now(), true, Subscriptions::default(), None);
    assert_eq!(device_event(&mut pair), DeviceEvent::Ready { session_present: true });
    assert_eq!(hub_event(&mut pair), HubEvent::SubscriptionsChanged(Subscriptions::device()));
    // One round trip for CONNECT, one for SUBSCRIBE.
    assert_eq!(pair.clock.elapsed(), pair.latency * 4);
}

#[test]
fn a_module_subscribes_to_its_inputs() {
    let mut pair = Pair::new(module_options());
    pair.accept();
    pair.run_until(|pair| !pair.device_events.is_empty());
    assert_eq!(pair.hub_events.pop_back(), Some(HubEvent::SubscriptionsChanged(Subscriptions::module())));
}

#[test]
fn a_refusal_reaches_the_device() {
    use ConnectReturnCode::{NotAuthorized, ServerUnavailable};
    for (refusal, code) in [(Refusal::Unavailable, ServerUnavailable), (Refusal::NotAuthorized, NotAuthorized)] {
        let mut pair = Pair::new(device_options());
        hub_event(&mut pair);
        assert_eq!(pair.hub.refuse(refusal), CloseHub::Refused(code));
        pair.run_until(|pair| pair.device_closed.is_some());
        assert_eq!(pair.device_closed, Some(CloseDevice::Refused(code)));
    }
}

#[test]
fn a_device_that_wants_what_it_may_not_have_learns_it() {
    // A device has no inputs: the hub answers 0x80 for the filter.
    let mut wrong = Subscriptions::device();
    wrong.inputs = true;
    let mut pair = Pair::new(DeviceOptions::hub(&user(Identity::device("dev1")), wrong));
    pair.accept();
    pair.run_until(|pair| pair.device_closed.is_some());
    assert_eq!(pair.device_closed, Some(CloseDevice::SubscriptionRefused));
}

#[test]
fn an_earlier_sessions_subscriptions_hold_at_once() {
    let mut pair = Pair::new(DeviceOptions::hub(&user(Identity::device("dev1")), Subscriptions::default()));
    hub_event(&mut pair);
    pair.hub.accept(pair.clock.now(), true, Subscriptions::device(), None);
    pair.hub.desired_patch(3, b"{\"$version\":3}").unwrap();
    assert_eq!(device_event(&mut pair), DeviceEvent::Ready { session_present: true });
    assert!(matches!(device_event(&mut pair), DeviceEvent::Desired { version: Some(3), .. }));
}

#[test]
fn what_cannot_be_encoded_is_not_sent() {
    let mut options = device_options();
    options.password = Some("x".repeat(70_000));
    assert!(DeviceConnection::new(std::time::Instant::now(), options).is_err());
}
