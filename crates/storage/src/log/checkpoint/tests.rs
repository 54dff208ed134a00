#![allow(clippy::unwrap_used)]
use super::*;
use crate::testing::FaultyFiles;

const PATH: &str = "/data/checkpoints";

fn open(files: &FaultyFiles) -> Result<Checkpoints, CheckpointError> {
    Checkpoints::open_on(Path::new(PATH), Arc::new(files.clone()))
}

#[test]
fn positions_are_kept_and_the_smallest_is_known() {
    let files = FaultyFiles::new(1);
    let checkpoints = open(&files).unwrap();
    assert_eq!((checkpoints.get("telemetry"), checkpoints.min()), (None, None));
    checkpoints.set("telemetry", Offset(1534)).unwrap();
    checkpoints.set("exports/archive", Offset(1200)).unwrap();
    checkpoints.set("gone", Offset(3)).unwrap();
    checkpoints.remove("gone").unwrap();

    files.restart();
    let checkpoints = open(&files).unwrap();
    assert_eq!(checkpoints.get("telemetry"), Some(Offset(1534)));
    assert_eq!(checkpoints.get("gone"), None);
    assert_eq!(checkpoints.min(), Some(Offset(1200)));
    let text = String::from_utf8(files.contents(Path::new(PATH)).unwrap()).unwrap();
    assert!(text.starts_with("tidegate-checkpoints 1\nexports/archive 1200\ntelemetry 1534\ncrc32 "), "{text}");
}

#[test]
fn setting_the_same_position_again_writes_nothing() {
    let files = FaultyFiles::new(1);
    let checkpoints = open(&files).unwrap();
    checkpoints.set("a", Offset(1)).unwrap();
    let ops = files.ops();
    checkpoints.set("a", Offset(1)).unwrap();
    assert_eq!(files.ops(), ops);
}

#[test]
fn every_damaged_byte_is_noticed() {
    let files = FaultyFiles::new(1);
    open(&files).unwrap().set("a", Offset(10)).unwrap();
    let intact = files.contents(Path::new(PATH)).unwrap();
    for at in 0..intact.len() {
        let mut damaged = intact.clone();
        damaged[at] ^= 0x01;
        files.put(Path::new(PATH), damaged);
        assert!(matches!(open(&files), Err(CheckpointError::Corrupt { .. })), "byte {at}");
        files.put(Path::new(PATH), intact[..at].to_vec());
        assert!(matches!(open(&files), Err(CheckpointError::Corrupt { .. })), "cut at {at}");
    }
}

#[test]
fn names_and_their_limits() {
    let checkpoints = open(&FaultyFiles::new(1)).unwrap();
    for bad in ["", "a b", "a\nb", "a\u{7f}", &"x".repeat(CHECKPOINT_NAME_BYTES_MAX + 1)] {
        assert!(matches!(checkpoints.set(bad, Offset(1)), Err(CheckpointError::Name { .. })), "{bad:?}");
    }
    for n in 1..CHECKPOINTS_MAX {
        checkpoints
            .positions
            .lock()
            .unwrap()
            .insert(format!("{n:0>width$}", width = CHECKPOINT_NAME_BYTES_MAX), Offset(u64::MAX));
    }
    checkpoints.set(&"x".repeat(CHECKPOINT_NAME_BYTES_MAX), Offset(u64::MAX)).unwrap();
    assert!(matches!(checkpoints.set("more", Offset(1)), Err(CheckpointError::TooMany { limit: CHECKPOINTS_MAX })));
    let largest = encode(&checkpoints.positions.lock().unwrap());
    assert!(largest.len() as u64 <= CHECKPOINT_FILE_BYTES_MAX, "{}", largest.len());
}

#[test]
fn a_failed_write_keeps_the_old_position() {
    let files = FaultyFiles::new(1);
    let checkpoints = open(&files).unwrap();
    checkpoints.set("a", Offset(1)).unwrap();
    files.set_capacity_bytes(Some(files.used_bytes() + 3));
    assert!(matches!(checkpoints.set("a", Offset(2)), Err(CheckpointError::Write(_))));
    assert_eq!(checkpoints.get("a"), Some(Offset(1)));
    files.set_capacity_bytes(None);
    checkpoints.set("a", Offset(3)).unwrap();
    assert_eq!(open(&files).unwrap().get("a"), Some(Offset(3)));
}

#[test]
fn all_positions_are_replaced_in_one_write() {
    let files = FaultyFiles::new(1);
    let checkpoints = open(&files).unwrap();
    checkpoints.set("old", Offset(1)).unwrap();
    let one = files.ops();
    let new = BTreeMap::from([("a".to_owned(), Offset(2)), ("b".to_owned(), Offset(3))]);
    checkpoints.replace_all(new.clone()).unwrap();
    let many = files.ops() - one;
    checkpoints.replace_all(new.clone()).unwrap();
    assert_eq!(files.ops(), one + many, "nothing changed, nothing is written");
    checkpoints.set("a", Offset(4)).unwrap();
    assert_eq!(files.ops() - one - many, many, "as many operations as for a single position");
    let bad = BTreeMap::from([("a b".to_owned(), Offset(2))]);
    assert!(matches!(checkpoints.replace_all(bad), Err(CheckpointError::Name { .. })));
    files.restart();
    let expected = BTreeMap::from([("a".to_owned(), Offset(4)), ("b".to_owned(), Offset(3))]);
    assert_eq!(open(&files).unwrap().all(), expected);
}

#[test]
fn a_later_format_version_is_refused_by_name_and_left_as_it_is() {
    let files = FaultyFiles::new(1);
    let text = "tidegate-checkpoints 2\nexports/archive 1200 7\n";
    let text = format!("{text}crc32 {:08x}\n", crc32fast::hash(text.as_bytes()));
    files.put(Path::new(PATH), text.clone().into_bytes());
    assert!(matches!(open(&files), Err(CheckpointError::UnknownVersion { version: 2, known: 1, .. })));
    assert_eq!(files.contents(Path::new(PATH)), Some(text.into_bytes()));
}
