//! Committed events reach the log once each, in order, whatever happens between commit and append.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use events::health::Health;
use events::live::Live;
use events::metrics::EventMetrics;
use events::record::{Origin, Record};
use registry::{ApplicationRow, NewDevice};
use serde_json::{Value, json};
use storage::log::{Log, LogOptions};
use tokio::task::JoinHandle;

use super::*;
use crate::sessions::Sessions;
use crate::twins::{ChangeTwinError, Twins};

const APP: &str = "a";

/// What one process has open.
struct Process {
    registry: Registry,
    events: Events,
    twins: Twins,
    stop: CancellationToken,
    writer: JoinHandle<()>,
}

impl Process {
    async fn open(folder: &Path, options: LogOptions) -> Self {
        let registry = Registry::open(&folder.join("registry.db")).await.unwrap();
        let log = Log::open(&folder.join("log"), options).unwrap();
        let metrics = EventMetrics::register(&mut prometheus_client::registry::Registry::default());
        let events = Events::new(log, Live::default(), metrics, &Health::default());
        let (twins, writer) = Twins::new(registry.clone(), Sessions::default());
        let stop = CancellationToken::new();
        let writer = tokio::spawn(writer.run(stop.clone()));
        Self { registry, events, twins, stop, writer }
    }

    async fn relay(&self) -> Relay {
        Relay::start(self.registry.clone(), self.events.clone()).await.unwrap()
    }

    async fn report(&self, n: usize) -> Result<u64, ChangeTwinError> {
        self.twins.patch_reported(APP, &Identity::device("d"), json!({ "n": n })).await
    }

    /// The values of `n` in the log's events, in its order.
    fn logged(&self) -> Vec<u64> {
        let mut reader = self.events.log().reader(self.events.log().first_offset());
        let mut found = Vec::new();
        loop {
            let batch = reader.try_next_batch(1_000, 1 << 20).unwrap();
            if batch.is_empty() {
                return found;
            }
            let records = batch.into_iter().map(|logged| Record::decode(logged.payload).unwrap());
            let reported = records.filter(|record| record.kind == Kind::ReportedProperties);
            found.extend(reported.map(|record| {
                assert_eq!(record.organization.as_deref(), Some("north"));
                let body: Value = serde_json::from_slice(&record.body).unwrap();
                body["patch"]["n"].as_u64().unwrap()
            }));
        }
    }

    /// Ends without relaying or removing anything: as a kill would.
    async fn kill(self) {
        self.stop.cancel();
        self.writer.await.unwrap();
        self.events.log().clone().close().await;
        self.registry.close().await;
    }
}

/// A large event.
fn row(sequence: u64) -> OutboxRow {
    let event = OutboxEvent {
        kind: OutboxKind::ReportedProperties,
        application: APP.into(),
        device: "d".into(),
        module: None,
        generation: String::new(),
        organization: None,
        at_ms: 1,
        body: "x".repeat(RELAY_BYTES_PER_APPEND_MAX / 2),
    };
    OutboxRow { sequence, event }
}

async fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::open(folder.path(), LogOptions::default()).await;
    let application = ApplicationRow { id: APP.into(), name: APP.into(), id_scope: "0ne1".into(), created_ms: 0 };
    process.registry.application_create(&application, &[]).await.unwrap();
    let device =
        NewDevice { id: "d".into(), enabled: true, organization: Some("north".into()), ..NewDevice::default() };
    process.registry.device_create(APP, device).await.unwrap();
    process.kill().await;
    folder
}

#[tokio::test]
async fn killed_between_commit_and_append_the_event_is_in_the_log_after_the_start() {
    let folder = folder().await;
    let process = Process::open(folder.path(), LogOptions::default()).await;
    process.report(1).await.unwrap();
    process.kill().await;
    let process = Process::open(folder.path(), LogOptions::default()).await;
    assert!(process.logged().is_empty());
    process.relay().await.relay_all().await.ok().unwrap();
    assert_eq!(process.logged(), [1]);
    process.kill().await;
}

#[tokio::test]
async fn killed_between_append_and_removal_nothing_is_doubled() {
    let folder = folder().await;
    for round in 1..=3 {
        let process = Process::open(folder.path(), LogOptions::default()).await;
        let mut relay = process.relay().await;
        relay.relay_all().await.ok().unwrap();
        process.report(round).await.unwrap();
        relay.relay_all().await.ok().unwrap();
        assert_eq!(process.logged(), (1..=round as u64).collect::<Vec<_>>());
        process.kill().await;
    }
    let process = Process::open(folder.path(), LogOptions::default()).await;
    let mut relay = process.relay().await;
    relay.relay_all().await.ok().unwrap();
    assert_eq!(process.logged(), [1, 2, 3]);
    relay.remove().await;
    process.kill().await;
    let process = Process::open(folder.path(), LogOptions::default()).await;
    assert_eq!(process.registry.outbox_read(1).await.unwrap(), []);
    process.kill().await;
}

#[tokio::test]
async fn a_full_log_keeps_events_waiting_and_goes_on_once_there_is_room() {
    let folder = folder().await;
    let options = LogOptions { total_bytes_max: Some(64 * 1024), ..LogOptions::default() };
    let process = Process::open(folder.path(), options).await;
    let origin = Origin::new(APP, &Identity::device("d"), "g", None, None).unwrap();
    for filler in [8 * 1024, 64] {
        loop {
            let mut batch = Batch::default();
            batch.telemetry(&origin, 1, b"", &vec![b'x'; filler]).unwrap();
            if process.events.publish(batch).await.is_err() {
                break;
            }
        }
    }
    let mut relay = process.relay().await;
    process.report(1).await.unwrap();
    assert!(matches!(relay.relay_all().await, Err(Trouble::Append)));
    process.report(2).await.unwrap();
    assert!(process.logged().is_empty());
    assert_eq!(process.registry.outbox_waiting(), 3, "two reports, and the device itself");

    process.events.log().trim_before(Offset(u64::MAX)).unwrap();
    relay.relay_all().await.ok().unwrap();
    assert_eq!(process.logged(), [1, 2]);
    assert_eq!(process.registry.outbox_waiting(), 0);
    process.kill().await;
}

#[tokio::test]
async fn a_running_relay_follows_the_commits_and_stops_with_nothing_left() {
    let folder = folder().await;
    let process = Process::open(folder.path(), LogOptions::default()).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(process.relay().await.run(stop.clone()));
    let mut reader = process.events.log().reader(Offset(0));
    let reports = RELAY_EVENTS_PER_APPEND_MAX + 1;
    let mut transaction = process.registry.twin_transaction([]).await.unwrap();
    for n in 1..=reports {
        let body = json!({ "version": n, "patch": { "n": n } }).to_string();
        transaction.note(OutboxEvent { body, organization: Some("north".into()), ..row(1).event });
    }
    transaction.commit().await.unwrap();
    let mut taken = 0;
    while taken < reports + 1 {
        taken += reader.next_batch(100, 1 << 20).await.unwrap().len();
    }
    stop.cancel();
    running.await.unwrap();
    assert_eq!(process.logged(), (1..=reports as u64).collect::<Vec<_>>());
    assert!(!process.registry.outbox_has_relayed());
    process.kill().await;
}

#[test]
fn large_events_are_appended_in_several_batches() {
    let (batch, through) = batch((1..=5).map(row).collect(), 5);
    assert_eq!((batch.len(), through), (2, 2));
}
