//! What was acknowledged is there: after a stop, after kill -9, with a full log.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use central::data_folder::{DataFolder, Guarded};
use central::database::Database;
use events::record::{Kind, Record};
use model::identity::Identity;
use model::message::Message;
use readers::timeseries::TimeSeries;
use serde_json::json;
use storage::log::{Log, LogOptions};
use telemetry::store::{Order, RangeRequest};
use telemetry::{Devices, Names, Part, Selection, TimeRange, Value};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use transport::client::{HubClient, HubClientOptions, SendError, SharedKey, Subscriptions, Way};

use crate::central::{
    PATIENCE, TestCentral, TestDevice, await_live, config, data, is_telemetry, message, on_both_databases,
};

on_both_databases!(a_restart_keeps_twins_last_values_and_series);

const KILL_ROUNDS: usize = 5;

/// The values of `n` stored for a device, from segments and, where they are not in one yet, from the log.
async fn stored_numbers(database: &Database, data: &Path, device: &str) -> Vec<i64> {
    let folder = DataFolder::existing(data).unwrap();
    let registry = database.open(&folder).await.unwrap();
    let app = registry.application_list().await.unwrap().remove(0).id;
    let telemetry = TimeSeries::open(&folder.guarded(Guarded::Telemetry), &registry).await.unwrap();
    let covered = registry.checkpoint_get("telemetry").await.unwrap().unwrap_or(0);
    let selection =
        Selection { devices: Devices::one(device), module: Part::Any, component: Part::Any, range: TimeRange::ALL };
    let request = RangeRequest { selection, names: Names::All, order: Order::OldestFirst, limit: 100_000 };
    let rows = telemetry.application(&app).unwrap().range(&request).unwrap();
    let mut numbers: Vec<i64> = rows
        .iter()
        .map(|row| match row.value("n") {
            Some(Value::Integer(number)) => *number,
            other => panic!("{other:?} is no number"),
        })
        .collect();
    let log = Log::open(&folder.guarded(Guarded::Log), LogOptions::default()).unwrap();
    let mut reader = log.reader(storage::log::Offset(covered));
    loop {
        let batch = reader.try_next_batch(1_000, 1 << 20).unwrap();
        if batch.is_empty() {
            break;
        }
        for logged in batch {
            let record = Record::decode(logged.payload).unwrap();
            if record.kind == Kind::Telemetry && record.identity == Identity::device(device) {
                let body: serde_json::Value = serde_json::from_slice(&record.body).unwrap();
                numbers.push(body["n"].as_i64().unwrap());
            }
        }
    }
    log.close().await;
    registry.close().await;
    numbers
}

fn number(n: i64) -> Message {
    Message { bag: Bytes::new(), body: json!({ "n": n }).to_string().into() }
}

async fn a_restart_keeps_twins_last_values_and_series(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let device = central.provision("d1").await;
    let identity = Identity::device("d1");
    let (client, _events) = central.connect(&device).await;
    let mut live = central.watch("d1");
    client.send((0..10).map(number).collect()).await.unwrap();
    client.patch_reported(Bytes::from_static(br#"{"serial":"x1"}"#)).await.unwrap();
    central.running.core.twins.patch_desired(central.app(), &identity, json!({ "rate": 5 })).await.unwrap();
    for _ in 0..10 {
        await_live(&mut live, is_telemetry).await;
    }
    client.stop().await;
    central.stop().await;

    let central = TestCentral::start_on(&database, &data).await;
    let twin = central.running.core.twins.get(central.app(), &identity).await.unwrap();
    assert_eq!((twin.desired.version, &twin.reported.properties["serial"]), (2, &json!("x1")));
    let store = central.running.core.telemetry.application(central.app()).unwrap();
    let last = store.last_value("d1", None, None, "n").unwrap().unwrap();
    assert_eq!(last.value, Value::Integer(9));
    let seen = central.running.core.sessions.status(central.app(), &identity);
    assert!(!seen.connected && seen.last_seen_ms.is_some());
    // Raw messages come again from the log; a message sent now tells that the reader has passed them.
    let mut live = central.watch("d1");
    let (client, _events) = central.connect(&device).await;
    client.send(vec![number(10)]).await.unwrap();
    await_live(&mut live, is_telemetry).await;
    assert_eq!(central.running.core.telemetry.messages(central.app(), "d1", None, None, 100).len(), 11);
    client.stop().await;
    central.stop().await;
    assert_eq!(stored_numbers(&database, &data, "d1").await, (0..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn segments_are_written_while_running_and_merged() {
    let (_dir, data) = data();
    let mut config = config();
    config.telemetry.flush_bytes = 1;
    let central = TestCentral::start_with(&data, config).await;
    let device = central.provision("d1").await;
    let (client, _events) = central.connect(&device).await;
    let mut live = central.watch("d1");
    let rounds = 3 * telemetry::limits::COMPACT_SEGMENTS_MAX as i64;
    for n in 0..rounds {
        client.send(vec![number(n)]).await.unwrap();
        await_live(&mut live, is_telemetry).await;
    }
    client.stop().await;
    let running = central.running.clone();
    central.stop().await;
    let app = running.core.applications.first().id.clone();
    let segments = running.core.telemetry.catalog().of_application(&app);
    assert!(segments.iter().any(|meta| meta.generation > 0), "none was merged");
    let folder = running.core.telemetry.folder_of(&app);
    let files = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(files, segments.len(), "merged files are deleted");
    assert_eq!(stored_numbers(&Database::Folder, &data, "d1").await, (0..rounds).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_log_refuses_without_acknowledging_and_recovers() {
    let (_dir, data) = data();
    let mut config = config();
    config.log.segment_bytes = 1 << 20;
    config.log.max_bytes = 2 << 20;
    // The reader cannot write: what it has not covered keeps the log full.
    let central = TestCentral::start_with(&data, config).await;
    let device = central.provision("d1").await;
    let folder = central.running.core.telemetry.folder_of(central.app());
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, b"in the way").unwrap();
    let (client, _events) = central.connect(&device).await;
    let large = || message(&json!({ "n": 1, "filler": "x".repeat(60_000) }).to_string());
    let mut refused = false;
    for _ in 0..100 {
        match tokio::time::timeout(PATIENCE, client.send(vec![large()])).await.unwrap() {
            Ok(()) => {}
            Err(SendError::Disconnected) => {
                refused = true;
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused, "a full log must refuse");
    let problems = central.running.core.health.problems();
    assert!(problems.iter().any(|problem| problem.text.contains("log is full")), "{problems:?}");

    // Room again: the next message is taken once the reader could write.
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while client.send(vec![number(2)]).await.is_err() || !central.running.core.health.problems().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "the log stays full");
    }
    client.stop().await;
    central
        .stop_complaining(&[
            "messages are refused: the log is full",
            "what a reader made is in the log only",
            "could not be stored",
        ])
        .await;
}

struct Process {
    child: Child,
    folder: DataFolder,
}

impl Process {
    /// Starts the real program and waits until it says that it is ready.
    async fn start(data: &Path) -> Self {
        // Segments are written and merged all the time, so that kills hit those steps too.
        let config = data.join("tidegate.toml");
        std::fs::write(&config, "[telemetry]\nflush_bytes = 4000\n[log]\nkeep_records = 10\n").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["serve", "--data", data.to_str().unwrap(), "--config", config.to_str().unwrap()])
            .args(["--https", "127.0.0.1:0", "--mqtts", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async { while lines.next_line().await.unwrap().expect("it becomes ready") != "ready" {} };
        tokio::time::timeout(PATIENCE, ready).await.expect("it starts in time");
        Self { child, folder: DataFolder::at(data) }
    }

    fn client(&self, device: &TestDevice) -> HubClient {
        let endpoints = self.folder.read_endpoints().unwrap();
        let roots = std::fs::read(self.folder.ca_pem()).unwrap();
        let options = HubClientOptions {
            host: "localhost".into(),
            port: endpoints.mqtts.unwrap().rsplit(':').next().unwrap().parse().unwrap(),
            hub_host: "localhost".into(),
            identity: Identity::device(&device.id),
            token_audience: None,
            tokens: Arc::new(SharedKey::new(&device.key)),
            auth_chain: None,
            model_id: None,
            client_type: "test".into(),
            tls: transport::tls::client_config(Some(&roots)).unwrap(),
            way: Way::default(),
            keep_alive: Duration::from_secs(60),
            subscribe: Subscriptions::default(),
            reconnection: None,
        };
        let (client, mut events) = HubClient::start(options);
        tokio::spawn(async move { while events.recv().await.is_some() {} });
        client
    }

    async fn kill(mut self) {
        // SIGKILL.
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_ingest_nothing_acknowledged_is_missing() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("d1").await;
    central.stop().await;

    let mut acknowledged: BTreeSet<i64> = BTreeSet::new();
    let mut next = 0;
    for round in 0..KILL_ROUNDS {
        let process = Process::start(&data).await;
        let client = process.client(&device);
        let stopper = client.clone();
        let kill_after = 20 + 37 * round as i64;
        let sender = tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            let mut n = next;
            // Ends with the connection, or with the client, where the last answer came just before the kill.
            while client.send((n..n + 5).map(number).collect()).await.is_ok() {
                acknowledged.extend(n..n + 5);
                n += 5;
            }
            (acknowledged, n + 5)
        });
        // The log tells how far it is; the kill comes in the middle of what follows.
        await_log_growth(&process, kill_after).await;
        process.kill().await;
        stopper.stop().await;
        let (round_acknowledged, used) = tokio::time::timeout(PATIENCE, sender).await.unwrap().unwrap();
        assert!(!round_acknowledged.is_empty(), "round {round} sent nothing");
        acknowledged.extend(round_acknowledged);
        next = used;
    }
    let stored = stored_numbers(&Database::Folder, &data, "d1").await;
    let missing: Vec<&i64> = acknowledged.iter().filter(|n| !stored.contains(n)).collect();
    assert!(missing.is_empty(), "acknowledged and missing: {missing:?}");
    assert!(stored.is_sorted_by(|left, right| left < right), "the order of the device is kept, and nothing is doubled");
    assert_each_reader_goes_on(&data).await;
}

/// Each reader has a position of its own, and what it makes comes again.
async fn assert_each_reader_goes_on(data: &Path) {
    let central = TestCentral::start(data).await;
    let sessions = &central.running.core.sessions;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while sessions.status(central.app(), &Identity::device("d1")).last_seen_ms.is_none() {
        assert!(tokio::time::Instant::now() < deadline, "when it was last seen is not known");
        tokio::task::yield_now().await;
    }
    assert!(central.running.core.health.problems().is_empty());
    let stored = central.running.core.registry.checkpoints_list().await.unwrap();
    let names: Vec<&str> = stored.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["last_seen", "telemetry"]);
    central.stop_complaining(&["left by an interrupted write"]).await;
}

/// Waits until the process has accepted so many messages.
async fn await_log_growth(process: &Process, messages: i64) {
    let endpoints = process.folder.read_endpoints().unwrap();
    let roots = std::fs::read(process.folder.ca_pem()).unwrap();
    let tls = transport::tls::client_config(Some(&roots)).unwrap();
    let client = transport::client::https::HttpsClient::new("localhost", endpoints.https_port().unwrap(), tls);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        assert!(tokio::time::Instant::now() < deadline, "the process takes no messages");
        let request = http::Request::get("/metrics").body(Bytes::new()).unwrap();
        let Ok(answer) = client.request(request).await else { continue };
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        let accepted = text.lines().find_map(|line| line.strip_prefix("tidegate_messages_accepted_total "));
        if accepted.is_some_and(|accepted| accepted.parse::<i64>().unwrap() >= messages) {
            return;
        }
    }
}
