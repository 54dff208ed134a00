//! How small and how fast: rows of ten fields from 200 devices, written as segments and read back.
//!
//! ```text
//! cargo run --release -p tidegate-telemetry --example bytes_per_row [rows [folder]]
//! ```
//!
//! With a folder the segment is kept there, to be opened with any tool that reads Parquet.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use telemetry::segment::{SegmentReader, write_segment};
use telemetry::{Devices, Names, Part, Row, Selection, TimeRange, Value};

const DEVICES: u64 = 200;
const FIELDS: u64 = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(200_000), |text| text.parse())?;
    let kept = std::env::args().nth(2).map(PathBuf::from);
    let temporary = std::env::temp_dir().join(format!("tidegate-bytes-per-row-{}", std::process::id()));
    let folder = kept.clone().unwrap_or(temporary);
    std::fs::create_dir_all(&folder)?;
    let mut generated = generate(rows);

    let start = Instant::now();
    let meta = write_segment(&folder, "example", &mut generated)?;
    report("written", meta.rows, start);
    let bytes = meta.bytes as f64;
    println!("{:.1} bytes a row, {:.2} bytes a value", bytes / rows as f64, bytes / (rows * FIELDS) as f64);

    let all = Selection { devices: Devices::Any, module: Part::Any, component: Part::Any, range: TimeRange::ALL };
    let start = Instant::now();
    let read =
        SegmentReader::open(&folder, &meta)?.rows(&all, &Names::All)?.try_fold(0, |n, row| row.map(|_| n + 1))?;
    report("read", read, start);

    let one = Selection { devices: Devices::one("device-0007"), ..all };
    let start = Instant::now();
    let read = SegmentReader::open(&folder, &meta)?
        .rows(&one, &Names::listed(["field-3"]))?
        .try_fold(0, |n, row| row.map(|_| n + 1))?;
    println!("one device, one field: {read} rows in {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
    match kept {
        Some(folder) => println!("kept {}", folder.join(meta.file_name).display()),
        None => std::fs::remove_dir_all(&folder)?,
    }
    Ok(())
}

fn report(what: &str, rows: u64, start: Instant) {
    let secs = start.elapsed().as_secs_f64();
    println!("{what} {rows} rows in {secs:.2} s: {:.0} rows/s", rows as f64 / secs);
}

/// Measurements with two decimals that wander, a counter, a state and a flag: what devices send.
fn generate(rows: u64) -> Vec<Row> {
    let device_names: Vec<Arc<str>> = (0..DEVICES).map(|n| format!("device-{n:04}").into()).collect();
    let names: Vec<Arc<str>> = (0..FIELDS).map(|n| format!("field-{n}").into()).collect();
    let states: Vec<Arc<str>> = ["running", "idle", "fault"].map(Arc::from).into();
    let mut wander = Wander { state: 0x2545_f491_4f6c_dd1d };
    let mut levels = vec![2_000_i64; (DEVICES * FIELDS) as usize];
    let template: Arc<str> = Arc::from("dtmi:example:pump;1");
    (0..rows)
        .map(|offset| {
            let device = offset % DEVICES;
            let ts_ms = 1_700_000_000_000 + (offset / DEVICES * 10_000 + wander.below(200)) as i64;
            let enqueued_ms = ts_ms + 20 + wander.below(30) as i64;
            let values = (0..FIELDS).map(|field| {
                let level = &mut levels[(device * FIELDS + field) as usize];
                *level += wander.below(21) as i64 - 10;
                let value = match field {
                    7 => Value::Integer((offset / DEVICES) as i64),
                    8 => Value::Text(states[usize::from(wander.below(50) == 0)].clone()),
                    9 => Value::Boolean(*level > 2_000),
                    _ => Value::Double(*level as f64 / 100.0),
                };
                (names[field as usize].clone(), value)
            });
            Row {
                device: device_names[device as usize].clone(),
                module: None,
                component: None,
                ts_ms,
                enqueued_ms,
                offset,
                template: Some(template.clone()),
                values: values.collect(),
            }
        })
        .collect()
}

/// A small repeatable source of numbers (xorshift).
struct Wander {
    state: u64,
}

impl Wander {
    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % bound
    }
}
