//! Writes the seeds that are made by our own writers into `corpus/`. Run it when a stored format changes, and keep the old
//! seeds beside the new ones: `cargo run -p tidegate-fuzz --example seeds VERSION`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use storage::log::{Checkpoints, Environment, Log, LogOptions, Offset};
use storage::testing::FaultyFiles;
use telemetry::segment::write_segment;
use telemetry::{Row, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let version = std::env::args().nth(1).ok_or("usage: seeds VERSION")?;
    log_files(&version)?;
    telemetry_segment(&version)
}

fn seed(target: &str, version: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    folder.join(format!("seed-{version}"))
}

fn log_files(version: &str) -> Result<(), Box<dyn Error>> {
    let files = FaultyFiles::new(1);
    let environment = Environment { files: Arc::new(files.clone()), clock: Arc::new(|| 1_800_000_000_000) };
    let log = Log::open_in(Path::new("/log"), LogOptions::default(), environment)?;
    for group in [vec!["one"], vec!["two", "", "three"], vec!["a longer record that is the last one"]] {
        log.append_blocking(group.into_iter().map(|text| Bytes::from_static(text.as_bytes())).collect::<Vec<_>>())?;
    }
    drop(log);
    let segment = files.contents(Path::new("/log/00000000000000000000.log")).ok_or("no segment")?;
    fs::write(seed("log_segment", version), segment)?;

    let path = Path::new("/log/checkpoints");
    let checkpoints = Checkpoints::open_on(path, Arc::new(files.clone()))?;
    checkpoints.set("telemetry", Offset(1534))?;
    checkpoints.set("exports/archive", Offset(1200))?;
    fs::write(seed("log_checkpoints", version), files.contents(path).ok_or("no checkpoints")?)?;
    Ok(())
}

fn telemetry_segment(version: &str) -> Result<(), Box<dyn Error>> {
    let row = |offset: u64, device: &str, values: &[(&str, Value)]| Row {
        device: device.into(),
        module: offset.is_multiple_of(3).then(|| "probe".into()),
        component: None,
        ts_ms: 1_800_000_000_000 + offset as i64,
        enqueued_ms: 1_800_000_000_005 + offset as i64,
        offset,
        template: Some("dtmi:a;1".into()),
        values: values.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect(),
    };
    let mut rows: Vec<Row> = (0..20_u64)
        .map(|offset| {
            let device = if offset.is_multiple_of(2) { "pump-1" } else { "pump-2" };
            let value = match offset % 5 {
                0 => Value::Double(21.5),
                1 => Value::Integer(21),
                2 => Value::Boolean(true),
                3 => Value::Text("warm".into()),
                _ => Value::Json(r#"{"c":21}"#.into()),
            };
            row(offset, device, &[("temperature", value), ("flow", Value::Double(offset as f64))])
        })
        .collect();
    let folder = tempfile::tempdir()?;
    let meta = write_segment(folder.path(), "app", &mut rows)?;
    fs::copy(folder.path().join(&meta.file_name), seed("telemetry_segment", version))?;
    Ok(())
}
