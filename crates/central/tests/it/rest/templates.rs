//! Device templates.

use serde_json::{Value, json};

use super::client::Rest;
use crate::central::{TestCentral, await_live, data, is_telemetry, message};

pub const PUMP: &str = "dtmi:modelDefinition:plant:pump;1";

/// A pump with one of everything.
pub fn pump() -> Value {
    json!({
        "@type": ["ModelDefinition", "DeviceModel"],
        "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
        "displayName": "Pump",
        "capabilityModel": { "@id": "dtmi:plant:pump;1", "@type": "Interface", "displayName": "Pump", "contents": [
            { "@type": "Telemetry", "name": "flow", "schema": "double" },
            { "@type": "Property", "name": "serial", "schema": "string" },
            { "@type": ["Property", "Initialized"], "name": "rpm", "schema": "double", "writable": true, "initialValue": 900 },
            { "@type": ["Property", "Cloud"], "name": "site", "schema": "string" },
            { "@type": "Command", "name": "stop", "commandType": "synchronous",
              "request": { "@type": "CommandPayload", "name": "seconds", "schema": "integer" } },
            { "@type": "Component", "name": "motor", "displayName": "Motor", "schema": {
                "@id": "dtmi:plant:motor;1", "@type": "Interface", "contents": [
                    { "@type": "Telemetry", "name": "heat", "schema": "double" },
                    { "@type": "Property", "name": "limit", "schema": "integer", "writable": true },
                    { "@type": "Command", "name": "spinDown", "commandType": "synchronous" } ] } },
        ]},
    })
}

fn path() -> String {
    format!("/api/deviceTemplates/{}", PUMP.replace(';', "%3B"))
}

#[tokio::test]
async fn a_template_is_kept_as_it_was_sent() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let mut expected = pump();
    let stored = rest.put(&path(), pump()).await;
    expected["@id"] = PUMP.into();
    expected["etag"] = stored["etag"].clone();
    assert_eq!(stored, expected);
    assert_eq!(rest.get(&path()).await, expected);
    let listed =
        rest.get("/api/deviceTemplates?filter=capabilityModelId%20eq%20'dtmi:plant:pump;1'&orderby=displayName").await;
    assert_eq!(listed, json!({ "value": [expected] }));
    assert_eq!(rest.refused("PUT", &path(), json!({ "etag": "\"0\"", "@type": pump()["@type"], "@context": pump()["@context"], "capabilityModel": pump()["capabilityModel"] })).await.0, 412);
    rest.delete(&path()).await;
    assert_eq!(rest.refused("GET", &path(), Value::Null).await.0, 404);
    central.stop().await;
}

#[tokio::test]
async fn templates_have_the_ids_iot_central_gives_them() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    for (n, id) in [
        "dtmi:modelDefinition:abcde1fg:hijk2lmn",
        "dtmi:abc1defgh:ijk2lmnop",
        "dtmi:abc1defgh:PumpTemplate;2",
        "dtmi:modelDefinition:1bcde2fg:3ijk;1",
    ]
    .into_iter()
    .enumerate()
    {
        let mut template = pump();
        template["@id"] = id.into();
        // Ids inside are whatever its makers wrote.
        template["capabilityModel"]["@id"] = format!("dtmi:abc1defgh:pump{n}").into();
        template["capabilityModel"]["contents"][0]["@id"] = "flow-1".into();
        rest.put(&format!("/api/deviceTemplates/{id}"), template).await;
        assert_eq!(rest.get(&format!("/api/deviceTemplates/{id}")).await["@id"], id);
        let device = format!("d{n}");
        rest.put(&format!("/api/devices/{device}"), json!({ "template": id, "simulated": false })).await;
        let (client, _events) = central.connect(&central.provision(&device).await).await;
        let mut live = central.watch(&device);
        let elements = r#"[{"flow":11.5},{"flow":22.5}]"#;
        client.send(vec![message(elements)]).await.unwrap();
        await_live(&mut live, is_telemetry).await;
        let query = format!("SELECT TOP 9 flow FROM {id} WHERE flow > 0");
        let answer = rest.expect("POST", "/api/query", json!({ "query": query }), 200).await;
        let values: Vec<_> = answer["results"].as_array().unwrap().iter().map(|row| row["flow"].clone()).collect();
        assert_eq!(values, [22.5, 11.5], "each element of a message is a row: {id}");
        assert_eq!(rest.get(&format!("/api/devices/{device}/telemetry/flow")).await["value"], 22.5);
        client.stop().await;
    }
    let refused = rest.refused("PUT", "/api/deviceTemplates/pump", pump()).await;
    assert_eq!(refused.0, 400);
    central.stop().await;
}

#[tokio::test]
async fn faults_are_told_with_their_places() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let mut broken = pump();
    broken["capabilityModel"]["contents"][0]["schema"] = "colour".into();
    broken["capabilityModel"]["contents"][1]["name"] = "9lives".into();
    let (status, code, places) = rest.refused("PUT", &path(), broken).await;
    assert_eq!((status, code.as_str()), (422, "UnprocessableEntity"));
    assert!(places.iter().any(|place| place.starts_with("/capabilityModel/contents/0/schema")), "{places:?}");
    assert!(places.iter().any(|place| place.starts_with("/capabilityModel/contents/1/name")), "{places:?}");
    assert_eq!(rest.refused("PUT", "/api/deviceTemplates/pump", pump()).await.0, 400);
    let same = rest.refused("PUT", "/api/deviceTemplates/dtmi:plant:pump%3B1", pump()).await;
    assert_eq!(same.2, ["/capabilityModel/@id"]);
    central.stop().await;
}

#[tokio::test]
async fn what_devices_rely_on_stays() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put(&path(), pump()).await;
    let model = rest.refused("PUT", "/api/devices/d", json!({ "template": "dtmi:plant:pump;1" })).await;
    assert_eq!(model.0, 400, "the id of the model is not the id of the template");
    rest.put("/api/devices/d", json!({ "template": PUMP })).await;
    assert_eq!(rest.refused("DELETE", &path(), Value::Null).await.0, 422);
    let mut less = pump();
    less["capabilityModel"]["contents"].as_array_mut().unwrap().remove(0);
    assert_eq!(rest.refused("PUT", &path(), less.clone()).await.0, 422);
    let mut more = pump();
    let contents = more["capabilityModel"]["contents"].as_array_mut().unwrap();
    contents.push(json!({ "@type": "Telemetry", "name": "pressure", "schema": "double" }));
    rest.put(&path(), more).await;

    rest.patch(&path(), json!({ "displayName": "Water pump" })).await;
    assert_eq!(rest.refused("PATCH", &path(), json!({ "capabilityModel": pump()["capabilityModel"] })).await.0, 422);
    rest.delete("/api/devices/d").await;
    rest.put(&path(), less).await;
    rest.delete(&path()).await;
    central.stop().await;
}

#[tokio::test]
async fn components_and_modules_come_from_the_template() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put(&path(), pump()).await;
    rest.put("/api/devices/d", json!({ "template": PUMP })).await;
    let components = rest.get("/api/devices/d/components").await;
    assert_eq!(components, json!({ "value": [{ "@type": "Component", "name": "motor", "displayName": "Motor" }] }));
    assert_eq!(rest.get("/api/devices/d/modules").await, json!({ "value": [] }));
    assert_eq!(rest.refused("GET", "/api/devices/d/modules/none/components", Value::Null).await.0, 404);
    central.stop().await;
}
