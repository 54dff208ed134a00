//! Devices on the wire: telemetry, twins, methods, takeover, refusals, children behind an edge.

use std::time::Duration;

use bytes::Bytes;
use events::clock::now_ms;
use events::live::LiveEvent;
use hub::sessions::{InvokeFailure, MethodTimeouts};
use model::identity::Identity;
use model::manifest::EDGE_HUB;
use registry::{ModuleAuthentication, ModuleChange, RelationshipRow, new_symmetric_keys};
use serde_json::{Value, json};
use transport::client::{ClientEvent, HubClient, LinkState};

use crate::central::{
    PATIENCE, TestCentral, await_live, connect, data, is_telemetry, message, next, on_both_databases,
};
use central::database::Database;

on_both_databases!(a_provisioned_device_sends_and_is_seen, twins_go_both_ways, an_edge_speaks_for_its_children_only);

async fn a_provisioned_device_sends_and_is_seen(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let device = central.provision("sensor-1").await;
    let mut live = central.watch("sensor-1");
    let (client, _events) = central.connect(&device).await;
    await_live(&mut live, |event| matches!(event, LiveEvent::Connection { connected: true, .. })).await;

    client.send(vec![message(r#"{"temperature":21.5,"state":"on"}"#)]).await.unwrap();
    let event = await_live(&mut live, is_telemetry).await;
    let LiveEvent::Telemetry { values, component, .. } = &*event else { unreachable!("it is telemetry") };
    assert_eq!(Value::Object(values.clone()), json!({ "temperature": 21.5, "state": "on" }));
    assert_eq!(*component, None);

    let telemetry = &central.running.core.telemetry;
    let raw = telemetry.messages(central.app(), "sensor-1", None, None, 10);
    assert_eq!(raw.len(), 1);
    assert_eq!(raw[0].body, r#"{"temperature":21.5,"state":"on"}"#);
    let last = telemetry.application(central.app()).unwrap().last_values().of_device("sensor-1");
    assert!(last.iter().any(|value| &*value.name == "temperature"));
    let status = central.running.core.sessions.status(central.app(), &Identity::device("sensor-1"));
    assert!(status.connected && status.last_seen_ms.is_some());

    client.stop().await;
    await_live(&mut live, |event| matches!(event, LiveEvent::Connection { connected: false, .. })).await;
    assert!(!central.running.core.sessions.status(central.app(), &Identity::device("sensor-1")).connected);
    central.stop().await;
}

async fn twins_go_both_ways(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let device = central.provision("d1").await;
    let identity = Identity::device("d1");
    let (client, mut events) = central.connect(&device).await;

    let twin: Value = serde_json::from_slice(&client.twin().await.unwrap()).unwrap();
    assert_eq!(twin, json!({ "desired": { "$version": 1 }, "reported": { "$version": 1 } }));
    let version =
        central.running.core.twins.patch_desired(central.app(), &identity, json!({ "rate": 5 })).await.unwrap();
    let ClientEvent::Desired { version: told, patch } = next(&mut events).await else { panic!("a patch was expected") };
    assert_eq!((version, told), (2, 2));
    assert_eq!(serde_json::from_slice::<Value>(&patch).unwrap(), json!({ "rate": 5, "$version": 2 }));

    let mut live = central.watch("d1");
    let reported = client.patch_reported(Bytes::from_static(br#"{"rate":{"value":5,"ac":200,"av":2}}"#)).await.unwrap();
    assert_eq!(reported, 2);
    await_live(&mut live, |event| matches!(event, LiveEvent::Properties { .. })).await;
    let stored = central.running.core.twins.get(central.app(), &identity).await.unwrap();
    assert_eq!(stored.reported.properties["rate"]["av"], 2);
    let refused = client.patch_reported(Bytes::from_static(b"[1]")).await.unwrap_err();
    assert!(matches!(refused, transport::client::RequestError::Refused { status: 400, .. }), "{refused:?}");
    central.stop().await;
}

fn timeouts(connect: Duration) -> MethodTimeouts {
    MethodTimeouts { connect, response: PATIENCE }
}

#[tokio::test]
async fn a_method_reaches_the_device_and_its_answer_comes_back() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("d1").await;
    let identity = Identity::device("d1");
    let sessions = central.running.core.sessions.clone();
    let app = central.app().to_owned();

    let absent = sessions.invoke(&app, &identity, "reset", Bytes::new(), timeouts(Duration::ZERO)).await;
    assert_eq!(absent.unwrap_err(), InvokeFailure::NotConnected);

    // Called before the device is there: the call waits for it.
    let call = tokio::spawn(async move {
        sessions.invoke(&app, &identity, "reset", Bytes::from_static(b"{\"n\":1}"), timeouts(PATIENCE)).await
    });
    let (_client, mut events) = central.connect(&device).await;
    let ClientEvent::Method(method) = next(&mut events).await else { panic!("a method was expected") };
    assert_eq!((method.name.as_str(), &method.payload[..]), ("reset", &b"{\"n\":1}"[..]));
    method.reply(202, Bytes::from_static(b"\"ok\"")).await;
    let answer = call.await.unwrap().unwrap();
    assert_eq!((answer.status, &answer.payload[..]), (202, &b"\"ok\""[..]));
    central.stop().await;
}

#[tokio::test]
async fn the_newer_connection_stays_and_the_identity_stays_connected() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("d1").await;
    let (first, mut first_events) = central.connect(&device).await;
    let (second, _second_events) = central.connect(&device).await;
    let ClientEvent::Disconnected { .. } = next(&mut first_events).await else { panic!("the first must go") };
    first.stop().await;
    second.send(vec![message("{}")]).await.unwrap();
    assert!(central.running.core.sessions.status(central.app(), &Identity::device("d1")).connected);
    central.stop().await;
}

/// Waits until the hub refused the client.
pub async fn await_refusal(client: &HubClient) {
    let mut state = client.state();
    let refused = state.wait_for(|state| matches!(state, LinkState::Refused { .. } | LinkState::Waiting { .. }));
    tokio::time::timeout(PATIENCE, refused).await.expect("the refusal comes in time").unwrap();
}

#[tokio::test]
async fn wrong_keys_unknown_devices_and_other_hosts_are_refused() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("d1").await;
    let wrong_key = central.client_options(Identity::device("d1"), &new_symmetric_keys().primary);
    let unknown = central.client_options(Identity::device("d2"), &device.key);
    let mut other_host = central.client_options(Identity::device("d1"), &device.key);
    other_host.hub_host = "other.example.test".into();
    let module_with_device_key = central.client_options(Identity::module("d1", "m"), &device.key);
    for options in [wrong_key, unknown, other_host, module_with_device_key] {
        let (client, _events) = HubClient::start(options);
        await_refusal(&client).await;
        client.stop().await;
    }
    assert_eq!(central.running.core.sessions.count(), 0);
    central.stop().await;
}

#[tokio::test]
async fn disabling_a_device_cuts_it_and_keeps_it_out() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("d1").await;
    let (client, mut events) = central.connect(&device).await;
    let row = central.running.core.registry.device_get(central.app(), "d1").await.unwrap().unwrap();
    let change = registry::DeviceChange {
        display_name: row.display_name,
        template: row.template,
        enabled: false,
        organization: None,
        updated_ms: now_ms(),
    };
    central.running.core.registry.device_update(central.app(), "d1", change, None).await.unwrap();
    let ClientEvent::Disconnected { .. } = next(&mut events).await else { panic!("it must be cut") };
    await_refusal(&client).await;
    central.stop().await;
}

#[tokio::test]
async fn a_devices_key_opens_its_modules_once_they_exist() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("d1").await;
    let keys = new_symmetric_keys();
    let change = ModuleChange {
        managed_by: None,
        authentication: Some(ModuleAuthentication::Sas(keys.clone())),
        if_match: None,
    };
    central.running.core.registry.module_put(central.app(), "d1", "m", change, now_ms()).await.unwrap();
    let as_module = |key: &str, resource: &str| {
        let mut options = central.client_options(Identity::module("d1", "m"), key);
        options.token_audience = Some(format!("localhost/devices/{resource}"));
        options
    };
    for options in [as_module(&device.key, "d1"), as_module(&keys.secondary, "d1/modules/m")] {
        let (client, _events) = connect(options).await;
        client.stop().await;
    }
    // A module's key does not open its device.
    let as_device = central.client_options(Identity::device("d1"), &keys.primary);
    for options in [as_device, as_module(&keys.primary, "d1/modules/other")] {
        let (client, _events) = HubClient::start(options);
        await_refusal(&client).await;
        client.stop().await;
    }
    central.stop().await;
}

async fn an_edge_speaks_for_its_children_only(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let registry = &central.running.core.registry;
    let _edge = central.provision_in("SAS-IoT-Edge-Devices", "edge-1", None).await;
    let keys = new_symmetric_keys();
    let change = ModuleChange {
        managed_by: Some("IotEdge".into()),
        authentication: Some(ModuleAuthentication::Sas(keys.clone())),
        if_match: None,
    };
    registry.module_put(central.app(), "edge-1", EDGE_HUB, change, now_ms()).await.unwrap();
    for id in ["child", "stranger"] {
        central.provision(id).await;
    }
    let relationship = RelationshipRow { id: "child".into(), source: "edge-1".into(), target: "child".into() };
    registry.relationship_put(central.app(), &relationship, now_ms()).await.unwrap();

    let through_edge = |id: &str| {
        let mut options = central.client_options(Identity::device(id), &keys.primary);
        options.auth_chain = Some(format!("{id};edge-1"));
        options.token_audience = Some(format!("localhost/devices/edge-1/modules/{EDGE_HUB}"));
        options
    };
    let mut live = central.watch("child");
    let (client, _events) = connect(through_edge("child")).await;
    client.send(vec![message(r#"{"level":1}"#)]).await.unwrap();
    let event = await_live(&mut live, is_telemetry).await;
    assert_eq!(event.device(), "child");
    let (stranger, _events) = HubClient::start(through_edge("stranger"));
    await_refusal(&stranger).await;
    central.stop().await;
}
