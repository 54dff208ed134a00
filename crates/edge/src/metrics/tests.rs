#![allow(clippy::unwrap_used)]
use std::time::Duration;

use model::identity::Identity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::device::Device;
use super::hub::{Flow, Peer};
use super::*;

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
    metrics.add_collector(Device::new(dir.path()));
    let text = metrics.text();
    for name in [
        "edgeAgent_available_disk_space_bytes",
        "edgeAgent_total_disk_space_bytes",
        "edgeAgent_used_memory_bytes",
        "edgeAgent_total_memory_bytes",
        "edgeAgent_host_uptime_seconds",
        "edgeAgent_iotedged_uptime_seconds",
    ] {
        let samples = samples(&text, name);
        let value: f64 = samples[0].rsplit(' ').next().unwrap().parse().unwrap();
        assert!(samples.len() == 1 && value > 0.0, "{name}: {samples:?}");
    }
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
