#![allow(clippy::unwrap_used)]
use super::*;
use std::time::Duration;

mod waits;

use serde_json::json;
use testkit::complaints::Complaints;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::identity::testing;
use crate::management::ModuleAction;
use crate::runtime::RunState;
use crate::runtime::counted::Counted;
use crate::runtime::fake::{Act, FakeRuntime};

mod metrics;

/// A running agent on an engine in memory.
struct Running {
    runtime: Arc<FakeRuntime>,
    desired: mpsc::Sender<Deployment>,
    orders: mpsc::Sender<ModuleOrder>,
    reports: watch::Receiver<Value>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<mpsc::Receiver<ModuleOrder>>,
    complaints: Complaints,
}

fn start(dir: &std::path::Path) -> Running {
    let clock = Clock::of_runtime();
    start_on(dir, Arc::new(FakeRuntime::new(clock.clone())), clock)
}

fn start_on(dir: &std::path::Path, runtime: Arc<FakeRuntime>, clock: Clock) -> Running {
    start_with(dir, runtime, clock, &["a", "b", "c"])
}

/// Identities of these modules are known.
fn start_with(dir: &std::path::Path, runtime: Arc<FakeRuntime>, clock: Clock, known: &[&str]) -> Running {
    let complaints = Complaints::watch();
    let keys: Vec<_> = known.iter().map(|name| (*name, "key")).collect();
    let (reports, reports_received) = watch::channel(Value::Null);
    let metrics = Metrics::new("hub", "edge");
    let options = AgentOptions {
        gateway: GatewayInfo {
            hub_host: "hub".into(),
            device_id: "edge".into(),
            hostname: "gateway".into(),
            parent_hostname: None,
            mqtts_port: 8883,
            sockets_dir: dir.join("mnt"),
        },
        identities: Arc::clone(testing::signer(dir, "edge", &keys).modules()),
        api: None,
        deployment_path: dir.join("deployment.json"),
        status: Arc::default(),
        reports,
        metrics: Arc::clone(&metrics),
        clock: clock.clone(),
    };
    let histories = Histories::open(dir.join("restarts.json")).unwrap();
    let counted = Arc::new(Counted::new(Arc::clone(&runtime), Arc::clone(&metrics)));
    let agent = Agent::new(options, Executor::new(counted, None, clock), histories);
    let (desired, desired_received) = mpsc::channel(1);
    let (orders, orders_received) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let inputs = AgentInputs { desired: desired_received, orders: orders_received };
    let task = tokio::spawn(agent.run(inputs, stop.clone()));
    Running { runtime, desired, orders, reports: reports_received, metrics, stop, task, complaints }
}

impl Running {
    async fn deploy(&self, version: u64, section: Value) {
        self.desired.send(Deployment { version, section }).await.unwrap();
    }

    /// Waits for a report in which this holds.
    async fn reported(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        let waiting = self.reports.wait_for(|report| holds(report));
        tokio::time::timeout(Duration::from_secs(100_000), waiting).await.expect("it is reported soon").unwrap().clone()
    }

    /// Waits for all of these to run.
    async fn running(&mut self, names: &[&str]) {
        self.reported(|report| names.iter().all(|name| status_of(report, name) == "running")).await;
    }

    async fn restart(&self, name: &str) -> oneshot::Receiver<Result<(), (u16, String)>> {
        let (done, outcome) = oneshot::channel();
        self.orders.send(ModuleOrder { module: name.into(), action: ModuleAction::Restart, done }).await.unwrap();
        outcome
    }

    /// `kill -9`: nothing is stopped, nothing is said.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
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

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
async fn a_bad_deployment_is_reported_with_its_version_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.complaints.expect("deployment refused");
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

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_a_500_that_names_the_module() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.complaints.expect("a step failed module=\"a\"");
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

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
async fn orders_are_carried_out_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.deploy(1, deployment(json!({ "a": module("always") }))).await;
    agent.reported(|report| status_of(report, "a") == "running").await;
    for (name, expected) in [("a", Ok(())), ("absent", Err((404, "there is no module absent".to_owned())))] {
        assert_eq!(agent.restart(name).await.await.unwrap(), expected);
    }
    agent.end().await;
}

const SLOW: Duration = Duration::from_secs(60);

fn of_version(version: &str) -> Value {
    let mut module = module("always");
    module["version"] = version.into();
    module
}

fn in_order(startup_order: u32) -> Value {
    let mut module = module("always");
    module["startupOrder"] = startup_order.into();
    module
}

#[tokio::test(start_paused = true)]
async fn a_module_that_stops_slowly_delays_no_other_no_order_and_no_deployment() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.deploy(1, deployment(json!({ "a": module("always"), "b": of_version("1") }))).await;
    agent.running(&["a", "b"]).await;
    agent.runtime.slow(Act::Stop, "a", SLOW);
    let begun = Instant::now();

    // The deployment takes `a` off and changes `b`: `b` runs anew while `a` is still stopping.
    agent.deploy(2, deployment(json!({ "b": of_version("2") }))).await;
    let starts_of_b = || agent.runtime.begun().into_iter().filter(|begun| *begun == (Act::Start, "b".into())).count();
    while starts_of_b() < 2 {
        tokio::task::yield_now().await;
    }
    // An order for another module is answered at once.
    assert_eq!(agent.restart("b").await.await.unwrap(), Ok(()));
    // So is a deployment that arrives in between.
    agent.deploy(3, deployment(json!({ "b": of_version("2"), "c": module("always") }))).await;
    agent.running(&["b", "c"]).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(agent.runtime.observe().iter().any(|state| state.name == "a"), "it is still stopping");

    while agent.runtime.observe().len() > 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!((SLOW..SLOW + Duration::from_secs(1)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    agent.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_order_for_a_busy_module_is_carried_out_in_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.runtime.slow(Act::Start, "a", SLOW);
    let begun = Instant::now();
    agent.deploy(1, deployment(json!({ "a": module("always") }))).await;
    agent.reported(|report| report["lastDesiredVersion"] == 1 && status_of(report, "a") == "stopped").await;
    let outcome = agent.restart("a").await;
    assert_eq!(outcome.await.unwrap(), Ok(()));
    // The start, then the restart.
    assert_eq!(begun.elapsed(), 2 * SLOW);
    agent.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_pull_leaves_the_old_module_running_is_told_and_gives_way_to_a_newer_deployment() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.deploy(1, deployment(json!({ "a": of_version("1") }))).await;
    agent.running(&["a"]).await;
    let before = agent.runtime.observe();
    agent.runtime.slow(Act::Pull, "a", 1000 * SLOW);
    let begun = Instant::now();
    agent.deploy(2, deployment(json!({ "a": of_version("2") }))).await;
    let told = |report: &Value| report["modules"]["a"]["statusDescription"] == "pulling the image, 0.0 of 1.0 MiB";
    let report = agent.reported(told).await;
    assert_eq!(status_of(&report, "a"), "running");

    // Another version takes the place of the one that is being pulled.
    agent.runtime.slow(Act::Pull, "a", Duration::from_secs(2));
    agent.deploy(3, deployment(json!({ "a": of_version("3") }))).await;
    agent.reported(|report| report["modules"]["a"]["version"] == "3" && !told(report)).await;
    agent.running(&["a"]).await;
    assert_eq!(agent.runtime.pulls_given_up(), 1);
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert_ne!(agent.runtime.observe()[0].settings_hash, before[0].settings_hash);

    // Back to what runs while the next is being pulled: it was never disturbed.
    let before = agent.runtime.observe();
    agent.runtime.slow(Act::Pull, "a", 1000 * SLOW);
    agent.deploy(4, deployment(json!({ "a": of_version("4") }))).await;
    agent.reported(told).await;
    agent.deploy(5, deployment(json!({ "a": of_version("3") }))).await;
    agent.reported(|report| report["lastDesiredVersion"] == 5 && !told(report)).await;
    assert_eq!(agent.runtime.pulls_given_up(), 2);
    assert_eq!(agent.runtime.observe(), before);
    agent.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_start_order_holds_and_equals_start_together() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    for name in ["a", "b", "c"] {
        agent.runtime.slow(Act::Start, name, SLOW);
    }
    let begun = Instant::now();
    agent.deploy(1, deployment(json!({ "a": in_order(2), "b": in_order(1), "c": in_order(2) }))).await;
    agent.running(&["b"]).await;
    assert_eq!(begun.elapsed(), SLOW);
    agent.running(&["a", "b", "c"]).await;
    assert_eq!(begun.elapsed(), 2 * SLOW);
    let first: Vec<_> = agent.runtime.begun().into_iter().take(3).collect();
    assert_eq!(first, [Act::Pull, Act::Create, Act::Start].map(|act| (act, "b".to_owned())));
    agent.end().await;
}

/// At every step of the way to a new deployment the daemon is killed, and the next one gets there.
#[tokio::test(start_paused = true)]
async fn killed_halfway_the_next_start_reconciles() {
    for (act, name) in [(Act::Pull, "a"), (Act::Create, "a"), (Act::Start, "a"), (Act::Stop, "a"), (Act::Stop, "b")] {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::of_runtime();
        let runtime = Arc::new(FakeRuntime::new(clock.clone()));
        let mut agent = start_on(dir.path(), Arc::clone(&runtime), clock.clone());
        let all = json!({ "a": of_version("1"), "b": module("always"), "c": module("always") });
        agent.deploy(1, deployment(all)).await;
        agent.running(&["a", "b", "c"]).await;
        let undisturbed = runtime.observe().pop().unwrap();

        runtime.slow(act, name, SLOW);
        let before = runtime.begun().len();
        agent.deploy(2, deployment(json!({ "a": of_version("2"), "c": module("always") }))).await;
        while !runtime.begun()[before..].contains(&(act, name.to_owned())) {
            tokio::task::yield_now().await;
        }
        agent.kill().await;

        let mut again = start_on(dir.path(), Arc::clone(&runtime), clock);
        // Nothing is reported of the end of a module that is no longer wanted.
        while runtime.observe().len() > 2 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        again.reported(|report| report["modules"]["a"]["version"] == "2" && status_of(report, "a") == "running").await;
        let there = runtime.observe();
        assert!(there.iter().all(|state| matches!(state.run, RunState::Running { .. })), "{act:?} {name}: {there:?}");
        assert_eq!(there.iter().map(|state| state.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(there[1], undisturbed, "{act:?} {name}: a module nobody changed goes on across the daemons");
        again.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_last_daemon_stopped_when_it_ended_starts_at_once_whatever_its_policy() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::of_runtime();
    let runtime = Arc::new(FakeRuntime::new(clock.clone()));
    let mut agent = start_on(dir.path(), Arc::clone(&runtime), clock.clone());
    agent.deploy(1, deployment(json!({ "a": module("never"), "b": module("always") }))).await;
    agent.running(&["a", "b"]).await;
    agent.end().await;
    assert!(runtime.observe().iter().all(|state| matches!(state.run, RunState::Exited { .. })));

    let begun = Instant::now();
    let mut again = start_on(dir.path(), Arc::clone(&runtime), clock);
    again.running(&["a", "b"]).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(again.reports.borrow()["modules"]["b"]["restartCount"], 0);
    again.end().await;
}

/// A deployment that cannot be read, or an identity that is not known, is no reason to take a running module away.
#[tokio::test(start_paused = true)]
async fn modules_that_run_are_left_alone_by_a_daemon_that_knows_nothing_of_them() {
    for lost in ["deployment.json", "modules.json"] {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::of_runtime();
        let runtime = Arc::new(FakeRuntime::new(clock.clone()));
        let mut agent = start_on(dir.path(), Arc::clone(&runtime), clock.clone());
        agent.deploy(1, deployment(json!({ "a": module("always"), "b": module("always") }))).await;
        agent.running(&["a", "b"]).await;
        agent.kill().await;
        let before = runtime.observe();

        let known: &[&str] = if lost == "modules.json" { &["b"] } else { &["a", "b"] };
        std::fs::remove_file(dir.path().join(lost)).unwrap();
        let mut again = start_with(dir.path(), Arc::clone(&runtime), clock, known);
        again.reported(|report| !report.is_null()).await;
        assert_eq!(runtime.observe(), before, "{lost}");
        // A deployment takes a module away whose identity is not known, as any other.
        again.deploy(2, deployment(json!({ "b": module("always") }))).await;
        while runtime.observe().len() > 1 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(runtime.observe()[0].name, "b");
        again.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_holds_so_many_modules_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.complaints.expect("deployment refused version=2");
    let of = |count: usize| {
        let modules: serde_json::Map<_, _> =
            (0..count).map(|number| (format!("m{number}"), module("always"))).collect();
        deployment(modules.into())
    };
    for (version, count, code) in [(1, MANIFEST_MODULES_MAX, 500), (2, MANIFEST_MODULES_MAX + 1, 400)] {
        agent.deploy(version, of(count)).await;
        let report = agent.reported(|report| report["lastDesiredVersion"] == version).await;
        // The first is accepted: what it lacks is identities.
        assert_eq!(report["lastDesiredStatus"]["code"], code, "{}", report["lastDesiredStatus"]);
        assert_eq!(report["modules"].as_object().unwrap().len(), MANIFEST_MODULES_MAX);
    }
    agent.end().await;
}
