//! Two applications in one process: the same ids in both, and nothing of one in the other.

use std::sync::Arc;

use bytes::Bytes;
use central::app::signing_key::SigningKeys;
use central::app::tokens::{self, OfflineToken};
use central::app::{roles, setup};
use events::clock::now_ms;
use events::live::LiveEvent;
use events::record::Record;
use http::{Request, header};
use model::identity::Identity;
use protocol::auth::sas;
use registry::{ApplicationRow, EnrollmentGroupRow};
use serde_json::{Value, json};
use storage::log::Offset;
use transport::client::https::HttpsClient;
use transport::client::{HubClient, SharedKey};

use crate::central::{TestCentral, await_live, connect, data, is_telemetry, message, next};
use crate::rest::client::Rest;

const HOST: &str = "plant-7.localhost";

/// A further application, made while Central serves, as the command line makes it.
pub async fn second(central: &TestCentral) -> ApplicationRow {
    setup::new_application(&central.running.core.registry, "plant-7", now_ms()).await.unwrap()
}

async fn administrator(central: &TestCentral, application: &ApplicationRow) -> String {
    let key = SigningKeys::new(central.folder.clone()).of(&application.id).unwrap();
    let role = roles::by_name("Administrator").unwrap();
    let now_ms = now_ms();
    let token = OfflineToken { id: "admin", role, expires_ms: now_ms + 60_000, now_ms };
    tokens::create_offline(&central.running.core.registry, application, &key, token).await.unwrap()
}

/// The administrator of the second application, at its own host name.
pub async fn rest(central: &TestCentral, application: &ApplicationRow) -> Rest {
    Rest::anonymous(central).with("host", HOST).with("authorization", &administrator(central, application).await)
}

/// Registers a device of the second application, whose scope alone says whose it is.
pub async fn provision(central: &TestCentral, application: &ApplicationRow, id: &str) -> String {
    let group = central.running.core.registry.resource_get(&application.id, "SAS-IoT-Devices").await;
    let group: EnrollmentGroupRow = group.unwrap().unwrap();
    let key = sas::derive_device_key(&group.keys.primary, id).unwrap();
    let url = format!("https://localhost:{}", central.https_port());
    let tokens = SharedKey::new(&key).with_policy("registration");
    let scope = &application.id_scope;
    let state = transport::client::dps::register_https(&url, scope, id, &tokens, None, central.tls()).await.unwrap();
    assert_eq!(state.assigned_hub.as_deref(), Some(HOST));
    key
}

pub async fn connect_second(central: &TestCentral, id: &str, key: &str) -> HubClient {
    let mut options = central.client_options(Identity::device(id), key);
    options.hub_host = HOST.to_owned();
    connect(options).await.0
}

#[tokio::test]
async fn rows_answers_and_tokens_are_apart() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let plant = second(&central).await;
    let (first, second) = (Rest::new(&central), rest(&central, &plant).await);

    first.put("/api/devices/d1", json!({ "displayName": "Of the first" })).await;
    second.put("/api/devices/d1", json!({ "displayName": "Of the plant" })).await;
    second.put("/api/devices/d2", json!({})).await;
    assert_eq!(first.get("/api/devices/d1").await["displayName"], "Of the first");
    assert_eq!(second.get("/api/devices/d1").await["displayName"], "Of the plant");
    let ids = |list: Value| -> Vec<Value> {
        list["value"].as_array().unwrap().iter().map(|device| device["id"].clone()).collect()
    };
    assert_eq!(ids(first.get("/api/devices").await), ["d1"]);
    assert_eq!(ids(second.get("/api/devices").await), ["d1", "d2"]);
    let scope = |group: Value| group["idScope"].as_str().unwrap().to_owned();
    assert_eq!(scope(second.get("/api/enrollmentGroups/SAS-IoT-Devices").await), plant.id_scope);
    assert_eq!(scope(first.get("/api/enrollmentGroups/SAS-IoT-Devices").await), central.id_scope());
    first.delete("/api/devices/d1").await;
    assert_eq!(second.get("/api/devices/d1").await["displayName"], "Of the plant");

    // A token opens its own application only, at its own host name only.
    let token = std::fs::read_to_string(central.folder.admin_token()).unwrap();
    for (host, token) in [(HOST, token.trim().to_owned()), ("localhost", administrator_text(&second))] {
        let stranger = Rest::anonymous(&central).with("host", host).with("authorization", &token);
        assert_eq!(stranger.raw("GET", "/api/devices?api-version=2022-07-31", "").await.status, 401, "{host}");
    }
    central.stop().await;
}

fn administrator_text(rest: &Rest) -> String {
    rest.header("authorization").to_owned()
}

#[tokio::test]
async fn a_host_of_no_application_is_not_found() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let plant = second(&central).await;
    let token = administrator(&central, &plant).await;
    for host in ["other.localhost", "plant-7.example.test", "tidegate.localhost", "a.plant-7.localhost"] {
        for (path, accept) in
            [("/api/devices?api-version=2022-07-31", "*/*"), ("/", "text/html"), ("/devices", "text/html")]
        {
            let stranger = Rest::anonymous(&central).with("host", host).with("accept", accept);
            let answered = stranger.with("authorization", &token).raw("GET", path, "").await;
            assert_eq!(answered.status, 404, "{host}{path}");
            assert!(!answered.body.is_null(), "{host}{path} answers JSON");
        }
    }
    central.stop().await;
}

#[tokio::test]
async fn sessions_messages_twins_and_records_are_apart() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let core = central.running.core.clone();
    let plant = second(&central).await;
    let own = central.provision("d1").await;
    let key = provision(&central, &plant, "d1").await;
    let identity = Identity::device("d1");
    let mut live = central.watch("d1");
    let mut plant_live = core.live.subscribe(&plant.id, Some("d1".to_owned())).unwrap();

    // Both are connected at the same time: neither takes over from the other.
    let (client, mut events) = central.connect(&own).await;
    let plant_client = connect_second(&central, "d1", &key).await;
    assert_eq!(core.sessions.count(), 2);
    client.send(vec![message(r#"{"n":1}"#)]).await.unwrap();
    plant_client.send(vec![message(r#"{"n":7}"#)]).await.unwrap();
    let value = |event: &Arc<LiveEvent>| match &**event {
        LiveEvent::Telemetry { values, .. } => values["n"].clone(),
        event => panic!("{event:?} is no telemetry"),
    };
    assert_eq!(value(&await_live(&mut live, is_telemetry).await), 1);
    assert_eq!(value(&await_live(&mut plant_live, is_telemetry).await), 7);
    let bodies = |app: &str| -> Vec<Bytes> {
        core.telemetry.messages(app, "d1", None, None, 10).iter().map(|message| message.body.clone()).collect()
    };
    assert_eq!((bodies(central.app()), bodies(&plant.id)), (vec![r#"{"n":1}"#.into()], vec![r#"{"n":7}"#.into()]));

    // A desired property of the one is not told to the other.
    core.twins.patch_desired(&plant.id, &identity, json!({ "rate": 7 })).await.unwrap();
    core.twins.patch_desired(central.app(), &identity, json!({ "rate": 1 })).await.unwrap();
    let transport::client::ClientEvent::Desired { patch, .. } = next(&mut events).await else {
        panic!("a desired patch was expected")
    };
    assert_eq!(serde_json::from_slice::<Value>(&patch).unwrap()["rate"], 1);

    // The key of the one does not open the other, and cutting one leaves the other.
    let mut stranger = central.client_options(identity.clone(), &key);
    stranger.hub_host = "localhost".into();
    let (stranger, _stranger_events) = HubClient::start(stranger);
    crate::gateway::await_refusal(&stranger).await;
    stranger.stop().await;
    core.registry.device_delete(&plant.id, "d1", now_ms()).await.unwrap();
    crate::gateway::await_refusal(&plant_client).await;
    client.send(vec![message(r#"{"n":2}"#)]).await.unwrap();

    let log = core.log.clone();
    let mut reader = log.reader(Offset(0));
    let records = reader.try_next_batch(1_000, 1 << 20).unwrap();
    let mut applications: Vec<(String, Bytes)> = records
        .into_iter()
        .map(|record| Record::decode(record.payload).unwrap())
        .filter(|record| record.kind == events::record::Kind::Telemetry)
        .map(|record| (record.application, record.body))
        .collect();
    applications.sort_by(|left, right| left.1.cmp(&right.1));
    let expected: Vec<(String, Bytes)> = [(central.app(), "1"), (central.app(), "2"), (&plant.id, "7")]
        .map(|(app, n)| (app.to_owned(), Bytes::from(format!("{{\"n\":{n}}}"))))
        .to_vec();
    assert_eq!(applications, expected);
    assert_ne!(core.telemetry.folder_of(central.app()), core.telemetry.folder_of(&plant.id));
    plant_client.stop().await;
    central.stop().await;
}

#[tokio::test]
async fn the_device_api_goes_by_host_name() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let plant = second(&central).await;
    let key = provision(&central, &plant, "d1").await;
    let token = sas::sign(&sas::audience(HOST, &Identity::device("d1")), &key, now_ms() as u64 / 1_000 + 60, None);
    let token = token.unwrap();
    let client = HttpsClient::new("localhost", central.https_port(), central.tls());
    for (host, expected) in [(HOST, 204), ("localhost", 401), ("other.localhost", 404)] {
        let request = Request::post("/devices/d1/messages/events?api-version=2021-04-12")
            .header(header::HOST, host)
            .header(header::AUTHORIZATION, &token)
            .body(Bytes::from_static(b"{}"));
        assert_eq!(client.request(request.unwrap()).await.unwrap().status(), expected, "{host}");
    }
    central.stop().await;
}
