//! A record of Central's log, of any bytes, is read or refused, and the same by those who read it whole, in parts or only its
//! head. What is read is written as the same bytes, or, of the first version, so that it reads the same; and it holds no more
//! than its bytes.

use bytes::Bytes;
use events::record::{Record, RecordHead, RecordParts, Source};

/// Version byte, kind, time, four texts and two byte strings without anything in them: the least that goes around contents.
const FRAME_BYTES_MIN: usize = 10 + 4 * 2 + 2 * 4;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let parts = RecordParts::decode(bytes.clone());
    if let Ok(parts) = &parts {
        let head = RecordHead::decode(&bytes).expect("its head is a part of it");
        assert_eq!((head.kind, head.enqueued_ms, head.source), (parts.kind, parts.enqueued_ms, &parts.source[..]));
        let _ = parts.sequence();
    }
    let Ok(record) = Record::decode(bytes.clone()) else {
        // Only its source may be what is wrong with it.
        assert!(parts.is_err() || parts.is_ok_and(|parts| Source::decode(parts.source).is_err()));
        return;
    };
    let parts = parts.expect("a whole record has parts");
    assert!(contents_bytes(&record) + FRAME_BYTES_MIN <= bytes.len());
    let written = record.encode().expect("what fitted fits");
    assert_eq!(Record::decode(written.clone()).expect("we wrote it"), record);
    if bytes.first() == written.first() {
        assert_eq!(written, bytes, "written again it is the same");
    } else {
        assert_eq!(record.organization, None, "the first version had none");
    }
    let source = Source::decode(parts.source).expect("it was read as a part of the record");
    let origin = source.origin().expect("what fitted fits");
    let by_origin = origin.encode(parts.kind, parts.enqueued_ms, &parts.bag, &parts.body).expect("what fitted fits");
    assert_eq!(by_origin, written);
    assert_eq!(origin.encoded_bytes(&parts.bag, &parts.body), written.len());
}

fn contents_bytes(record: &Record) -> usize {
    let texts =
        [Some(&record.application), Some(&record.generation), record.model.as_ref(), record.organization.as_ref()];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    let ids = record.identity.device_id().len() + record.identity.module_id().map_or(0, str::len);
    texts + ids + record.bag.len() + record.body.len()
}
