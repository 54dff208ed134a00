//! Small readings of requests; the calls are tested over TLS in `tests/it/hub_http.rs`.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn hosts_lose_their_port_only() {
    for (host, expected) in [("h:8443", "h"), ("h", "h"), ("[::1]:443", "[::1]"), ("::1", "::1"), ("h:", "h")] {
        assert_eq!(without_port(host), expected);
    }
}

#[test]
fn plus_stays_plus_in_a_query() {
    assert_eq!(query_parameter("a=1&targetDeviceId=x+y%20z", "targetDeviceId").as_deref(), Some("x+y z"));
}

#[test]
fn the_target_names_the_host_before_the_header_does() {
    let mut headers = HeaderMap::new();
    let host = |uri: &'static str, headers: &HeaderMap| named_host(&Uri::from_static(uri), headers).map(str::to_owned);
    assert_eq!(host("/devices/d", &headers), None);
    // As HTTP/2 has it: without a header.
    assert_eq!(host("https://plant.hub:8443/devices/d", &headers).as_deref(), Some("plant.hub"));
    headers.insert(header::HOST, "hub:8443".parse().expect("a host"));
    assert_eq!(host("/devices/d", &headers).as_deref(), Some("hub"));
    assert_eq!(host("https://plant.hub/devices/d", &headers).as_deref(), Some("plant.hub"));
}
