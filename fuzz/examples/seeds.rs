//! Writes the seeds that are made by our own writers into `corpus/`. Run it when a stored format changes, and keep the old
//! seeds beside the new ones: `cargo run -p tidegate-fuzz --example seeds VERSION`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use edge::testing::{AsideRecord, QueueId, StoredMessage, Target, encode};
use events::record::{Kind, Record};
use model::identity::Identity;
use model::message::Message;
use model::route::{Endpoint, PRIORITY_WITHOUT_NUMBER};
use storage::envelope::{self, seal};
use storage::log::{Checkpoints, Environment, Log, LogOptions, Offset};
use storage::testing::FaultyFiles;
use telemetry::segment::write_segment;
use telemetry::{Row, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let version = std::env::args().nth(1).ok_or("usage: seeds VERSION")?;
    edge_record(&version)?;
    event_record(&version)?;
    log_files(&version)?;
    state_envelope(&version)?;
    telemetry_segment(&version)
}

fn seed(target: &str, version: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    folder.join(format!("seed-{version}"))
}

fn edge_record(version: &str) -> Result<(), Box<dyn Error>> {
    let input = Endpoint::Module { module: "filter".to_owned(), input: "in".to_owned() };
    let target = |endpoint: &Endpoint, priority, lifetime_secs| Target {
        queue: QueueId { endpoint: endpoint.clone(), priority },
        lifetime_secs,
    };
    let targets = [
        target(&Endpoint::Upstream, PRIORITY_WITHOUT_NUMBER, None),
        target(&input, 3, Some(7200)),
        target(&Endpoint::Upstream, 0, Some(60)),
    ];
    let message = StoredMessage {
        sender: Identity::module("edge", "sensor"),
        stored_at_ms: 1_800_000_000_000,
        message: Message {
            bag: Bytes::from_static(b"%24.ct=application%2Fjson&%24.cdid=edge&%24.cmid=sensor"),
            body: Bytes::from_static(b"{\"temperature\":21.5}"),
        },
    };
    let mut record = BytesMut::new();
    encode(&mut record, &targets, &message);
    fs::write(seed("edge_record", version), &record)?;
    let mut aside = BytesMut::new();
    AsideRecord::encode(&mut aside, 1534, record.len() as u64, &targets[1], &message);
    fs::write(seed("edge_aside_record", version), aside)?;
    Ok(())
}

fn event_record(version: &str) -> Result<(), Box<dyn Error>> {
    let telemetry = Record {
        kind: Kind::Telemetry,
        enqueued_ms: 1_800_000_000_000,
        application: "1f8e".to_owned(),
        identity: Identity::module("edge", "sensor"),
        generation: "638".to_owned(),
        model: Some("dtmi:a;1".to_owned()),
        organization: Some("north".to_owned()),
        bag: Bytes::from_static(b"%24.ct=application%2Fjson"),
        body: Bytes::from_static(b"{\"temperature\":21.5}"),
    };
    let event = Record {
        kind: Kind::DesiredProperties,
        identity: Identity::device("pump-1"),
        model: None,
        organization: None,
        bag: Bytes::copy_from_slice(&1534_u64.to_le_bytes()),
        body: Bytes::from_static(b"{\"version\":2,\"patch\":{\"target\":null}}"),
        ..telemetry.clone()
    };
    fs::write(seed("event_record", version), telemetry.encode()?)?;
    fs::write(seed("event_record", &format!("{version}-event")), event.encode()?)?;
    Ok(())
}

/// As the target knows it, and one whose version it knows from before.
fn state_envelope(version: &str) -> Result<(), Box<dyn Error>> {
    let body: serde_json::Value =
        serde_json::from_str(r#"{"leaf":{"keys":["cA==",""],"enabled":true},"n":[1,2.5,null,"\u00fc"]}"#)?;
    for (name, body_version) in [(version.to_owned(), 3), (format!("{version}-earlier"), 2)] {
        let kind = envelope::Kind { name: "fuzz.kind", version: body_version };
        fs::write(seed("state_envelope", &name), seal(kind, &body)?)?;
    }
    Ok(())
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

    let mark = files.contents(Path::new("/log/acknowledged")).ok_or("no mark")?;
    fs::write(seed("log_acknowledged", version), mark)?;

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
