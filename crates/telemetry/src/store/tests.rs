//! The store against a plain list of rows: whatever is flushed, compacted or repeated, the answers are those of the list.
#![allow(clippy::unwrap_used)]

mod model;
mod query;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;

use super::*;
use crate::limits::{FOOTERS_CACHED_MAX, SCAN_ATTEMPTS_MAX, SERIES_MAX, SERIES_POINTS_MAX};
use crate::row::Value;
use crate::segment::{compact, folder::remove_segment};
use crate::series::{Point, SeriesColumn};

/// A catalog in memory, with the folder its segments are in.
pub(super) struct Fixture {
    folder: tempfile::TempDir,
    catalog: Arc<MemoryCatalog>,
    store: TelemetryStore,
    /// In the catalog, but not yet released from memory.
    committed: Mutex<Option<SegmentMeta>>,
}

#[derive(Default)]
struct MemoryCatalog {
    segments: Mutex<Vec<SegmentMeta>>,
    /// Shown once each instead of the segments: snapshots of a moment ago.
    stale: Mutex<VecDeque<Vec<SegmentMeta>>>,
    damaged: Mutex<Vec<String>>,
}

impl Catalog for MemoryCatalog {
    fn segments(&self, application: &str, _: TimeRange, _: Option<&str>) -> Result<Vec<SegmentMeta>, CatalogError> {
        assert_eq!(application, "app");
        let stale = self.stale.lock().unwrap().pop_front();
        Ok(stale.unwrap_or_else(|| self.segments.lock().unwrap().clone()))
    }

    fn damage_changed(&self, _: &str, files: &BTreeMap<String, String>) {
        *self.damaged.lock().unwrap() = files.keys().cloned().collect();
    }
}

impl Fixture {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Arc::new(MemoryCatalog::default());
        let store = TelemetryStore::new("app", folder.path(), catalog.clone(), NewestLimits::default());
        Fixture { folder, catalog, store, committed: Mutex::default() }
    }

    /// Writes what is in memory and commits it. Without `release` the rows stay in memory as well until the next flush: the
    /// moment between commit and release that a read may fall into.
    pub fn flush(&self, release: bool) {
        self.release();
        if let Some(meta) = self.store.write_pending().unwrap() {
            self.catalog.segments.lock().unwrap().push(meta.clone());
            *self.committed.lock().unwrap() = Some(meta);
        }
        if release {
            self.release();
        }
    }

    fn release(&self) {
        if let Some(meta) = self.committed.lock().unwrap().take() {
            self.store.release(&meta);
        }
    }

    /// Merges the first segments, up to `count`.
    pub fn compact(&self, count: usize) {
        let mut segments = self.catalog.segments.lock().unwrap();
        let inputs: Vec<SegmentMeta> = segments.iter().take(count).cloned().collect();
        if inputs.len() >= 2 {
            let merged = compact(self.folder.path(), "app", &inputs).unwrap();
            segments.retain(|meta| !inputs.contains(meta));
            segments.push(merged);
            for meta in &inputs {
                remove_segment(self.folder.path(), &meta.file_name).unwrap();
            }
        }
    }

    fn path_of_first_segment(&self) -> PathBuf {
        self.folder.path().join(&self.catalog.segments.lock().unwrap()[0].file_name)
    }
}

pub(super) fn row(device: &str, ts_ms: i64, offset: u64, values: &[(&str, Value)]) -> Row {
    Row {
        device: device.into(),
        module: None,
        component: None,
        ts_ms,
        enqueued_ms: ts_ms,
        offset,
        template: None,
        values: values.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect(),
    }
}

fn request(device: &str) -> RangeRequest {
    RangeRequest {
        selection: Selection {
            devices: Devices::one(device),
            module: Part::Any,
            component: Part::Any,
            range: TimeRange::ALL,
        },
        names: Names::All,
        order: Order::OldestFirst,
        limit: 10,
    }
}

fn offsets(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|row| row.offset).collect()
}

fn counted(count: u64) -> Vec<Row> {
    (0..count).map(|n| row("d", n as i64, n, &[("a", Value::Integer(n as i64))])).collect()
}

#[test]
fn a_row_in_memory_and_in_a_file_is_one_row() {
    let fixture = Fixture::new();
    fixture.store.insert(counted(3)).unwrap();
    fixture.flush(false);
    assert_eq!(offsets(&fixture.store.range(&request("d")).unwrap()), [0, 1, 2]);
    fixture.release();
    assert_eq!(offsets(&fixture.store.range(&request("d")).unwrap()), [0, 1, 2]);
    assert_eq!(fixture.store.newest().pending().rows, 0);
    assert!(fixture.store.write_pending().unwrap().is_none());
}

#[test]
fn the_rows_of_one_message_are_all_read_in_their_order_wherever_they_are() {
    let fixture = Fixture::new();
    let element = |offset, n: i64| row("d", 5, offset, &[("n", Value::Integer(n))]);
    let read = |order| -> Vec<Value> {
        let rows = fixture.store.range(&RangeRequest { order, ..request("d") }).unwrap();
        rows.into_iter().map(|row| row.values[0].1.clone()).collect()
    };
    let numbers = |numbers: &[i64]| -> Vec<Value> { numbers.iter().copied().map(Value::Integer).collect() };
    let check = |place: &str| {
        assert_eq!(read(Order::OldestFirst), numbers(&[1, 2, 2, 3]), "{place}");
        assert_eq!(read(Order::NewestFirst), numbers(&[3, 2, 2, 1]), "{place}");
        let last = || fixture.store.last_value("d", None, None, "n").unwrap().unwrap().value;
        assert_eq!(last(), Value::Integer(3), "{place}");
        fixture.store.last_values().remove_device("d");
        if place != "in memory" {
            assert_eq!(last(), Value::Integer(3), "{place}, once forgotten");
        }
    };
    fixture.store.insert(vec![element(1, 1), element(1, 2), element(1, 2), element(1, 3)]).unwrap();
    check("in memory");
    fixture.flush(false);
    check("in memory and in a file");
    fixture.release();
    check("in a file");
    fixture.store.insert(vec![row("other", 1, 2, &[])]).unwrap();
    fixture.flush(true);
    fixture.compact(2);
    check("in a compacted file");
}

#[test]
fn a_compaction_under_a_read_starts_it_again() {
    let fixture = Fixture::new();
    fixture.store.insert(counted(2)).unwrap();
    fixture.flush(true);
    fixture.store.insert(vec![row("d", 2, 2, &[])]).unwrap();
    fixture.flush(true);
    let before = fixture.catalog.segments.lock().unwrap().clone();
    fixture.compact(2);
    let now = fixture.catalog.segments.lock().unwrap().clone();
    // Each attempt that meets a file gone asks once more, whether it is still listed.
    let stale = |attempts: u32| (0..attempts).flat_map(|_| [before.clone(), now.clone()]).collect();
    *fixture.catalog.stale.lock().unwrap() = stale(SCAN_ATTEMPTS_MAX - 1);
    assert_eq!(offsets(&fixture.store.range(&request("d")).unwrap()), [0, 1, 2]);
    *fixture.catalog.stale.lock().unwrap() = stale(SCAN_ATTEMPTS_MAX);
    let given_up = fixture.store.range(&request("d"));
    assert!(matches!(given_up, Err(ScanError::Segment(ReadSegmentError::Missing { .. }))));
}

/// Two files, of which the first is damaged and then mended.
#[test]
fn a_deleted_or_damaged_file_is_named_and_left_out_until_it_is_whole_again() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 3] = [
        ("shortened", |path| std::fs::write(path, &std::fs::read(path).unwrap()[1..]).unwrap()),
        ("removed", |path| std::fs::remove_file(path).unwrap()),
        ("emptied", |path| std::fs::write(path, "").unwrap()),
    ];
    for (name, damage) in damages {
        for was_read in [false, true] {
            let fixture = Fixture::new();
            fixture.store.insert(counted(3)).unwrap();
            fixture.flush(true);
            fixture.store.insert(vec![row("d", 9, 3, &[])]).unwrap();
            fixture.flush(true);
            let path = fixture.path_of_first_segment();
            let file_name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let sound = std::fs::read(&path).unwrap();
            if was_read {
                assert_eq!(fixture.store.range(&request("d")).unwrap().len(), 4);
            }
            damage(&path);
            assert_eq!(offsets(&fixture.store.range(&request("d")).unwrap()), [3], "{name}");
            assert_eq!(fixture.catalog.damaged.lock().unwrap().join(" "), file_name, "{name}");
            assert!(fixture.store.is_damaged(&file_name));

            std::fs::write(&path, &sound).unwrap();
            let meta = fixture.catalog.segments.lock().unwrap()[0].clone();
            assert!(fixture.store.check(&meta).unwrap());
            assert!(fixture.catalog.damaged.lock().unwrap().is_empty(), "{name}");
            assert_eq!(fixture.store.range(&request("d")).unwrap().len(), 4, "{name}");
        }
    }
}

/// What a reader would take for other numbers is found by the checksum, wherever the bit is.
#[test]
fn no_flipped_bit_changes_an_answer() {
    let fixture = Fixture::new();
    fixture.store.insert(counted(100)).unwrap();
    fixture.flush(true);
    let path = fixture.path_of_first_segment();
    let sound = std::fs::read(&path).unwrap();
    let meta = fixture.catalog.segments.lock().unwrap()[0].clone();
    let bits = sound.len() * 8;
    for bit in (0..bits).step_by((bits / 250).max(1)) {
        let mut damaged = sound.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, damaged).unwrap();
        let fresh = TelemetryStore::new("app", fixture.folder.path(), fixture.catalog.clone(), NewestLimits::default());
        assert!(fresh.range(&request("d")).unwrap().is_empty(), "bit {bit}");
        assert!(!fresh.check(&meta).unwrap());
        // A file that was whole when it was read: the scrub finds it.
        std::fs::write(&path, &sound).unwrap();
    }
    fixture.store.forget_unlisted();
    assert_eq!(fixture.store.range(&request("d")).unwrap().len(), 10);
}

#[test]
fn a_scan_stops_at_its_limit_of_rows() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.store.scan_rows_max, SCAN_ROWS_MAX);
    fixture.store.insert(counted(5)).unwrap();
    fixture.flush(true);
    fixture.store.scan_rows_max = 5;
    assert_eq!(fixture.store.range(&request("d")).unwrap().len(), 5);
    fixture.store.scan_rows_max = 4;
    assert!(matches!(fixture.store.range(&request("d")), Err(ScanError::TooManyRows)));
}

#[test]
fn a_range_has_rows_up_to_the_limit() {
    let fixture = Fixture::new();
    fixture.store.insert(counted(RANGE_ROWS_MAX as u64 + 1)).unwrap();
    let all = RangeRequest { limit: usize::MAX, ..request("d") };
    assert_eq!(fixture.store.range(&all).unwrap().len(), RANGE_ROWS_MAX);
}

#[test]
fn messages_page_backwards_through_memory_and_files() {
    let fixture = Fixture::new();
    fixture.store.insert(counted(4)).unwrap();
    fixture.flush(true);
    fixture.store.insert(vec![row("d", 1, 4, &[]), row("other", 1, 5, &[]), row("d", 0, 6, &[])]).unwrap();
    let page = |before| offsets(&fixture.store.messages("d", Part::Any, before, 3).unwrap());
    assert_eq!(page(None), [6, 4, 3]);
    assert_eq!(page(Some(3)), [2, 1, 0]);
    assert!(page(Some(0)).is_empty());
    assert!(fixture.store.messages("d", Part::exactly(Some("m")), None, 3).unwrap().is_empty());
}

#[test]
fn a_last_value_that_was_forgotten_is_found_in_the_files() {
    let fixture = Fixture::new();
    fixture.store.insert(counted(3)).unwrap();
    let in_module = Row { module: Some("m".into()), ..row("d", 9, 3, &[("a", Value::Text("m".into()))]) };
    fixture.store.insert(vec![in_module]).unwrap();
    fixture.flush(true);
    let last = |module| fixture.store.last_value("d", module, None, "a").unwrap().map(|last| (last.ts_ms, last.value));
    let expected = (Some((2, Value::Integer(2))), Some((9, Value::Text("m".into()))));
    assert_eq!((last(None), last(Some("m"))), expected);
    fixture.store.last_values().remove_device("d");
    assert_eq!((last(None), last(Some("m"))), expected);
    assert_eq!(fixture.store.last_value("d", None, None, "b").unwrap(), None);
}

#[test]
fn a_series_goes_over_memory_and_files_without_seams() {
    let fixture = Fixture::new();
    fixture.store.insert(counted(50)).unwrap();
    fixture.flush(false);
    let more = (50..100).map(|n| row("d", n as i64, n, &[("a", Value::Double(n as f64)), ("b", Value::Boolean(true))]));
    fixture.store.insert(more.collect()).unwrap();
    let column = |name: &str| SeriesColumn { module: None, component: None, name: name.into(), fields: Vec::new() };
    let request = |points| SeriesRequest {
        device: "d".into(),
        columns: vec![column("a"), column("b"), column("none")],
        range: TimeRange { from_ms: 0, to_ms: 100 },
        points,
    };
    let series = fixture.store.series(&request(100)).unwrap();
    let expected: Vec<Point> = (0..100).map(|n| Point::Value { ts_ms: n, value: n as f64 }).collect();
    assert_eq!(series[0].points, expected);
    assert_eq!((series[1].points.len(), series[2].points.len()), (50, 0));
    let thin = fixture.store.series(&request(10)).unwrap();
    assert_eq!(thin[0].points.len(), 10);
    assert!(matches!(fixture.store.series(&request(0)), Err(ReadSeriesError::WrongPoints(0))));
    assert!(fixture.store.series(&request(SERIES_POINTS_MAX)).is_ok());
    assert!(fixture.store.series(&request(SERIES_POINTS_MAX + 1)).is_err());
    let many = SeriesRequest { columns: vec![column("a"); SERIES_MAX + 1], ..request(1) };
    assert!(matches!(fixture.store.series(&many), Err(ReadSeriesError::TooManySeries(_))));
}

#[test]
fn footers_are_kept_up_to_the_limit() {
    let fixture = Fixture::new();
    for n in 0..=FOOTERS_CACHED_MAX as u64 {
        fixture.store.insert(vec![row("d", n as i64, n, &[])]).unwrap();
        fixture.flush(true);
    }
    let all = RangeRequest { limit: usize::MAX, ..request("d") };
    for _ in 0..2 {
        assert_eq!(fixture.store.range(&all).unwrap().len(), FOOTERS_CACHED_MAX + 1);
    }
    let cached: BTreeSet<String> = fixture
        .catalog
        .segments
        .lock()
        .unwrap()
        .iter()
        .map(|meta| meta.file_name.clone())
        .filter(|name| fixture.store.footers.get(name).is_some())
        .collect();
    assert_eq!(cached.len(), FOOTERS_CACHED_MAX);
}
