//! MQTT over WebSocket at the HTTPS port: the same gateway as at 8883.

use model::identity::Identity;
use protocol::dps::AssignmentStatus;
use registry::{ModuleAuthentication, ModuleChange, new_symmetric_keys};
use serde_json::json;
use transport::client::{ClientEvent, HubClientOptions, SharedKey, Way, dps};

use crate::central::{TestCentral, TestDevice, await_live, connect, data, is_telemetry, message, next};
use crate::gateway::await_refusal;
use crate::rest::client::Rest;

fn over_web_socket(central: &TestCentral, identity: Identity, key: &str) -> HubClientOptions {
    let mut options = central.client_options(identity, key);
    options.port = central.https_port();
    options.way.web_socket = true;
    options
}

/// Registered over WebSocket too.
async fn provision(central: &TestCentral, id: &str) -> TestDevice {
    let group = central.group("SAS-IoT-Devices").await;
    let key = protocol::auth::sas::derive_device_key(&group.keys.primary, id).unwrap();
    let (tokens, scope) = (SharedKey::new(&key).with_policy("registration"), central.id_scope());
    let way = Way { web_socket: true, ..Way::default() };
    let registered =
        dps::register_mqtt("localhost", central.https_port(), scope, id, &tokens, None, central.tls(), &way).await;
    assert_eq!(registered.unwrap().status, AssignmentStatus::Assigned);
    TestDevice { id: id.to_owned(), key }
}

#[tokio::test]
async fn a_device_is_provisioned_heard_and_cut_off_when_it_is_blocked() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let device = provision(&central, "d1").await;
    let mut live = central.watch("d1");
    let options = over_web_socket(&central, Identity::device("d1"), &device.key);
    let (client, mut events) = connect(options).await;
    client.send(vec![message(r#"{"level":1}"#)]).await.unwrap();
    await_live(&mut live, is_telemetry).await;
    rest.patch("/api/devices/d1", json!({ "enabled": false })).await;
    let ClientEvent::Disconnected { .. } = next(&mut events).await else { panic!("it must be cut") };
    await_refusal(&client).await;
    central.stop().await;
}

#[tokio::test]
async fn one_identity_has_one_session_whatever_carries_it() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = provision(&central, "d1").await;
    let keys = new_symmetric_keys();
    let authentication = Some(ModuleAuthentication::Sas(keys.clone()));
    let change = ModuleChange { authentication, ..ModuleChange::default() };
    let now_ms = events::clock::now_ms();
    central.running.core.registry.module_put(central.app(), "d1", "m", change, now_ms).await.unwrap();
    let (_module, mut of_module) = connect(over_web_socket(&central, Identity::module("d1", "m"), &keys.primary)).await;
    let (first, mut events) = connect(over_web_socket(&central, Identity::device("d1"), &device.key)).await;
    let (second, _) = central.connect(&device).await;
    let ClientEvent::Disconnected { .. } = next(&mut events).await else { panic!("the later one has the session") };
    first.stop().await;
    second.send(vec![message("{}")]).await.unwrap();
    assert!(of_module.try_recv().is_err(), "the module is another identity");
    central.stop().await;
}
