//! Small readings of requests; the calls are tested over TLS in `tests/it/hub_http.rs`.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_request_is_the_hubs_only_with_a_token_or_a_version() {
    let request = |uri: &str, token: bool| {
        let builder = Request::builder().uri(uri);
        let builder = if token { builder.header(header::AUTHORIZATION, "x") } else { builder };
        builder.body(()).unwrap()
    };
    assert!(HubHttp::route(&request("/devices/d/modules", false)).is_none(), "a page of the console");
    assert!(HubHttp::route(&request("/devices/d/modules?api-version=1", false)).is_some());
    assert!(HubHttp::route(&request("/devices/d/modules", true)).is_some());
    assert!(HubHttp::route(&request("/api/devices?api-version=1", true)).is_none());
}

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
