//! Telemetry as the interface shows it: last values, queries, series, messages.

use events::live::LiveEvent;
use serde_json::{Value, json};

use super::client::Rest;
use super::templates::{PUMP, pump};
use crate::central::{TestCentral, await_live, data, is_telemetry, message};

#[tokio::test]
async fn what_a_device_sends_can_be_read_in_every_way() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put(&format!("/api/deviceTemplates/{PUMP}"), pump()).await;
    rest.put("/api/devices/d", json!({ "template": PUMP })).await;
    assert_eq!(rest.get("/api/devices/d/telemetry/flow").await, json!({}));
    assert_eq!(rest.refused("GET", "/api/devices/d/telemetry/colour", Value::Null).await.0, 404);

    let device = central.provision("d").await;
    let (client, _events) = central.connect(&device).await;
    let mut live = central.watch("d");
    for body in [r#"{"flow":12.5}"#, r#"{"flow":14.5,"colour":"red"}"#] {
        client.send(vec![message(body)]).await.unwrap();
    }
    let is_second = |event: &LiveEvent| matches!(event, LiveEvent::Telemetry { values, .. } if values["flow"] == 14.5);
    await_live(&mut live, |event| is_telemetry(event) && is_second(event)).await;

    let last = rest.get("/api/devices/d/telemetry/flow").await;
    assert_eq!(last["value"], 14.5);
    let query = json!({ "query": format!("SELECT $id, flow AS f FROM {PUMP} WHERE f > 13") });
    let found = rest.expect("POST", "/api/query", query, 200).await;
    assert_eq!(found["results"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!((&found["results"][0]["$id"], &found["results"][0]["f"]), (&json!("d"), &json!(14.5)));
    for wrong in ["SELECT", &format!("SELECT colour FROM {PUMP}"), "SELECT flow FROM dtmi:none;1"] {
        assert_eq!(rest.refused("POST", "/api/query", json!({ "query": wrong })).await.0, 400, "{wrong}");
    }

    let series = rest.get("/api/ext/v1/devices/d/series?name=flow&points=100").await;
    assert_eq!(series["series"][0]["name"], "flow");
    let values: Vec<_> =
        series["series"][0]["points"].as_array().unwrap().iter().map(|point| point[1].clone()).collect();
    assert_eq!(values, [json!(12.5), json!(14.5)]);
    for wrong in ["", "?name=flow&points=0", "?name=flow&from=yesterday"] {
        assert_eq!(
            rest.refused("GET", &format!("/api/ext/v1/devices/d/series{wrong}"), Value::Null).await.0,
            400,
            "{wrong}"
        );
    }

    let messages = rest.get("/api/ext/v1/devices/d/messages?limit=1").await;
    assert_eq!(messages["value"][0]["body"], json!({ "flow": 14.5, "colour": "red" }));
    let before = messages["value"][0]["offset"].as_u64().unwrap();
    let older = rest.get(&format!("/api/ext/v1/devices/d/messages?before={before}")).await;
    assert_eq!(older["value"].as_array().unwrap().len(), 1);
    client.stop().await;
    central.stop().await;
}
