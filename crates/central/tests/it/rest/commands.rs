//! Commands to a device that is there, one that is not, and one that does not answer.

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use transport::client::ClientEvent;

use super::client::Rest;
use super::templates::{PUMP, pump};
use crate::central::{TestCentral, data, next};

const STOP: &str = "/api/devices/d/commands/stop";

#[tokio::test]
async fn a_command_is_answered_and_remembered() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put(&format!("/api/deviceTemplates/{PUMP}"), pump()).await;
    rest.put("/api/devices/d", json!({ "template": PUMP })).await;
    assert_eq!(rest.get(STOP).await, json!({ "value": [] }));
    let offline = rest.refused("POST", STOP, json!({ "request": 5 })).await;
    assert_eq!((offline.0, offline.1.as_str()), (404, "DeviceNotConnected"));
    let runs = rest.get(STOP).await["value"].take();
    let [missed] = runs.as_array().unwrap().as_slice() else { panic!("one run: {runs}") };
    assert_eq!((&missed["request"], &missed["responseCode"]), (&json!(5), &json!(404)));
    assert_eq!(missed.get("response"), None);

    let device = central.provision("d").await;
    let (client, mut events) = central.connect(&device).await;
    let answering: JoinHandle<Vec<(String, Bytes)>> = tokio::spawn(async move {
        let mut calls = Vec::new();
        for answer in [r#"{"ok":true}"#, ""] {
            let ClientEvent::Method(call) = next(&mut events).await else { panic!("a method was expected") };
            calls.push((call.name.clone(), call.payload.clone()));
            call.reply(200, Bytes::from_static(answer.as_bytes())).await;
        }
        calls
    });
    let run = rest.expect("POST", STOP, json!({ "request": 20, "responseTimeout": 10 }), 201).await;
    assert_eq!(
        (&run["request"], &run["response"], &run["responseCode"]),
        (&json!(20), &json!({ "ok": true }), &json!(200))
    );
    rest.expect("POST", "/api/devices/d/components/motor/commands/spinDown", json!({}), 201).await;
    let calls = answering.await.unwrap();
    assert_eq!(calls[0], ("stop".to_owned(), Bytes::from_static(b"20")));
    assert_eq!(calls[1].0, "motor*spinDown");
    assert_eq!(rest.get(STOP).await, json!({ "value": [run, missed] }));

    for (body, place) in [
        (json!({ "request": "soon" }), "/request"),
        (json!({ "responseTimeout": 4 }), "/responseTimeout"),
        (json!({ "connectionTimeout": 31 }), "/connectionTimeout"),
    ] {
        assert_eq!(rest.refused("POST", STOP, body).await.2, [place]);
    }
    assert_eq!(rest.refused("POST", "/api/devices/d/commands/fly", json!({})).await.0, 404);
    assert_eq!(rest.refused("GET", "/api/devices/d/commands/fly", Value::Null).await.0, 404);
    client.stop().await;
    central.stop().await;
}
