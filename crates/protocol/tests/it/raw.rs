//! What other clients send, as bytes, to the hub's role alone.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use model::message::{MESSAGE_BYTES_MAX, Message};
use protocol::event::{DeliverError, Face, HubEvent, QueueNumber, Subscriptions};
use protocol::hub::bag;
use protocol::hub::delivery::Undeliverable;
use protocol::hub::topic::ParseTopicError;
use protocol::hub::username::ParseUserNameError;
use protocol::limits::{
    DELIVERIES_GIVEN_UP_MAX, DELIVERIES_IN_FLIGHT_MAX, KEEP_ALIVE_SECS_MAX, METHOD_PAYLOAD_BYTES_MAX,
};
use protocol::mqtt::encode::encode;
use protocol::mqtt::{CloseHub, HubConnection};
use protocol::mqtt::{Connect, DecodeError, Packet, Publish, QoS, Will, decode};

struct Raw {
    now: Instant,
    hub: HubConnection,
}

impl Raw {
    fn new() -> Self {
        let now = Instant::now();
        Self { now, hub: HubConnection::open(now) }
    }

    fn accepted(connect: Connect) -> Self {
        let mut raw = Self::new();
        assert!(matches!(raw.send(Packet::Connect(Box::new(connect))).unwrap()[..], [HubEvent::Connect(_)]));
        raw.hub.accept(raw.now, false, Subscriptions::default(), None);
        assert_eq!(raw.hub.take_output(), [0x20, 2, 0, 0][..]);
        raw
    }

    fn send(&mut self, packet: Packet) -> Result<Vec<HubEvent>, CloseHub> {
        let mut bytes = BytesMut::new();
        encode(&packet, &mut bytes).unwrap();
        self.receive(bytes)
    }

    fn receive(&mut self, mut bytes: BytesMut) -> Result<Vec<HubEvent>, CloseHub> {
        let mut events = Vec::new();
        while let Some(event) = self.hub.poll(self.now, &mut bytes)? {
            if matches!(event, HubEvent::SubscriptionsChanged(_)) {
                assert_eq!(self.hub.output_len(), 0, "nothing is said before they are kept");
                self.hub.confirm_subscriptions();
            }
            events.push(event);
        }
        Ok(events)
    }

    fn answers(&mut self) -> Vec<Packet> {
        let mut output = self.hub.take_output();
        std::iter::from_fn(|| decode(&mut output).unwrap()).collect()
    }
}

fn connect() -> Connect {
    Connect {
        clean_session: false,
        keep_alive_secs: 60,
        client_id: "dev1".into(),
        will: None,
        user_name: Some("hub.example.test/dev1/?api-version=2021-04-12".into()),
        password: Some("token".into()),
    }
}

fn publish(topic: &str, qos: QoS) -> Publish {
    let packet_id = (qos != QoS::AtMostOnce).then_some(7);
    Publish { dup: false, qos, retain: false, topic: topic.into(), packet_id, payload: "body".into() }
}

#[test]
fn the_first_packet_is_connect_and_the_only_one() {
    assert_eq!(Raw::new().send(Packet::PingReq), Err(CloseHub::NotConnected));
    assert_eq!(Raw::new().send(Packet::Publish(publish("x", QoS::AtMostOnce))), Err(CloseHub::NotConnected));
    let mut raw = Raw::accepted(connect());
    assert_eq!(raw.send(Packet::Connect(Box::new(connect()))), Err(CloseHub::ConnectedTwice));
    assert_eq!(Raw::accepted(connect()).send(Packet::PingResp), Err(CloseHub::Role));
}

#[test]
fn refused_connects_are_answered_as_sdks_expect() {
    let cases: [(&str, Option<&str>, CloseHub, u8); 4] = [
        ("dev1", None, CloseHub::NoUserName, 5),
        ("dev2", Some("h/dev1/?api-version=1"), CloseHub::UserName(ParseUserNameError::Mismatch), 5),
        ("dev1", Some("h/dev1/?x=1"), CloseHub::UserName(ParseUserNameError::ApiVersion), 5),
        ("", Some("h//?api-version=1"), CloseHub::UserName(ParseUserNameError::ClientId), 5),
    ];
    for (client_id, user_name, close, code) in cases {
        let mut raw = Raw::new();
        let packet =
            Connect { client_id: client_id.into(), user_name: user_name.map(Into::into), password: None, ..connect() };
        assert_eq!(raw.send(Packet::Connect(Box::new(packet))), Err(close));
        assert_eq!(raw.hub.take_output(), [0x20, 2, 0, code][..]);
    }
    let mut raw = Raw::new();
    let version5 = BytesMut::from(&b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00"[..]);
    assert_eq!(raw.receive(version5), Err(CloseHub::Decode(DecodeError::ProtocolVersion)));
    assert_eq!(raw.hub.take_output(), [0x20, 2, 0, 1][..]);
}

#[test]
fn packets_behind_connect_wait_for_the_decision() {
    let mut raw = Raw::new();
    let mut bytes = BytesMut::new();
    encode(&Packet::Connect(Box::new(connect())), &mut bytes).unwrap();
    encode(&Packet::Publish(publish("devices/dev1/messages/events/", QoS::AtLeastOnce)), &mut bytes).unwrap();
    assert!(matches!(raw.hub.poll(raw.now, &mut bytes), Ok(Some(HubEvent::Connect(_)))));
    assert_eq!(raw.hub.poll(raw.now, &mut bytes), Ok(None));
    assert!(!bytes.is_empty());
    raw.hub.accept(raw.now, false, Subscriptions::default(), None);
    assert!(matches!(raw.hub.poll(raw.now, &mut bytes), Ok(Some(HubEvent::Telemetry { .. }))));
}

#[test]
fn publishes_the_hub_cannot_take_close_the_connection() {
    let unknown = || CloseHub::Topic(ParseTopicError::Unknown);
    let cases = [
        ("devices/dev1/messages/events/", QoS::ExactlyOnce, CloseHub::QoS2),
        ("devices/dev2/messages/events/", QoS::AtLeastOnce, unknown()),
        ("some/topic", QoS::AtMostOnce, unknown()),
        ("devices/dev1/messages/events/a=#", QoS::AtLeastOnce, CloseHub::Topic(ParseTopicError::Wildcard)),
        ("$dps/registrations/PUT/iotdps-register/?$rid=1", QoS::AtMostOnce, unknown()),
        ("$iothub/twin/GET/", QoS::AtMostOnce, CloseHub::Topic(ParseTopicError::RequestId)),
    ];
    for (topic, qos, close) in cases {
        let mut raw = Raw::accepted(connect());
        assert_eq!(raw.send(Packet::Publish(publish(topic, qos))), Err(close), "{topic}");
        assert_eq!(raw.hub.poll_timeout(), None);
        assert!(raw.hub.take_output().is_empty());
    }
    assert_eq!(Raw::accepted(connect()).send(Packet::PubRel(1)), Err(CloseHub::QoS2));
}

#[test]
fn messages_pass_up_to_their_limit() {
    let of_size = |body: usize| {
        let mut packet = publish("devices/dev1/messages/events/k=v", QoS::AtLeastOnce);
        packet.payload = vec![0; body].into();
        Raw::accepted(connect()).send(Packet::Publish(packet))
    };
    assert_eq!(of_size(MESSAGE_BYTES_MAX - 3).unwrap().len(), 1);
    let refused = CloseHub::Undeliverable(Undeliverable::Message { bytes: MESSAGE_BYTES_MAX + 1 });
    assert_eq!(of_size(MESSAGE_BYTES_MAX - 2), Err(refused));
}

#[test]
fn method_answers_pass_up_to_their_limit() {
    let of_size = |payload: usize| {
        let mut packet = publish("$iothub/methods/res/200/?$rid=1", QoS::AtMostOnce);
        packet.payload = vec![0; payload].into();
        Raw::accepted(connect()).send(Packet::Publish(packet))
    };
    assert_eq!(of_size(METHOD_PAYLOAD_BYTES_MAX).unwrap().len(), 1);
    let too_large = METHOD_PAYLOAD_BYTES_MAX + 1;
    assert_eq!(of_size(too_large), Err(CloseHub::TooLarge(too_large)));
}

#[test]
fn retain_becomes_a_property() {
    let mut raw = Raw::accepted(connect());
    let packet = Publish { retain: true, ..publish("devices/dev1/messages/events/k=v", QoS::AtMostOnce) };
    let events = raw.send(Packet::Publish(packet)).unwrap();
    let [HubEvent::Telemetry { message, receipt: None }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(message.bag, "k=v&mqtt-retain=true");
}

#[test]
fn requests_at_qos_1_are_acknowledged_before_the_answer() {
    let mut raw = Raw::accepted(connect());
    raw.send(Packet::Subscribe { packet_id: 3, filters: vec![("$iothub/twin/res/#".into(), QoS::AtLeastOnce)] })
        .unwrap();
    raw.answers();
    let mut events = raw.send(Packet::Publish(publish("$iothub/twin/GET/?$rid=a-b", QoS::AtLeastOnce))).unwrap();
    let Some(HubEvent::TwinGet(request)) = events.pop() else { panic!("no request") };
    assert!(raw.answers().is_empty());
    raw.hub.reply_twin(request, b"{}");
    let answers = raw.answers();
    let [Packet::PubAck(7), Packet::Publish(reply)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(&*reply.topic, "$iothub/twin/res/200/?$rid=a-b");
    assert_eq!(reply.qos, QoS::AtMostOnce);
}

#[test]
fn a_late_or_foreign_method_answer_is_still_acknowledged() {
    let mut raw = Raw::accepted(connect());
    let events = raw.send(Packet::Publish(publish("$iothub/methods/res/200/?$rid=zz", QoS::AtLeastOnce))).unwrap();
    let [HubEvent::MethodResponse { call: None, status: 200, payload, receipt: Some(receipt) }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(payload, "body");
    raw.hub.acknowledge(*receipt);
    assert_eq!(raw.answers(), [Packet::PubAck(7)]);
}

#[test]
fn subscriptions_are_granted_reduced_or_refused_one_by_one() {
    let mut raw = Raw::accepted(connect());
    let filters = vec![
        ("$iothub/methods/POST/#".into(), QoS::ExactlyOnce),
        ("$iothub/twin/res/#".into(), QoS::AtMostOnce),
        ("devices/dev2/messages/devicebound/#".into(), QoS::AtLeastOnce),
    ];
    let events = raw.send(Packet::Subscribe { packet_id: 9, filters }).unwrap();
    let subscribed = Subscriptions { methods: true, twin_replies: true, ..Subscriptions::default() };
    assert_eq!(events, [HubEvent::SubscriptionsChanged(subscribed)]);
    let granted = vec![Some(QoS::AtLeastOnce), Some(QoS::AtMostOnce), None];
    assert_eq!(raw.answers(), [Packet::SubAck { packet_id: 9, granted }]);
    let filters = vec!["$iothub/methods/POST/#".into(), "unknown".into()];
    let events = raw.send(Packet::Unsubscribe { packet_id: 10, filters }).unwrap();
    assert_eq!(events, [HubEvent::SubscriptionsChanged(Subscriptions { methods: false, ..subscribed })]);
    assert_eq!(raw.answers(), [Packet::UnsubAck(10)]);
}

/// A session that goes on is served as it was granted.
#[test]
fn the_quality_of_service_of_inputs_is_that_of_the_subscription_also_in_a_session_that_goes_on() {
    let module = || Connect {
        client_id: "dev1/mod1".into(),
        user_name: Some("hub.example.test/dev1/mod1/?api-version=2021-04-12".into()),
        ..connect()
    };
    let filter = "devices/dev1/modules/mod1/inputs/#";
    for (qos, acknowledged) in [(QoS::AtMostOnce, false), (QoS::AtLeastOnce, true)] {
        let mut raw = Raw::accepted(module());
        let events = raw.send(Packet::Subscribe { packet_id: 9, filters: vec![(filter.into(), qos)] }).unwrap();
        let [HubEvent::SubscriptionsChanged(subscribed)] = events[..] else { panic!("{events:?}") };
        assert!(subscribed.inputs);
        assert_eq!(raw.hub.deliver_input("in1", &Message::default()).unwrap().is_some(), acknowledged);
        let mut again = Raw::new();
        again.send(Packet::Connect(Box::new(module()))).unwrap();
        again.hub.accept(again.now, true, Subscriptions::from_bits(subscribed.to_bits()), None);
        again.hub.take_output();
        assert_eq!(again.hub.deliver_input("in1", &Message::default()).unwrap().is_some(), acknowledged);
        let Packet::Publish(publish) = again.answers().remove(0) else { panic!("no publish") };
        assert_eq!(publish.qos, qos);
        let events = again.send(Packet::Unsubscribe { packet_id: 10, filters: vec![filter.into()] }).unwrap();
        assert_eq!(events, [HubEvent::SubscriptionsChanged(Subscriptions::default())]);
    }
}

#[test]
fn what_follows_a_subscription_waits_until_it_is_confirmed() {
    let mut raw = Raw::accepted(connect());
    let mut bytes = BytesMut::new();
    let filters = vec![("$iothub/methods/POST/#".into(), QoS::AtLeastOnce)];
    encode(&Packet::Subscribe { packet_id: 9, filters }, &mut bytes).unwrap();
    encode(&Packet::PingReq, &mut bytes).unwrap();
    assert!(matches!(raw.hub.poll(raw.now, &mut bytes), Ok(Some(HubEvent::SubscriptionsChanged(_)))));
    assert_eq!(raw.hub.poll(raw.now, &mut bytes), Ok(None));
    assert!(raw.answers().is_empty());
    raw.hub.confirm_subscriptions();
    assert_eq!(raw.hub.poll(raw.now, &mut bytes), Ok(None));
    let granted = vec![Some(QoS::AtLeastOnce)];
    assert_eq!(raw.answers(), [Packet::SubAck { packet_id: 9, granted }, Packet::PingResp]);
}

#[test]
fn provisioning_answers_unsubscribe() {
    let mut raw = Raw::new();
    let user_name = "0ne1/registrations/reg/api-version=2019-03-31&ClientVersion=x";
    let packet = Connect { client_id: "reg".into(), user_name: Some(user_name.into()), ..connect() };
    assert!(matches!(raw.send(Packet::Connect(Box::new(packet))).unwrap()[..], [HubEvent::DpsConnect(_)]));
    raw.hub.accept(raw.now, true, Subscriptions::default(), None);
    let filters = vec![("$dps/registrations/res/#".into(), QoS::ExactlyOnce), ("#".into(), QoS::AtMostOnce)];
    assert!(raw.send(Packet::Subscribe { packet_id: 1, filters }).unwrap().is_empty());
    let filters = vec!["$dps/registrations/res/#".into()];
    assert!(raw.send(Packet::Unsubscribe { packet_id: 2, filters }).unwrap().is_empty());
    let granted = vec![Some(QoS::AtLeastOnce), None];
    let connack = Packet::ConnAck { session_present: false, code: protocol::mqtt::ConnectReturnCode::Accepted };
    assert_eq!(raw.answers(), [connack, Packet::SubAck { packet_id: 1, granted }, Packet::UnsubAck(2)]);
}

fn will(topic: &str) -> Connect {
    let will = Will { topic: topic.into(), payload: "gone".into(), qos: QoS::AtLeastOnce, retain: false };
    Connect { will: Some(will), ..connect() }
}

#[test]
fn a_will_becomes_telemetry_unless_the_client_takes_leave() {
    let mut raw = Raw::accepted(will("devices/dev1/messages/events/k=v"));
    let message = raw.hub.take_will().unwrap();
    assert_eq!(bag::get(&message.bag, bag::MESSAGE_TYPE).unwrap(), "Will");
    assert_eq!(bag::get(&message.bag, "k").unwrap(), "v");
    assert_eq!(message.body, "gone");
    assert_eq!(raw.hub.take_will(), None);
    let mut raw = Raw::accepted(will("devices/dev1/messages/events/"));
    assert_eq!(raw.send(Packet::Disconnect).unwrap(), [HubEvent::Disconnect]);
    assert_eq!(raw.hub.take_will(), None);
    let mut raw = Raw::new();
    assert_eq!(raw.send(Packet::Connect(Box::new(will("devices/dev2/messages/events/")))), Err(CloseHub::Will));
    assert_eq!(raw.hub.take_output(), [0x20, 2, 0, 5][..]);
}

#[test]
fn silence_is_allowed_for_one_and_a_half_keep_alives() {
    let most = KEEP_ALIVE_SECS_MAX;
    for (keep_alive_secs, silence_secs) in
        [(60, 90), (0, 1765), (most - 1, 1764), (most, 1765), (most + 1, 1765), (65_535, 1765)]
    {
        let mut raw = Raw::accepted(Connect { keep_alive_secs, ..connect() });
        let deadline = raw.hub.poll_timeout().unwrap();
        assert_eq!((deadline - raw.now).as_secs(), silence_secs, "{keep_alive_secs}");
        assert_eq!(raw.hub.handle_timeout(deadline - Duration::from_millis(1)), Ok(()));
        assert_eq!(raw.hub.handle_timeout(deadline), Err(CloseHub::KeepAlive));
    }
}

/// A client that is there, subscribed to cloud-to-device messages.
fn listening(qos: QoS) -> Raw {
    let mut raw = Raw::accepted(connect());
    let filters = vec![("devices/dev1/messages/devicebound/#".into(), qos)];
    raw.send(Packet::Subscribe { packet_id: 9, filters }).unwrap();
    raw.answers();
    raw
}

fn to_device(number: u8) -> Message {
    Message {
        bag: "%24.mid=m&$.exp=later&k=a/b&flag&$.cdid=x&$.to=elsewhere&$.diagid=1".into(),
        body: vec![number].into(),
    }
}

fn packet_ids(raw: &mut Raw) -> Vec<Option<u16>> {
    let packets = raw.answers().into_iter().map(|packet| match packet {
        Packet::Publish(publish) => publish.packet_id,
        other => panic!("{other:?}"),
    });
    packets.collect()
}

#[test]
fn a_message_to_a_device_has_a_topic_that_every_sdk_reads() {
    let mut raw = listening(QoS::AtMostOnce);
    assert_eq!(
        raw.hub.deliver_cloud_to_device(QueueNumber::first(7), &to_device(1)),
        Ok(None),
        "done when it is written"
    );
    let [Packet::Publish(publish)] = &raw.answers()[..] else { panic!("one message") };
    let topic = "devices/dev1/messages/devicebound/%24.to=%2Fdevices%2Fdev1%2Fmessages%2Fdevicebound\
                 &%24.mid=m&%24.exp=later&k=a%2Fb&flag&%24.cdid=x";
    assert_eq!((&*publish.topic, publish.packet_id), (topic, None));
    let mut raw = Raw::accepted(connect());
    assert_eq!(raw.hub.deliver_cloud_to_device(QueueNumber::first(7), &to_device(1)), Err(DeliverError::NotSubscribed));
}

#[test]
fn a_late_acknowledgement_of_an_earlier_connection_acknowledges_no_other_message() {
    let mut first = listening(QoS::AtLeastOnce);
    for number in [41, 42] {
        first.hub.deliver_cloud_to_device(QueueNumber::first(number), &to_device(1)).unwrap();
    }
    let [Some(one), Some(two)] = packet_ids(&mut first)[..] else { panic!("both at QoS 1") };
    assert!(matches!(first.send(Packet::PubAck(one)).unwrap()[..], [HubEvent::Delivered(_)]));
    // The connection breaks; on the next one 42 comes again, behind it 43. Then come acknowledgements from before.
    let mut second = listening(QoS::AtLeastOnce);
    let receipts: Vec<_> = [42, 43]
        .map(|number| second.hub.deliver_cloud_to_device(QueueNumber::first(number), &to_device(1)).unwrap().unwrap())
        .into();
    assert_eq!(packet_ids(&mut second)[0], Some(two), "the same message has the same packet id");
    assert_eq!(second.send(Packet::PubAck(one)).unwrap(), [], "41 is settled and nothing else has its id");
    assert_eq!(second.send(Packet::PubAck(two)).unwrap(), [HubEvent::Delivered(receipts[0])]);
    assert_eq!(second.send(Packet::PubAck(two)).unwrap(), [], "twice is once");
}

#[test]
fn a_message_that_is_delivered_again_says_so_under_the_packet_id_it_had() {
    let again = |number| QueueNumber { number, again: true };
    let mut raw = listening(QoS::AtLeastOnce);
    let numbers = [QueueNumber::first(41), again(42), again(41), again(65_535 + 42)];
    for number in numbers {
        raw.hub.deliver_cloud_to_device(number, &to_device(1)).unwrap();
    }
    let packets = raw.answers().into_iter().map(|packet| match packet {
        Packet::Publish(publish) => (publish.dup, publish.packet_id.unwrap()),
        other => panic!("{other:?}"),
    });
    let packets: Vec<_> = packets.collect();
    assert_eq!(packets[..2], [(false, 41), (true, 42)]);
    assert!(packets[2..].iter().all(|(dup, id)| !dup && ![41, 42].contains(id)), "no packet is the same: {packets:?}");
    // Without acknowledgement nothing is delivered again.
    let mut raw = listening(QoS::AtMostOnce);
    raw.hub.deliver_cloud_to_device(again(42), &to_device(1)).unwrap();
    let [Packet::Publish(publish)] = &raw.answers()[..] else { panic!("one message") };
    assert_eq!((publish.dup, publish.packet_id), (false, None));
}

/// As a session that is taken up has them: on a connection that subscribes to nothing.
#[test]
fn messages_to_a_device_keep_the_quality_of_service_they_were_granted_at() {
    let filter = "devices/dev1/messages/devicebound/#";
    for (qos, acknowledged) in [(QoS::AtMostOnce, false), (QoS::AtLeastOnce, true)] {
        let mut raw = Raw::accepted(connect());
        let events = raw.send(Packet::Subscribe { packet_id: 9, filters: vec![(filter.into(), qos)] }).unwrap();
        let [HubEvent::SubscriptionsChanged(subscribed)] = events[..] else { panic!("{events:?}") };
        let mut again = Raw::new();
        again.send(Packet::Connect(Box::new(connect()))).unwrap();
        again.hub.accept(again.now, true, Subscriptions::from_bits(subscribed.to_bits()), None);
        again.hub.take_output();
        let delivered = again.hub.deliver_cloud_to_device(QueueNumber::first(1), &to_device(1)).unwrap();
        assert_eq!(delivered.is_some(), acknowledged);
        let Packet::Publish(publish) = again.answers().remove(0) else { panic!("no publish") };
        assert_eq!((publish.qos, publish.packet_id.is_some()), (qos, acknowledged));
        let events = again.send(Packet::Unsubscribe { packet_id: 10, filters: vec![filter.into()] }).unwrap();
        assert_eq!(events, [HubEvent::SubscriptionsChanged(Subscriptions::default())]);
    }
}

#[test]
fn an_acknowledgement_of_what_was_given_up_settles_nothing_else() {
    let mut raw = listening(QoS::AtLeastOnce);
    let deliver =
        |raw: &mut Raw, number| raw.hub.deliver_cloud_to_device(QueueNumber::first(number), &to_device(1)).unwrap();
    let receipts: Vec<_> = (1..=DELIVERIES_IN_FLIGHT_MAX as u64).map(|number| deliver(&mut raw, number)).collect();
    raw.answers();
    assert!(raw.hub.give_up(receipts[0].unwrap()));
    // Another one with the same number, once round: there is a place for it, under a packet id of its own.
    let other = deliver(&mut raw, 65_536).unwrap();
    let id = packet_ids(&mut raw)[0].unwrap();
    assert_ne!(id, 1);
    assert_eq!(raw.send(Packet::PubAck(1)).unwrap(), [], "it is late");
    assert_eq!(raw.send(Packet::PubAck(id)).unwrap(), [HubEvent::Delivered(other)]);
    // Acknowledged after all, its packet id is free again.
    deliver(&mut raw, 65_536).unwrap();
    assert_eq!(packet_ids(&mut raw), [Some(1)]);
}

#[test]
fn no_more_is_given_up_than_packet_ids_can_be_kept_for() {
    let mut raw = listening(QoS::AtLeastOnce);
    let mut ids = std::collections::BTreeSet::new();
    for n in 1..=DELIVERIES_GIVEN_UP_MAX {
        let receipt = raw.hub.deliver_cloud_to_device(QueueNumber::first(7), &to_device(1)).unwrap().unwrap();
        assert!(ids.insert(packet_ids(&mut raw)[0]), "each has its own");
        assert_eq!(raw.hub.give_up(receipt), n < DELIVERIES_GIVEN_UP_MAX, "{n}");
    }
}

#[test]
fn packet_ids_wrap_around_and_are_never_on_the_way_twice() {
    let mut raw = listening(QoS::AtLeastOnce);
    for number in [65_535, 65_536, 1, u64::from(u16::MAX) * 3 + 1] {
        raw.hub.deliver_cloud_to_device(QueueNumber::first(number), &to_device(1)).unwrap();
    }
    let mut ids = packet_ids(&mut raw);
    assert_eq!(ids[..2], [Some(65_535), Some(1)]);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    for number in 5..=DELIVERIES_IN_FLIGHT_MAX as u64 {
        raw.hub.deliver_cloud_to_device(QueueNumber::first(100 + number), &to_device(1)).unwrap();
    }
    assert_eq!(raw.hub.deliver_cloud_to_device(QueueNumber::first(99), &to_device(1)), Err(DeliverError::Window));
}
