//! Segments written and read: types, overflow, pruning, damage, compaction.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::folder::{FolderReport, inspect, remove_segment, verify_segment};
use super::*;
use crate::limits::{
    BATCH_ROWS, COLUMN_NAME_BYTES_MAX, COMPACT_SEGMENT_BYTES, COMPACT_SEGMENTS_MAX, PAGE_ROWS, ROW_GROUP_ROWS,
    SEGMENT_COLUMNS_MAX, SEGMENT_DEVICES_LISTED_MAX,
};
use crate::row::{Row, Value};
use crate::selection::{Names, Selection, TimeRange};

fn row(device: &str, ts_ms: i64, offset: u64, values: &[(&str, Value)]) -> Row {
    Row {
        device: device.into(),
        module: None,
        component: None,
        ts_ms,
        enqueued_ms: ts_ms + 5,
        offset,
        template: Some("dtmi:a;1".into()),
        values: values.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect(),
    }
}

fn everything() -> Selection {
    Selection::everything()
}

fn read(folder: &Path, meta: &SegmentMeta, selection: &Selection, names: &Names) -> Result<Vec<Row>, ReadSegmentError> {
    SegmentReader::open(folder, meta)?.rows(selection, names)?.collect()
}

fn read_all(folder: &Path, meta: &SegmentMeta) -> Vec<Row> {
    read(folder, meta, &everything(), &Names::All).unwrap()
}

/// Values by name: their order in a row is not kept.
fn sorted(row: &Row) -> BTreeMap<String, String> {
    row.values.iter().map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect()
}

#[test]
fn a_name_whose_type_changes_keeps_every_value_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = [
        Value::Double(21.5),
        Value::Integer(21),
        Value::Boolean(true),
        Value::Text("warm".into()),
        Value::Json(r#"{"c":21}"#.into()),
        Value::Integer(i64::MIN),
        Value::Double(-0.0),
        Value::Text("".into()),
    ];
    let mut rows: Vec<Row> =
        kinds.iter().zip(0..).map(|(value, n)| row("d", n, n as u64, &[("t", value.clone())])).collect();
    let written = rows.clone();
    let meta = write_segment(folder.path(), "app", &mut rows).unwrap();
    assert_eq!(read_all(folder.path(), &meta), written);
    assert_eq!(meta.columns.iter().map(|column| column.values).collect::<Vec<_>>(), [2, 2, 1, 2, 1]);
    assert_eq!((meta.ts_min_ms, meta.ts_max_ms, meta.offset_first, meta.offset_last), (0, 7, 0, 7));
    assert_eq!(fs::metadata(folder.path().join(&meta.file_name)).unwrap().len(), meta.bytes);
}

#[test]
fn the_first_and_the_last_time_that_can_be_said_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let extremes = [i64::MIN, i64::MAX];
    let segment = |ts_ms: i64, offset| {
        let row = Row { enqueued_ms: ts_ms, ..row("d", 0, offset, &[]) };
        write_segment(folder.path(), "app", &mut [Row { ts_ms, ..row }]).unwrap()
    };
    let metas = [segment(extremes[0], 1), segment(extremes[1], 2)];
    let merged = compact(folder.path(), "app", &metas).unwrap();
    let times: Vec<i64> = read_all(folder.path(), &merged).iter().map(|row| row.ts_ms).collect();
    assert_eq!(times, extremes);
}

#[test]
fn names_that_look_like_other_columns_are_only_names() {
    let folder = tempfile::tempdir().unwrap();
    let values =
        ["device", "ts", "more", "t_double", "t", "", "a.b", "_text", "ü/ü"].map(|name| (name, Value::Double(1.5)));
    let mut rows = vec![row("d", 1, 1, &values)];
    let written = sorted(&rows[0]);
    let meta = write_segment(folder.path(), "app", &mut rows).unwrap();
    let read_back = read_all(folder.path(), &meta);
    assert_eq!(sorted(&read_back[0]), written);
    assert_eq!(read_back[0].device.as_ref(), "d");
}

#[test]
fn of_equal_names_in_a_row_the_last_counts() {
    let folder = tempfile::tempdir().unwrap();
    let values = [("a", Value::Integer(1)), ("b", Value::Integer(2)), ("a", Value::Text("3".into()))];
    let meta = write_segment(folder.path(), "app", &mut [row("d", 1, 7, &values)]).unwrap();
    let read_back = read_all(folder.path(), &meta);
    assert_eq!(read_back[0].values, [("a".into(), Value::Text("3".into())), ("b".into(), Value::Integer(2))]);
}

#[test]
fn the_rows_of_one_message_stay_all_and_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |offset: u64| -> Vec<Row> {
        // More than a sort does by insertion alone; some of them alike.
        (0..100).map(|n| row("d", 1, offset, &[("n", Value::Integer(n / 2))])).collect()
    };
    let numbers = |rows: Vec<Row>| -> Vec<Value> { rows.into_iter().map(|row| row.values[0].1.clone()).collect() };
    let expected = numbers(rows(7));
    let first = write_segment(folder.path(), "app", &mut rows(7)).unwrap();
    assert_eq!(numbers(read_all(folder.path(), &first)), expected);
    let second = write_segment(folder.path(), "app", &mut rows(8)).unwrap();
    // Once more under another name, as if two files had the same message.
    let again = SegmentMeta { file_name: "again.parquet".into(), ..first.clone() };
    fs::copy(folder.path().join(&first.file_name), folder.path().join(&again.file_name)).unwrap();
    let merged = compact(folder.path(), "app", &[first, second, again]).unwrap();
    assert_eq!(numbers(read_all(folder.path(), &merged)), [expected.clone(), expected].concat());
}

#[test]
fn names_beyond_the_limit_of_columns_are_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(COLUMN_NAME_BYTES_MAX + 1);
    let mut values: Vec<(String, Value)> =
        (0..=SEGMENT_COLUMNS_MAX).map(|n| (format!("n{n:05}"), Value::Double(n as f64))).collect();
    values.push((long.clone(), Value::Json("[1]".into())));
    let pairs: Vec<(&str, Value)> = values.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let mut rows = vec![row("d", 1, 1, &pairs), row("d", 2, 2, &[("n00003", Value::Integer(3))])];
    let written = sorted(&rows[0]);
    let meta = write_segment(folder.path(), "app", &mut rows).unwrap();
    assert_eq!(meta.columns.len(), SEGMENT_COLUMNS_MAX);
    assert_eq!(sorted(&read_all(folder.path(), &meta)[0]), written);
    let only_long = read(folder.path(), &meta, &everything(), &Names::listed([long.as_str()])).unwrap();
    assert_eq!(only_long[0].values, [(Arc::from(long), Value::Json("[1]".into()))]);
    assert_eq!(only_long[1].values, []);

    // Compaction moves them again, and merges the same columns.
    let mut more = vec![row("d", 3, 3, &[("n01000", Value::Double(1.0))])];
    let other = write_segment(folder.path(), "app", &mut more).unwrap();
    let merged = compact(folder.path(), "app", &[meta, other]).unwrap();
    assert_eq!(sorted(&read_all(folder.path(), &merged)[0]), written);
}

#[test]
fn a_device_and_time_is_found_among_many_pages() {
    let folder = tempfile::tempdir().unwrap();
    let per_device = PAGE_ROWS as u64 / 2 + 1;
    let mut rows: Vec<Row> = (0..5 * per_device)
        .map(|n| {
            let device = format!("device-{}", n % 5);
            row(&device, (n / 5) as i64, n, &[("t", Value::Integer(n as i64))])
        })
        .collect();
    let meta = write_segment(folder.path(), "app", &mut rows).unwrap();
    for (device, from_ms, to_ms) in
        [("device-0", 0, 10), ("device-2", 100, 2_000), ("device-4", 2_040, 9_999), ("x", 0, 99)]
    {
        let selection =
            Selection { devices: Devices::one(device), range: TimeRange { from_ms, to_ms }, ..everything() };
        let expected: Vec<&Row> = rows.iter().filter(|row| selection.contains(row)).collect();
        let found = read(folder.path(), &meta, &selection, &Names::All).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{device}");
    }
}

#[test]
fn devices_are_listed_up_to_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let rows =
        |devices: usize| -> Vec<Row> { (0..devices).map(|n| row(&format!("{n:06}"), 1, n as u64, &[])).collect() };
    let listed = write_segment(folder.path(), "app", &mut rows(SEGMENT_DEVICES_LISTED_MAX)).unwrap();
    assert!(listed.may_hold(&Devices::one("000999")) && !listed.may_hold(&Devices::one("001000")));
    assert!(listed.may_hold(&Devices::Any));
    let many = write_segment(folder.path(), "app", &mut rows(SEGMENT_DEVICES_LISTED_MAX + 1)).unwrap();
    assert_eq!(many.devices, DeviceSet::Many);
    assert!(many.may_hold(&Devices::one("anything")));
    assert_eq!(read_all(folder.path(), &many).len(), SEGMENT_DEVICES_LISTED_MAX + 1);
}

#[test]
fn nothing_to_write_and_impossible_offsets_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = write_segment::<Row>(folder.path(), "app", &mut []);
    assert!(matches!(refused, Err(WriteSegmentError::NoRows)));
    let refused = write_segment(folder.path(), "app", &mut [row("d", 1, u64::MAX, &[])]);
    assert!(matches!(refused, Err(WriteSegmentError::OffsetTooLarge(u64::MAX))));
    let refused = write_segment(&folder.path().join("gone"), "app", &mut [row("d", 1, 1, &[])]);
    assert!(matches!(refused, Err(WriteSegmentError::Write { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing left behind");
}

fn small_segment(folder: &Path, first: u64) -> SegmentMeta {
    let mut rows: Vec<Row> = (first..first + 50)
        .map(|n| {
            row(
                if n % 2 == 0 { "a" } else { "b" },
                n as i64,
                n,
                &[("t", Value::Double(n as f64)), ("s", Value::Text("on".into()))],
            )
        })
        .collect();
    write_segment(folder, "app", &mut rows).unwrap()
}

#[test]
fn a_missing_short_or_damaged_file_is_said_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let meta = small_segment(folder.path(), 0);
    let path = folder.path().join(&meta.file_name);
    let sound = fs::read(&path).unwrap();
    verify_segment(folder.path(), &meta).unwrap();

    fs::write(&path, &sound[..sound.len() - 1]).unwrap();
    assert!(matches!(SegmentReader::open(folder.path(), &meta), Err(ReadSegmentError::WrongSize { .. })));
    fs::write(&path, vec![0; sound.len()]).unwrap();
    assert!(matches!(SegmentReader::open(folder.path(), &meta), Err(ReadSegmentError::Damaged { .. })));
    assert!(matches!(verify_segment(folder.path(), &meta), Err(ReadSegmentError::WrongChecksum { .. })));

    remove_segment(folder.path(), &meta.file_name).unwrap();
    let error = SegmentReader::open(folder.path(), &meta).unwrap_err();
    assert!(matches!(error, ReadSegmentError::Missing { .. }));
    assert!(error.to_string().contains(&meta.file_name), "{error}");
}

/// Any single byte turned over: the reader gives rows or an error, the checksum tells always.
#[test]
fn a_flipped_byte_anywhere_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let meta = small_segment(folder.path(), 0);
    let path = folder.path().join(&meta.file_name);
    let sound = fs::read(&path).unwrap();
    for at in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[at] ^= 0xff;
        fs::write(&path, &damaged).unwrap();
        assert!(
            matches!(verify_segment(folder.path(), &meta), Err(ReadSegmentError::WrongChecksum { .. })),
            "byte {at}"
        );
        let _ = read(folder.path(), &meta, &everything(), &Names::All);
    }
}

#[test]
fn the_folder_is_compared_with_the_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let metas: Vec<SegmentMeta> = [0, 100, 200, 300].map(|first| small_segment(folder.path(), first)).into();
    assert_eq!(inspect(folder.path(), &metas).unwrap(), FolderReport::default());

    fs::write(folder.path().join("x.parquet.tmp"), "half").unwrap();
    remove_segment(folder.path(), &metas[0].file_name).unwrap();
    remove_segment(folder.path(), &metas[0].file_name).unwrap();
    fs::write(folder.path().join(&metas[1].file_name), "short").unwrap();
    let report = inspect(folder.path(), &metas[..3]).unwrap();
    let expected = FolderReport {
        missing: vec![metas[0].file_name.clone()],
        wrong_size: vec![metas[1].file_name.clone()],
        unlisted: vec![metas[3].file_name.clone()],
        temporary_removed: 1,
    };
    assert_eq!(report, expected);
    let gone = inspect(&folder.path().join("gone"), &metas).unwrap();
    assert_eq!(gone.missing.len(), metas.len());
}

#[test]
fn compaction_keeps_every_row_and_refuses_damage() {
    let folder = tempfile::tempdir().unwrap();
    let metas: Vec<SegmentMeta> = (0..4).map(|n| small_segment(folder.path(), n * 40)).collect();
    let merged = compact(folder.path(), "app", &metas).unwrap();
    let offsets: Vec<u64> = {
        let mut rows = read_all(folder.path(), &merged);
        assert!(rows.is_sorted_by(|left, right| left.storage_order(right).is_lt()), "sorted, overlaps merged");
        rows.sort_by_key(|row| row.offset);
        rows.iter().map(|row| row.offset).collect()
    };
    assert_eq!(offsets, (0..170).collect::<Vec<_>>());
    assert_eq!((merged.generation, merged.rows, merged.offset_first, merged.offset_last), (1, 170, 0, 169));
    verify_segment(folder.path(), &merged).unwrap();

    let path = folder.path().join(&metas[2].file_name);
    let mut damaged = fs::read(&path).unwrap();
    damaged[10] ^= 1;
    fs::write(&path, damaged).unwrap();
    assert!(matches!(compact(folder.path(), "app", &metas), Err(CompactSegmentsError::Read(_))));
    assert!(matches!(compact(folder.path(), "app", &metas[..1]), Err(CompactSegmentsError::WrongCount(1))));
    let many = vec![merged; COMPACT_SEGMENTS_MAX];
    assert!(compact(folder.path(), "app", &many).is_ok());
    let too_many = vec![many[0].clone(); COMPACT_SEGMENTS_MAX + 1];
    assert!(matches!(compact(folder.path(), "app", &too_many), Err(CompactSegmentsError::WrongCount(_))));
}

#[test]
fn neighbours_of_one_generation_are_compacted_once_there_are_enough() {
    let meta = |first: u64, generation: u32, bytes: u64| SegmentMeta {
        file_name: format!("{first}-{generation}"),
        generation,
        rows: 1,
        bytes,
        crc32: 0,
        ts_min_ms: 0,
        ts_max_ms: 0,
        offset_first: first,
        offset_last: first,
        devices: DeviceSet::Many,
        columns: Vec::new(),
    };
    let small: Vec<SegmentMeta> = (0..COMPACT_SEGMENTS_MAX as u64).map(|first| meta(first + 10, 0, 1)).collect();
    assert_eq!(plan_compaction(&small[1..]), None);
    assert_eq!(plan_compaction(&small), Some(small.clone()));
    let mut mixed: Vec<SegmentMeta> = vec![meta(0, 1, 1)];
    mixed.extend(small.iter().rev().cloned());
    assert_eq!(plan_compaction(&mixed), Some(small.clone()));
    let sized = |bytes| small.iter().map(move |meta| SegmentMeta { bytes, ..meta.clone() }).collect::<Vec<_>>();
    assert!(plan_compaction(&sized(COMPACT_SEGMENT_BYTES - 1)).is_some());
    assert_eq!(plan_compaction(&sized(COMPACT_SEGMENT_BYTES)), None);
}

#[test]
fn rows_around_a_batch_and_a_row_group_are_all_read() {
    let folder = tempfile::tempdir().unwrap();
    for count in [BATCH_ROWS - 1, BATCH_ROWS, BATCH_ROWS + 1, ROW_GROUP_ROWS, ROW_GROUP_ROWS + 1] {
        let mut rows: Vec<Row> =
            (0..count as u64).map(|at| row("d", at as i64, at, &[("a", Value::Integer(1))])).collect();
        let meta = write_segment(folder.path(), "app", &mut rows).unwrap();
        let reader = SegmentReader::open(folder.path(), &meta).unwrap();
        let offsets = reader.rows(&everything(), &Names::All).unwrap().map(|row| row.unwrap().offset);
        assert!(offsets.eq(0..count as u64), "{count}");
        assert_eq!(reader.row_groups(), count.div_ceil(ROW_GROUP_ROWS), "{count}");
    }
}

#[test]
fn a_later_format_version_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let meta = small_segment(folder.path(), 0);
    let path = folder.path().join(&meta.file_name);
    let mut newer = fs::read(&path).unwrap();
    let key = b"tidegate.segment";
    // In the footer: the key, then the field of the value with its length.
    let value = newer.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 2;
    assert_eq!(newer[value], b'1');
    newer[value] = b'2';
    fs::write(&path, newer).unwrap();
    let error = SegmentReader::open(folder.path(), &meta).unwrap_err();
    assert!(matches!(&error, ReadSegmentError::UnknownVersion { version, .. } if version == "2"), "{error}");
}
