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
        organization: Some("o".into()),
        bag: Bytes::from_static(b"k=v"),
        body: Bytes::from_static(b"{}"),
    }
}

#[test]
fn version_2_is_these_bytes() {
    let expected: &[u8] = &[
        2, 1, 4, 3, 2, 1, 0, 0, 0, 0, 1, 0, b'a', 1, 0, b'd', 1, 0, b'm', 1, 0, b'g', 0xFF, 0xFF, 1, 0, b'o', 3, 0, 0,
        0, b'k', b'=', b'v', 2, 0, 0, 0, b'{', b'}',
    ];
    assert_eq!(sample().encode().unwrap(), expected);
}

#[test]
fn version_1_is_read_and_has_no_organization() {
    let bytes: &[u8] = &[
        1, 1, 4, 3, 2, 1, 0, 0, 0, 0, 1, 0, b'a', 1, 0, b'd', 1, 0, b'm', 1, 0, b'g', 0xFF, 0xFF, 3, 0, 0, 0, b'k',
        b'=', b'v', 2, 0, 0, 0, b'{', b'}',
    ];
    assert_eq!(Record::decode(bytes.into()).unwrap(), Record { organization: None, ..sample() });
}

#[test]
fn a_sequence_number_is_read_from_events_only() {
    let bag = Bytes::copy_from_slice(&7_u64.to_le_bytes());
    for (kind, bag, expected) in
        [(Kind::Lifecycle, bag.clone(), Some(7)), (Kind::Lifecycle, Bytes::new(), None), (Kind::Telemetry, bag, None)]
    {
        let record = Record { kind, bag, ..sample() };
        assert_eq!(RecordParts::decode(record.encode().unwrap()).unwrap().sequence(), expected);
    }
}

#[test]
fn unknown_versions_and_kinds_are_refused() {
    let mut bytes = sample().encode().unwrap().to_vec();
    bytes[1] = 9;
    assert_eq!(Record::decode(bytes.clone().into()), Err(DecodeRecordError::Kind(9)));
    bytes[0] = 3;
    assert_eq!(Record::decode(bytes.into()), Err(DecodeRecordError::Version(3)));
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
            Just(Kind::Telemetry), Just(Kind::ReportedProperties), Just(Kind::Connection), Just(Kind::Lifecycle),
            Just(Kind::DesiredProperties)
        ],
        enqueued_ms: i64, application in ".{0,20}", device in ".{1,40}", module in proptest::option::of(".{1,40}"),
        generation in ".{0,20}", model in proptest::option::of(".{0,60}"), organization in proptest::option::of(".{0,60}"),
        bag: Vec<u8>, body: Vec<u8>,
    ) {
        let identity = match &module {
            Some(module) => Identity::module(&device, module),
            None => Identity::device(&device),
        };
        let (bag, body) = (bag.into(), body.into());
        let record = Record { kind, enqueued_ms, application, identity, generation, model, organization, bag, body };
        prop_assert_eq!(Record::decode(record.encode().unwrap()).unwrap(), record);
    }

    #[test]
    fn any_bytes_decode_or_are_refused(version in 0_u8..4, kind in 0_u8..7, rest: Vec<u8>) {
        let bytes = [&[version, kind], &rest[..]].concat();
        if let Ok(record) = Record::decode(bytes.clone().into()) && version == VERSION {
            prop_assert_eq!(record.encode().unwrap(), bytes);
        }
    }
}
