//! Commands to a device that is there, one that is not, and one that does not answer.

use bytes::Bytes;
use central::limits::{MESSAGE_OUTCOMES_PER_ANSWER_MAX, QUEUED_COMMAND_LIFE};
use hub::device_messages::CloudToDevice;
use hub::limits::{DEVICE_MESSAGE_LIFE_MAX, DEVICE_MESSAGES_MAX};
use model::message::Message;
use protocol::hub::bag;
use registry::Ack;
use registry::limits::QUEUED_COMMAND_RUNS_KEPT;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use transport::client::ClientEvent;

use super::client::Rest;
use super::templates::{PUMP, pump};
use crate::central::{PATIENCE, TestCentral, connect, data, next};

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

/// Commands that wait for the device: of the device, of its component, and of a module, which none can.
fn reboots() -> Value {
    let reboot = json!({ "@type": "Command", "name": "reboot", "durable": true,
        "request": { "@type": "CommandPayload", "name": "delay", "schema": "integer" } });
    let interface = |id: &str| {
        json!({ "@type": "Component", "name": "motor", "schema": { "@id": id, "@type": "Interface", "contents": [
            { "@type": "Command", "name": "reboot", "durable": true }] } })
    };
    json!({
        "@type": ["ModelDefinition", "DeviceModel"],
        "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
        "displayName": "Reboots",
        "capabilityModel": { "@id": "dtmi:plant:reboots;1", "@type": "Interface", "displayName": "Reboots",
            "contents": [reboot, interface("dtmi:plant:reboots:motor;1")] },
    })
}

const REBOOT: &str = "/api/devices/d/commands/reboot";
const QUEUED: &str = "/api/ext/v1/devices/d/queuedCommands";

#[tokio::test]
async fn a_durable_command_waits_for_its_device_and_its_run_tells_how_far_it_is() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put("/api/deviceTemplates/dtmi:plant:rebootsModel;1", reboots()).await;
    rest.put("/api/devices/d", json!({ "template": "dtmi:plant:rebootsModel;1" })).await;
    let device = central.provision("d").await;
    assert_eq!(rest.get(REBOOT).await, json!({ "value": [] }));
    let asked = json!({ "request": 5, "connectionTimeout": 30, "responseTimeout": 5 });
    let run = rest.expect("POST", REBOOT, asked.clone(), 201).await;
    let mut expected = asked;
    expected["id"] = run["id"].clone();
    assert_eq!(run, expected, "it is answered at once, without a response");
    assert_eq!(rest.get(REBOOT).await, json!({ "value": [run] }));
    let of_component = "/api/devices/d/components/motor/commands/reboot";
    let second = rest.expect("POST", of_component, json!({}), 201).await;
    let states = async || {
        let queued = rest.get(QUEUED).await;
        let states = queued["value"].as_array().unwrap().iter().map(|run| run["state"].as_str().unwrap().to_owned());
        (queued["waiting"].as_u64().unwrap(), states.collect::<Vec<_>>())
    };
    assert_eq!(states().await, (2, vec!["queued".to_owned(), "queued".to_owned()]));
    assert_eq!(rest.get("/system/iothub/devices/d/get-twin").await["cloudToDeviceMessageCount"], 2);
    for (body, place) in [
        (json!({ "request": "soon" }), "/request"),
        (json!({ "responseTimeout": 4 }), "/responseTimeout"),
        (json!({ "connectionTimeout": 31 }), "/connectionTimeout"),
    ] {
        assert_eq!(rest.refused("POST", REBOOT, body).await.2, [place]);
    }

    let mut options = central.client_options(model::identity::Identity::device("d"), &device.key);
    options.subscribe.cloud_to_device = true;
    let (client, mut events) = connect(options).await;
    let ClientEvent::CloudToDevice(first) = next(&mut events).await else { panic!("a command was expected") };
    let property = |name: &str| bag::get(&first.message.bag, name).map(|value| value.into_owned());
    assert_eq!(property("method-name").as_deref(), Some("reboot"));
    assert_eq!(property("iothub-ack").as_deref(), Some("none"));
    assert_eq!(property("$.mid").as_deref(), run["id"].as_str());
    assert_eq!(property("$.ct").as_deref(), Some("application/json"));
    assert_eq!(&first.message.body[..], b"5");
    let ClientEvent::CloudToDevice(motor) = next(&mut events).await else { panic!("a command was expected") };
    assert_eq!(bag::get(&motor.message.bag, "method-name").as_deref(), Some("motor*reboot"));
    assert_eq!(states().await, (2, vec!["sent".to_owned(), "sent".to_owned()]));
    first.acknowledge().await;
    until(async || states().await == (1, vec!["sent".to_owned(), "answered".to_owned()])).await;
    assert_eq!(rest.get(REBOOT).await["value"][0]["responseCode"], 200);
    assert_eq!(rest.get(of_component).await, json!({ "value": [second] }), "no code before it has ended");
    client.stop().await;
    let purge = "/system/iothub/devices/d/c2d";
    let purged = rest.expect("DELETE", purge, Value::Null, 200).await;
    let words = "Cloud to device (C2D) message queue purged for device d.\n Total messages purged: 1.";
    assert_eq!(purged["message"], words);
    assert_eq!(states().await, (0, vec!["purged".to_owned(), "answered".to_owned()]));
    assert_eq!(rest.get(of_component).await["value"][0]["responseCode"], 410);
    assert_eq!(rest.refused("DELETE", "/system/iothub/devices/none/c2d", Value::Null).await.0, 404);
    central.stop().await;
}

#[tokio::test]
async fn one_command_too_many_for_a_queue_is_refused_and_its_run_says_so() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put("/api/deviceTemplates/dtmi:plant:rebootsModel;1", reboots()).await;
    rest.put("/api/devices/d", json!({ "template": "dtmi:plant:rebootsModel;1" })).await;
    for _ in 0..DEVICE_MESSAGES_MAX {
        rest.expect("POST", REBOOT, json!({ "request": 1 }), 201).await;
    }
    let refused = rest.refused("POST", REBOOT, json!({ "request": 1 })).await;
    assert_eq!((refused.0, refused.1.as_str()), (403, "DeviceMaximumQueueDepthExceeded"));
    let queued = rest.get(QUEUED).await;
    let states: Vec<_> = queued["value"].as_array().unwrap().iter().map(|run| run["state"].as_str().unwrap()).collect();
    assert_eq!((states.len(), queued["waiting"].as_u64()), (DEVICE_MESSAGES_MAX as usize + 1, Some(50)));
    assert!(states[0] == "refused" && states[1..].iter().all(|state| *state == "queued"), "{states:?}");
    let history = rest.get(REBOOT).await;
    let codes: Vec<_> = history["value"].as_array().unwrap().iter().map(|run| run.get("responseCode")).collect();
    assert!(codes[0] == Some(&json!(403)) && codes[1..].iter().all(Option::is_none), "{codes:?}");
    // As many of them are kept as of others that have ended.
    for _ in 0..QUEUED_COMMAND_RUNS_KEPT {
        rest.refused("POST", REBOOT, json!({ "request": 2 })).await;
    }
    let runs = rest.get(REBOOT).await["value"].as_array().unwrap().clone();
    assert_eq!(runs.len(), (DEVICE_MESSAGES_MAX + QUEUED_COMMAND_RUNS_KEPT) as usize);
    assert_eq!(runs.iter().filter(|run| run["responseCode"] == 403 && run["request"] == 1).count(), 0);
    assert!(QUEUED_COMMAND_LIFE <= DEVICE_MESSAGE_LIFE_MAX);
    // What became of messages is told to those who asked: of so many at once.
    rest.expect("DELETE", "/system/iothub/devices/d/c2d", Value::Null, 200).await;
    for _ in 0..=MESSAGE_OUTCOMES_PER_ANSWER_MAX / DEVICE_MESSAGES_MAX {
        for _ in 0..DEVICE_MESSAGES_MAX {
            central.running.core.messages.send(central.app(), "d", asking()).await.unwrap();
        }
        rest.expect("DELETE", "/system/iothub/devices/d/c2d", Value::Null, 200).await;
    }
    let outcomes = rest.get("/api/ext/v1/devices/d/messageOutcomes").await;
    let outcomes = outcomes["value"].as_array().unwrap();
    assert_eq!(outcomes.len(), MESSAGE_OUTCOMES_PER_ANSWER_MAX as usize);
    assert_eq!((&outcomes[0]["messageId"], &outcomes[0]["outcome"]), (&json!("m"), &json!("Purged")));
    rest.delete("/api/devices/d").await;
    rest.put("/api/devices/d", json!({ "template": "dtmi:plant:rebootsModel;1" })).await;
    assert_eq!(rest.get(QUEUED).await, json!({ "value": [], "waiting": 0 }), "the queue went with its device");
    central.stop().await;
}

/// A message whose sender wants to know what becomes of it.
fn asking() -> CloudToDevice {
    CloudToDevice { id: Some("m".to_owned()), message: Message::default(), ack: Ack::Full, life: None, command: None }
}

/// Waits until something is so.
async fn until(is_so: impl AsyncFn() -> bool) {
    let reached = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("it becomes so in time");
}
