//! Damage to what was acknowledged: found wherever it is, and gone on without by losing exactly that.

use super::rig::{DIR, Rig, append, segment};
use crate::limits::PROBE_BYTES;
use crate::log::segment::{GROUP_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use crate::log::{Log, LogOptions, Offset, OpenLogError, ProbeError};

/// Bytes of a group with one record of three bytes.
const GROUP_BYTES: usize = GROUP_HEADER_BYTES + 4 + 3;

/// Nine groups of one record each in three segments, bases 0, 3, 6.
fn rig() -> Rig {
    let segment_bytes_max = SEGMENT_HEADER_BYTES + 3 * GROUP_BYTES as u64;
    let rig = Rig::new(1, LogOptions { segment_bytes_max, tail_bytes_max: 0, ..LogOptions::default() });
    let log = rig.open().unwrap();
    for n in 0..9 {
        append(&log, &[&format!("r{n:02}")]).unwrap();
    }
    drop(log);
    assert_eq!(rig.segments(), [segment(0), segment(3), segment(6)]);
    rig
}

/// What is there, by offset.
fn read(log: &Log) -> Vec<(u64, String)> {
    let mut reader = log.reader(Offset(0));
    let mut found = Vec::new();
    loop {
        let batch = reader.try_next_batch(2, usize::MAX).unwrap();
        if batch.is_empty() {
            assert_eq!(reader.position(), log.next_offset());
            return found;
        }
        let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
        found.extend(batch.iter().map(|record| (record.offset.0, text(&record.payload))));
    }
}

/// Gives up what is broken, and checks that exactly `lost` is gone, that the log goes on, and that nothing more is given up then.
fn go_on_without(rig: &Rig, lost: &[u64], about: &str) {
    let parts = rig.accept_loss(0).unwrap();
    let gone: Vec<u64> = parts.iter().flat_map(|part| part.first..part.next).collect();
    assert_eq!(gone, lost, "{about}");
    let log = rig.open().unwrap_or_else(|error| panic!("{about}: {error}"));
    let mut expected: Vec<(u64, String)> =
        (0..9).filter(|n| !lost.contains(n)).map(|n| (n, format!("r{n:02}"))).collect();
    assert_eq!(read(&log), expected, "{about}");
    assert_eq!(rig.verify().unwrap().unwrap().ends.next, Offset(9), "{about}");
    assert_eq!(append(&log, &["new"]).unwrap().first, Offset(9), "{about}: no number is used twice");
    drop(log);
    assert_eq!(rig.accept_loss(0).unwrap(), [], "{about}");
    expected.push((9, "new".to_owned()));
    assert_eq!(read(&rig.open().unwrap()), expected, "{about}");
}

#[test]
fn a_broken_byte_costs_its_group_and_nothing_else() {
    for base in [0, 3, 6] {
        let bytes = rig().files.contents(&segment(base)).unwrap().len();
        for at in 0..bytes {
            let rig = rig();
            let mut damaged = rig.files.contents(&segment(base)).unwrap();
            damaged[at] ^= 0x10;
            rig.files.put(&segment(base), damaged);
            let in_header = at < SEGMENT_HEADER_BYTES as usize;
            let group = at.saturating_sub(SEGMENT_HEADER_BYTES as usize) / GROUP_BYTES;
            let lost: &[u64] = if in_header { &[] } else { &[base + group as u64] };
            go_on_without(&rig, lost, &format!("segment {base}, byte {at}"));
        }
    }
}

#[test]
fn a_segment_cut_short_anywhere_costs_what_was_cut_off() {
    for base in [0, 3, 6] {
        let bytes = rig().files.contents(&segment(base)).unwrap().len();
        for left in SEGMENT_HEADER_BYTES as usize..bytes {
            let rig = rig();
            let whole = rig.files.contents(&segment(base)).unwrap();
            rig.files.put(&segment(base), whole[..left].to_vec());
            let error = rig.open().unwrap_err();
            assert!(matches!(error, OpenLogError::Corrupt { .. }), "segment {base}, {left} bytes left: {error}");
            let groups = (left - SEGMENT_HEADER_BYTES as usize) / GROUP_BYTES;
            let lost: Vec<u64> = (base + groups as u64..base + 3).collect();
            go_on_without(&rig, &lost, &format!("segment {base}, {left} bytes left"));
        }
    }
}

#[test]
fn a_missing_segment_costs_its_records() {
    let rig = rig();
    rig.files.take(&segment(3));
    assert!(matches!(rig.open(), Err(OpenLogError::SegmentMissing { .. })));
    go_on_without(&rig, &[3, 4, 5], "the middle one");
    let rig = self::rig();
    rig.files.take(&segment(6));
    assert!(matches!(rig.open(), Err(OpenLogError::Corrupt { .. })), "more was acknowledged");
    go_on_without(&rig, &[6, 7, 8], "the newest one");
}

#[test]
fn a_segment_of_which_nothing_can_be_read_is_kept_under_another_name() {
    let rig = rig();
    let garbage = vec![0x5a; 100];
    rig.files.put(&segment(3), garbage.clone());
    go_on_without(&rig, &[3, 4, 5], "overwritten");
    let kept = std::path::PathBuf::from(format!("{DIR}/00000000000000000003.log.damaged"));
    assert_eq!(rig.files.contents(&kept).unwrap(), garbage);
}

#[test]
fn a_sound_log_loses_nothing_and_begins_where_it_was_reached() {
    let rig = rig();
    let before: Vec<_> = rig.segments().iter().map(|path| rig.files.contents(path)).collect();
    assert_eq!(rig.accept_loss(9).unwrap(), []);
    assert_eq!(rig.segments().iter().map(|path| rig.files.contents(path)).collect::<Vec<_>>(), before);
    let parts = rig.accept_loss(12).unwrap();
    assert_eq!(parts.iter().map(|part| (part.first, part.next)).collect::<Vec<_>>(), [(9, 12)]);
    let log = rig.open().unwrap();
    assert_eq!((log.next_offset(), read(&log).len()), (Offset(12), 9));
    assert_eq!(append(&log, &["new"]).unwrap().first, Offset(12));
}

#[test]
fn the_last_acknowledged_group_is_told_from_an_unfinished_one() {
    let whole = rig().files.contents(&segment(6)).unwrap();
    for at in whole.len() - GROUP_BYTES..whole.len() {
        let rig = rig();
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        rig.files.put(&segment(6), damaged.clone());
        let error = rig.open().unwrap_err();
        assert!(matches!(error, OpenLogError::Corrupt { .. }), "byte {at}: {error}");
        assert_eq!(rig.files.contents(&segment(6)).unwrap(), damaged, "evidence is left as it is");
    }
    // What goes beyond what was acknowledged is a write that was never finished.
    for more in 1..GROUP_BYTES {
        let rig = rig();
        rig.files.put(&segment(6), [&whole[..], &whole[whole.len() - GROUP_BYTES..][..more]].concat());
        let log = rig.open().unwrap();
        assert_eq!((read(&log).len(), log.recovery().cut.as_ref().map(|cut| cut.bytes)), (9, Some(more as u64)));
    }
}

#[test]
fn a_log_that_was_full_says_when_there_is_room() {
    let total_bytes_max = 4 * PROBE_BYTES as u64;
    let rig = Rig::new(1, LogOptions { total_bytes_max: Some(total_bytes_max), ..LogOptions::default() });
    let log = rig.open().unwrap();
    assert_eq!(log.probe(), Ok(()));
    log.set_total_bytes_max(log.bytes() + PROBE_BYTES as u64);
    assert_eq!(log.probe(), Err(ProbeError::NoRoom), "over the limit");
    log.set_total_bytes_max(total_bytes_max);
    assert_eq!(log.probe(), Ok(()));
    let reading = log.clone();
    close(log);
    assert_eq!(reading.probe(), Err(ProbeError::Closed));
}

fn close(log: Log) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(log.close());
}
