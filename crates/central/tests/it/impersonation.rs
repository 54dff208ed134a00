//! Nobody speaks, reads or writes for anybody else: every kind of credential, at every door, for every identity.
//!
//! [`CREDENTIALS`] × [`Door::ALL`] × [`TARGETS`], each in every form the holder of a credential can give it ([`forms`]); what
//! opens must be what [`may`] says, no less and no more. A further kind of credential is a row of [`CREDENTIALS`] (and a way to
//! present it in [`forms`]), a further door one of [`Door`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use events::clock::{now_ms, now_secs};
use futures_util::StreamExt;
use http::{Method, Request, StatusCode, header};
use model::identity::Identity;
use model::manifest::EDGE_HUB;
use protocol::auth::sas;
use registry::{ModuleAuthentication, ModuleChange, RelationshipRow, new_symmetric_keys};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use transport::client::https::HttpsClient;

use crate::applications;
use crate::central::{TestCentral, data};
use crate::rest::client::Rest;

const FIRST: &str = "localhost";
const PLANT: &str = "plant-7.localhost";

/// Whom somebody wants to be: an identity at the host of its application.
type Who = (&'static str, &'static str);

/// A device with a key of its own, one with a key of a group, an edge with a child and a module, another edge, and the same id
/// in another application. The names of one begin with those of another, on purpose.
const TARGETS: [Who; 9] = [
    (FIRST, "own"),
    (FIRST, "grouped"),
    (FIRST, "edge"),
    (FIRST, "edge/m"),
    (FIRST, "edge/$edgeHub"),
    (FIRST, "child"),
    (FIRST, "edge2"),
    (FIRST, "edge2/m"),
    (PLANT, "own"),
];

/// Kinds of credential, and whose they are. The key of each is made by [`Site::new`] under its name.
const CREDENTIALS: [(&str, Who); 9] = [
    ("a device's own key", (FIRST, "own")),
    ("a key derived from a group's", (FIRST, "grouped")),
    ("an edge's key", (FIRST, "edge")),
    ("another edge's key", (FIRST, "edge2")),
    ("a module's key", (FIRST, "edge/m")),
    ("an edge hub's key", (FIRST, "edge/$edgeHub")),
    ("a key of the same id elsewhere", (PLANT, "own")),
    ("a group's key itself", (FIRST, "nobody")),
    ("no key of anybody", (FIRST, "own")),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Door {
    Mqtt,
    HttpsSend,
    HttpsReceive,
    HttpsModules,
    HttpsModuleWrite,
    HttpsScope,
    DpsMqtt,
    DpsHttps,
    Rest,
}

impl Door {
    const ALL: [Self; 9] = [
        Self::Mqtt,
        Self::HttpsSend,
        Self::HttpsReceive,
        Self::HttpsModules,
        Self::HttpsModuleWrite,
        Self::HttpsScope,
        Self::DpsMqtt,
        Self::DpsHttps,
        Self::Rest,
    ];
}

fn device_of(identity: &str) -> &str {
    identity.split('/').next().unwrap()
}

/// What a credential opens: the whole of what an identity is trusted with.
fn may((name, (host, owner)): (&str, Who), door: Door, (at, target): Who) -> bool {
    if host != at || matches!(name, "a group's key itself" | "no key of anybody") {
        return false;
    }
    let (is_module, is_itself) = (target.contains('/'), owner == target);
    // A device signs for its modules.
    let is_of_device = device_of(target) == owner;
    match door {
        // A hub speaks for its edge, the modules and the children of it.
        Door::Mqtt if owner == "edge/$edgeHub" => device_of(target) == "edge" || target == "child",
        Door::Mqtt | Door::HttpsSend => is_itself || is_of_device,
        Door::HttpsReceive | Door::HttpsModules | Door::HttpsModuleWrite => is_itself && !is_module,
        // Keys of others are handed out to the hub itself alone.
        Door::HttpsScope => is_itself && owner == "edge/$edgeHub",
        Door::DpsMqtt | Door::DpsHttps => is_itself && !is_module,
        Door::Rest => false,
    }
}

/// One way to present a credential.
#[derive(Debug, Clone)]
struct Form {
    token: String,
    auth_chain: Option<String>,
}

/// Every way to present a key for a target: for the target's resource, one's own, those of either device, the whole host, and the
/// registration; under no policy's name and under those there are in the cloud; with every chain that leads somewhere.
fn forms(site: &Site, (name, (own_host, owner)): (&str, Who), (host, target): Who, door: Door) -> Vec<Form> {
    let key = &site.keys[name];
    let resource = |host: &str, id: &str| sas::audience(host, &Identity::from_client_id(id));
    let scope = site.scopes[host].as_str();
    let mut resources = BTreeSet::from([
        resource(host, target),
        resource(host, device_of(target)),
        resource(host, owner),
        resource(own_host, owner),
        host.to_owned(),
    ]);
    let is_provisioning = matches!(door, Door::DpsMqtt | Door::DpsHttps);
    if is_provisioning {
        resources = [target, owner].map(|id| protocol::dps::audience(scope, id)).into();
        resources.insert(resource(host, target));
    }
    let policies: &[Option<&str>] = match door {
        Door::Mqtt | Door::HttpsSend => &[None, Some("iothubowner"), Some("device")],
        Door::DpsMqtt | Door::DpsHttps => &[Some("registration"), None],
        _ => &[None],
    };
    let actor = device_of(owner);
    let chains = match door {
        Door::Mqtt => vec![None, Some(format!("{target};{actor}")), Some(format!("{target};edge;{actor}"))],
        _ => vec![None],
    };
    let mut forms = Vec::new();
    for resource in &resources {
        for policy in policies {
            let token = sas::sign(resource, key, now_secs() + 3_600, *policy).unwrap();
            // A policy speaks for nobody's children.
            let chains = if policy.is_some() { &chains[..1] } else { &chains[..] };
            forms.extend(chains.iter().map(|chain| Form { token: token.clone(), auth_chain: chain.clone() }));
        }
    }
    forms
}

struct Site {
    central: TestCentral,
    /// By the name of the credential.
    keys: BTreeMap<&'static str, String>,
    /// Of provisioning, by the host of the application.
    scopes: BTreeMap<&'static str, String>,
    /// One for all, so that each connection after the first is cheap.
    tls: Arc<rustls::ClientConfig>,
    _dir: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let (dir, data) = data();
        let central = TestCentral::start(&data).await;
        let (rest, registry, app) = (Rest::new(&central), &central.running.core.registry, central.app());
        let plant = applications::second(&central).await;
        let of_plant = applications::provision(&central, &plant, "own").await;
        let own = new_symmetric_keys();
        let attestation = json!({ "primaryKey": own.primary, "secondaryKey": own.secondary });
        rest.put("/api/devices/own", json!({})).await;
        let body = json!({ "type": "symmetricKey", "symmetricKey": attestation });
        rest.put("/api/devices/own/attestation", body).await;
        let grouped = central.provision("grouped").await.key;
        let edge = central.provision_in("SAS-IoT-Edge-Devices", "edge", None).await.key;
        let edge2 = central.provision_in("SAS-IoT-Edge-Devices", "edge2", None).await.key;
        central.provision("child").await;
        let parent = RelationshipRow { id: "r".into(), source: "edge".into(), target: "child".into() };
        registry.relationship_put(app, &parent, now_ms()).await.unwrap();
        let mut module_keys = Vec::new();
        for (device, module) in [("edge", "m"), ("edge", EDGE_HUB), ("edge2", "m"), ("edge2", EDGE_HUB)] {
            let keys = new_symmetric_keys();
            module_keys.push(keys.primary.clone());
            let authentication = Some(ModuleAuthentication::Sas(keys));
            let change = ModuleChange { authentication, ..ModuleChange::default() };
            registry.module_put(app, device, module, change, now_ms()).await.unwrap();
        }
        let group = central.group("SAS-IoT-Devices").await.keys.primary;
        let keys = [own.primary, grouped, edge, edge2, module_keys[0].clone(), module_keys[1].clone(), of_plant, group];
        let keys = keys.into_iter().chain([new_symmetric_keys().primary]);
        let keys = CREDENTIALS.iter().map(|(name, _)| *name).zip(keys).collect();
        let scopes = [(FIRST, central.id_scope().to_owned()), (PLANT, plant.id_scope)].into();
        let tls = central.tls();
        Self { central, keys, scopes, tls, _dir: dir }
    }

    async fn opens(&self, door: Door, form: &Form, (host, target): Who) -> bool {
        let (device, scope) = (device_of(target), &self.scopes[host]);
        let module = target.split_once('/').map(|(_, module)| module);
        let of_module = module.map_or_else(String::new, |module| format!("/modules/{module}"));
        let call =
            async |method: Method, path: &str, body: &str| self.call(host, method, path, &form.token, body).await;
        let status = match door {
            Door::Mqtt => {
                let chain =
                    form.auth_chain.iter().map(|chain| format!("&auth-chain={}", protocol::hub::bag::encode(chain)));
                let user = format!("{host}/{target}/?api-version=2021-04-12{}", chain.collect::<String>());
                return self.mqtt(target, &user, &form.token).await.is_some();
            }
            Door::DpsMqtt => {
                let user = format!("{scope}/registrations/{target}/api-version=2019-03-31");
                return self.mqtt(target, &user, &form.token).await.is_some();
            }
            Door::HttpsSend => call(Method::POST, &format!("/devices/{device}{of_module}/messages/events"), "{}").await,
            // What belongs to a device is asked for in its name, whichever of its modules is meant.
            Door::HttpsReceive | Door::HttpsModules | Door::HttpsModuleWrite if module.is_some() => return false,
            Door::HttpsReceive => call(Method::GET, &format!("/devices/{device}/messages/deviceBound"), "").await,
            Door::HttpsModules => call(Method::GET, &format!("/devices/{device}/modules"), "").await,
            Door::HttpsModuleWrite => {
                let body = json!({ "moduleId": "new", "deviceId": device }).to_string();
                call(Method::PUT, &format!("/devices/{device}/modules/new"), &body).await
            }
            Door::HttpsScope if module != Some(EDGE_HUB) => return false,
            Door::HttpsScope => {
                let path = format!("/devices/{device}/modules/$edgeHub/devicesAndModulesInDeviceScope");
                call(Method::GET, &path, "").await
            }
            Door::DpsHttps => {
                let path = format!("/{scope}/registrations/{}/register", protocol::hub::bag::encode(target));
                call(Method::PUT, &path, &json!({ "registrationId": target }).to_string()).await
            }
            Door::Rest => call(Method::GET, &format!("/api/devices/{device}"), "").await,
        };
        // A module that is there already was written as much as one that is made.
        status.is_success() || matches!(status, StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED)
    }

    async fn call(&self, host: &str, method: Method, path: &str, token: &str, body: &str) -> StatusCode {
        let version = if path.starts_with("/api/") { "2022-07-31" } else { "2021-04-12" };
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}?api-version={version}"))
            .header(header::HOST, host)
            .header(header::AUTHORIZATION, token)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::copy_from_slice(body.as_bytes()));
        let client = HttpsClient::new("localhost", self.central.https_port(), Arc::clone(&self.tls));
        client.request(request.unwrap()).await.unwrap().status()
    }

    /// A connection that says who it is; the stream when it was let in.
    async fn mqtt(&self, client_id: &str, user: &str, password: &str) -> Option<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(("localhost", self.central.mqtts_port())).await.unwrap();
        let mut stream =
            TlsConnector::from(Arc::clone(&self.tls)).connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let connect = b"\0\x04MQTT\x04\xc2\0\x3c".iter().copied();
        let packet: Vec<u8> = connect.chain([client_id, user, password].into_iter().flat_map(text)).collect();
        stream.write_all(&packet_of(0x10, &packet)).await.unwrap();
        let mut connack = [0; 4];
        match stream.read_exact(&mut connack).await {
            Ok(_) => (connack == [0x20, 2, 0, 0]).then_some(stream),
            Err(_) => None,
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn packet_of(kind: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 16_384);
    let (low, high) = (u8::try_from(body.len() % 128).unwrap(), u8::try_from(body.len() / 128).unwrap());
    let length = if high == 0 { vec![low] } else { vec![low | 0x80, high] };
    [&[kind][..], &length, body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_credential_opens_what_is_its_own_and_nothing_else() {
    let site = Site::new().await;
    let of = &site;
    let mut wrong = Vec::new();
    for credential in CREDENTIALS {
        for door in Door::ALL {
            for target in TARGETS {
                let forms = forms(&site, credential, target, door);
                let attempts = forms.iter().map(|form| async move { (of.opens(door, form, target).await, form) });
                // A few at a time: a success ends the session of the one before, which is no matter here.
                let opened: Vec<_> = futures_util::stream::iter(attempts).buffer_unordered(8).collect().await;
                let opening = opened.iter().find(|(opens, _)| *opens).map(|(_, form)| *form);
                if opening.is_some() != may(credential, door, target) {
                    wrong.push(format!("{} at {door:?} for {target:?}: {opening:?}", credential.0));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    site.central.stop().await;
}

/// What a session of its own may not name: somebody else, a wildcard over others, or itself in other letters.
#[tokio::test]
async fn a_session_neither_writes_nor_reads_for_another() {
    let site = Site::new().await;
    let key = &site.keys["an edge's key"];
    let token = sas::sign(&sas::audience(FIRST, &Identity::device("edge")), key, now_secs() + 3_600, None).unwrap();
    let open = async || site.mqtt("edge", "localhost/edge/?api-version=2021-04-12", &token).await.unwrap();
    for topic in [
        "devices/grouped/messages/events/",
        "devices/child/messages/events/",
        "devices/edge/modules/m/messages/events/",
        "devices/EDGE/messages/events/",
        "devices/edge%2Fm/messages/events/",
        "devices/edge2/messages/events/",
        "devices//messages/events/",
        "devices/edge/messages/devicebound/",
        "devices/grouped/messages/devicebound/",
        "$iothub/methods/POST/stop/?$rid=1",
        "$dps/registrations/PUT/iotdps-register/?$rid=1",
    ] {
        let mut stream = open().await;
        let body = [text(topic), vec![0, 7], b"{}".to_vec()].concat();
        stream.write_all(&packet_of(0x32, &body)).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok();
        assert_eq!(answer, b"", "{topic} is not acknowledged, and ends the session");
    }
    for filter in [
        "devices/grouped/messages/devicebound/#",
        "devices/child/messages/devicebound/#",
        "devices/+/messages/devicebound/#",
        "devices/edge/modules/m/inputs/#",
        "devices/edge/modules/+/inputs/#",
        "devices/edge2/messages/devicebound/#",
        "devices/#",
        "$iothub/#",
        "#",
        "+/#",
    ] {
        let mut stream = open().await;
        let body = [vec![0, 7], text(filter), vec![1]].concat();
        stream.write_all(&packet_of(0x82, &body)).await.unwrap();
        let mut answer = [0; 5];
        let is_granted = stream.read_exact(&mut answer).await.is_ok() && answer[4] != 0x80;
        assert!(!is_granted, "{filter}: {answer:?}");
    }
    let core = &site.central.running.core;
    for device in ["grouped", "child", "edge", "edge2", "EDGE"] {
        assert_eq!(core.telemetry.messages(site.central.app(), device, None, None, 9).len(), 0, "{device}");
    }
    site.central.stop().await;
}

/// A hub that is let in asks about others; a device that is let in asks for another's registration.
#[tokio::test]
async fn who_is_let_in_learns_nothing_of_what_is_not_his() {
    let site = Site::new().await;
    let audience = |id: &str| sas::audience(FIRST, &Identity::from_client_id(id));
    let token = |name: &str, resource: &str, policy: Option<&str>| {
        sas::sign(resource, &site.keys[name], now_secs() + 3_600, policy).unwrap()
    };
    let hub = token("an edge hub's key", &audience("edge/$edgeHub"), None);
    let scope = "/devices/edge/modules/$edgeHub/devicesAndModulesInTargetDeviceScope";
    let one = "/devices/edge/modules/$edgeHub/getDeviceAndModuleOnBehalfOf";
    for (target, expected) in [("child", 200), ("edge", 200), ("edge2", 404), ("grouped", 404), ("nobody", 404)] {
        let body = json!({ "authChain": format!("{target};edge") }).to_string();
        assert_eq!(site.call(FIRST, Method::POST, scope, &hub, &body).await, expected, "the scope of {target}");
        let body = json!({ "targetDeviceId": target, "authChain": format!("{target};edge") }).to_string();
        assert_eq!(site.call(FIRST, Method::POST, one, &hub, &body).await, expected, "{target} itself");
    }
    let id_scope = site.central.id_scope();
    let registration =
        |id: &str| token("a key derived from a group's", &protocol::dps::audience(id_scope, id), Some("registration"));
    let path = |id: &str| format!("/{id_scope}/registrations/{id}");
    for (id, expected) in [("grouped", 200), ("child", 401), ("own", 401)] {
        for claimed in ["grouped", id] {
            let state = site.call(FIRST, Method::POST, &path(id), &registration(claimed), "{}").await;
            let is_own = claimed == id && expected == 200;
            assert_eq!(state, if is_own { 200 } else { 401 }, "the registration of {id}, as {claimed}");
        }
    }
    site.central.stop().await;
}
