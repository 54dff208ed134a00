use std::time::Instant;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::event::{Face, HubEvent, Subscriptions};
use crate::hub::username::{API_VERSION, HubUserName};
use crate::mqtt::encode::encode;
use crate::mqtt::{Connect, DeviceConnection, DeviceOptions, HubConnection, Packet, Publish, QoS, Will};

fn user(identity: &Identity) -> HubUserName {
    HubUserName {
        hub_host: "h".to_owned(),
        identity: identity.clone(),
        api_version: API_VERSION.to_owned(),
        model_id: None,
        auth_chain: None,
        client_type: None,
    }
}

/// A hub with a client that is connected and subscribed to its inputs.
fn hub_of(identity: &Identity) -> HubConnection {
    let now = Instant::now();
    let mut device = DeviceConnection::new(now, DeviceOptions::hub(&user(identity), Subscriptions::module()));
    let mut hub = HubConnection::open(now);
    let mut input = device.as_mut().map(|device| device.take_output(now)).unwrap_or_default();
    assert!(matches!(hub.poll(now, &mut input), Ok(Some(HubEvent::Connect(_)))));
    hub.accept(now, false, Subscriptions::module(), None);
    hub.take_output();
    hub
}

/// What a hub makes of a publish with this bag: the message it takes in, if it does.
fn taken_in(identity: &Identity, bag: &str, body: usize, retain: bool) -> Option<Message> {
    let topic = format!("{}{bag}", topic::telemetry_prefix(identity));
    let publish = Publish {
        dup: false,
        retain,
        qos: QoS::AtLeastOnce,
        topic: topic.as_str().into(),
        packet_id: Some(1),
        payload: vec![b'x'; body].into(),
    };
    let mut bytes = BytesMut::new();
    encode(&Packet::Publish(publish), &mut bytes).ok()?;
    match hub_of(identity).poll(Instant::now(), &mut bytes) {
        Ok(Some(HubEvent::Telemetry { message, .. })) => Some(message),
        _ => None,
    }
}

/// Whether the next hub takes it in, sent by a client of ours as its sender.
fn arrives_as_telemetry(sender: &Identity, message: &Message) -> bool {
    let topic = [topic::telemetry_prefix(sender).as_bytes(), &message.bag].concat();
    let text = String::from_utf8(topic).unwrap_or_default();
    text.len() <= TEXT_BYTES_MAX
        && text.strip_prefix(&topic::telemetry_prefix(sender)).is_some_and(|bag| {
            taken_in(sender, bag, message.body.len(), false).is_some_and(|taken| taken.body.len() == message.body.len())
        })
}

fn message(bag: String, body: usize) -> Message {
    Message { bag: bag.into(), body: Bytes::from(vec![b'x'; body]) }
}

#[test]
fn a_bag_may_fill_its_senders_topic_and_no_more() {
    for sender in [Identity::device("d"), Identity::device(&"d".repeat(128)), Identity::module("d", "m")] {
        let room = TEXT_BYTES_MAX - topic::telemetry_prefix(&sender).len();
        let fits = |bytes: usize| as_telemetry(&sender, &message("a".repeat(bytes), 1));
        assert_eq!(fits(room), Ok(()));
        assert_eq!(fits(room + 1), Err(Undeliverable::Properties { bytes: TEXT_BYTES_MAX + 1 }));
        assert_eq!(taken_in(&sender, &"a".repeat(room), 1, false).map(|message| message.bag.len()), Some(room));
        // RETAIN becomes a property, for which there is no room.
        assert_eq!(taken_in(&sender, &"a".repeat(room), 1, true), None);
    }
    let too_large = message(String::new(), MESSAGE_BYTES_MAX + 1);
    let refused = Err(Undeliverable::Message { bytes: MESSAGE_BYTES_MAX + 1 });
    assert_eq!(as_telemetry(&Identity::device("d"), &too_large), refused);
}

#[test]
fn an_input_takes_what_fits_its_topic_once_it_is_escaped() {
    let module = Identity::module("d", "m");
    let prefix = topic::input(&module, "in1", b"k=v").len() - 3;
    let room = (TEXT_BYTES_MAX - prefix - 2) / 3;
    let to = |bag: String| to_input(&module, "in1", &message(bag, 1));
    assert_eq!(to(format!("k={}", "/".repeat(room))), Ok(()));
    let bytes = prefix + 2 + 3 * (room + 1);
    assert_eq!(to(format!("k={}", "/".repeat(room + 1))), Err(Undeliverable::Properties { bytes }));
    assert_eq!(to(format!("k={}", "v".repeat(TEXT_BYTES_MAX - prefix - 2))), Ok(()));
    assert_eq!(to_input(&module, "a/b", &message(String::new(), 1)), Err(Undeliverable::InputName));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The judgement is what happens: a message that can be delivered is, one that cannot is not even written.
    #[test]
    fn what_can_be_delivered_is_what_the_wire_takes(
        near in -40_i64..40,
        unit in prop_oneof![Just("a"), Just("/"), Just("é"), Just("%2F"), Just("a=1&")],
        body in prop_oneof![Just(0_usize), Just(10), (MESSAGE_BYTES_MAX - 70_000)..(MESSAGE_BYTES_MAX + 1)],
        device in "[a-z]{1,20}",
        part in 1_usize..4,
    ) {
        let (sender, module) = (Identity::device(&device), Identity::module(&device, "m"));
        let bytes = usize::try_from((TEXT_BYTES_MAX / part) as i64 - 60 + near).unwrap_or_default();
        let message = message(unit.repeat(bytes / unit.len()), body);
        prop_assert_eq!(as_telemetry(&sender, &message).is_ok(), arrives_as_telemetry(&sender, &message));
        let delivered = hub_of(&module).deliver_input("in1", &message).is_ok();
        prop_assert_eq!(to_input(&module, "in1", &message).is_ok(), delivered && body <= MESSAGE_BYTES_MAX);
        if let Some(taken) = taken_in(&sender, &unit.repeat(bytes / unit.len()), body, near % 2 == 0) {
            prop_assert_eq!(as_telemetry(&sender, &taken), Ok(()), "accepted, so deliverable");
        }
    }
}

#[test]
fn a_will_that_cannot_be_sent_on_is_refused_at_connect() {
    let sender = Identity::device("d");
    let prefix = topic::telemetry_prefix(&sender);
    let connect = |bag: usize| {
        let will = Will {
            topic: format!("{prefix}{}", "a".repeat(bag)).as_str().into(),
            payload: Bytes::from_static(b"x").to_vec().into(),
            qos: QoS::AtLeastOnce,
            retain: false,
        };
        let connect = Connect {
            client_id: "d".into(),
            user_name: Some(user(&sender).to_string().as_str().into()),
            password: None,
            will: Some(will),
            clean_session: true,
            keep_alive_secs: 60,
        };
        let mut bytes = BytesMut::new();
        encode(&Packet::Connect(Box::new(connect)), &mut bytes).ok()?;
        HubConnection::open(Instant::now()).poll(Instant::now(), &mut bytes).ok()?
    };
    let room = TEXT_BYTES_MAX - prefix.len() - "&iothub-MessageType=Will".len();
    assert!(connect(room).is_some());
    assert!(connect(room + 1).is_none());
}
