//! Whatever was opened with a credential ends when the credential does: every kind of revocation against every door.

use std::collections::BTreeSet;
use std::time::Duration;

use central::app::{roles, sign_in};
use central::config::Config;
use central::limits::STREAM_JUDGE_INTERVAL;
use events::clock::{now_ms, now_secs};
use http::Method;
use model::identity::Identity;
use model::manifest::EDGE_HUB;
use protocol::auth::sas;
use registry::{
    CountMax, ModuleAuthentication, ModuleChange, NewDevice, Precondition, SymmetricKeys, UserRow, new_symmetric_keys,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use transport::client::{ClientEvent, HubClient};

use crate::central::{PATIENCE, TestCentral, TestDevice, config, connect, data, message};
use crate::gateway::await_refusal;
use crate::hub_http::Caller;
use crate::rest::client::Rest;

const GROUP: &str = "SAS-IoT-Devices";
const EDGE_GROUP: &str = "SAS-IoT-Edge-Devices";

/// A fleet with something open at every door.
struct Site {
    central: TestCentral,
    rest: Rest,
    edge: TestDevice,
    device: Session,
    own: Session,
    module: Session,
    child: Session,
    https: Caller,
    provisioning: TlsStream<TcpStream>,
    _dir: tempfile::TempDir,
}

struct Session {
    client: HubClient,
    events: mpsc::Receiver<ClientEvent>,
}

impl Session {
    async fn open(options: transport::client::HubClientOptions) -> Self {
        let (client, events) = connect(options).await;
        Self { client, events }
    }

    async fn ended(&mut self) {
        loop {
            match tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("it ends in time") {
                Some(ClientEvent::Disconnected { .. }) | None => return,
                Some(_) => {}
            }
        }
    }

    /// Whether it was never cut. Its message is acknowledged on the connection that is there.
    async fn is_open(&mut self) -> bool {
        self.client.send(vec![message("{}")]).await.unwrap();
        while let Ok(event) = self.events.try_recv() {
            if matches!(event, ClientEvent::Disconnected { .. }) {
                return false;
            }
        }
        true
    }
}

async fn module_key(central: &TestCentral, device: &str, module: &str) -> String {
    let keys = new_symmetric_keys();
    let authentication = Some(ModuleAuthentication::Sas(keys.clone()));
    let change = ModuleChange { authentication, ..ModuleChange::default() };
    central.running.core.registry.module_put(central.app(), device, module, change, now_ms()).await.unwrap();
    keys.primary
}

/// A device as registering through a group leaves it, without the wait between its polls.
async fn registered(central: &TestCentral, group: &str, id: &str) -> TestDevice {
    let (registry, group) = (&central.running.core.registry, central.group(group).await);
    let device = NewDevice { id: id.into(), enabled: true, is_edge: group.is_edge, ..NewDevice::default() };
    registry.device_create(central.app(), device).await.unwrap();
    let derive = |key: &str| sas::derive_device_key(key, id).unwrap();
    let keys = SymmetricKeys { primary: derive(&group.keys.primary), secondary: derive(&group.keys.secondary) };
    registry.device_mark_provisioned(central.app(), id, Some(&keys), Some(&group), now_ms()).await.unwrap();
    TestDevice { id: id.into(), key: keys.primary }
}

/// A connection to the provisioning service that is let in, and does nothing.
async fn enrolled(central: &TestCentral, device: &TestDevice) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(("localhost", central.mqtts_port())).await.unwrap();
    let tls = TlsConnector::from(central.tls());
    let mut stream = tls.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let scope = central.id_scope();
    let audience = protocol::dps::audience(scope, &device.id);
    let token = sas::sign(&audience, &device.key, now_secs() + 3_600, Some("registration")).unwrap();
    let user = format!("{scope}/registrations/{}/api-version=2019-03-31", device.id);
    let mut packet = b"\0\x04MQTT\x04\xc2\0\x3c".to_vec();
    for text in [&device.id, &user, &token] {
        packet.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        packet.extend(text.as_bytes());
    }
    let length = packet.len();
    assert!((128..16_384).contains(&length));
    let head = [0x10, u8::try_from(length % 128).unwrap() | 0x80, u8::try_from(length / 128).unwrap()];
    stream.write_all(&[&head[..], &packet].concat()).await.unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).await.unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    stream
}

impl Site {
    async fn new() -> Self {
        let (dir, data) = data();
        let central = TestCentral::start(&data).await;
        let rest = Rest::new(&central);
        let device = registered(&central, GROUP, "d").await;
        let edge = registered(&central, EDGE_GROUP, "e").await;
        rest.put("/api/devices/c", json!({})).await;
        rest.put("/api/devices/e/relationships/c", json!({ "source": "e", "target": "c" })).await;
        rest.put("/api/devices/own", json!({})).await;
        let own_keys = new_symmetric_keys();
        rest.put("/api/devices/own/attestation", symmetric(&own_keys.primary, &own_keys.secondary)).await;
        let module = module_key(&central, "e", "m").await;
        let hub = module_key(&central, "e", EDGE_HUB).await;

        let of = |identity: Identity, key: &str| central.client_options(identity, key);
        let mut child = of(Identity::device("c"), &hub);
        child.auth_chain = Some("c;e".into());
        child.token_audience = Some(format!("localhost/devices/e/modules/{EDGE_HUB}"));
        Self {
            device: Session::open(of(Identity::device("d"), &device.key)).await,
            own: Session::open(of(Identity::device("own"), &own_keys.primary)).await,
            module: Session::open(of(Identity::module("e", "m"), &module)).await,
            child: Session::open(child).await,
            https: Caller::device(&central, &device),
            provisioning: enrolled(&central, &device).await,
            edge,
            rest,
            central,
            _dir: dir,
        }
    }

    async fn https_status(&self) -> u16 {
        self.https.send(Method::POST, "/devices/d/messages/events", &[], "{}").await.status().as_u16()
    }

    /// Waits until these doors are closed, and holds the others against being open.
    async fn closed(mut self, what: &str, closed: &[&str]) {
        let closed: BTreeSet<&str> = closed.iter().copied().collect();
        if closed.contains("provisioning") {
            let mut rest = Vec::new();
            let end = tokio::time::timeout(PATIENCE, self.provisioning.read_to_end(&mut rest)).await;
            end.expect("it ends in time").ok();
            assert_eq!(rest, b"", "{what}");
        }
        for (name, session) in [
            ("device", &mut self.device),
            ("own", &mut self.own),
            ("module", &mut self.module),
            ("child", &mut self.child),
        ] {
            if closed.contains(name) {
                session.ended().await;
            } else {
                assert!(session.is_open().await, "{name} stays open when {what}");
            }
        }
        // The connection is kept alive; each request is judged.
        let expected = if closed.contains("its HTTPS") { 400 } else { 200 };
        assert_eq!(self.https_status().await / 100 * 100, expected, "{what}");
        if !closed.contains("provisioning") {
            self.provisioning.write_all(&[0xc0, 0]).await.unwrap();
            let mut pong = [0; 2];
            self.provisioning.read_exact(&mut pong).await.unwrap();
            assert_eq!(pong, [0xd0, 0], "{what}");
        }
        for session in [self.device, self.own, self.module, self.child] {
            session.client.stop().await;
        }
        self.central.stop().await;
    }
}

fn symmetric(primary: &str, secondary: &str) -> Value {
    json!({ "type": "symmetricKey", "symmetricKey": { "primaryKey": primary, "secondaryKey": secondary } })
}

fn new_keys() -> Value {
    let keys = new_symmetric_keys();
    symmetric(&keys.primary, &keys.secondary)
}

/// Of one device: what it opened, and nobody else.
const OF_DEVICE: [&str; 3] = ["device", "its HTTPS", "provisioning"];

#[tokio::test]
async fn a_device_loses_what_was_opened_with_its_own_key() {
    let site = Site::new().await;
    site.rest.put("/api/devices/d/attestation", new_keys()).await;
    site.closed("an attestation is put", &OF_DEVICE).await;

    let site = Site::new().await;
    site.rest.patch("/api/devices/own/attestation", new_keys()).await;
    site.closed("an attestation is rolled", &["own"]).await;

    let site = Site::new().await;
    site.rest.delete("/api/devices/own/attestation").await;
    site.closed("an attestation is deleted", &["own"]).await;
}

#[tokio::test]
async fn a_blocked_or_deleted_device_loses_everything() {
    let site = Site::new().await;
    site.rest.patch("/api/devices/d", json!({ "enabled": false })).await;
    site.closed("a device is blocked", &OF_DEVICE).await;

    let site = Site::new().await;
    site.rest.delete("/api/devices/d").await;
    site.closed("a device is deleted", &OF_DEVICE).await;

    let site = Site::new().await;
    site.rest.patch("/api/devices/e", json!({ "enabled": false })).await;
    site.closed("an edge device is blocked", &["module", "child"]).await;
}

#[tokio::test]
async fn a_group_takes_along_what_rests_on_its_keys() {
    let of_group: Vec<&str> = OF_DEVICE.into_iter().chain(["child"]).collect();
    let path = format!("/api/enrollmentGroups/{GROUP}");

    let site = Site::new().await;
    site.rest.patch(&path, json!({ "enabled": false })).await;
    site.closed("a group is disabled", &of_group).await;

    let site = Site::new().await;
    site.rest.delete(&path).await;
    site.closed("a group is deleted", &of_group).await;

    let site = Site::new().await;
    site.rest.patch(&path, json!({ "attestation": new_keys() })).await;
    site.closed("a group is re-keyed", &of_group).await;

    let site = Site::new().await;
    site.rest.patch(&format!("/api/enrollmentGroups/{EDGE_GROUP}"), json!({ "enabled": false })).await;
    site.closed("an edge device's group is disabled", &["module", "child"]).await;
}

#[tokio::test]
async fn a_module_and_a_child_lose_what_their_edge_or_key_gave_them() {
    let body = json!({ "authentication": { "type": "sas" } }).to_string();
    for (what, method, module, closed) in [
        ("a module is re-keyed", Method::PUT, "m", vec!["module"]),
        ("a module is deleted", Method::DELETE, "m", vec!["module"]),
        ("a gateway is re-keyed", Method::PUT, EDGE_HUB, vec!["child"]),
    ] {
        let site = Site::new().await;
        let path = format!("/devices/e/modules/{module}");
        let caller = Caller::device(&site.central, &site.edge);
        let done = caller.send(method, &path, &[("If-Match", "*")], &body).await;
        assert!(done.status().is_success());
        site.closed(what, &closed).await;
    }
    let site = Site::new().await;
    site.rest.delete("/api/devices/e/relationships/c").await;
    site.closed("a child is taken from its gateway", &["child"]).await;

    // The gateway signs for it, and has to hear of its new keys.
    let site = Site::new().await;
    site.rest.put("/api/devices/c/attestation", new_keys()).await;
    site.closed("a child is re-keyed", &["child"]).await;
}

#[tokio::test]
async fn what_changes_nothing_of_a_credential_ends_nothing() {
    let site = Site::new().await;
    for device in ["d", "own", "c", "e"] {
        site.rest.patch(&format!("/api/devices/{device}"), json!({ "displayName": "renamed" })).await;
    }
    let rolled = json!({ "attestation": { "symmetricKey": { "secondaryKey": new_symmetric_keys().secondary } } });
    site.rest.patch(&format!("/api/enrollmentGroups/{EDGE_GROUP}"), rolled).await;
    module_key(&site.central, "e", "other").await;
    site.closed("others change", &[]).await;
}

#[tokio::test]
async fn a_devices_new_key_is_good_at_once_and_the_old_one_no_more() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put("/api/devices/d", json!({})).await;
    let known = async || {
        let shown = rest.get("/api/devices/d/credentials").await;
        TestDevice { id: "d".into(), key: shown["symmetricKey"]["primaryKey"].as_str().unwrap().to_owned() }
    };
    let mut older = vec![known().await];
    let keys = new_symmetric_keys();
    let group = format!("/api/enrollmentGroups/{GROUP}");
    for (path, body) in [
        // Made over REST, never provisioned: its keys are the group's, whatever these are.
        (group.as_str(), json!({ "attestation": new_keys() })),
        ("/api/devices/d/attestation", symmetric(&keys.primary, &keys.secondary)),
    ] {
        if path == group {
            rest.patch(path, body).await
        } else {
            rest.put(path, body).await
        };
        let newer = known().await;
        let (client, _events) = central.connect(&newer).await;
        client.stop().await;
        for old in &older {
            let (client, _events) = HubClient::start(central.client_options(Identity::device("d"), &old.key));
            await_refusal(&client).await;
            client.stop().await;
        }
        older.push(newer);
    }
    central.stop().await;
}

#[tokio::test]
async fn a_session_ends_when_the_installation_says_so() {
    let (_dir, data) = data();
    let mut config: Config = config();
    config.limits.mqtt_session_secs_max = Some(1);
    let central = TestCentral::start_with(&data, config).await;
    let device = registered(&central, GROUP, "d").await;
    let mut session = Session::open(central.client_options(Identity::device("d"), &device.key)).await;
    session.ended().await;
    session.client.stop().await;
    central.stop().await;
}

/// A live stream of a caller, over a connection of its own.
async fn live(central: &TestCentral, credential: &str) -> TlsStream<TcpStream> {
    let mut stream = central.tls_stream().await;
    let request =
        format!("GET /api/ext/v1/live HTTP/1.1\r\nhost: localhost\r\n{credential}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(": open") {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
    }
    assert!(read.starts_with(b"HTTP/1.1 200"));
    stream
}

async fn ended(mut stream: TlsStream<TcpStream>) {
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it ends in time").ok();
}

async fn token(rest: &Rest, id: &str, expiry: Option<String>) -> String {
    let mut body = json!({ "roles": [{ "role": role("Operator") }] });
    if let Some(expiry) = expiry {
        body["expiry"] = expiry.into();
    }
    rest.put(&format!("/api/apiTokens/{id}"), body).await["token"].as_str().unwrap().to_owned()
}

fn role(name: &str) -> &'static str {
    roles::by_name(name).unwrap().id
}

#[tokio::test]
async fn a_live_stream_ends_with_the_token_that_opened_it() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let (kept, deleted) = (token(&rest, "kept", None).await, token(&rest, "deleted", None).await);
    let soon = events::clock::rfc3339_ms(now_ms() + 1_500);
    let expiring = token(&rest, "expiring", Some(soon)).await;
    let header = |token: &str| format!("authorization: {token}");
    let mut stays = live(&central, &header(&kept)).await;
    let (first, second) = (live(&central, &header(&deleted)).await, live(&central, &header(&expiring)).await);
    let caller = Rest::anonymous(&central).with("authorization", &deleted);
    caller.get("/api/devices").await;
    rest.delete("/api/apiTokens/deleted").await;
    ended(first).await;
    assert_eq!(caller.refused("GET", "/api/devices", Value::Null).await.0, 401, "on the connection it has");
    ended(second).await;
    let more = tokio::time::timeout(Duration::ZERO, stays.read_u8()).await;
    assert!(more.is_err(), "the other's stream goes on");
    drop(stays);
    central.stop().await;
}

#[tokio::test]
async fn a_live_stream_ends_with_the_user_the_session_or_the_role_that_opened_it() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let core = &central.running.core;
    let operator = roles::by_name("Operator").unwrap();
    let signed_in = async |email: &str| {
        let code = sign_in::invite_offline(&core.registry, core.applications.first(), email, operator, now_ms()).await;
        let session =
            Rest::anonymous(&central).call("POST", "/api/ext/v1/session", json!({ "code": code.unwrap() })).await;
        let cookie = session.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        (session.body["user"]["id"].as_str().unwrap().to_owned(), cookie)
    };
    let (gone, gone_cookie) = signed_in("gone@x.org").await;
    let (less, less_cookie) = signed_in("less@x.org").await;
    let (_, out_cookie) = signed_in("out@x.org").await;
    let open = async |cookie: &str| live(&central, &format!("cookie: {cookie}")).await;
    let streams = [open(&gone_cookie).await, open(&less_cookie).await, open(&out_cookie).await];
    let [of_gone, of_less, of_out] = streams;
    rest.delete(&format!("/api/users/{gone}")).await;
    ended(of_gone).await;
    // A role that sees no devices: none of those there are.
    let user: UserRow = core.registry.resource_get(central.app(), &less).await.unwrap().unwrap();
    let user = UserRow { roles: "[]".into(), ..user };
    core.registry.resource_put(central.app(), &user, &Precondition::None, CountMax(9)).await.unwrap();
    ended(of_less).await;
    let page = Rest::anonymous(&central).with("cookie", &out_cookie).with("x-tidegate-csrf", "1");
    page.delete("/api/ext/v1/session").await;
    ended(of_out).await;
    central.stop().await;
}

#[tokio::test]
async fn a_live_stream_ends_when_another_process_took_its_user_away() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let token = token(&rest, "t", None).await;
    let stream = live(&central, &format!("authorization: {token}")).await;
    let elsewhere = registry::Registry::open(&central.folder.registry()).await.unwrap();
    elsewhere.resource_delete::<registry::ApiTokenRow>(central.app(), "t", &Precondition::None).await.unwrap();
    elsewhere.close().await;
    let before = std::time::Instant::now();
    ended(stream).await;
    assert!(before.elapsed() < 2 * STREAM_JUDGE_INTERVAL + PATIENCE);
    central.stop().await;
}

#[tokio::test]
async fn a_key_of_one_group_registers_no_device_of_another() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let body = json!({ "displayName": "b", "enabled": true, "type": "iot", "attestation": { "type": "symmetricKey" } });
    let group = rest.put("/api/enrollmentGroups/b", body).await;
    let key = group["attestation"]["symmetricKey"]["primaryKey"].as_str().unwrap().to_owned();
    let register = async |id: &str| {
        let url = format!("https://localhost:{}", central.https_port());
        let key = transport::client::SharedKey::new(sas::derive_device_key(&key, id).unwrap());
        transport::client::dps::register_https(&url, central.id_scope(), id, &key, None, central.tls()).await
    };
    // Made over REST: any group of its kind may have it. Registered: its group's. An edge device: no leaf group's.
    rest.put("/api/devices/free", json!({})).await;
    registered(&central, GROUP, "taken").await;
    rest.put("/api/devices/edge", json!({ "type": ["iotEdge"] })).await;
    register("free").await.unwrap();
    for id in ["taken", "edge"] {
        let refused = register(id).await.unwrap_err();
        assert!(
            matches!(&refused, transport::client::dps::ProvisionError::Refused(error) if error.status == 401),
            "{id}: {refused:?}"
        );
    }
    // The one it registered through is gone: it is nobody's.
    rest.delete(&format!("/api/enrollmentGroups/{GROUP}")).await;
    register("taken").await.unwrap();
    central.stop().await;
}
