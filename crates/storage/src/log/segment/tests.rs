#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::log::Records;

const SALT: u32 = 0x5eed_5a17;

fn group_of(records: &[&'static str]) -> Bytes {
    let records: Records = records.iter().collect();
    let (count, body) = (records.len() as u32, records.body());
    encode_group([body].into_iter(), (count, body.len()), Offset(7), 1_700_000_000_000, SALT)
}

/// Stored files must stay readable: if one of these fails, the version has to go up.
#[test]
fn the_format_is_the_documented_one() {
    let header = SegmentHeader {
        salt: 0x0403_0201,
        base: Offset(0x11),
        created_at_ms: 0x22,
        previous_base: Offset(0x33),
        previous_bytes: 0x44,
    };
    let mut expected = b"TIDELOG\n".to_vec();
    expected.extend([1, 0, 0, 0, 1, 2, 3, 4]);
    for number in [0x11_u64, 0x22, 0x33, 0x44] {
        expected.extend(number.to_le_bytes());
    }
    expected.extend(crc32fast::hash(&expected).to_le_bytes());
    assert_eq!(header.encode().as_slice(), expected);

    let group = group_of(&["ab", ""]);
    let body = [2, 0, 0, 0, b'a', b'b', 0, 0, 0, 0];
    assert_eq!(&group[4..8], b"GRUP");
    assert_eq!(group[8..16], 7_u64.to_le_bytes());
    assert_eq!(group[16..24], 1_700_000_000_000_u64.to_le_bytes());
    assert_eq!(group[24..28], [2, 0, 0, 0]);
    assert_eq!(group[28..32], [10, 0, 0, 0]);
    assert_eq!(group[32..36], crc32fast::hash(&body).to_le_bytes());
    assert_eq!(group[36..], body);
}

#[test]
fn names_of_segments() {
    let cases = [
        ("00000000000000000000.log", Some(0)),
        ("00000000000000314159.log", Some(314_159)),
        ("18446744073709551615.log", Some(u64::MAX)),
        ("18446744073709551616.log", None),
        ("0.log", None),
        ("+0000000000000000001.log", None),
        ("log.lock", None),
        ("00000000000000000000.tmp", None),
    ];
    for (name, expected) in cases {
        assert_eq!(parse_segment_name(name), expected.map(Offset), "{name}");
    }
    assert_eq!(segment_path(Path::new("d"), Offset(42)), Path::new("d/00000000000000000042.log"));
}

#[test]
fn every_changed_byte_of_a_segment_header_is_noticed() {
    let header =
        SegmentHeader { salt: 1, base: Offset(2), created_at_ms: 3, previous_base: Offset(4), previous_bytes: 5 };
    assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    for at in 0..SEGMENT_HEADER_BYTES as usize {
        let mut damaged = header.encode();
        damaged[at] ^= 0x20;
        assert!(SegmentHeader::decode(&damaged).is_err(), "byte {at}");
    }
    let mut newer = header.encode();
    newer[8] = 2;
    assert_eq!(SegmentHeader::decode(&newer), Err(DecodeSegmentError::Damaged), "the checksum is that of version 1");
    let crc = crc32fast::hash(&newer[..48]);
    newer[48..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(SegmentHeader::decode(&newer), Err(DecodeSegmentError::Version(2)));
    // More than a byte: rather too much is left alone.
    let mut newer = header.encode();
    newer[8..12].copy_from_slice(&9999_u32.to_le_bytes());
    assert_eq!(SegmentHeader::decode(&newer), Err(DecodeSegmentError::Version(9999)));
}

#[test]
fn every_changed_byte_of_a_group_is_noticed() {
    let group = group_of(&["one", "two", ""]);
    let read = |bytes: &[u8], salt| {
        let header = GroupHeader::decode(bytes, salt)?;
        GroupRecords::new(&header, Bytes::copy_from_slice(&bytes[GROUP_HEADER_BYTES..]))
    };
    assert!(read(&group, SALT).is_some());
    assert!(read(&group, SALT + 1).is_none(), "a group of another segment");
    for at in 0..group.len() {
        let mut damaged = group.to_vec();
        damaged[at] ^= 0x01;
        assert!(read(&damaged, SALT).is_none(), "byte {at}");
    }
}

#[test]
fn only_a_later_group_of_this_segment_proves_damage() {
    let group = group_of(&["x"]);
    let mut bytes = b"GRUPGRUPtorn".to_vec();
    bytes.extend(&group);
    assert!(contains_group_after(&bytes, SALT, Offset(6)));
    assert!(!contains_group_after(&bytes, SALT, Offset(7)), "the broken group itself");
    assert!(!contains_group_after(&bytes, SALT + 1, Offset(6)), "a payload that looks like a group");
    assert!(!contains_group_after(&bytes[..bytes.len() - group.len() + 20], SALT, Offset(6)), "half a header");
}

proptest! {
    #[test]
    fn records_come_out_as_they_went_in(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..20), skip in 0_u64..25) {
        let records: Vec<Bytes> = payloads.into_iter().map(Bytes::from).collect();
        let bodies: Vec<Records> = records.chunks(3).map(|records| records.iter().collect()).collect();
        let body_bytes = bodies.iter().map(|records| records.body().len()).sum();
        let pieces = bodies.iter().map(Records::body);
        let group = encode_group(pieces, (records.len() as u32, body_bytes), Offset(100), 5, SALT);
        let header = GroupHeader::decode(&group, SALT).unwrap();
        let mut read = GroupRecords::new(&header, group.slice(GROUP_HEADER_BYTES..)).unwrap();
        prop_assert_eq!(read.end(), Offset(100 + records.len() as u64));
        read.skip_to(Offset(100 + skip));
        for (index, record) in records.iter().enumerate().skip(skip as usize) {
            let expected = Record { offset: Offset(100 + index as u64), appended_at_ms: 5, payload: record.clone() };
            prop_assert_eq!(read.take_next(), Some(expected));
        }
        prop_assert_eq!(read.take_next(), None);
    }

    #[test]
    fn garbage_is_never_a_group(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(GroupHeader::decode(&bytes, SALT), None);
    }

    #[test]
    fn any_body_can_be_counted(bytes in prop::collection::vec(0_u8..4, 0..60)) {
        // Must not panic; what it says is covered by the test above.
        let _ = count_records(&bytes);
    }
}
