#![allow(clippy::unwrap_used)]
use std::time::Duration;

use model::identity::Identity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::device::{Device, Running};
use super::hub::{Flow, Peer};
use super::proc::Proc;
use super::proc::tests::{write_process, write_processors};
use super::processors::Processors;
use super::*;
use crate::limits::PROCESSORS_SAMPLE_INTERVAL;

fn metrics() -> Arc<Metrics> {
    Metrics::new("hub.test", "edge \"1\"")
}

/// The samples of a metric, without the labels every sample has.
fn samples(text: &str, name: &str) -> Vec<String> {
    let of_metric = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let mut samples: Vec<_> = of_metric
        .map(|line| {
            assert!(line.contains(r#"iothub="hub.test",edge_device="edge \"1\"",instance_number=""#), "{line}");
            let (labels, value) = line.split_once('{').unwrap().1.rsplit_once("} ").unwrap();
            let own = labels.split(',').filter(|label| {
                !["iothub=", "edge_device=", "instance_number="].iter().any(|common| label.starts_with(common))
            });
            format!("{} {value}", own.collect::<Vec<_>>().join(","))
        })
        .collect();
    samples.sort();
    samples
}

#[test]
fn connections_that_gave_way_are_counted_by_reason() {
    let (metrics, gave_way) = (metrics(), transport::server::GaveWay::default());
    metrics.add_collector(connections::Listener(gave_way.clone()));
    gave_way.count(transport::server::gave_way::Reason::Late);
    let samples = samples(&metrics.text(), "edgehub_connections_gave_way_total");
    assert_eq!(samples.len(), transport::server::gave_way::Reason::ALL.len());
    assert!(samples.contains(&r#"reason="late" 1"#.to_owned()), "{samples:?}");
}

#[test]
fn the_hub_counts_under_the_names_of_the_original() {
    let metrics = metrics();
    let sensor = Identity::module("edge", "sensor");
    let flow = Flow { from: &sensor, output: "out", to: "filter", input: "in", priority: "default" };
    metrics.hub.received(&sensor, "out", &[100, 5000]);
    metrics.hub.sent(flow, Duration::from_millis(2), [Duration::from_secs(1); 3].into_iter());
    metrics.hub.dropped("ttl_expiry", flow, 4);
    metrics.hub.dropped_with_endpoint("endpoint_removed", "filter", "in", 5);
    metrics.hub.unacknowledged(&sensor, "out", 6);
    metrics.hub.twin_read(&sensor, Peer::Upstream, Duration::ZERO);
    metrics.hub.reported(&sensor, Peer::EdgeHub, Duration::ZERO);
    metrics.hub.method(&sensor, Duration::ZERO);
    metrics.hub.connected(&sensor);
    metrics.hub.set_connected(3);
    metrics.hub.connect_failed("not_authorized");
    metrics.hub.disconnected(&sensor);
    let text = metrics.text();
    let id = r#"id="edge/sensor""#;
    for (name, expected) in [
        ("edgehub_messages_received_total", format!(r#"route_output="out",{id} 2"#)),
        ("edgehub_message_size_bytes_sum", format!("{id} 5100.0")),
        ("edgehub_message_size_bytes_count", format!("{id} 2")),
        (
            "edgehub_messages_sent_total",
            r#"from="edge/sensor",to="filter",from_route_output="out",to_route_input="in",priority="default" 3"#.into(),
        ),
        (
            "edgehub_message_send_duration_seconds_count",
            r#"from="edge/sensor",to="filter",from_route_output="out",to_route_input="in" 1"#.into(),
        ),
        (
            "edgehub_message_process_duration_seconds_sum",
            r#"from="edge/sensor",to="filter",priority="default" 3.0"#.into(),
        ),
        (
            "edgehub_messages_unack_total",
            r#"reason="storage_failure",from="edge/sensor",from_route_output="out" 6"#.into(),
        ),
        ("edgehub_gettwin_total", format!(r#"source="upstream",{id} 1"#)),
        ("edgehub_reported_properties_total", format!(r#"target="edge_hub",{id} 1"#)),
        ("edgehub_direct_methods_total", r#"from="upstream",to="edge/sensor" 1"#.into()),
        ("edgehub_client_connect_success_total", format!("{id} 1")),
        ("edgehub_client_connect_failed_total", r#"id="",reason="not_authorized" 1"#.into()),
        ("edgehub_client_disconnect_total", format!("{id} 1")),
        ("edgehub_connected_clients", " 3".into()),
    ] {
        assert_eq!(samples(&text, name), [expected], "{name}");
    }
    assert_eq!(
        samples(&text, "edgehub_messages_dropped_total"),
        [
            r#"reason="endpoint_removed",from="",from_route_output="",to="filter",to_route_input="in" 5"#,
            r#"reason="ttl_expiry",from="edge/sensor",from_route_output="out",to="filter",to_route_input="in" 4"#,
        ]
    );
}

#[test]
fn the_agent_tells_of_the_machine() {
    let metrics = metrics();
    let dir = tempfile::tempdir().unwrap();
    metrics.add_collector(Device::new(dir.path(), tokio::time::Instant::now(), Arc::new(Vec::new)));
    let text = metrics.text();
    for name in [
        "edgeAgent_available_disk_space_bytes",
        "edgeAgent_total_disk_space_bytes",
        "edgeAgent_used_memory_bytes",
        "edgeAgent_total_memory_bytes",
        "edgeAgent_host_uptime_seconds",
        "edgeAgent_iotedged_uptime_seconds",
    ] {
        let mut samples = samples(&text, name);
        samples.retain(|sample| !sample.contains(r#"module_name="edgeAgent""#));
        let value: f64 = samples[0].rsplit(' ').next().unwrap().parse().unwrap();
        assert!(samples.len() == 1 && value > 0.0, "{name}: {samples:?}");
    }
}

fn running(modules: &[(&str, u32)]) -> Running {
    let modules: Vec<_> = modules.iter().map(|(name, pid)| ((*name).to_owned(), *pid)).collect();
    Arc::new(move || modules.clone())
}

#[test]
fn the_agent_tells_of_the_processes_of_modules_and_of_its_own() {
    let (metrics, dir) = (metrics(), tempfile::tempdir().unwrap());
    for (pid, group) in [(20, 20), (21, 20), (30, 30)] {
        write_process(dir.path(), pid, "S", group, 1);
    }
    write_process(dir.path(), 40, "Z", 40, 1);
    std::fs::write(dir.path().join("meminfo"), "MemTotal: 1000 kB\nMemAvailable: 700 kB\n").unwrap();
    std::fs::rename(dir.path().join("30"), dir.path().join("self")).unwrap();
    let running = running(&[("sensor", 20), ("ended", 40), ("gone", 50)]);
    let device = Device::new(dir.path(), tokio::time::Instant::now(), running);
    metrics.add_collector(device.of(Proc::at(dir.path())));
    let text = metrics.text();
    let of = |name: &str| samples(&text, &format!("edgeAgent_{name}"));
    let labelled =
        |values: [(&str, u64); 3]| values.map(|(module, value)| format!("module_name=\"{module}\" {value}.0"));
    let memory = labelled([("edgeAgent", 102_400), ("host", 307_200), ("sensor", 204_800)]);
    assert_eq!(of("used_memory_bytes"), memory);
    let all = labelled([("edgeAgent", 1_024_000), ("host", 1_024_000), ("sensor", 1_024_000)]);
    assert_eq!(of("total_memory_bytes"), all);
    assert_eq!(of("created_pids_total"), [r#"module_name="edgeAgent" 3.0"#, r#"module_name="sensor" 6.0"#]);
    for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
        assert_eq!(text.matches(line).count(), 1, "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_modules_use_of_the_processors_is_sampled() {
    let (metrics, dir) = (metrics(), tempfile::tempdir().unwrap());
    let proc = Proc::at(dir.path());
    let processors = Processors::new(running(&[("sensor", 20), ("late", 30)]), Arc::clone(&metrics)).of(proc);
    write_processors(dir.path(), 1000, 0);
    write_process(dir.path(), 20, "S", 20, 10);
    let task = tokio::spawn(processors.run());
    tokio::time::sleep(PROCESSORS_SAMPLE_INTERVAL / 2).await;
    assert_eq!(samples(&metrics.text(), "edgeAgent_used_cpu_percent_count"), Vec::<String>::new());

    // Of 400 ticks 100 were busy, 40 of them with the sensor; of the other it is not known since when.
    write_processors(dir.path(), 1300, 100);
    write_process(dir.path(), 20, "S", 20, 20);
    write_process(dir.path(), 30, "S", 30, 50);
    tokio::time::sleep(PROCESSORS_SAMPLE_INTERVAL).await;
    let sums = || samples(&metrics.text(), "edgeAgent_used_cpu_percent_sum");
    let [host, late, sensor] = ["host", "late", "sensor"].map(|name| format!("module_name=\"{name}\""));
    assert_eq!(sums(), [format!("{host} 25.0"), format!("{late} 50.0"), format!("{sensor} 10.0")]);

    // A child that ended and took its time with it says nothing; nor does an idle machine whose clock stands.
    write_processors(dir.path(), 1700, 100);
    write_process(dir.path(), 20, "S", 20, 5);
    tokio::time::sleep(2 * PROCESSORS_SAMPLE_INTERVAL).await;
    assert_eq!(sums(), [format!("{host} 25.0"), format!("{late} 50.0"), format!("{sensor} 10.0")]);
    let counts = samples(&metrics.text(), "edgeAgent_used_cpu_percent_count");
    assert_eq!(counts, [format!("{host} 2"), format!("{late} 2"), format!("{sensor} 1")]);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn modules_that_left_make_room_for_others() {
    let metrics = metrics();
    let of = |name: &str| samples(&metrics.text(), &format!("edgeAgent_module_{name}_total"));
    metrics.agent.modules([("old", Doing::Up)].into_iter());
    for version in 0..METRIC_SERIES_MAX {
        metrics.agent.start("old", &version.to_string());
    }
    metrics.agent.modules([("old", Doing::Up), ("new", Doing::Up)].into_iter());
    metrics.agent.start("new", "1");
    assert_eq!(of("start").len(), METRIC_SERIES_MAX + 1);
    assert!(of("start").contains(&" 1".to_owned()), "what is beyond the bound is counted without labels");
    metrics.agent.modules([("new", Doing::Up)].into_iter());
    metrics.agent.start("new", "1");
    assert_eq!(of("start"), [" 1", r#"module_name="new",module_version="1" 1"#]);
}

#[test]
fn the_number_of_samples_is_bounded_and_nothing_goes_uncounted() {
    let metrics = metrics();
    for number in 0..METRIC_SERIES_MAX + 3 {
        metrics.hub.disconnected(&Identity::device(&number.to_string()));
    }
    metrics.hub.disconnected(&Identity::device("0"));
    let samples = samples(&metrics.text(), "edgehub_client_disconnect_total");
    assert_eq!(samples.len(), METRIC_SERIES_MAX + 1);
    assert!(samples.contains(&" 3".to_owned()), "those beyond the bound together");
    assert!(samples.contains(&r#"id="0" 2"#.to_owned()));
}

async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_listener_serves_what_is_current_and_nothing_else() {
    let current = Arc::new(CurrentMetrics::default());
    let stop = CancellationToken::new();
    let address = listener::serve("127.0.0.1:0".parse().unwrap(), Arc::clone(&current), stop.clone()).await.unwrap();
    let request =
        |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let empty = ask(address, &request("GET", "/metrics")).await;
    assert!(empty.starts_with("HTTP/1.1 200") && empty.ends_with("\r\n\r\n"), "{empty}");
    let metrics = metrics();
    metrics.hub.set_connected(7);
    current.set(metrics);
    let answer = ask(address, &request("GET", "/metrics")).await;
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert_eq!(samples(&answer, "edgehub_connected_clients"), [" 7"]);
    assert!(ask(address, &request("POST", "/metrics")).await.starts_with("HTTP/1.1 405"));
    assert!(ask(address, &request("GET", "/status")).await.starts_with("HTTP/1.1 404"));
    stop.cancel();
}
