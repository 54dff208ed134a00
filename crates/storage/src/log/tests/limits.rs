//! The log at its named limits.

use std::time::Duration;

use bytes::Bytes;

use super::rig::{Rig, append, read_all, segment};
use crate::limits::{
    GROUP_BYTES_MAX_DEFAULT, QUEUE_APPENDS_MAX, QUEUE_BYTES_MAX, READ_BUFFER_BYTES, RETENTION_INTERVAL,
    SEGMENT_BYTES_MAX_DEFAULT, SEGMENTS_IN_TOTAL_MIN, TAIL_BYTES_MAX_DEFAULT,
};
use crate::log::records::Records;
use crate::log::{AppendError, LogOptions, Offset, Retention};

/// What a record costs in a group beside its payload.
const RECORD_HEADER_BYTES: usize = 4;

fn of_bytes(bytes: usize) -> Vec<Bytes> {
    vec![Bytes::from(vec![7; bytes - RECORD_HEADER_BYTES])]
}

#[test]
fn a_default_group_and_segment_are_full_at_their_limits() {
    let rig = Rig::new(1, LogOptions::default());
    let log = rig.open().unwrap();
    log.append_blocking(of_bytes(GROUP_BYTES_MAX_DEFAULT)).unwrap();
    let refused = log.append_blocking(of_bytes(GROUP_BYTES_MAX_DEFAULT + 1)).unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { limit_bytes: GROUP_BYTES_MAX_DEFAULT, .. }), "{refused}");
    let per_segment = SEGMENT_BYTES_MAX_DEFAULT / (GROUP_BYTES_MAX_DEFAULT as u64 + 36);
    for _ in 1..per_segment {
        log.append_blocking(of_bytes(GROUP_BYTES_MAX_DEFAULT)).unwrap();
    }
    assert!(rig.files.contents(&segment(per_segment)).is_none());
    log.append_blocking(of_bytes(GROUP_BYTES_MAX_DEFAULT)).unwrap();
    assert!(rig.files.contents(&segment(per_segment)).is_some(), "the group that does not fit starts a segment");
    assert!(rig.files.contents(&segment(0)).unwrap().len() as u64 <= SEGMENT_BYTES_MAX_DEFAULT);
}

#[test]
fn a_limited_log_has_at_least_its_segments_and_no_group_is_larger_than_the_queue() {
    let options = LogOptions { total_bytes_max: Some(4_000), group_bytes_max: usize::MAX, ..LogOptions::default() };
    let bounded = options.bounded();
    assert_eq!(bounded.segment_bytes_max, 4_000 / SEGMENTS_IN_TOTAL_MIN);
    assert_eq!(bounded.group_bytes_max, QUEUE_BYTES_MAX);
}

#[test]
fn the_tail_holds_what_fits_and_a_reader_asks_the_disk_for_a_buffer_at_once() {
    let payload = "x".repeat(64 * 1024);
    let rig = Rig::new(1, LogOptions::default());
    let log = rig.open().unwrap();
    let in_tail = TAIL_BYTES_MAX_DEFAULT / (payload.len() + 1024);
    for _ in 0..in_tail {
        append(&log, &[&payload]).unwrap();
    }
    let before = rig.files.reads();
    assert_eq!(read_all(&log).len(), in_tail);
    assert_eq!(rig.files.reads(), before, "what is in the tail is not read from the disk");
    log.append_blocking(of_bytes(TAIL_BYTES_MAX_DEFAULT)).unwrap();
    let mut reader = log.reader(Offset(0));
    let from_disk = READ_BUFFER_BYTES / (payload.len() + 64);
    let before = rig.files.reads();
    for _ in 0..from_disk {
        assert_eq!(reader.try_next_batch(1, usize::MAX).unwrap().len(), 1);
    }
    assert!(rig.files.reads() - before < from_disk as u64, "one read is for more than one group");
}

#[tokio::test]
async fn appends_past_the_queue_wait_and_none_is_lost() {
    let rig = Rig::new(1, LogOptions::default());
    let log = rig.open().unwrap();
    let appends = (0..=QUEUE_APPENDS_MAX).map(|_| {
        let log = log.clone();
        tokio::spawn(async move { log.append(Records::from(vec![Bytes::from_static(b"x")])).await })
    });
    for append in appends.collect::<Vec<_>>() {
        append.await.unwrap().unwrap();
    }
    assert_eq!(log.next_offset(), Offset(QUEUE_APPENDS_MAX as u64 + 1));
}

#[test]
fn retention_is_applied_in_time() {
    assert!(RETENTION_INTERVAL <= Duration::from_secs(60), "an age is told in minutes");
    let retention = Retention { age: Some(Duration::from_secs(1)), ..Retention::default() };
    let rig = Rig::new(1, LogOptions { segment_bytes_max: 300, retention, ..LogOptions::default() });
    let log = rig.open().unwrap();
    for _ in 0..10 {
        append(&log, &["a record of some length that fills a segment soon"]).unwrap();
    }
    rig.now_ms.fetch_add(RETENTION_INTERVAL.as_millis() as u64, std::sync::atomic::Ordering::Relaxed);
    log.retain().unwrap();
    assert!(log.first_offset() > Offset(0));
}
