//! What a running daemon tells Prometheus.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use testkit::authority::TestAuthority;

use crate::daemon::Device;

fn metrics(device: &Device) -> String {
    let mut stream = UnixStream::connect(device.data_dir().join("mgmt.sock")).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// The only sample of a metric that has this label.
fn sample<'m>(text: &'m str, name: &str, label: &str) -> (&'m str, f64) {
    let of_metric = |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains(label);
    let found: Vec<_> = text.lines().filter(of_metric).collect();
    assert_eq!(found.len(), 1, "{name} {label}: {text}");
    let (labels, value) = found[0].rsplit_once(' ').unwrap();
    (labels, value.parse().unwrap())
}

#[test]
fn a_module_is_told_of_from_its_start_and_anew_by_the_next_daemon() {
    let mut device = Device::new("exec sleep 1000", 1, &TestAuthority::default());
    let mut labels = Vec::new();
    for _ in 0..2 {
        device.start();
        let text = metrics(&device);
        let worker = |name| sample(&text, name, r#"module_name="worker""#);
        let (label, starts) = worker("edgeAgent_module_start_total");
        assert_eq!(starts, 1.0);
        labels.push(label.to_owned());
        assert!(worker("edgeAgent_total_time_expected_running_seconds").1 >= 0.0);
        assert!(worker("edgeAgent_used_memory_bytes").1 > 0.0);
        assert_eq!(worker("edgeAgent_created_pids_total").1, 1.0);
        for own in ["edgeAgent_used_memory_bytes", "edgeAgent_total_time_running_correctly_seconds"] {
            assert!(sample(&text, own, r#"module_name="edgeAgent""#).1 > 0.0, "{own}");
        }
        device.kill();
    }
    assert_ne!(labels[0], labels[1], "instance_number tells the daemons apart");
    // Ends what the last one left.
    device.start();
}
