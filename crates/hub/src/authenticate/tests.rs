//! Host names. Credentials are tested over the wire in `tests/it/gateway.rs`.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn the_host_name_and_loopback_names_lead_to_the_first_application() {
    let hosts = Hosts::new("iot.example.test", "app");
    for host in ["iot.example.test", "IOT.Example.Test", "localhost", "127.0.0.1", "::1", "[::1]"] {
        assert_eq!(hosts.application(host).map(|app| &**app), Some("app"), "{host}");
    }
    for host in ["", "example.test", "other.iot.example.test", "iot.example.test:8883"] {
        assert_eq!(hosts.application(host), None, "{host}");
    }
    assert_eq!(hosts.host_of("app"), Some("iot.example.test"));
    assert_eq!(hosts.host_of("other"), None);
}
