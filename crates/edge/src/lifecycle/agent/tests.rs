#![allow(clippy::unwrap_used)]
use super::*;
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;

use crate::identity::testing;
use crate::runtime::fake::FakeRuntime;

/// A running agent on a runtime in memory.
struct Running {
    runtime: FakeRuntime,
    desired: mpsc::Sender<Deployment>,
    orders: mpsc::Sender<ModuleOrder>,
    reports: watch::Receiver<Value>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<mpsc::Receiver<ModuleOrder>>,
}

fn start(dir: &std::path::Path) -> Running {
    let identities = Arc::clone(testing::signer(dir, "edge", &[("a", "key"), ("b", "key")]).modules());
    let (reports, reports_received) = watch::channel(Value::Null);
    let options = AgentOptions {
        surroundings: Surroundings {
            hub_host: "hub".into(),
            device_id: "edge".into(),
            hostname: "gateway".into(),
            parent_hostname: None,
            mqtts_port: 8883,
            sockets_dir: dir.join("mnt"),
        },
        identities,
        api: None,
        deployment_path: dir.join("deployment.json"),
        board: Arc::default(),
        reports,
    };
    let runtime = FakeRuntime::default();
    let histories = Histories::open(dir.join("restarts.json")).unwrap();
    let agent = Agent::new(options, Executor::new(runtime.clone(), None), histories);
    let (desired, desired_received) = mpsc::channel(1);
    let (orders, orders_received) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let inputs = AgentInputs { desired: desired_received, orders: orders_received };
    let task = tokio::spawn(agent.run(inputs, stop.clone()));
    Running { runtime, desired, orders, reports: reports_received, stop, task }
}

impl Running {
    async fn deploy(&self, version: u64, section: Value) {
        self.desired.send(Deployment { version, section }).await.unwrap();
    }

    /// Waits for a report in which this holds.
    async fn reported(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        let waiting = self.reports.wait_for(|report| holds(report));
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it is reported soon").unwrap().clone()
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn deployment(modules: Value) -> Value {
    json!({
        "schemaVersion": "1.1",
        "runtime": { "type": "docker", "settings": { "registryCredentials": {
            "r": { "address": "example.com", "username": "u", "password": "very secret" } } } },
        "systemModules": {},
        "modules": modules,
    })
}

fn module(restart_policy: &str) -> Value {
    json!({ "type": "docker", "status": "running", "restartPolicy": restart_policy, "settings": { "image": "image:1" } })
}

fn status_of<'r>(report: &'r Value, name: &str) -> &'r str {
    report["modules"][name]["runtimeStatus"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_deployment_is_carried_out_reported_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    assert_eq!(agent.reported(|report| !report.is_null()).await["lastDesiredStatus"]["code"], 406);
    agent.deploy(3, deployment(json!({ "a": module("always"), "b": module("never") }))).await;
    let report =
        agent.reported(|report| status_of(report, "a") == "running" && status_of(report, "b") == "running").await;
    assert_eq!(report["lastDesiredVersion"], 3);
    assert_eq!(report["lastDesiredStatus"], json!({ "code": 200, "description": "" }));
    assert!(!report.to_string().contains("very secret"));
    agent.end().await;

    let mut again = start(dir.path());
    let report = again.reported(|report| status_of(report, "a") == "running").await;
    assert_eq!(report["lastDesiredVersion"], 3);
    again.end().await;
}

#[tokio::test]
async fn a_bad_deployment_is_reported_with_its_version_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.deploy(1, deployment(json!({ "a": module("always") }))).await;
    agent.reported(|report| status_of(report, "a") == "running").await;
    let cases = [
        (json!({}), 417),
        (json!({ "schemaVersion": "2.0" }), 412),
        (json!({ "schemaVersion": "1.0" }), 400),
        (deployment(json!({ "edgeHub": module("always") })), 500),
    ];
    for (version, (section, code)) in (2..).zip(cases) {
        agent.deploy(version, section.clone()).await;
        let report = agent.reported(|report| report["lastDesiredVersion"] == version).await;
        assert_eq!(report["lastDesiredStatus"]["code"], code, "{section}");
        assert_eq!(status_of(&report, "a"), "running");
    }
    agent.end().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_a_500_that_names_the_module() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.runtime.refuse("a");
    agent.deploy(1, deployment(json!({ "a": module("always"), "stranger": module("always") }))).await;
    let report = agent.reported(|report| report["lastDesiredStatus"]["code"] == 500).await;
    let description = report["lastDesiredStatus"]["description"].as_str().unwrap();
    assert_eq!(
        description,
        "a: no container engine; image image:1 is not mapped in [tidegate.processes]; stranger: waiting for its identity"
    );
    assert_eq!(status_of(&report, "a"), "failed");
    agent.end().await;
}

#[tokio::test]
async fn an_exit_is_reported_and_a_module_that_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.deploy(1, deployment(json!({ "a": module("always"), "b": module("never") }))).await;
    agent.reported(|report| status_of(report, "b") == "running").await;
    agent.runtime.exit("a", 137);
    let report = agent.reported(|report| status_of(report, "a") == "backoff").await;
    assert_eq!(report["modules"]["a"]["exitCode"], 137);
    agent.deploy(2, deployment(json!({ "b": module("never") }))).await;
    let report = agent.reported(|report| report["lastDesiredVersion"] == 2).await;
    assert_eq!(report["modules"].get("a"), None);
    assert_eq!(agent.runtime.observe().len(), 1);
    agent.end().await;
}

#[tokio::test]
async fn orders_are_carried_out_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.deploy(1, deployment(json!({ "a": module("always") }))).await;
    agent.reported(|report| status_of(report, "a") == "running").await;
    for (name, expected) in [("a", Ok(())), ("absent", Err((404, "there is no module absent".to_owned())))] {
        let (done, outcome) = oneshot::channel();
        let order = ModuleOrder { module: name.into(), action: ModuleAction::Restart, done };
        agent.orders.send(order).await.unwrap();
        assert_eq!(outcome.await.unwrap(), expected);
    }
    agent.end().await;
}
