//! What the interface takes at each of its limits, and what it says one beyond.

use central::app::resource::Managed;
use central::app::tokens::ApiTokens;
use central::app::users::Users;
use central::config::Config;
use central::limits::*;
use events::clock::now_ms;
use http::{Method, StatusCode};
use hub::limits::{HUB_HTTP_BODY_BYTES_MAX, HUB_HTTP_CALL_BYTES_MAX, MODULES_PER_DEVICE_MAX};
use registry::{CountMax, EnrollmentGroupRow, ManifestRow, Precondition, Registry, Resource, TemplateRow};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::client::Rest;
use crate::central::{TestCentral, config, data};
use crate::hub_http::Caller;

/// The built-in role.
const OPERATOR: &str = "ae2c9854-393b-4f97-8c42-479d70ce626e";

#[tokio::test]
async fn texts_are_as_long_as_they_may_be() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let device = |characters: usize| format!("/api/devices/{}", "d".repeat(characters));
    rest.put(&device(ID_CHARS_MAX), json!({})).await;
    assert_eq!(rest.refused("PUT", &device(ID_CHARS_MAX + 1), json!({})).await.0, 400);

    let named = |characters: usize| json!({ "displayName": "n".repeat(characters) });
    rest.put("/api/devices/d", named(DISPLAY_NAME_CHARS_MAX)).await;
    assert_eq!(rest.refused("PUT", "/api/devices/d", named(DISPLAY_NAME_CHARS_MAX + 1)).await.0, 422);

    let user = |characters: usize| {
        let email = format!("{}@example.com", "e".repeat(characters - "@example.com".len()));
        json!({ "type": "email", "email": email, "roles": [{ "role": OPERATOR }] })
    };
    rest.put("/api/users/u", user(EMAIL_CHARS_MAX)).await;
    assert_eq!(rest.refused("PUT", "/api/users/u", user(EMAIL_CHARS_MAX + 1)).await.0, 422);
    central.stop().await;
}

#[tokio::test]
async fn answers_are_as_long_as_they_may_be() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put("/api/devices/d", json!({})).await;
    let numbers = [
        ("/api/devices?maxpagesize=", PAGE_SIZE_MAX as usize),
        ("/api/ext/v1/devices?pageSize=", FLEET_PAGE_SIZE_MAX as usize),
        ("/api/ext/v1/devices/d/messages?limit=", MESSAGES_PER_ANSWER_MAX),
        ("/api/ext/v1/devices/d/series?name=a&points=", SERIES_POINTS_MAX),
    ];
    for (path, most) in numbers {
        rest.get(&format!("{path}{most}")).await;
        assert_eq!(rest.refused("GET", &format!("{path}{}", most + 1), Value::Null).await.0, 400, "{path}");
        assert_eq!(rest.refused("GET", &format!("{path}0"), Value::Null).await.0, 400, "{path}");
    }
    let series = |names: usize| {
        let names: Vec<String> = (0..names).map(|n| format!("name=n{n}")).collect();
        format!("/api/ext/v1/devices/d/series?{}", names.join("&"))
    };
    rest.get(&series(SERIES_NAMES_MAX)).await;
    assert_eq!(rest.refused("GET", &series(SERIES_NAMES_MAX + 1), Value::Null).await.0, 400);

    for n in 0..FLEET_PAGE_SIZE_DEFAULT {
        rest.put(&format!("/api/devices/f{n}"), json!({})).await;
    }
    let page = rest.get("/api/ext/v1/devices").await;
    assert_eq!(page["value"].as_array().unwrap().len(), FLEET_PAGE_SIZE_DEFAULT as usize);
    assert!(page["nextLink"].is_string());
    central.stop().await;
}

/// Fills a kind up to its limit, past the interface.
async fn fill<R: Resource>(registry: &Registry, application: &str, most: u32, row: impl Fn(u32) -> R) {
    for n in 0..most {
        registry.resource_put(application, &row(n), &Precondition::None, CountMax(most)).await.unwrap();
    }
}

#[tokio::test]
async fn an_application_has_as_many_of_a_kind_as_it_may() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let (rest, registry) = (Rest::new(&central), &central.running.core.registry);
    // Users and tokens are stored as the kinds below are, and ten thousand of each would take half a minute.
    assert_eq!([Users::COUNT_MAX, ApiTokens::COUNT_MAX], [CountMax(USERS_MAX); 2]);
    let text = |n: u32| format!("x{n}");
    let manifest = |n: u32| ManifestRow {
        id: text(n),
        etag: String::new(),
        display_name: text(n),
        organization: None,
        data: "{}".to_owned(),
        created_ms: now_ms(),
        updated_ms: now_ms(),
    };
    let template = |n: u32| TemplateRow {
        id: format!("dtmi:t:x{n};1"),
        etag: String::new(),
        display_name: text(n),
        capability_model_id: format!("dtmi:t:m{n};1"),
        document: "{}".to_owned(),
        created_ms: now_ms(),
        updated_ms: now_ms(),
    };
    let keys = central.group("SAS-IoT-Devices").await.keys;
    let group = |n: u32| EnrollmentGroupRow {
        id: text(n),
        etag: String::new(),
        display_name: text(n),
        enabled: true,
        is_edge: false,
        auto_approve: true,
        keys: keys.clone(),
        certificates: None,
        created_ms: now_ms(),
        updated_ms: now_ms(),
    };
    let app = central.app();
    // Two groups are there from the start.
    let groups = ENROLLMENT_GROUPS_MAX - 2;
    tokio::join!(
        fill(registry, app, MANIFESTS_MAX, manifest),
        fill(registry, app, TEMPLATES_MAX, template),
        fill(registry, app, ENROLLMENT_GROUPS_MAX, |n| group(n.min(groups - 1))),
    );
    for (path, body, _) in super::preconditions::kinds().into_iter().take(3) {
        let (status, code, _) = rest.refused("PUT", path, body).await;
        assert_eq!((status, code.as_str()), (409, "Conflict"), "{path}");
    }
    central.stop().await;
}

#[tokio::test]
async fn bodies_are_as_long_as_they_may_be() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let body = |bytes: usize| "{}".to_owned() + &" ".repeat(bytes - 2);
    let put = async |path: &str, bytes: usize| {
        rest.raw("PUT", &format!("/api/{path}?api-version=2022-07-31"), &body(bytes)).await.status
    };
    assert_eq!(put("devices/d", HTTP_CALL_BYTES_MAX).await, 200);
    assert_eq!(put("devices/d", HTTP_CALL_BYTES_MAX + 1).await, 413);
    assert_eq!(put("deviceTemplates/dtmi:a:b;1", HTTP_BODY_BYTES_MAX).await, 422);
    assert_eq!(put("deviceTemplates/dtmi:a:b;1", HTTP_BODY_BYTES_MAX + 1).await, 413);

    let device = central.provision("e").await;
    let caller = Caller::device(&central, &device);
    let module = "/devices/e/modules/m";
    let put = async |bytes: usize| caller.send(Method::PUT, module, &[], &body(bytes)).await.status();
    assert_eq!(put(HUB_HTTP_CALL_BYTES_MAX).await, StatusCode::OK);
    assert_eq!(put(HUB_HTTP_CALL_BYTES_MAX + 1).await, StatusCode::PAYLOAD_TOO_LARGE);
    let batch = async |bytes: usize| {
        let kind = ("content-type", "application/vnd.microsoft.iothub.json");
        let batch = "[]".to_owned() + &" ".repeat(bytes - 2);
        caller.send(Method::POST, "/devices/e/messages/events", &[kind], &batch).await.status()
    };
    assert_eq!(batch(HUB_HTTP_BODY_BYTES_MAX).await, StatusCode::NO_CONTENT);
    assert_eq!(batch(HUB_HTTP_BODY_BYTES_MAX + 1).await, StatusCode::PAYLOAD_TOO_LARGE);
    for n in 1..MODULES_PER_DEVICE_MAX {
        let made = caller.send(Method::PUT, &format!("/devices/e/modules/m{n}"), &[], "{}").await;
        assert_eq!(made.status(), StatusCode::OK, "module {n}");
    }
    let one_more = caller.send(Method::PUT, "/devices/e/modules/one-more", &[], "{}").await;
    assert_eq!(one_more.status(), StatusCode::PAYLOAD_TOO_LARGE);
    central.stop().await;
}

#[tokio::test]
async fn whoever_is_known_keeps_a_connection_and_others_wait() {
    assert_eq!(Config::default().limits.http_connections_max, HTTP_CONNECTIONS_MAX);
    let (_dir, data) = data();
    let mut config = config();
    config.limits.http_connections_max = 2;
    let central = TestCentral::start_with(&data, config).await;
    let token = std::fs::read_to_string(central.folder.admin_token()).unwrap();
    let known =
        format!("GET /api/ext/v1/session HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\n\r\n", token.trim());
    let (mut first, mut second) = (central.tls_stream().await, central.tls_stream().await);
    ask(&mut first, &known).await;
    ask(&mut second, &known).await;
    let mut third = Box::pin(central.tls_stream());
    for _ in 0..20 {
        ask(&mut first, HEALTH).await;
        ask(&mut second, HEALTH).await;
        assert!(futures_util::poll!(&mut third).is_pending(), "there is no place for it");
    }
    drop(first);
    let mut third = third.await;
    ask(&mut third, HEALTH).await;
    // Nobody knows who that was: it makes room.
    ask(&mut central.tls_stream().await, HEALTH).await;
    ask(&mut second, HEALTH).await;
    assert!(!matches!(third.read(&mut [0; 1]).await, Ok(1..)));
    central.stop().await;
}

const HEALTH: &str = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A request that leaves the connection open.
async fn ask(stream: &mut TlsStream<TcpStream>, request: &str) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut read, mut answer) = ([0; 4096], String::new());
    while !answer.ends_with('}') {
        let count = stream.read(&mut read).await.unwrap();
        assert!(count > 0, "it ended after {answer}");
        answer.push_str(std::str::from_utf8(&read[..count]).unwrap());
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
