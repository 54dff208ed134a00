//! The record format: bytes pinned, round trip, and no input that panics.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn sample() -> Record {
    Record {
        kind: Kind::Telemetry,
        enqueued_ms: 0x0102_0304,
        application: "a".into(),
        identity: Identity::module("d", "m"),
        generation: "g".into(),
        model: None,
        bag: Bytes::from_static(b"k=v"),
        body: Bytes::from_static(b"{}"),
    }
}

#[test]
fn version_1_is_these_bytes() {
    let expected: &[u8] = &[
        1, 1, 4, 3, 2, 1, 0, 0, 0, 0, 1, 0, b'a', 1, 0, b'd', 1, 0, b'm', 1, 0, b'g', 0xFF, 0xFF, 3, 0, 0, 0, b'k',
        b'=', b'v', 2, 0, 0, 0, b'{', b'}',
    ];
    assert_eq!(sample().encode().unwrap(), expected);
}

#[test]
fn unknown_versions_and_kinds_are_refused() {
    let mut bytes = sample().encode().unwrap().to_vec();
    bytes[1] = 9;
    assert_eq!(Record::decode(bytes.clone().into()), Err(DecodeRecordError::Kind(9)));
    bytes[0] = 2;
    assert_eq!(Record::decode(bytes.into()), Err(DecodeRecordError::Version(2)));
}

#[test]
fn every_truncation_and_any_tail_is_refused() {
    let bytes = sample().encode().unwrap();
    for end in 0..bytes.len() {
        assert!(matches!(Record::decode(bytes.slice(..end)), Err(DecodeRecordError::Malformed(_))), "at {end}");
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert_eq!(Record::decode(longer.into()), Err(DecodeRecordError::Malformed("end")));
}

#[test]
fn a_text_at_the_limit_fits_and_one_more_does_not() {
    let mut record = sample();
    record.generation = "x".repeat(usize::from(ABSENT) - 1);
    assert_eq!(Record::decode(record.encode().unwrap()).unwrap(), record);
    record.generation.push('x');
    assert_eq!(record.encode(), Err(EncodeRecordError("generation")));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        kind in prop_oneof![
            Just(Kind::Telemetry), Just(Kind::ReportedProperties), Just(Kind::Connection), Just(Kind::Lifecycle)
        ],
        enqueued_ms: i64, application in ".{0,20}", device in ".{1,40}", module in proptest::option::of(".{1,40}"),
        generation in ".{0,20}", model in proptest::option::of(".{0,60}"), bag: Vec<u8>, body: Vec<u8>,
    ) {
        let identity = match &module {
            Some(module) => Identity::module(&device, module),
            None => Identity::device(&device),
        };
        let record =
            Record { kind, enqueued_ms, application, identity, generation, model, bag: bag.into(), body: body.into() };
        prop_assert_eq!(Record::decode(record.encode().unwrap()).unwrap(), record);
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes: Vec<u8>) {
        if let Ok(record) = Record::decode(bytes.clone().into()) {
            prop_assert_eq!(record.encode().unwrap(), bytes);
        }
    }
}
