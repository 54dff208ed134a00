//! A telemetry segment of any bytes is read or refused: the decoder's panics are caught, nothing hangs.

use telemetry::segment::{DeviceSet, SegmentMeta, SegmentReader};
use telemetry::{Devices, Names, Selection, TimeRange};

const NAME: &str = "fuzz.parquet";

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(NAME), bytes).expect("a file");
    let meta = SegmentMeta {
        file_name: NAME.to_owned(),
        generation: 0,
        rows: 0,
        bytes: bytes.len() as u64,
        crc32: 0,
        ts_min_ms: i64::MIN,
        ts_max_ms: i64::MAX,
        offset_first: 0,
        offset_last: u64::MAX,
        devices: DeviceSet::Many,
        columns: Vec::new(),
    };
    let Ok(reader) = SegmentReader::open(folder.path(), &meta) else { return };
    let one = Selection { devices: Devices::Listed(["pump-1".into()].into()), ..Selection::everything() };
    let some = Selection { range: TimeRange { from_ms: 0, to_ms: 1_900_000_000_000 }, ..Selection::everything() };
    for selection in [Selection::everything(), one, some] {
        if let Ok(rows) = reader.rows(&selection, &Names::All) {
            let _ = rows.take_while(Result::is_ok).count();
        }
    }
}
