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
