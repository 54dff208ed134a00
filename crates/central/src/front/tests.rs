//! Whom requests are for.
#![allow(clippy::unwrap_used)]

use super::*;

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

type Headers = &'static [(&'static str, &'static str)];

fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut builder = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap()
}

fn kind(method: &str, uri: &str, headers: &[(&str, &str)]) -> &'static str {
    match door(&request(method, uri, headers)) {
        Door::Live | Door::Ready | Door::Metrics => "operators",
        Door::Machine(_) => "machine",
        Door::WebSocket => "websocket",
        Door::People { is_navigation: true } => "page",
        Door::People { is_navigation: false } => "people",
    }
}

#[test]
fn browsers_get_pages_and_machines_never() {
    const ANY: Headers = &[("accept", "*/*")];
    const PAGE: Headers = &[("accept", BROWSER)];
    const TOKEN: Headers = &[("accept", BROWSER), ("authorization", "SharedAccessSignature sr=x")];
    let cases: [(&str, &str, Headers, &str); 19] = [
        ("GET", "/health/live", ANY, "operators"),
        ("GET", "/metrics", PAGE, "operators"),
        ("GET", "/", PAGE, "page"),
        ("GET", "/devices/d1", PAGE, "page"),
        ("GET", "/devices/d1/modules", PAGE, "page"),
        ("GET", "/devices/d1", ANY, "machine"),
        ("GET", "/devices/d1", &[], "machine"),
        ("GET", "/devices/d1?api-version=2021-04-12", PAGE, "machine"),
        ("GET", "/devices/d1/modules", TOKEN, "machine"),
        ("POST", "/devices/d1/messages/events", PAGE, "machine"),
        ("GET", "/foo", &[("accept", "application/json")], "people"),
        ("GET", "/assets/index.js", ANY, "people"),
        ("GET", "/api/devices?api-version=2022-07-31", TOKEN, "people"),
        ("GET", "/api/devices", &[], "people"),
        ("GET", "/$iothub/websocket?iothub-no-client-cert=true", &[("upgrade", "websocket")], "websocket"),
        ("POST", "/$iothub/websocket", ANY, "websocket"),
        ("GET", "/", &[("upgrade", "websocket"), ("accept", BROWSER)], "websocket"),
        ("GET", "/", &[("upgrade", "h2c")], "people"),
        ("GET", "/foo", &[("upgrade", "websocket")], "people"),
    ];
    for (method, uri, headers, expected) in cases {
        assert_eq!(kind(method, uri, headers), expected, "{method} {uri}");
    }
}

#[test]
fn the_host_is_found_in_either_place() {
    assert_eq!(host(&request("GET", "/", &[("host", "h:8443")])), Some("h"));
    assert_eq!(host(&request("GET", "https://a.h:1/x", &[])), Some("a.h"));
    assert_eq!(host(&request("GET", "/", &[])), None);
}
