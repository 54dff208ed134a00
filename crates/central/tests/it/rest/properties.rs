//! Properties, at the device and over the wire.

use bytes::Bytes;
use serde_json::{Value, json};
use transport::client::ClientEvent;

use super::client::Rest;
use super::templates::{PUMP, pump};
use crate::central::{TestCentral, data, next};

const PATH: &str = "/api/devices/d/properties";

#[tokio::test]
async fn a_written_property_reaches_the_device_and_its_answer_comes_back() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put(&format!("/api/deviceTemplates/{PUMP}"), pump()).await;
    rest.put("/api/devices/d", json!({ "template": PUMP })).await;
    let device = central.provision("d").await;
    let (client, mut events) = central.connect(&device).await;
    let twin: Value = serde_json::from_slice(&client.twin().await.unwrap()).unwrap();
    assert_eq!(twin["desired"]["rpm"], 900, "the initial value of the template");

    let body = json!({ "rpm": 1450, "site": "Hall 2", "motor": { "limit": 110 } });
    let answer = rest.expect("PATCH", PATH, body, 202).await;
    assert_eq!(answer["$metadata"]["rpm"], json!({ "desiredValue": 1450 }));
    assert_eq!(answer["motor"]["$metadata"]["limit"], json!({ "desiredValue": 110 }));
    let ClientEvent::Desired { version, patch } = next(&mut events).await else { panic!("a patch was expected") };
    let patch: Value = serde_json::from_slice(&patch).unwrap();
    assert_eq!(patch, json!({ "rpm": 1450, "motor": { "__t": "c", "limit": 110 }, "$version": version }));

    let reported = json!({ "serial": "PX-1107", "rpm": { "value": 1450, "ac": 200, "av": version, "ad": "applied" } });
    client.patch_reported(Bytes::from(reported.to_string())).await.unwrap();
    let read = rest.get(PATH).await;
    assert_eq!((&read["serial"], &read["rpm"], &read["site"]), (&json!("PX-1107"), &json!(1450), &json!("Hall 2")));
    let metadata = &read["$metadata"]["rpm"];
    assert_eq!((&metadata["ackCode"], &metadata["ackVersion"]), (&json!(200), &json!(version)));
    assert_eq!((&metadata["desiredValue"], &metadata["desiredVersion"]), (&json!(1450), &json!(version)));
    assert_eq!(rest.get("/api/devices/d/components/motor/properties").await["$metadata"]["limit"]["desiredValue"], 110);

    rest.expect("PUT", PATH, json!({ "rpm": 7 }), 202).await;
    let read = rest.get(PATH).await;
    assert_eq!((read.get("site"), read.get("motor")), (None, None), "what is not named is cleared");
    client.stop().await;
    central.stop().await;
}

#[tokio::test]
async fn wrong_properties_change_nothing() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put(&format!("/api/deviceTemplates/{PUMP}"), pump()).await;
    rest.put("/api/devices/d", json!({ "template": PUMP })).await;
    let before = rest.get(PATH).await;
    let body = json!({ "rpm": 5, "site": 5, "serial": "x", "colour": "red", "motor": { "limit": "high" } });
    let (status, _, places) = rest.refused("PATCH", PATH, body).await;
    assert_eq!(
        (status, places),
        (422, vec!["/colour".into(), "/motor/limit".into(), "/serial".into(), "/site".into()])
    );
    assert_eq!(rest.get(PATH).await, before);
    rest.expect("PATCH", &format!("{PATH}?unmodeled=true"), json!({ "colour": "red" }), 202).await;
    assert_eq!(rest.get(PATH).await, before);
    let shown = rest.get(&format!("{PATH}?unmodeled=true")).await;
    assert_eq!(shown["$metadata"]["colour"]["desiredValue"], "red");
    assert_eq!(rest.refused("GET", "/api/devices/d/components/none/properties", Value::Null).await.0, 404);
    assert_eq!(rest.refused("GET", "/api/devices/none/properties", Value::Null).await.0, 404);
    rest.put("/api/devices/free", json!({})).await;
    rest.expect("PATCH", "/api/devices/free/properties", json!({ "anything": { "goes": 1 } }), 202).await;
    let free = rest.get("/api/devices/free/properties").await;
    assert_eq!(free["$metadata"]["anything"]["desiredValue"], json!({ "goes": 1 }));
    central.stop().await;
}
