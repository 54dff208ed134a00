//! Silence, loss, timeouts.

use std::time::Duration;

use protocol::event::{Face, HubEvent, Subscriptions};
use protocol::limits::{CONNACK_TIMEOUT, CONNECT_TIMEOUT, PING_TIMEOUT, PUBACK_TIMEOUT};
use protocol::mqtt::{CloseDevice, CloseHub};
use testkit::message::numbered_messages;
use testkit::pair::Pair;

use crate::exchange::{device_options, hub_event};

#[test]
fn pings_keep_an_idle_connection_alive() {
    let mut pair = Pair::connected(device_options());
    pair.run_for(Duration::from_secs(3600 * 24));
    assert_eq!((&pair.hub_closed, &pair.device_closed), (&None, &None));
    assert!(pair.hub_events.is_empty() && pair.device_events.is_empty());
}

#[test]
fn both_notice_a_link_that_broke_silently() {
    let mut pair = Pair::connected(device_options());
    let cut_at = pair.clock.elapsed();
    pair.is_cut = true;
    pair.run_until(|pair| pair.device_closed.is_some());
    assert_eq!(pair.device_closed, Some(CloseDevice::PingTimeout));
    // Half the keep-alive until the ping, then its timeout.
    assert!(pair.clock.elapsed() - cut_at <= Duration::from_secs(30) + PING_TIMEOUT);
    pair.run_until(|pair| pair.hub_closed.is_some());
    assert_eq!(pair.hub_closed, Some(CloseHub::KeepAlive));
    assert!(pair.clock.elapsed() - cut_at <= Duration::from_secs(90));
}

#[test]
fn connect_must_come_in_time() {
    let mut pair = Pair::new(device_options());
    pair.is_cut = true;
    pair.run_until(|pair| pair.hub_closed.is_some());
    assert_eq!(pair.hub_closed, Some(CloseHub::ConnectTimeout));
    assert_eq!(pair.clock.elapsed(), CONNECT_TIMEOUT);
    pair.run_until(|pair| pair.device_closed.is_some());
    assert_eq!(pair.device_closed, Some(CloseDevice::ConnectTimeout));
    assert_eq!(pair.clock.elapsed(), CONNACK_TIMEOUT);
}

#[test]
fn a_hub_that_pings_but_never_acknowledges_is_given_up() {
    let mut pair = Pair::connected(device_options());
    pair.device.publish(pair.clock.now(), &numbered_messages(1)[0]).unwrap();
    let sent_at = pair.clock.elapsed();
    pair.run_until(|pair| pair.device_closed.is_some());
    assert_eq!(pair.device_closed, Some(CloseDevice::PubackTimeout));
    assert_eq!(pair.clock.elapsed() - sent_at, PUBACK_TIMEOUT);
}

#[test]
fn silence_of_our_own_making_is_excused() {
    let mut pair = Pair::connected(device_options());
    pair.device.publish(pair.clock.now(), &numbered_messages(1)[0]).unwrap();
    for _ in 0..20 {
        pair.run_for(Duration::from_secs(60));
        let now = pair.clock.now();
        pair.device.excuse_silence(now);
    }
    assert_eq!(pair.device_closed, None);
}

#[test]
fn a_session_ends_with_its_token() {
    let mut pair = Pair::new(device_options());
    hub_event(&mut pair);
    let expires_at = pair.clock.now() + Duration::from_secs(1000);
    pair.hub.accept(pair.clock.now(), false, Subscriptions::default(), Some(expires_at));
    pair.run_until(|pair| pair.hub_closed.is_some());
    assert_eq!(pair.hub_closed, Some(CloseHub::Expired));
    assert_eq!(pair.clock.now(), expires_at);
}

#[test]
fn what_was_not_acknowledged_arrives_again_on_the_next_connection() {
    let mut pair = Pair::connected(device_options());
    let message = numbered_messages(1).remove(0);
    pair.device.publish(pair.clock.now(), &message).unwrap();
    pair.run_until(|pair| !pair.hub_events.is_empty());
    pair.is_cut = true;
    let HubEvent::Telemetry { receipt: Some(id), .. } = hub_event(&mut pair) else { panic!("no telemetry") };
    pair.hub.acknowledge(id);
    pair.run_until(|pair| pair.device_closed.is_some());
    assert_eq!(pair.device.in_flight(), 1);
    let mut pair = Pair::connected(device_options());
    pair.device.publish(pair.clock.now(), &message).unwrap();
    let HubEvent::Telemetry { message: received, .. } = hub_event(&mut pair) else { panic!("no telemetry") };
    assert_eq!(received, message);
}
