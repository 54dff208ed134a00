#![allow(clippy::unwrap_used)]

use super::*;
use crate::mqtt::packet::Text;

fn encoded(packet: &Packet) -> BytesMut {
    let mut out = BytesMut::new();
    encode(packet, &mut out).unwrap();
    out
}

#[test]
fn packets_look_as_the_standard_draws_them() {
    let connect = Connect {
        clean_session: true,
        keep_alive_secs: 60,
        client_id: "d".into(),
        will: None,
        user_name: Some("u".into()),
        password: Some("p".into()),
    };
    let table: &[(Packet, &[u8])] = &[
        (Packet::Connect(Box::new(connect)), b"\x10\x13\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01d\x00\x01u\x00\x01p"),
        (Packet::ConnAck { session_present: true, code: ConnectReturnCode::Accepted }, &[0x20, 2, 1, 0]),
        (Packet::PubAck(0x0102), &[0x40, 2, 1, 2]),
        (
            Packet::Subscribe { packet_id: 1, filters: vec![("#".into(), QoS::AtLeastOnce)] },
            b"\x82\x06\x00\x01\x00\x01#\x01",
        ),
        (Packet::SubAck { packet_id: 1, granted: vec![Some(QoS::AtLeastOnce), None] }, &[0x90, 4, 0, 1, 1, 0x80]),
        (Packet::UnsubAck(7), &[0xb0, 2, 0, 7]),
        (Packet::PingReq, &[0xc0, 0]),
        (Packet::Disconnect, &[0xe0, 0]),
    ];
    for (packet, bytes) in table {
        assert_eq!(encoded(packet), *bytes, "{packet:?}");
    }
}

#[test]
fn a_topic_in_parts_is_one_topic() {
    let (mut parts, mut whole) = (BytesMut::new(), BytesMut::new());
    publish_topic(&[b"a/", b"b"], Some(3), b"body", &mut parts).unwrap();
    let packet = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "a/b".into(),
        packet_id: Some(3),
        payload: "body".into(),
    };
    publish(&packet, &mut whole).unwrap();
    assert_eq!(parts, whole);
}

#[test]
fn lengths_take_as_many_bytes_as_they_need() {
    for (payload, header) in [
        (124, &[0x30, 127][..]),
        (125, &[0x30, 0x80, 1]),
        (16_380, &[0x30, 0xff, 0x7f]),
        (16_381, &[0x30, 0x80, 0x80, 1]),
    ] {
        let mut out = BytesMut::new();
        publish_topic(&[b"t"], None, &vec![0; payload], &mut out).unwrap();
        assert_eq!(&out[..header.len()], header);
        assert_eq!(out.len(), header.len() + 3 + payload);
    }
}

#[test]
fn a_packet_is_as_long_as_four_bytes_of_length_can_say() {
    let mut out = BytesMut::new();
    header(0x30, REMAINING_LENGTH_MAX, &mut out).unwrap();
    assert_eq!(out[..], [0x30, 0xff, 0xff, 0xff, 0x7f]);
    let beyond = REMAINING_LENGTH_MAX + 1;
    assert_eq!(header(0x30, beyond, &mut BytesMut::new()), Err(EncodeError::PacketTooLarge(beyond)));
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_nothing_behind() {
    let mut out = BytesMut::new();
    let long = vec![b'x'; TEXT_BYTES_MAX + 1];
    publish_topic(&[&long[1..]], None, b"", &mut out).unwrap();
    out.clear();
    assert_eq!(publish_topic(&[&long], None, b"", &mut out), Err(EncodeError::FieldTooLong(TEXT_BYTES_MAX + 1)));
    assert!(out.is_empty());
    let publish_without_id = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Text::default(),
        packet_id: None,
        payload: Default::default(),
    };
    assert_eq!(publish(&publish_without_id, &mut out), Err(EncodeError::PacketId));
    assert!(out.is_empty());
}
