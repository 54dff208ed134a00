#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

const FRAME_BYTES_MAX: u64 = 1 << 20;
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

fn server() -> Decoder {
    Decoder::new(Role::Server, FRAME_BYTES_MAX)
}

/// A frame of a client, head as given.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, MASKED | u8::try_from(payload.len()).unwrap()];
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Result<Vec<u8>, Violation> {
    let mut bytes = bytes.to_vec();
    let payload = decoder.decode(&mut bytes)?;
    bytes.truncate(payload);
    Ok(bytes)
}

#[test]
fn frames_of_the_standard_are_read_and_written() {
    // RFC 6455, 5.7.
    let hello = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
    let frame = [&[0x82, 0x85][..], &MASK, &hello].concat();
    assert_eq!(decode(&mut server(), &frame).unwrap(), b"Hello");
    let mut out = BytesMut::new();
    encode(Sent::Bytes(b"Hello"), Some(MASK), &mut out);
    assert_eq!(out, frame);
    let mut client = Decoder::new(Role::Client, FRAME_BYTES_MAX);
    assert_eq!(decode(&mut client, &[0x02, 3, b'H', b'e', b'l', 0x80, 2, b'l', b'o']).unwrap(), b"Hello");
}

#[test]
fn what_may_not_be_sent_is_refused_with_its_code() {
    let two = |first: u8, second: u8| vec![first, second, 0, 0, 0, 0];
    let long = |length: u64| [&[0x82, 0xFF][..], &length.to_be_bytes(), &MASK].concat();
    let table: &[(&str, Vec<u8>, Violation, u16)] = &[
        ("text", masked(0x81, b"hi"), Violation::Text, 1003),
        ("text in pieces", masked(0x01, b"hi"), Violation::Text, 1003),
        ("no mask", two(0x82, 0x02), Violation::NotMasked, 1002),
        ("compressed", masked(0xC2, b"hi"), Violation::Reserved, 1002),
        ("kind 3", masked(0x83, b""), Violation::Kind(3), 1002),
        ("kind 11", masked(0x8B, b""), Violation::Kind(11), 1002),
        ("continuation of nothing", masked(0x80, b"hi"), Violation::Fragments, 1002),
        ("message in a message", [masked(0x02, b"a"), masked(0x82, b"b")].concat(), Violation::Fragments, 1002),
        ("ping in pieces", masked(0x09, b""), Violation::Control, 1002),
        ("long ping", two(0x89, 0x80 | 126), Violation::Control, 1002),
        ("short length in two bytes", [&[0x82, 0xFE, 0, 125][..], &MASK].concat(), Violation::Length, 1002),
        ("short length in eight bytes", long(65_535), Violation::Length, 1002),
        ("negative length", long(1 << 63), Violation::Length, 1002),
        ("long", long(FRAME_BYTES_MAX + 1), Violation::TooLong(FRAME_BYTES_MAX + 1), 1009),
        ("close with half a code", masked(0x88, &[3]), Violation::CloseCode, 1002),
        ("close with 999", masked(0x88, &999_u16.to_be_bytes()), Violation::CloseCode, 1002),
        ("close with 1006", masked(0x88, &1006_u16.to_be_bytes()), Violation::CloseCode, 1002),
    ];
    for (name, bytes, violation, code) in table {
        assert_eq!(decode(&mut server(), bytes), Err(*violation), "{name}");
        assert_eq!(violation.code(), *code, "{name}");
        // Byte by byte all the same.
        let mut decoder = server();
        let refused = bytes.iter().find_map(|byte| decoder.decode(&mut [*byte]).err());
        assert_eq!(refused, Some(*violation), "{name}");
    }
    let mut client = Decoder::new(Role::Client, FRAME_BYTES_MAX);
    assert_eq!(decode(&mut client, &masked(0x82, b"hi")), Err(Violation::Masked));
    assert_eq!(decode(&mut server(), &long(FRAME_BYTES_MAX)), Ok(vec![]));
}

#[test]
fn control_frames_stand_between_pieces() {
    let mut decoder = server();
    let mut bytes = [masked(0x02, b"ab"), masked(0x89, b"1"), masked(0x00, b"cd"), masked(0x89, b"2")].concat();
    bytes.extend([masked(0x8A, b"asked by nobody"), masked(0x80, b""), masked(0x82, b"ef")].concat());
    assert_eq!(decode(&mut decoder, &bytes).unwrap(), b"abcdef");
    assert_eq!((decoder.take_ping(), decoder.take_ping()), (Some(Bytes::from_static(b"2")), None));
    assert_eq!(decoder.closed(), None);
}

#[test]
fn nothing_follows_the_end() {
    for (payload, code) in
        [(&b""[..], None), (&[0x03, 0xE8, b'b', b'y', b'e'], Some(1000)), (&[0x0B, 0xB8], Some(3000))]
    {
        let mut decoder = server();
        let bytes = [masked(0x82, b"last"), masked(0x88, payload), masked(0x81, b"text")].concat();
        assert_eq!(decode(&mut decoder, &bytes).unwrap(), b"last");
        assert_eq!(decoder.closed(), Some(code));
        assert_eq!(decode(&mut decoder, &masked(0x82, b"more")).unwrap(), b"");
    }
}

proptest! {
    #[test]
    fn what_one_role_sends_the_other_reads_however_it_is_cut(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
        long in prop::collection::vec(any::<u8>(), 65_000..66_000),
        cuts in prop::collection::vec(1_usize..500, 1..40),
        mask in prop::option::of(any::<[u8; 4]>()),
    ) {
        let mut wire = BytesMut::new();
        let mut expected = Vec::new();
        for payload in payloads.iter().chain([&long]) {
            encode(Sent::Bytes(payload), mask, &mut wire);
            encode(Sent::Ping(payload), mask, &mut wire);
            encode(Sent::Pong(b"x"), mask, &mut wire);
            expected.extend_from_slice(payload);
        }
        encode(Sent::Close(Some(1000)), mask, &mut wire);
        let role = if mask.is_some() { Role::Server } else { Role::Client };
        let mut decoder = Decoder::new(role, FRAME_BYTES_MAX);
        let mut read = Vec::new();
        for cut in cuts.iter().cycle() {
            if wire.is_empty() {
                break;
            }
            let mut piece = wire.split_to(wire.len().min(*cut));
            let payload = decoder.decode(&mut piece).unwrap();
            read.extend_from_slice(&piece[..payload]);
        }
        prop_assert_eq!(read, expected);
        prop_assert_eq!(decoder.take_ping().unwrap(), &long[..CONTROL_BYTES_MAX]);
        prop_assert_eq!(decoder.closed(), Some(Some(1000)));
    }
}
