//! What the reader remembers, looks at again, and leaves out.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use events::LogConfig;
use events::health::Health;
use events::live::Live;
use events::metrics::EventMetrics;
use events::record::Origin;
use model::identity::Identity;
use prometheus_client::encoding::text;
use registry::{ApplicationRow, NewDevice};
use storage::log::{Log, LogOptions, Offset, Records};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::limits::{ROWS_PER_MESSAGE_MAX, VALUES_PER_ROW_MAX};
use crate::metrics::RunnerMetrics;
use crate::positions::Positions;
use crate::runner::{Runner, condition};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process whose reader is not started yet.
struct Bench {
    registry: Registry,
    telemetry: TimeSeries,
    runner: Runner,
    metrics: prometheus_client::registry::Registry,
}

impl Bench {
    /// With the reader's stored position.
    async fn open(folder: &Path, log: Log, position: u64) -> Self {
        let registry = registry(folder).await;
        registry.checkpoint_put(NAME.name, position).await.unwrap();
        let telemetry = TimeSeries::open(&folder.join("telemetry"), &registry).await.unwrap();
        let (health, mut metrics) = (Health::default(), prometheus_client::registry::Registry::default());
        let positions = Positions::open(&registry, &log, &[NAME]).await.unwrap();
        let events = Events::new(log, Live::default(), EventMetrics::register(&mut metrics), &health);
        let log_config = LogConfig::default();
        let runner = Runner { events, positions, log_config, health, metrics: RunnerMetrics::register(&mut metrics) };
        Self { registry, telemetry, runner, metrics }
    }

    fn reader(&mut self) -> TelemetryReader {
        TelemetryReader::new(TelemetryReaderParts {
            telemetry: self.telemetry.clone(),
            registry: self.registry.clone(),
            events: self.runner.events.clone(),
            position: self.runner.position(NAME),
            health: condition(&self.runner.health, NAME.name),
            metrics: TelemetryMetrics::register(&mut self.metrics),
            config: TelemetryConfig::default(),
            compaction: CompactionWanted::default(),
        })
    }

    fn messages(&self, device: &str) -> usize {
        self.telemetry.messages("a", device, None, None, usize::MAX).len()
    }
}

async fn registry(folder: &Path) -> Registry {
    let registry = Registry::open(&folder.join("registry.db")).await.unwrap();
    let application = ApplicationRow { id: "a".into(), name: "a".into(), id_scope: "0ne1".into(), created_ms: 0 };
    registry.application_create(&application, &[]).await.unwrap();
    registry
}

async fn log_with(folder: &Path, messages: impl IntoIterator<Item = (&str, &str)>) -> Log {
    let log = Log::open(&folder.join("log"), LogOptions::default()).unwrap();
    let mut batch = Records::default();
    for (device, body) in messages {
        let origin = Origin::new("a", &Identity::device(device), "g", None, None).unwrap();
        batch.push(&origin.encode(Kind::Telemetry, 1, b"", body.as_bytes()).unwrap());
    }
    log.append(batch).await.unwrap();
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_start_it_looks_at_as_many_records_again_as_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let position = REPLAYED_RECORDS_MAX + 1;
    let again = (2..position).map(|_| ("busy", "{}"));
    let messages = [("forgotten", "{}"), ("replayed", "{}")].into_iter().chain(again).chain([("new", "{}")]);
    let log = log_with(folder.path(), messages).await;
    assert_eq!(log.next_offset(), Offset(position + 1));
    let mut bench = Bench::open(folder.path(), log, position).await;
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let reader = bench.reader();
    bench.runner.spawn(reader, &tasks, shutdown.clone());
    let read = async {
        while bench.messages("new") == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the end of the log is read");
    assert_eq!((bench.messages("replayed"), bench.messages("forgotten")), (1, 0));
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
}

#[tokio::test]
async fn values_beyond_the_limit_of_a_message_are_counted_and_nothing_else_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let members: Vec<String> = (0..=VALUES_PER_ROW_MAX).map(|n| format!(r#""n{n}":{n}"#)).collect();
    let body = format!("{{{}}}", members.join(","));
    let log = log_with(folder.path(), [("d", body.as_str()), ("next", r#"{"a":1}"#)]).await;
    let batch = log.reader(Offset(0)).try_next_batch(10, 1 << 20).unwrap();
    let mut bench = Bench::open(folder.path(), log, 0).await;
    let (mut run, _) = bench.reader().start().await.unwrap();
    run.handle(&batch).await.unwrap();

    let last = |device| bench.telemetry.application("a").unwrap().last_values().of_device(device);
    assert_eq!(last("d").len(), VALUES_PER_ROW_MAX);
    assert_eq!(last("next").len(), 1);
    assert_eq!(bench.telemetry.messages("a", "d", None, None, 1)[0].body, body.as_bytes(), "it is all in the message");
    let mut shown = String::new();
    text::encode(&mut shown, &bench.metrics).unwrap();
    assert!(shown.contains("tidegate_telemetry_values_left_out_total 1\n"), "{shown}");
    run.commit(2).await.unwrap();
    assert_eq!(bench.telemetry.catalog().of_application("a")[0].rows, 2);
}

#[tokio::test]
async fn messages_read_together_may_hold_more_rows_than_memory() {
    let folder = tempfile::tempdir().unwrap();
    let body = format!("[{}]", vec![r#"{"a":1}"#; ROWS_PER_MESSAGE_MAX].join(","));
    let messages = telemetry::limits::NEWEST_ROWS_MAX / ROWS_PER_MESSAGE_MAX + 2;
    let log = log_with(folder.path(), vec![("d", body.as_str()); messages]).await;
    let batch = log.reader(Offset(0)).try_next_batch(messages, usize::MAX).unwrap();
    assert_eq!(batch.len(), messages);
    let mut bench = Bench::open(folder.path(), log, 0).await;
    let (mut run, _) = bench.reader().start().await.unwrap();
    run.handle(&batch).await.unwrap();
    run.commit(messages as u64).await.unwrap();
    let stored: u64 = bench.telemetry.catalog().of_application("a").iter().map(|segment| segment.rows).sum();
    assert_eq!(stored, (messages * ROWS_PER_MESSAGE_MAX) as u64);
    let largest = bench.telemetry.catalog().of_application("a").iter().map(|segment| segment.rows).max().unwrap();
    assert!(largest as usize >= ROWS_PER_INSERT_MAX, "many are inserted at once: {largest}");
}

fn device_key(device: &str) -> DeviceKey {
    (Arc::from("a"), Arc::from(device))
}

#[tokio::test]
async fn a_template_is_trusted_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path()).await;
    registry.device_create("a", NewDevice { id: "d".into(), ..NewDevice::default() }).await.unwrap();
    let (app, device) = device_key("d");
    let old = || (Some(Arc::from("dtmi:t:old;1")), Instant::now());
    let mut templates = Templates::default();
    // The clock stands while nothing is asked of the registry, which has timers of its own.
    tokio::time::pause();
    templates.known.insert(device_key("d"), old());
    tokio::time::advance(TEMPLATE_CACHE_AGE - Duration::from_millis(1)).await;
    assert_eq!(templates.of(&registry, &app, &device, 0).await.unwrap().as_deref(), Some("dtmi:t:old;1"));
    tokio::time::advance(Duration::from_millis(1)).await;
    tokio::time::resume();
    assert_eq!(templates.of(&registry, &app, &device, 0).await.unwrap(), None, "what the registry says now");
    templates.known.insert(device_key("d"), old());
    assert_eq!(
        templates.of(&registry, &app, &device, 1).await.unwrap(),
        None,
        "a change of templates is heard at once"
    );
}

#[tokio::test]
async fn templates_of_as_many_devices_as_may_be_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path()).await;
    let mut templates = Templates::default();
    for n in 1..TEMPLATE_CACHE_DEVICES_MAX {
        templates.known.insert(device_key(&n.to_string()), (None, Instant::now()));
    }
    for device in ["last", "last", "1"] {
        templates.of(&registry, &"a".into(), &device.into(), 0).await.unwrap();
        assert_eq!(templates.known.len(), TEMPLATE_CACHE_DEVICES_MAX, "{device}");
    }
    // One that is looked up again takes no further place.
    let long_ago = Instant::now().checked_sub(TEMPLATE_CACHE_AGE).unwrap();
    templates.known.insert(device_key("1"), (None, long_ago));
    templates.of(&registry, &"a".into(), &"1".into(), 0).await.unwrap();
    assert_eq!(templates.known.len(), TEMPLATE_CACHE_DEVICES_MAX);
    templates.of(&registry, &"a".into(), &"one more".into(), 0).await.unwrap();
    assert_eq!(templates.known.len(), 1);
}
