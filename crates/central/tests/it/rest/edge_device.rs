//! The worked example of an edge device with a modeled module: properties, telemetry and commands at all four levels.

use bytes::Bytes;
use events::clock::now_ms;
use events::live::LiveEvent;
use model::identity::Identity;
use model::manifest::EDGE_AGENT;
use model::message::Message;
use protocol::hub::bag::{BagBuilder, COMPONENT};
use registry::{ModuleAuthentication, ModuleChange, new_symmetric_keys};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use transport::client::{ClientEvent, HubClient};

use super::client::Rest;
use crate::central::{TestCentral, await_live, connect, data, is_telemetry, message, next};

const TEMPLATE: &str = "dtmi:modelDefinition:factory:pressGateway;1";
const MODULE: &str = "/api/devices/gw-04/modules/vibrationProbe";

fn template() -> Value {
    let path = format!("{}/tests/it/rest/device-template.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The module's own connection, as the edge device would make its identity.
async fn probe(central: &TestCentral) -> (HubClient, mpsc::Receiver<ClientEvent>) {
    let keys = new_symmetric_keys();
    let change = ModuleChange {
        managed_by: Some("IotEdge".into()),
        authentication: Some(ModuleAuthentication::Sas(keys.clone())),
        if_match: None,
    };
    let registry = &central.running.core.registry;
    registry.module_put(central.app(), "gw-04", "vibrationProbe", change, now_ms()).await.unwrap();
    connect(central.client_options(Identity::module("gw-04", "vibrationProbe"), &keys.primary)).await
}

async fn start() -> (tempfile::TempDir, TestCentral, Rest) {
    let (dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put(&format!("/api/deviceTemplates/{TEMPLATE}"), template()).await;
    rest.put("/api/devices/gw-04", json!({ "displayName": "Gateway 4", "template": TEMPLATE, "type": ["iotEdge"] }))
        .await;
    central.provision_in("SAS-IoT-Edge-Devices", "gw-04", None).await;
    (dir, central, rest)
}

#[tokio::test]
async fn the_template_says_what_modules_and_components_there_are() {
    let (_dir, central, rest) = start().await;
    let modules = rest.get("/api/devices/gw-04/modules").await;
    let expected = json!([{ "@type": ["Relationship", "EdgeModule"], "name": "vibrationProbe", "displayName": "Module vibrationProbe" }]);
    assert_eq!(modules["value"], expected);
    let components = rest.get(&format!("{MODULE}/components")).await;
    assert_eq!(components["value"][0]["name"], "bearing");
    for path in [
        "/api/devices/gw-04/modules/uplinkFilter/properties",
        "/api/devices/gw-04/modules/vibrationProbe/components/none/properties",
    ] {
        assert_eq!(rest.refused("GET", path, Value::Null).await.0, 404, "{path}");
    }
    rest.expect("PATCH", "/api/devices/gw-04/properties", json!({ "hall": "2" }), 202).await;
    assert_eq!(rest.get("/api/devices/gw-04/properties").await["hall"], "2");
    let queried = rest.refused("POST", "/api/query", json!({ "query": format!("SELECT hall FROM {TEMPLATE}") })).await;
    assert_eq!(queried.0, 400, "properties cannot be queried yet, and it is said");
    central.stop().await;
}

#[tokio::test]
async fn a_module_is_written_read_and_called() {
    let (_dir, central, rest) = start().await;
    let (client, mut events) = probe(&central).await;
    let properties = format!("{MODULE}/properties");
    assert_eq!(rest.get(&properties).await["$metadata"]["sampleSeconds"]["desiredValue"], 5, "its initial value");
    rest.expect("PATCH", &properties, json!({ "sampleSeconds": 2 }), 202).await;
    let ClientEvent::Desired { version, patch } = next(&mut events).await else { panic!("a patch was expected") };
    assert_eq!(serde_json::from_slice::<Value>(&patch).unwrap(), json!({ "sampleSeconds": 2, "$version": version }));
    let answer = json!({ "sampleSeconds": { "value": 2, "ac": 200, "av": version, "ad": "ok" }, "firmware": "1.4" });
    client.patch_reported(Bytes::from(answer.to_string())).await.unwrap();
    let read = rest.get(&properties).await;
    assert_eq!((&read["sampleSeconds"], &read["firmware"]), (&json!(2), &json!("1.4")));
    assert_eq!(read["$metadata"]["sampleSeconds"]["ackDescription"], "ok");
    rest.expect("PUT", &properties, json!({}), 202).await;
    assert_eq!(rest.get(&properties).await["$metadata"]["sampleSeconds"].get("desiredValue"), None);
    let component = format!("{MODULE}/components/bearing/properties");
    assert_eq!(rest.get(&component).await, json!({ "$metadata": {} }));
    for method in ["PUT", "PATCH"] {
        assert_eq!(rest.refused(method, &component, json!({ "wear": 1 })).await.2, ["/wear"]);
    }

    let ClientEvent::Desired { .. } = next(&mut events).await else { panic!("the clearing was expected") };
    let answering = tokio::spawn(async move {
        let ClientEvent::Method(call) = next(&mut events).await else { panic!("a method was expected") };
        let asked = (call.name.clone(), call.payload.clone());
        call.reply(200, Bytes::from_static(b"0.5")).await;
        (asked, events)
    });
    let command = format!("{MODULE}/commands/calibrate");
    let run = rest.expect("POST", &command, json!({ "request": 10 }), 201).await;
    assert_eq!((&run["response"], &run["responseCode"]), (&json!(0.5), &json!(200)));
    assert_eq!(answering.await.unwrap().0, ("calibrate".to_owned(), Bytes::from_static(b"10")));
    assert_eq!(rest.get(&command).await["value"][0]["id"], run["id"]);
    let inner = format!("{MODULE}/components/bearing/commands/none");
    assert_eq!(rest.refused("POST", &inner, json!({})).await.0, 404);
    assert_eq!(rest.refused("GET", &inner, Value::Null).await.0, 404);
    client.stop().await;
    central.stop().await;
}

#[tokio::test]
async fn a_modules_telemetry_is_found_by_module_and_component() {
    let (_dir, central, rest) = start().await;
    let (client, _events) = probe(&central).await;
    let mut live = central.watch("gw-04");
    let mut bag = BagBuilder::new();
    bag.push(COMPONENT, "bearing");
    let bearing = Message { bag: bag.build(), body: Bytes::from_static(br#"{"ringTemperature":61.5}"#) };
    client.send(vec![message(r#"{"rms":1.25}"#), bearing]).await.unwrap();
    let is_bearing = |event: &LiveEvent| matches!(event, LiveEvent::Telemetry { component: Some(_), .. });
    await_live(&mut live, |event| is_telemetry(event) && is_bearing(event)).await;

    assert_eq!(rest.get(&format!("{MODULE}/telemetry/rms")).await["value"], 1.25);
    let inner = format!("{MODULE}/components/bearing/telemetry/ringTemperature");
    assert_eq!(rest.get(&inner).await["value"], 61.5);
    let text = format!(
        "SELECT $id, $ts, vibrationProbe.rms AS r FROM {TEMPLATE} WHERE $id = 'gw-04' AND WITHIN_WINDOW(PT1H) ORDER BY $ts DESC"
    );
    let found = rest.expect("POST", "/api/query", json!({ "query": text }), 200).await;
    assert_eq!(found["results"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["results"][0]["r"], 1.25);
    let names = "name=vibrationProbe.rms&name=vibrationProbe.bearing.ringTemperature";
    let series = rest.get(&format!("/api/ext/v1/devices/gw-04/series?{names}")).await;
    let last = |index: usize| series["series"][index]["points"][0][1].clone();
    assert_eq!((last(0), last(1)), (json!(1.25), json!(61.5)));
    let messages = rest.get("/api/ext/v1/devices/gw-04/messages?module=vibrationProbe").await;
    assert_eq!(messages["value"][0]["component"], "bearing");
    client.stop().await;
    central.stop().await;
}

#[tokio::test]
async fn a_method_of_the_agent_answers_as_the_command_line_takes_it() {
    let (_dir, central, rest) = start().await;
    let keys = new_symmetric_keys();
    let authentication = Some(ModuleAuthentication::Sas(keys.clone()));
    let change = ModuleChange { managed_by: None, authentication, if_match: None };
    let registry = &central.running.core.registry;
    registry.module_put(central.app(), "gw-04", EDGE_AGENT, change, now_ms()).await.unwrap();
    let options = central.client_options(Identity::module("gw-04", EDGE_AGENT), &keys.primary);
    let (_agent, mut events) = connect(options).await;
    let path = format!("/system/iotedge/devices/gw-04/modules/{EDGE_AGENT}/directmethods");
    for (status, payload, expected) in [
        // `status = response.json()`, and whatever is not 200 is an unknown module.
        (200, "", json!(200)),
        (200, "null", json!(200)),
        (500, r#"{"message":"no such module"}"#, json!({ "status": 500, "payload": { "message": "no such module" } })),
        (200, "[1]", json!({ "status": 200, "payload": [1] })),
    ] {
        let body = json!({ "methodName": "RestartModule", "payload": { "schemaVersion": "1.0", "id": "probe" } });
        let answering = async {
            let ClientEvent::Method(method) = next(&mut events).await else { panic!("a method was expected") };
            assert_eq!(method.name, "RestartModule");
            method.reply(status, Bytes::from_static(payload.as_bytes())).await;
        };
        let (answered, ()) = tokio::join!(rest.call("POST", &path, body), answering);
        assert_eq!((answered.status, answered.body), (200, expected));
    }
    central.stop().await;
}
