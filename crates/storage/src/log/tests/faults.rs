//! What goes wrong: torn writes, full disks, failed syncs, damaged and missing files.

use super::rig::{Rig, append, read_all, read_from, segment};
use crate::log::segment::{GROUP_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use crate::log::{AppendError, CutTail, LogOptions, Offset, OpenLogError, ReadError};

fn rig_with_three_groups() -> Rig {
    let rig = Rig::new(1, LogOptions { tail_bytes_max: 0, ..LogOptions::default() });
    let log = rig.open().unwrap();
    for records in [["a", "bb"], ["ccc", "d"], ["ee", "fff"]] {
        append(&log, &records).unwrap();
    }
    drop(log);
    rig
}

/// Three segments of one group each, bases 0, 1, 2.
fn rig_with_three_segments() -> Rig {
    let rig = Rig::small(1);
    let log = rig.open().unwrap();
    for letter in ["a", "b", "c"] {
        append(&log, &[&letter.repeat(200)]).unwrap();
    }
    drop(log);
    assert_eq!(rig.segments(), [segment(0), segment(1), segment(2)]);
    rig
}

#[test]
fn a_write_torn_at_any_byte_is_cut_at_the_group_before() {
    let rig = rig_with_three_groups();
    let whole = rig.files.contents(&rig.newest()).unwrap();
    let last_group = GROUP_HEADER_BYTES + 2 * 4 + 5;
    for torn_bytes in 0..last_group {
        for with_garbage in [false, true] {
            let mut torn = whole[..whole.len() - last_group + torn_bytes].to_vec();
            if with_garbage {
                torn.resize(whole.len() + 100, 0);
            }
            let file_bytes = torn.len() as u64;
            rig.files.put(&rig.newest(), torn);
            rig.forget_acknowledged();
            let log = rig.open().unwrap();
            assert_eq!(read_all(&log), ["a", "bb", "ccc", "d"], "{torn_bytes}");
            let at_byte = (whole.len() - last_group) as u64;
            let cut = CutTail { segment: rig.newest(), at_byte, bytes: file_bytes - at_byte };
            assert_eq!(log.recovery().cut, (file_bytes > at_byte).then_some(cut));
            assert_eq!(append(&log, &["next"]).unwrap().first, Offset(4));
            drop(log);
            assert_eq!(read_all(&rig.open().unwrap()).last().unwrap(), "next");
        }
    }
}

#[test]
fn a_damaged_byte_before_the_last_group_is_never_cut() {
    let rig = rig_with_three_groups();
    let whole = rig.files.contents(&rig.newest()).unwrap();
    let last_group = GROUP_HEADER_BYTES + 2 * 4 + 5;
    for at in 0..whole.len() - last_group {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        rig.files.put(&rig.newest(), damaged.clone());
        let error = rig.open().unwrap_err();
        assert!(matches!(error, OpenLogError::Corrupt { .. }), "byte {at}: {error}");
        assert_eq!(rig.files.contents(&rig.newest()).unwrap(), damaged, "evidence is left as it is");
    }
}

#[test]
fn a_group_cut_out_of_the_middle_is_missed() {
    let rig = rig_with_three_groups();
    let mut spliced = rig.files.contents(&rig.newest()).unwrap();
    let second = SEGMENT_HEADER_BYTES as usize + GROUP_HEADER_BYTES + 2 * 4 + 3;
    spliced.drain(second..second + GROUP_HEADER_BYTES + 2 * 4 + 4);
    rig.files.put(&rig.newest(), spliced);
    let error = rig.open().unwrap_err();
    assert!(matches!(error, OpenLogError::Corrupt { at_byte, .. } if at_byte == second as u64), "{error}");
}

#[test]
fn damage_in_an_older_segment_is_reported_by_readers_and_verify() {
    let rig = rig_with_three_segments();
    let mut damaged = rig.files.contents(&segment(1)).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    rig.files.put(&segment(1), damaged);
    let log = rig.open().unwrap();
    let mut reader = log.reader(Offset(0));
    assert_eq!(reader.try_next_batch(10, 1000).unwrap().len(), 1, "what is before the damage is served");
    for _ in 0..2 {
        let error = reader.try_next_batch(10, 1000).unwrap_err();
        let ReadError::Corrupt { segment: path, at_byte } = error else { panic!("{error}") };
        assert_eq!((path, at_byte), (segment(1), SEGMENT_HEADER_BYTES));
    }
    assert!(matches!(rig.verify(), Err(OpenLogError::Corrupt { segment: path, .. }) if path == segment(1)));
    assert_eq!(read_from(&log, Offset(2)).unwrap().len(), 1, "what is after it can be had by seeking");
}

#[test]
fn missing_and_shortened_segments_are_named() {
    let rig = rig_with_three_segments();
    let middle = rig.files.take(&segment(1)).unwrap();
    let error = rig.open().unwrap_err();
    let OpenLogError::SegmentMissing { missing, follower } = &error else { panic!("{error}") };
    assert_eq!((missing, follower), (&segment(1), &segment(2)));

    rig.files.put(&segment(1), middle[..middle.len() - 1].to_vec());
    let error = rig.open().unwrap_err();
    let OpenLogError::Corrupt { segment: path, at_byte, .. } = &error else { panic!("{error}") };
    assert_eq!((path, *at_byte), (&segment(1), middle.len() as u64 - 1));

    // Garbage after the end of an older segment was never acknowledged; it is neither read nor counted.
    rig.files.put(&segment(1), middle.clone());
    let bytes = rig.open().unwrap().bytes();
    rig.files.put(&segment(1), [middle.as_slice(), b"garbage"].concat());
    let log = rig.open().unwrap();
    assert_eq!((read_all(&log).len(), log.bytes()), (3, bytes));
    drop(log);

    // A foreign file under a segment's name.
    rig.files.put(&segment(1), rig.files.contents(&segment(2)).unwrap());
    assert!(matches!(rig.open(), Err(OpenLogError::Corrupt { .. })));
}

#[test]
fn a_deleted_log_shows_as_created_and_to_readers_with_a_checkpoint() {
    let rig = rig_with_three_segments();
    rig.segments().iter().for_each(|path| drop(rig.files.take(path)));
    let log = rig.open().unwrap();
    assert!(log.recovery().created);
    assert!(matches!(read_from(&log, Offset(3)), Err(ReadError::BeyondEnd { next: Offset(0) })));
}

#[test]
fn a_log_started_after_a_loss_uses_no_offset_twice() {
    let rig = Rig::new(1, LogOptions { first_offset: Offset(500), ..LogOptions::default() });
    let log = rig.open().unwrap();
    assert_eq!((log.first_offset(), log.recovery().next), (Offset(500), Offset(500)));
    assert_eq!(append(&log, &["a"]).unwrap().first, Offset(500));
    assert!(matches!(read_from(&log, Offset(499)), Err(ReadError::Trimmed { first: Offset(500) })));
    drop(log);
    // An existing log goes on where it was.
    let mut rig = rig;
    rig.options.first_offset = Offset(9);
    let log = rig.open().unwrap();
    assert_eq!((read_all(&log).len(), log.next_offset()), (1, Offset(501)));
}

#[test]
fn an_unfinished_new_segment_is_removed() {
    let rig = rig_with_three_segments();
    let header = rig.files.contents(&segment(2)).unwrap()[..SEGMENT_HEADER_BYTES as usize].to_vec();
    for header_bytes in 0..header.len() {
        for zeroed in [false, true] {
            let mut unfinished = header[..header_bytes].to_vec();
            if zeroed {
                unfinished.resize(header.len(), 0);
            }
            rig.files.put(&segment(3), unfinished);
            let log = rig.open().unwrap();
            assert_eq!(log.recovery().unfinished_segment, Some(segment(3)));
            assert_eq!(rig.segments().len(), 3);
            assert_eq!((log.next_offset(), read_all(&log).len()), (Offset(3), 3));
        }
    }
    // Alone in the folder, it keeps its offset.
    (0..3).for_each(|base| drop(rig.files.take(&segment(base))));
    rig.files.put(&segment(3), vec![]);
    let log = rig.open().unwrap();
    assert_eq!(append(&log, &["x"]).unwrap().first, Offset(3));
}

#[test]
fn a_later_format_version_is_refused_by_name() {
    let rig = rig_with_three_segments();
    let mut newer = rig.files.contents(&segment(0)).unwrap();
    newer[8] = 2;
    // A program writes a checksum that fits; or one of a later version has it elsewhere.
    for crc in [crc32fast::hash(&newer[..48]), 0x1234_5678] {
        newer[48..52].copy_from_slice(&crc.to_le_bytes());
        rig.files.put(&segment(0), newer.clone());
        assert!(matches!(rig.open(), Err(OpenLogError::UnknownVersion { version: 2, known: 1, .. })));
        assert!(matches!(rig.accept_loss(0), Err(OpenLogError::UnknownVersion { .. })), "it is not given up either");
        assert_eq!(rig.files.contents(&segment(0)).unwrap(), newer, "it is left as it is");
    }
}

#[test]
fn a_disk_full_at_any_byte_appends_nothing_and_the_log_goes_on() {
    // Enough for a write into the same segment, and for one that needs a new segment.
    for payload in ["x".repeat(20), "x".repeat(250)] {
        let needed = GROUP_HEADER_BYTES + 4 + payload.len() + SEGMENT_HEADER_BYTES as usize;
        let mut failures = 0;
        for free_bytes in 0..needed {
            let rig = Rig::small(free_bytes as u64);
            rig.files.set_short_writes(free_bytes % 2 == 0);
            let log = rig.open().unwrap();
            append(&log, &["before"]).unwrap();
            let bytes = log.bytes();
            rig.files.set_capacity_bytes(Some(rig.files.used_bytes() + free_bytes as u64));
            match append(&log, &[&payload]) {
                Ok(_) => continue,
                Err(error) => assert!(matches!(error, AppendError::DiskFull { .. }), "{free_bytes}: {error}"),
            }
            failures += 1;
            assert_eq!((log.next_offset(), read_all(&log).len()), (Offset(1), 1));
            assert!(log.bytes() == bytes || log.bytes() == bytes + SEGMENT_HEADER_BYTES);
            rig.files.set_capacity_bytes(None);
            assert_eq!(append(&log, &["after"]).unwrap().first, Offset(1));
            drop(log);
            rig.files.restart();
            assert_eq!(read_all(&rig.open().unwrap()), ["before", "after"], "{free_bytes}");
        }
        assert!(failures >= GROUP_HEADER_BYTES + 4 + payload.len(), "{failures} of {needed}");
    }
}

#[test]
fn a_failed_sync_stops_the_log_until_it_is_opened_again() {
    for seed in 0..20 {
        let rig = Rig::small(seed);
        let log = rig.open().unwrap();
        append(&log, &["durable"]).unwrap();
        rig.files.fail_syncs(1);
        let error = append(&log, &["lost"]).unwrap_err();
        assert!(matches!(error, AppendError::Poisoned { .. }), "{error}");
        let error = append(&log, &["refused"]).unwrap_err();
        assert!(matches!(error, AppendError::Poisoned { .. }), "a second sync must not be trusted: {error}");
        assert_eq!(read_all(&log), ["durable"], "readers never saw it");
        drop(log);

        let log = rig.open().unwrap();
        assert_eq!(read_all(&log), ["durable"]);
        append(&log, &["again"]).unwrap();
        drop(log);
        rig.files.restart();
        assert_eq!(read_all(&rig.open().unwrap()), ["durable", "again"], "seed {seed}");
    }
}

#[tokio::test]
async fn waiting_readers_are_told_of_a_failed_sync() {
    let rig = Rig::small(1);
    let log = rig.open().unwrap();
    let mut reader = log.reader(Offset(0));
    let waiting = tokio::spawn(async move { reader.next_batch(1, 1).await });
    rig.files.fail_syncs(1);
    let appending = log.clone();
    tokio::task::spawn_blocking(move || append(&appending, &["lost"]).unwrap_err()).await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(ReadError::Closed)));
}

#[test]
fn a_partial_write_that_cannot_be_taken_back_stops_the_log() {
    let rig = Rig::small(1);
    let log = rig.open().unwrap();
    append(&log, &["before"]).unwrap();
    rig.files.set_capacity_bytes(Some(rig.files.used_bytes() + 10));
    rig.files.fail_truncates(1);
    assert!(matches!(append(&log, &["x"]), Err(AppendError::Poisoned { .. })));
    rig.files.set_capacity_bytes(None);
    assert!(matches!(append(&log, &["x"]), Err(AppendError::Poisoned { .. })));
    drop(log);
    let log = rig.open().unwrap();
    assert_eq!(log.recovery().cut.as_ref().unwrap().bytes, 10);
    assert_eq!(read_all(&log), ["before"]);
}

#[test]
fn a_failed_sync_of_a_new_segment_stops_the_log_too() {
    for syncs_before in [0, 1] {
        let rig = Rig::small(1);
        let log = rig.open().unwrap();
        append(&log, &["x".repeat(200).as_str()]).unwrap();
        // The file's sync, or the folder's after it.
        rig.files.fail_sync_after(syncs_before);
        assert!(matches!(append(&log, &["y".repeat(200).as_str()]), Err(AppendError::Poisoned { .. })));
        drop(log);
        rig.files.restart();
        let log = rig.open().unwrap();
        assert_eq!(append(&log, &["z"]).unwrap().first, Offset(1));
    }
}

#[test]
fn a_trim_that_fails_can_be_repeated() {
    let rig = rig_with_three_segments();
    let log = rig.open().unwrap();
    rig.files.fail_syncs(1);
    let error = log.trim_before(Offset(2)).unwrap_err();
    assert_eq!(error.to_string(), "cannot delete /log");
    assert_eq!(log.trim_before(Offset(2)).unwrap().first, Offset(2));
    drop(log);
    rig.files.restart();
    assert_eq!(rig.open().unwrap().first_offset(), Offset(2));
}
