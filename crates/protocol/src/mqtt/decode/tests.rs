#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::mqtt::encode;
use crate::mqtt::packet::tests::packets;

fn decode_all(bytes: &[u8]) -> Result<Option<Packet>, DecodeError> {
    decode(&mut BytesMut::from(bytes))
}

#[test]
fn malformed_packets_are_told_apart() {
    use DecodeError::*;
    let table: &[(&[u8], DecodeError)] = &[
        (&[0x00, 0], Kind(0)),
        (&[0xf0, 0], Kind(15)),
        (&[0xc1, 0], Flags { kind: 12, flags: 1 }),
        (&[0x80], Flags { kind: 8, flags: 0 }),
        (b"GET / HTTP/1.1\r\n", Flags { kind: 4, flags: 7 }),
        (&[0x30, 0xff, 0xff, 0xff, 0xff], Length),
        (&[0x30, 0xff, 0xff, 0xff, 0x7f], TooLarge(268_435_455)),
        (&[0x36, 4, 0, 0, 0, 1], QoS),
        (&[0x38, 2, 0, 0], Flags { kind: 3, flags: 8 }),
        (&[0x32, 4, 0, 0, 0, 0], PacketId),
        (&[0x30, 2, 0, 3], Short),
        (&[0x30, 3, 0, 1, 0xff], Text),
        (&[0x30, 3, 0, 1, 0], Text),
        (&[0x40, 2, 0, 0], PacketId),
        (&[0x40, 3, 0, 1, 9], LeftOver),
        (&[0xc0, 1, 0], LeftOver),
        (&[0x82, 2, 0, 1], Filters),
        (&[0x82, 6, 0, 1, 0, 1, b'a', 3], QoS),
        (&[0xa2, 2, 0, 1], Filters),
        (&[0x20, 2, 2, 0], Flags { kind: 2, flags: 2 }),
        (&[0x20, 2, 0, 6], ReturnCode(6)),
        (&[0x90, 3, 0, 1, 3], ReturnCode(3)),
        (b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x3c\x00\x00", ProtocolVersion),
        (b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00", ProtocolVersion),
        (b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x3c\x00\x00", ConnectFlags),
        (b"\x10\x0c\x00\x04MQTT\x04\x42\x00\x3c\x00\x00", ConnectFlags),
        (b"\x10\x0c\x00\x04MQTT\x04\x22\x00\x3c\x00\x00", ConnectFlags),
    ];
    for (bytes, error) in table {
        assert_eq!(decode_all(bytes), Err(*error), "{bytes:02x?}");
    }
}

#[test]
fn a_packet_of_the_largest_size_waits_a_larger_one_fails_at_its_header() {
    let header = |first: u8, remaining: usize| {
        let digits = [remaining & 0x7f | 0x80, (remaining >> 7) & 0x7f | 0x80, remaining >> 14];
        let mut bytes = vec![first];
        bytes.extend(digits.map(|digit| digit as u8));
        bytes
    };
    for (first, most) in [(0x30, PACKET_BYTES_MAX), (0x10, CONNECT_BYTES_MAX)] {
        assert_eq!(decode_all(&header(first, most)), Ok(None));
        assert_eq!(decode_all(&header(first, most + 1)), Err(DecodeError::TooLarge(most + 1)));
    }
}

#[test]
fn as_many_filters_as_allowed_pass() {
    let subscribe = |count| {
        let mut out = BytesMut::new();
        let filters = vec![("f".into(), QoS::AtMostOnce); count];
        encode::encode(&Packet::Subscribe { packet_id: 1, filters }, &mut out).unwrap();
        decode(&mut out)
    };
    assert!(subscribe(FILTERS_MAX).unwrap().is_some());
    assert_eq!(subscribe(FILTERS_MAX + 1), Err(DecodeError::Filters));
}

#[test]
fn payloads_are_not_copied() {
    let mut buffer = BytesMut::from(&b"\x30\x05\x00\x01thi"[..]);
    let range = buffer.as_ptr_range();
    let Some(Packet::Publish(publish)) = decode(&mut buffer).unwrap() else { panic!("no publish") };
    assert_eq!((&*publish.topic, &publish.payload[..]), ("t", &b"hi"[..]));
    assert!(range.contains(&publish.payload.as_ptr()));
}

#[test]
fn an_incomplete_packet_stays_in_the_buffer() {
    let whole = b"\x32\x07\x00\x01t\x00\x09hi";
    for end in 0..whole.len() {
        let mut buffer = BytesMut::from(&whole[..end]);
        assert_eq!(decode(&mut buffer), Ok(None));
        assert_eq!(buffer, whole[..end]);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_packets_or_refused(bytes in any::<Vec<u8>>()) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = decode(&mut buffer) {}
    }

    #[test]
    fn a_damaged_packet_is_a_packet_or_refused(packet in packets(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut buffer = BytesMut::new();
        encode::encode(&packet, &mut buffer).unwrap();
        let at = at.index(buffer.len());
        buffer[at] = byte;
        while let Ok(Some(_)) = decode(&mut buffer) {}
    }

    #[test]
    fn what_is_encoded_decodes_to_itself(sent in prop::collection::vec(packets(), 1..5), cut in any::<prop::sample::Index>()) {
        let mut bytes = BytesMut::new();
        for packet in &sent {
            encode::encode(packet, &mut bytes).unwrap();
        }
        // Cut anywhere: the packets are the same.
        let cut = cut.index(bytes.len());
        let mut buffer = BytesMut::new();
        let mut received = Vec::new();
        for part in [&bytes[..cut], &bytes[cut..]] {
            buffer.extend_from_slice(part);
            while let Some(packet) = decode(&mut buffer).unwrap() {
                received.push(packet);
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(received, sent);
    }
}
