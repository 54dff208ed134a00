//! What the agent does, as Prometheus reads it.

use std::collections::BTreeMap;

use super::*;

impl Running {
    /// The samples of a metric, by their own labels.
    fn samples(&self, name: &str) -> BTreeMap<String, f64> {
        let text = self.metrics.text();
        let of_metric = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
        let samples = of_metric.map(|line| {
            let (labels, value) = line.rsplit_once("} ").unwrap();
            let own = labels.split(',').skip(3).collect::<Vec<_>>().join(",");
            (own, value.parse().unwrap())
        });
        samples.collect()
    }

    /// Of the modules of the deployment.
    fn of_modules(&self, name: &str) -> BTreeMap<String, f64> {
        let mut samples = self.samples(name);
        samples.retain(|labels, _| !labels.contains("edgeAgent") && !labels.contains("edgeHub"));
        samples
    }

    /// Expected and running time of modules, in seconds.
    fn times(&self) -> Vec<(String, f64, f64)> {
        let running = self.of_modules("edgeAgent_total_time_running_correctly_seconds");
        let expected = self.of_modules("edgeAgent_total_time_expected_running_seconds");
        assert!(running.keys().eq(expected.keys()), "{running:?} {expected:?}");
        expected.into_iter().map(|(labels, secs)| (name_in(&labels), secs, running[&labels])).collect()
    }

    /// Waits, on the virtual clock, until the agent has done all it can for now.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::time::sleep(Duration::from_millis(999)).await;
    }
}

fn name_in(labels: &str) -> String {
    labels.strip_prefix("module_name=\"").unwrap().split('"').next().unwrap().to_owned()
}

fn one(labels: &str, value: f64) -> BTreeMap<String, f64> {
    BTreeMap::from([(labels.to_owned(), value)])
}

fn stopped() -> Value {
    let mut module = module("always");
    module["status"] = "stopped".into();
    module
}

const STARTS: &str = "edgeAgent_module_start_total";
const STOPS: &str = "edgeAgent_module_stop_total";

#[tokio::test(start_paused = true)]
async fn time_counts_while_a_module_should_run_and_as_correct_while_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.complaints.expect("a step failed module=\"b\"");
    agent.complaints.expect("deployment refused version=5");
    let passed = async |secs| tokio::time::sleep(Duration::from_secs(secs)).await;
    // Time without an identity, or without an image, is time in which it should have run.
    agent.runtime.refuse("b");
    let all = json!({ "a": module("always"), "b": module("always"), "c": stopped(), "stranger": module("always") });
    agent.deploy(1, deployment(all)).await;
    agent.running(&["a"]).await;
    passed(100).await;
    let row = |name: &str, expected: f64, running: f64| (name.to_owned(), expected, running);
    let down = |name| row(name, 100.0, 0.0);
    assert_eq!(agent.times(), [row("a", 100.0, 100.0), down("b"), row("c", 0.0, 0.0), down("stranger")]);

    // A failure: ten seconds until it is started again.
    agent.deploy(2, deployment(json!({ "a": module("always") }))).await;
    agent.reported(|report| report["lastDesiredVersion"] == 2).await;
    agent.runtime.exit("a", 1);
    agent.reported(|report| status_of(report, "a") == "backoff").await;
    agent.running(&["a"]).await;
    passed(40).await;
    assert_eq!(agent.times(), [row("a", 150.0, 140.0)]);

    // Stopped by the deployment, both stand still, and go on when it shall run again.
    agent.deploy(3, deployment(json!({ "a": stopped() }))).await;
    agent.reported(|report| status_of(report, "a") == "stopped").await;
    passed(1000).await;
    assert_eq!(agent.times(), [row("a", 150.0, 140.0)]);
    agent.deploy(4, deployment(json!({ "a": module("always") }))).await;
    agent.running(&["a"]).await;
    passed(10).await;
    assert_eq!(agent.times(), [row("a", 160.0, 150.0)]);

    // A refused deployment changes nothing; agent and hub are never down.
    agent.deploy(5, json!({})).await;
    agent.reported(|report| report["lastDesiredVersion"] == 5).await;
    passed(10).await;
    assert_eq!(agent.times(), [row("a", 170.0, 160.0)]);
    let ours = agent.samples("edgeAgent_total_time_running_correctly_seconds");
    let ours_in = |name: &str| ours[&format!("module_name=\"{name}\"")];
    assert_eq!((ours_in("edgeAgent"), ours_in("edgeHub")), (1170.0, 1170.0));
    agent.end().await;
}

#[tokio::test(start_paused = true)]
async fn starts_and_stops_are_counted_by_version_and_go_with_the_module() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.deploy(1, deployment(json!({ "a": of_version("1") }))).await;
    agent.running(&["a"]).await;
    let (first, second) = (r#"module_name="a",module_version="1""#, r#"module_name="a",module_version="2""#);
    assert_eq!((agent.samples(STARTS), agent.samples(STOPS)), (one(first, 1.0), BTreeMap::new()));

    // An exit is no stop; the restart is a start.
    agent.runtime.exit("a", 1);
    agent.reported(|report| status_of(report, "a") == "backoff").await;
    agent.running(&["a"]).await;
    assert_eq!((agent.samples(STARTS), agent.samples(STOPS)), (one(first, 2.0), BTreeMap::new()));
    // An order to restart is both.
    agent.restart("a").await.await.unwrap().unwrap();
    assert_eq!((agent.samples(STARTS), agent.samples(STOPS)), (one(first, 3.0), one(first, 1.0)));

    // Replaced by another version.
    agent.deploy(2, deployment(json!({ "a": of_version("2") }))).await;
    agent.reported(|report| report["modules"]["a"]["version"] == "2").await;
    agent.settle().await;
    let both = BTreeMap::from([(first.to_owned(), 3.0), (second.to_owned(), 1.0)]);
    assert_eq!((agent.samples(STARTS), agent.samples(STOPS)), (both, one(first, 2.0)));

    // Removed: nothing of it is left, and what it took is free again.
    agent.deploy(3, deployment(json!({ "b": of_version("1") }))).await;
    agent.running(&["b"]).await;
    agent.settle().await;
    let of_b = r#"module_name="b",module_version="1""#;
    assert_eq!((agent.samples(STARTS), agent.samples(STOPS)), (one(of_b, 1.0), BTreeMap::new()));
    assert_eq!(agent.times().len(), 1);
    agent.end().await;
}

#[tokio::test(start_paused = true)]
async fn commands_and_deployments_are_timed() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.complaints.expect("a step failed module=\"b\"");
    let count = "edgeAgent_deployment_time_seconds_count";
    let sum = "edgeAgent_deployment_time_seconds_sum";
    for (act, secs) in [(Act::Pull, 5), (Act::Create, 1), (Act::Start, 2), (Act::Stop, 3)] {
        agent.runtime.slow(act, "a", Duration::from_secs(secs));
    }
    agent.deploy(1, deployment(json!({ "a": of_version("1") }))).await;
    agent.running(&["a"]).await;
    agent.settle().await;
    assert_eq!((agent.samples(count)[""], agent.samples(sum)[""]), (1.0, 8.0));

    // The same is told again after a connect: nothing was deployed.
    agent.deploy(1, deployment(json!({ "a": of_version("1") }))).await;
    agent.settle().await;
    assert_eq!(agent.samples(count)[""], 1.0);

    // What fails is not carried out; what takes its place is.
    agent.runtime.refuse("b");
    agent.deploy(2, deployment(json!({ "a": of_version("1"), "b": module("always") }))).await;
    agent.reported(|report| report["lastDesiredStatus"]["code"] == 500).await;
    agent.settle().await;
    assert_eq!(agent.samples(count)[""], 1.0);
    agent.deploy(3, deployment(json!({ "a": of_version("2") }))).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((agent.samples(count)[""], agent.samples(sum)[""]), (2.0, 8.0 + 11.0));

    agent.deploy(4, deployment(json!({}))).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let took = agent.samples("edgeAgent_command_latency_seconds_sum");
    let command = |name: &str| took[&format!("command=\"{name}\"")];
    // To create anew is to stop, too; and so is to remove.
    let named = [("prepareUpdate", 10.0), ("create", 1.0), ("update", 4.0), ("start", 4.0), ("remove", 3.0)];
    for (name, secs) in named {
        assert_eq!(command(name), secs, "{name}");
    }
    assert_eq!(took.len(), named.len());
    agent.end().await;
}
