//! The fleet, the console's files, the live stream.

use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::client::Rest;
use crate::central::{TestCentral, data};

#[tokio::test]
async fn the_fleet_counts_and_filters() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    for (id, enabled) in [("a", true), ("b", false), ("c", true)] {
        rest.put(&format!("/api/devices/{id}"), json!({ "displayName": format!("Pump {id}"), "enabled": enabled }))
            .await;
    }
    let device = central.provision("a").await;
    let (client, _events) = central.connect(&device).await;
    let fleet = rest.get("/api/ext/v1/devices").await;
    let counts = json!({ "total": 3, "connected": 1, "disconnected": 0, "never": 1, "blocked": 1 });
    assert_eq!(fleet["counts"], counts);
    let statuses: Vec<_> = fleet["value"].as_array().unwrap().iter().map(|device| device["status"].clone()).collect();
    assert_eq!(statuses, ["connected", "blocked", "never"]);
    for (query, expected) in [
        ("filter=connected", vec!["a"]),
        ("filter=blocked", vec!["b"]),
        ("filter=never", vec!["c"]),
        ("filter=disconnected", vec![]),
        ("filter=connected&search=PUMP%20c", vec![]),
        ("filter=never&search=PUMP%20c&template=none", vec!["c"]),
        ("filter=edge", vec![]),
        ("search=PUMP%20b", vec!["b"]),
        ("template=none", vec!["a", "b", "c"]),
        ("template=dtmi:x;1", vec![]),
    ] {
        let page = rest.get(&format!("/api/ext/v1/devices?{query}")).await;
        let ids: Vec<_> =
            page["value"].as_array().unwrap().iter().map(|device| device["id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{query}");
    }
    let second = central.provision("c").await;
    let (other, _other_events) = central.connect(&second).await;
    let first = rest.get("/api/ext/v1/devices?pageSize=1&filter=connected").await;
    let next = rest.follow(first["nextLink"].as_str().unwrap()).await.body;
    assert_eq!((&first["value"][0]["id"], &next["value"][0]["id"]), (&json!("a"), &json!("c")));
    assert_eq!((next["value"].as_array().unwrap().len(), next.get("nextLink")), (1, None));
    other.stop().await;
    let first = rest.get("/api/ext/v1/devices?pageSize=2").await;
    let second = rest.follow(first["nextLink"].as_str().unwrap()).await.body;
    assert_eq!((second["value"].as_array().unwrap().len(), second.get("nextLink")), (1, None));
    assert_eq!(rest.refused("GET", "/api/ext/v1/devices?filter=pink", Value::Null).await.0, 400);
    assert_eq!(rest.get("/api/ext/v1/dps").await["idScope"], central.id_scope());
    assert_eq!(rest.get("/system/iothub/devices/a/get-twin?extendedInfo=true").await["connectionState"], "Connected");
    let counts = async || rest.get("/api/ext/v1/devices").await["counts"].clone();
    rest.patch("/api/devices/a", json!({ "enabled": false })).await;
    client.stop().await;
    let blocked = json!({ "total": 3, "connected": 0, "disconnected": 1, "never": 0, "blocked": 2 });
    let ended = async { while counts().await != blocked {} };
    tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
    rest.patch("/api/devices/a", json!({ "enabled": true })).await;
    assert_eq!(counts().await, json!({ "total": 3, "connected": 0, "disconnected": 2, "never": 0, "blocked": 1 }));
    rest.delete("/api/devices/a").await;
    assert_eq!(counts().await, json!({ "total": 2, "connected": 0, "disconnected": 1, "never": 0, "blocked": 1 }));
    central.stop().await;
}

#[tokio::test]
async fn the_console_gets_pages_and_the_interface_does_not() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::anonymous(&central).with("accept", "text/html,*/*;q=0.8");
    for path in ["/", "/templates/x", "/sign-in", "/devices/d1", "/devices/d1/modules"] {
        let page = rest.raw("GET", path, "").await;
        assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"), "{path}");
        assert!(page.headers["content-security-policy"].to_str().unwrap().contains("default-src 'self'"));
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
    }
    // The files are there only when the console was built before the program.
    let built = rest.raw("GET", "/", "").await;
    if built.status == 200 {
        assert_eq!(built.headers["cache-control"], "no-cache");
    }
    for (method, path) in [("GET", "/api/none"), ("GET", "/assets/none.js"), ("POST", "/templates/x")] {
        let answered = rest.raw(method, path, "").await;
        assert_eq!((answered.status, &answered.body["error"]["code"]), (404, &json!("NotFound")), "{method} {path}");
    }
    central.stop().await;
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_ask() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central).with("accept-encoding", "gzip, br");
    let long = rest.raw("GET", "/api/ext/v1/openapi.json", "").await;
    assert_eq!((long.status, &long.headers["content-encoding"]), (200, &http::HeaderValue::from_static("gzip")));
    let plain = Rest::new(&central).raw("GET", "/api/ext/v1/openapi.json", "").await;
    assert!(!plain.headers.contains_key("content-encoding") && plain.body.is_object());
    central.stop().await;
}

#[tokio::test]
async fn the_live_stream_tells_of_connections() {
    let (_dir, data) = data();
    let mut config = crate::central::config();
    config.listen.http = Some("127.0.0.1:0".parse().unwrap());
    let central = TestCentral::start_with(&data, config).await;
    let rest = Rest::new(&central);
    rest.put("/api/devices/d", json!({})).await;
    assert_eq!(rest.refused("GET", "/api/ext/v1/live?device=none", Value::Null).await.0, 404);

    let address = central.running.endpoints.http.clone().unwrap();
    let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let token = std::fs::read_to_string(central.folder.admin_token()).unwrap();
    let request = http::Request::get("/api/ext/v1/live")
        .header("host", &address)
        .header("authorization", token.trim())
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    let mut text = String::new();
    let mut read = async |until: &str| {
        while !text.contains(until) {
            let frame = tokio::time::timeout(crate::central::PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
        text.clone()
    };
    read(": open\n\n").await;
    let device = central.provision("d").await;
    let (client, _events) = central.connect(&device).await;
    let told = read("event: connection\n").await;
    assert!(told.contains(r#"data: {"device":"d","status":"connected"}"#), "{told}");
    client.stop().await;
    central.stop().await;
}
