//! The device API over HTTPS, as an edge's identity service and hub use it.

use bytes::Bytes;
use central::limits::HTTP_NAMES_BUFFER_BYTES;
use events::clock::now_secs;
use events::live::LiveEvent;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hub::limits::SCOPE_PAGE_DEVICES_MAX;
use model::identity::Identity;
use model::manifest::EDGE_HUB;
use protocol::auth::sas;
use protocol::hub::bag;
use registry::{ModuleAuthentication, ModuleChange, NewDevice, RelationshipRow, SymmetricKeys, new_symmetric_keys};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport::client::https::HttpsClient;

use crate::central::{TestCentral, TestDevice, await_live, connect, data, is_telemetry, message};

pub struct Caller {
    client: HttpsClient,
    token: String,
}

impl Caller {
    fn new(central: &TestCentral, identity: &Identity, key: &str) -> Self {
        let audience = sas::audience("localhost", identity);
        let token = sas::sign(&audience, key, now_secs() + 60, None).unwrap();
        Self { client: HttpsClient::new("localhost", central.https_port(), central.tls()), token }
    }

    pub fn device(central: &TestCentral, device: &TestDevice) -> Self {
        Self::new(central, &Identity::device(&device.id), &device.key)
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{path}{}api-version=2021-04-12", if path.contains('?') { '&' } else { '?' }))
            .header(header::AUTHORIZATION, &self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.request(request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()).await.unwrap()
    }
}

fn json_of(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test]
async fn module_identities_live_as_the_identity_service_expects() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let edge = central.provision_in("SAS-IoT-Edge-Devices", "e1", None).await;
    let caller = Caller::device(&central, &edge);
    let path = "/devices/e1/modules/$edgeAgent";

    let body = json!({ "moduleId": "$edgeAgent", "deviceId": "e1", "managedBy": "IotEdge" }).to_string();
    let made = caller.send(Method::PUT, path, &[], &body).await;
    assert_eq!(made.status(), StatusCode::OK);
    let made = json_of(&made);
    let generation = made["generationId"].as_str().unwrap().to_owned();
    let body = json!({
        "moduleId": "$edgeAgent",
        "deviceId": "e1",
        "authentication": { "type": "sas", "symmetricKey": { "primaryKey": "cA==", "secondaryKey": "cw==" } },
    });
    let keyed = caller.send(Method::PUT, path, &[("If-Match", "*")], &body.to_string()).await;
    assert_eq!(keyed.status(), StatusCode::OK);
    let keyed = json_of(&keyed);
    assert_eq!(keyed["generationId"], *generation);
    assert_eq!(keyed["managedBy"], "IotEdge");
    assert_eq!(keyed["authentication"]["symmetricKey"]["primaryKey"], "cA==");

    let list = json_of(&caller.send(Method::GET, "/devices/e1/modules", &[], "").await);
    assert_eq!(list.as_array().unwrap().len(), 1);
    let stale = caller.send(Method::DELETE, path, &[("If-Match", "\"other\"")], "").await;
    assert_eq!(stale.status(), StatusCode::PRECONDITION_FAILED);
    let deleted = caller.send(Method::DELETE, path, &[("If-Match", "\"*\"")], "").await;
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let gone = caller.send(Method::GET, path, &[], "").await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    assert!(json_of(&gone)["Message"].as_str().unwrap().starts_with("ErrorCode:ModuleNotFound;"));
    let absent = caller.send(Method::PUT, path, &[("If-Match", "*")], &body.to_string()).await;
    assert_eq!(absent.status(), StatusCode::PRECONDITION_FAILED);
    central.stop().await;
}

const SCOPE_OF_E1: &str = "/devices/e1/modules/$edgeHub/devicesAndModulesInTargetDeviceScope";

/// The hub of an edge, with a key of its own.
async fn hub_of(central: &TestCentral, edge: &TestDevice) -> Caller {
    let key = "aHViLWtleQ==";
    let body =
        json!({ "authentication": { "type": "sas", "symmetricKey": { "primaryKey": key, "secondaryKey": key } } });
    let path = format!("/devices/{}/modules/{EDGE_HUB}", edge.id);
    Caller::device(central, edge).send(Method::PUT, &path, &[], &body.to_string()).await;
    Caller::new(central, &Identity::module(&edge.id, EDGE_HUB), key)
}

#[tokio::test]
async fn the_hub_of_an_edge_learns_its_scope_and_nothing_else() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let edge = central.provision_in("SAS-IoT-Edge-Devices", "e1", None).await;
    let payload = || Some(json!({ "iotcGateway": { "iotcGatewayId": "e1" } }));
    let child = central.provision_in("SAS-IoT-Devices", "c1", payload()).await;
    central.provision_in("SAS-IoT-Devices", "c2", payload()).await;
    central.provision("stranger").await;
    let hub = hub_of(&central, &edge).await;

    let mut devices: Vec<Value> = Vec::new();
    let mut link = Value::Null;
    loop {
        let body = json!({ "pageSize": 2, "continuationLink": link, "authChain": "e1" }).to_string();
        let page = json_of(&hub.send(Method::POST, SCOPE_OF_E1, &[], &body).await);
        devices.extend(page["devices"].as_array().unwrap().iter().cloned());
        link = page["continuationLink"].clone();
        if link.is_null() {
            break;
        }
    }
    let ids: Vec<&str> = devices.iter().map(|device| device["deviceId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["c1", "c2", "e1"]);
    assert_eq!(devices[0]["authentication"]["symmetricKey"]["primaryKey"], *child.key);
    assert_eq!(devices[0]["deviceScope"], devices[2]["deviceScope"]);
    assert_eq!(devices[2]["capabilities"]["iotEdge"], true);

    let one = format!("/devices/e1/modules/{EDGE_HUB}/getDeviceAndModuleOnBehalfOf");
    let found = hub.send(Method::POST, &one, &[], r#"{"targetDeviceId":"c2","authChain":"c2;e1"}"#).await;
    assert_eq!(json_of(&found)["devices"][0]["deviceId"], "c2");
    let out_of_reach =
        hub.send(Method::POST, &one, &[], r#"{"targetDeviceId":"stranger","authChain":"stranger;e1"}"#).await;
    assert_eq!(out_of_reach.status(), StatusCode::NOT_FOUND);
    let not_the_hub = Caller::device(&central, &edge).send(Method::POST, &one, &[], r#"{"targetDeviceId":"c2"}"#).await;
    assert_eq!(not_the_hub.status(), StatusCode::UNAUTHORIZED);
    central.stop().await;
}

#[tokio::test]
async fn a_message_posted_over_https_is_telemetry() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("d1").await;
    let caller = Caller::device(&central, &device);
    let mut live = central.watch("d1");
    let headers = [("dt-subject", "pump"), ("iothub-app-line", "3"), ("iothub-app-iothub-enqueuedtime", "forged")];
    let posted = caller.send(Method::POST, "/devices/d1/messages/events", &headers, r#"{"level":3}"#).await;
    assert_eq!(posted.status(), StatusCode::NO_CONTENT);
    let event = await_live(&mut live, is_telemetry).await;
    let LiveEvent::Telemetry { component, values, .. } = &*event else { unreachable!("it is telemetry") };
    assert_eq!((component.as_deref(), values["level"].as_i64()), (Some("pump"), Some(3)));
    let raw = central.running.core.telemetry.messages(central.app(), "d1", None, None, 1);
    assert_eq!(raw[0].properties().application.get("line").map(String::as_str), Some("3"));
    assert!(!String::from_utf8_lossy(&raw[0].bag).contains("forged"));

    let other = caller.send(Method::POST, "/devices/d2/messages/events", &[], "{}").await;
    assert_eq!(other.status(), StatusCode::UNAUTHORIZED);
    let batch = r#"[{"body":"eyJsZXZlbCI6NH0="},{"body":"{\"level\":5}","base64Encoded":false}]"#;
    let kind = [("Content-Type", "application/vnd.microsoft.iothub.json")];
    assert_eq!(caller.send(Method::POST, "/devices/d1/messages/events", &kind, batch).await.status(), 204);
    for expected in [4, 5] {
        let event = await_live(&mut live, is_telemetry).await;
        let LiveEvent::Telemetry { values, .. } = &*event else { unreachable!("it is telemetry") };
        assert_eq!(values["level"], expected);
    }
    central.stop().await;
}

/// As much of an answer as its head.
async fn head_of(central: &TestCentral, request: &str) -> String {
    let mut stream = central.tls_stream().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn names_of_properties_keep_their_letters() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("d1").await;
    let caller = Caller::device(&central, &device);
    let mut live = central.watch("d1");
    let mut properties = async || {
        await_live(&mut live, is_telemetry).await;
        central.running.core.telemetry.messages(central.app(), "d1", None, None, 1)[0].properties()
    };
    // More than is looked at at once.
    let long = "x".repeat(2 * HTTP_NAMES_BUFFER_BYTES);
    let request = format!(
        "POST /devices/d1/messages/events?api-version=2020-03-13 HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n\
         iothub-app-Zone: North\r\nIOTHUB-APP-lineNumber: 3\r\niothub-app-long: {long}\r\nIoTHub-MessageId: m1\r\n\
         iothub-app-ALL: x\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{{\"level\":3}}",
        caller.token
    );
    assert!(head_of(&central, &request).await.starts_with("HTTP/1.1 204"));
    let found = properties().await;
    let names: Vec<_> = found.application.keys().map(String::as_str).collect();
    assert_eq!(names, ["ALL", "Zone", "lineNumber", "long"]);
    assert_eq!((found.application["Zone"].as_str(), found.application["long"].len()), ("North", long.len()));
    assert_eq!(found.system["messageId"], "m1");

    let batch = r#"[{"body":"{\"level\":4}","base64Encoded":false,"properties":
        {"iothub-app-Zone":"South","iothub-messageId":"m2","iothub-creationtimeutc":"2020-01-01T00:00:00Z"}}]"#;
    let kind = [("Content-Type", "application/vnd.microsoft.iothub.json")];
    assert_eq!(caller.send(Method::POST, "/devices/d1/messages/events", &kind, batch).await.status(), 204);
    let found = properties().await;
    assert_eq!(found.application.into_iter().collect::<Vec<_>>(), [("Zone".to_owned(), "South".to_owned())]);
    assert_eq!(
        (found.system["messageId"].as_str(), found.system["creationTime"].as_str()),
        ("m2", "2020-01-01T00:00:00Z")
    );
    central.stop().await;
}

#[tokio::test]
async fn the_devices_own_time_is_taken_from_every_header_that_has_it() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("d1").await;
    let caller = Caller::device(&central, &device);
    let mut live = central.watch("d1");
    for name in ["iothub-creationtimeutc", "iothub-creation-time-utc", "iothub-app-iothub-creation-time-utc"] {
        let headers = [(name, "2020-01-01T00:00:00.5000000Z")];
        let posted = caller.send(Method::POST, "/devices/d1/messages/events", &headers, r#"{"level":3}"#).await;
        assert_eq!(posted.status(), StatusCode::NO_CONTENT);
        let event = await_live(&mut live, is_telemetry).await;
        let LiveEvent::Telemetry { ts_ms, .. } = &*event else { unreachable!("it is telemetry") };
        assert_eq!(*ts_ms, 1_577_836_800_500, "{name}");
    }
    central.stop().await;
}

#[tokio::test]
async fn a_token_opens_every_door_whatever_is_in_the_id_and_however_often_it_is_escaped() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    // As keys are copied: without their closing signs.
    let bare = |key: &str| key.trim_end_matches('=').to_owned();
    let keys = new_symmetric_keys();
    let keys = SymmetricKeys { primary: bare(&keys.primary), secondary: bare(&keys.secondary) };
    let registry = &central.running.core.registry;
    for id in ["AA:BB:CC:DD:EE:FF", "user@site", "a=b", "a,b", "a$b", "a#b", "a%b", "a%2Fb"] {
        let device = NewDevice { id: id.into(), enabled: true, keys: Some(keys.clone()), ..NewDevice::default() };
        registry.device_create(central.app(), device).await.unwrap();
        let authentication = Some(ModuleAuthentication::Sas(keys.clone()));
        let change = ModuleChange { managed_by: None, authentication, if_match: None };
        registry.module_put(central.app(), id, "mod:1", change, 1).await.unwrap();
        for identity in [Identity::device(id), Identity::module(id, "mod:1")] {
            let (once, path) = match identity.module_id() {
                None => (format!("localhost/devices/{id}"), format!("/devices/{}", bag::encode(id))),
                Some(module) => (
                    format!("localhost/devices/{id}/modules/{module}"),
                    format!("/devices/{}/modules/{}", bag::encode(id), bag::encode(module)),
                ),
            };
            // Signing escapes the whole; the C# SDK has escaped the ids before.
            let twice = format!("localhost{path}");
            for audience in [once, twice] {
                let mut options = central.client_options(identity.clone(), &keys.secondary);
                options.token_audience = Some(audience.clone());
                let (client, _events) = connect(options).await;
                client.send(vec![message("{}")]).await.unwrap();
                client.twin().await.unwrap();
                client.stop().await;
                let token = sas::sign(&audience, &keys.primary, now_secs() + 60, None).unwrap();
                let client = HttpsClient::new("localhost", central.https_port(), central.tls());
                let caller = Caller { client, token };
                let posted = caller.send(Method::POST, &format!("{path}/messages/events"), &[], "{}").await;
                assert_eq!(posted.status(), StatusCode::NO_CONTENT, "{audience}");
            }
        }
    }
    central.stop().await;
}

#[tokio::test]
async fn health_and_metrics_answer() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let client = HttpsClient::new("localhost", central.https_port(), central.tls());
    for (path, part) in [("/health/live", "live"), ("/health/ready", "ready"), ("/metrics", "\ntidegate_ready 1\n")] {
        let answer = client.request(Request::get(path).body(Bytes::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert!(String::from_utf8_lossy(answer.body()).contains(part), "{path}");
    }
    central.stop().await;
}

/// Whoever is no browser hears what is there, as JSON or not at all, and never gets a page.
#[tokio::test]
async fn machines_never_get_a_page() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("dev1").await;
    let caller = Caller::device(&central, &device);
    let cases = [
        (Method::GET, "/devices/dev1/messages/devicebound", 204),
        (Method::GET, "/devices/dev1/messages/deviceBound/", 204),
        (Method::DELETE, "/devices/dev1/messages/deviceBound/lock", 412),
        (Method::POST, "/devices/dev1/messages/deviceBound/lock/abandon", 412),
        (Method::PUT, "/devices/dev1/messages/deviceBound", 405),
        (Method::GET, "/devices/dev1/messages/events", 405),
        (Method::POST, "/devices/dev1/files", 400),
        (Method::POST, "/devices/dev1/files/notifications", 400),
        (Method::GET, "/$iothub/websocket", 426),
        (Method::GET, "/twins/dev1", 404),
        (Method::PATCH, "/twins/dev1", 404),
        (Method::POST, "/twins/dev1/methods", 404),
        (Method::GET, "/devices/dev1", 404),
        (Method::GET, "/devices", 404),
        (Method::GET, "/statistics/devices", 404),
        (Method::GET, "/jobs/v2/1", 404),
        (Method::GET, "/enrollmentGroups/x", 404),
        (Method::GET, "/configurations", 404),
        (Method::POST, "/messages/serviceBound/feedback", 404),
        (Method::GET, "/foo", 404),
        (Method::POST, "/foo", 404),
    ];
    for (method, path, expected) in cases {
        for accept in ["*/*", "application/json", "text/html"] {
            let answer = caller.send(method.clone(), path, &[("accept", accept)], "").await;
            assert_eq!(answer.status(), expected, "{method} {path}");
            if expected == 204 {
                assert!(answer.body().is_empty());
            } else {
                let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
                assert!(
                    kind.starts_with("application/json") && json_of(&answer).is_object(),
                    "{method} {path}: {kind}"
                );
            }
            if expected == 405 {
                assert!(answer.headers().contains_key(header::ALLOW), "{method} {path}");
            }
        }
    }
    let stranger = Caller { token: "SharedAccessSignature sr=x&sig=AA%3D%3D&se=1".into(), ..caller };
    let refused = stranger.send(Method::GET, "/devices/dev1/messages/devicebound", &[], "").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    central.stop().await;
}

#[tokio::test]
async fn a_modules_id_is_one_that_paths_and_files_can_have() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let edge = central.provision_in("SAS-IoT-Edge-Devices", "e1", None).await;
    let caller = Caller::device(&central, &edge);
    let longest = "m".repeat(128);
    for id in ["m", "$edgeAgent", "a.b", longest.as_str()] {
        let made = caller.send(Method::PUT, &format!("/devices/e1/modules/{id}"), &[], "{}").await;
        assert_eq!(made.status(), StatusCode::OK, "{id}");
    }
    let too_long = format!("{longest}m");
    let wrong = ["a%2Fb", "%2Fetc%2Fpasswd", "%2E%2E", "a%00", "a%0Ab", "a%20b", "%C3%BC", too_long.as_str()];
    for id in wrong {
        let refused = caller.send(Method::PUT, &format!("/devices/e1/modules/{id}"), &[], "{}").await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{id}");
    }
    let list = json_of(&caller.send(Method::GET, "/devices/e1/modules", &[], "").await);
    assert_eq!(list.as_array().unwrap().len(), 4);
    central.stop().await;
}

#[tokio::test]
async fn a_page_of_a_scope_has_as_many_devices_as_it_may() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let edge = central.provision_in("SAS-IoT-Edge-Devices", "e1", None).await;
    let hub = hub_of(&central, &edge).await;
    let registry = &central.running.core.registry;
    let child = async |n: usize| {
        let id = format!("c{n:04}");
        registry.device_create(central.app(), NewDevice { id: id.clone(), ..NewDevice::default() }).await.unwrap();
        let link = RelationshipRow { id: id.clone(), source: "e1".into(), target: id };
        registry.relationship_put(central.app(), &link, 0).await.unwrap();
    };
    let page = async |body: Value| {
        let page = json_of(&hub.send(Method::POST, SCOPE_OF_E1, &[], &body.to_string()).await);
        let ids =
            page["devices"].as_array().unwrap().iter().map(|device| device["deviceId"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), page["continuationLink"].clone())
    };
    // The edge itself is one of them.
    for n in 1..SCOPE_PAGE_DEVICES_MAX {
        child(n).await;
    }
    let (ids, link) = page(json!({ "authChain": "e1" })).await;
    assert_eq!((ids.len(), link), (SCOPE_PAGE_DEVICES_MAX, Value::Null));
    child(0).await;
    let (ids, link) = page(json!({ "pageSize": SCOPE_PAGE_DEVICES_MAX + 1, "authChain": "e1" })).await;
    assert_eq!(ids.len(), SCOPE_PAGE_DEVICES_MAX);
    let (rest, end) = page(json!({ "continuationLink": link, "authChain": "e1" })).await;
    assert_eq!((rest, end), (vec!["e1".to_owned()], Value::Null));
    central.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_of_a_request_is_refused_and_not_left_out() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("d1").await;
    let caller = Caller::device(&central, &device);
    let mut live = central.watch("d1");
    let post = async |value: &[u8]| {
        let request = Request::post("/devices/d1/messages/events?api-version=2021-04-12")
            .header(header::AUTHORIZATION, &caller.token)
            .header("iothub-app-place", HeaderValue::from_bytes(value).unwrap());
        caller.client.request(request.body(Bytes::from_static(br#"{"level":1}"#)).unwrap()).await.unwrap().status()
    };
    assert_eq!(post(b"K\xf6ln").await, StatusCode::BAD_REQUEST);
    assert_eq!(post("Köln".as_bytes()).await, StatusCode::NO_CONTENT);
    await_live(&mut live, is_telemetry).await;
    let raw = central.running.core.telemetry.messages(central.app(), "d1", None, None, 9);
    assert_eq!(raw.len(), 1, "what was refused was not stored");
    assert_eq!(raw[0].properties().application.get("place").map(String::as_str), Some("Köln"));

    let edge = central.provision_in("SAS-IoT-Edge-Devices", "e1", None).await;
    let hub = hub_of(&central, &edge).await;
    for (count, expected) in [("many", StatusCode::BAD_REQUEST), ("1", StatusCode::OK)] {
        let path = "/devices/e1/modules/$edgeHub/devicesAndModulesInDeviceScope";
        let uri = format!("{path}?api-version=2021-04-12&deviceCount={count}");
        let request = Request::get(uri).header(header::AUTHORIZATION, &hub.token).body(Bytes::new()).unwrap();
        assert_eq!(hub.client.request(request).await.unwrap().status(), expected, "{count}");
    }
    central.stop().await;
}
