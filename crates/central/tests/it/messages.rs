//! Cloud-to-device messages as devices get them: over MQTT and over HTTPS.

use bytes::Bytes;
use central::database::Database;
use http::{Method, StatusCode};
use hub::device_messages::CloudToDevice;
use model::identity::Identity;
use model::message::Message;
use protocol::hub::bag;
use registry::Ack;
use transport::client::{ClientEvent, HubClient, InputMessage, Subscriptions};

use crate::central::{TestCentral, TestDevice, connect, data, next, on_both_databases};
use crate::hub_http::Caller;

on_both_databases!(
    what_waits_for_a_device_survives_a_restart_and_arrives_once_it_comes,
    over_https_a_device_completes_rejects_and_abandons,
);

fn wanted(text: &str) -> CloudToDevice {
    let properties = Bytes::from_static(b"%24.ct=text%2Fplain&Building=7&a%20b=%C3%BC&flag");
    CloudToDevice {
        id: Some(format!("id of {text}")),
        message: Message { bag: properties, body: Bytes::copy_from_slice(text.as_bytes()) },
        ack: Ack::Full,
        life: None,
        command: None,
    }
}

async fn send(central: &TestCentral, device: &str, text: &str) {
    central.running.core.messages.send(central.app(), device, wanted(text)).await.unwrap();
}

async fn listen(central: &TestCentral, device: &TestDevice) -> (HubClient, tokio::sync::mpsc::Receiver<ClientEvent>) {
    let mut options = central.client_options(Identity::device(&device.id), &device.key);
    options.subscribe = Subscriptions { cloud_to_device: true, ..Subscriptions::default() };
    connect(options).await
}

async fn next_message(events: &mut tokio::sync::mpsc::Receiver<ClientEvent>) -> InputMessage {
    match next(events).await {
        ClientEvent::CloudToDevice(message) => message,
        other => panic!("a message was expected, got {other:?}"),
    }
}

fn body(message: &InputMessage) -> &str {
    std::str::from_utf8(&message.message.body).unwrap()
}

/// Waits until so many messages wait for a device.
async fn until_waiting(central: &TestCentral, device: &str, messages: u64) {
    let reached = async {
        while central.running.core.messages.waiting(central.app(), device) != messages {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::central::PATIENCE, reached).await.expect("the queue gets there");
}

async fn outcomes(central: &TestCentral) -> Vec<(String, String)> {
    let feedback = central.running.core.registry.message_feedback(central.app(), None, 10).await.unwrap();
    let mut outcomes: Vec<_> = feedback.into_iter().map(|record| (record.message, record.outcome)).collect();
    outcomes.sort();
    outcomes
}

async fn what_waits_for_a_device_survives_a_restart_and_arrives_once_it_comes(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let device = central.provision("d1").await;
    for text in ["one", "two"] {
        send(&central, "d1", text).await;
    }
    central.stop().await;

    let central = TestCentral::start_on(&database, &data).await;
    let (client, mut events) = listen(&central, &device).await;
    let one = next_message(&mut events).await;
    assert_eq!(body(&one), "one");
    let properties = &one.message.bag;
    let property = |name: &str| bag::get(properties, name).map(|value| value.into_owned());
    assert_eq!(property("$.to").as_deref(), Some("/devices/d1/messages/devicebound"));
    assert_eq!(property("$.mid").as_deref(), Some("id of one"));
    assert_eq!(property("iothub-ack").as_deref(), Some("full"));
    assert_eq!((property("Building").as_deref(), property("a b").as_deref()), (Some("7"), Some("ü")));
    let expiry = property("$.exp").unwrap();
    assert!(expiry.len() == "2024-05-01T10:00:00.0000000Z".len() && expiry.ends_with("0000Z"), "{expiry}");
    one.acknowledge().await;
    let _unacknowledged = next_message(&mut events).await;
    until_waiting(&central, "d1", 1).await;
    client.stop().await;
    central.stop().await;

    // What was not acknowledged comes again, also to a device that subscribes to nothing this time.
    let central = TestCentral::start_on(&database, &data).await;
    let mut options = central.client_options(Identity::device(&device.id), &device.key);
    options.subscribe = Subscriptions::default();
    let (client, mut events) = connect(options).await;
    let two = next_message(&mut events).await;
    assert_eq!((body(&two), two.again), ("two", true));
    two.acknowledge().await;
    until_waiting(&central, "d1", 0).await;
    assert_eq!(
        outcomes(&central).await,
        [("id of one".to_owned(), "Success".to_owned()), ("id of two".to_owned(), "Success".to_owned())]
    );
    client.stop().await;
    central.stop().await;
}

async fn over_https_a_device_completes_rejects_and_abandons(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let device = central.provision("d1").await;
    let caller = Caller::device(&central, &device);
    let path = "/devices/d1/messages/deviceBound";
    let fetch = async || caller.send(Method::GET, path, &[], "").await;
    let settle = async |method: Method, rest: &str| {
        let settled = caller.send(method, &format!("{path}/{rest}"), &[("if-match", "\"x\"")], "").await;
        settled.status()
    };
    assert_eq!(fetch().await.status(), StatusCode::NO_CONTENT);
    for text in ["one", "two"] {
        send(&central, "d1", text).await;
    }
    let one = fetch().await;
    assert_eq!((one.status(), &one.body()[..]), (StatusCode::OK, b"one".as_slice()));
    let header = |name: &str| String::from_utf8_lossy(one.headers()[name].as_bytes()).into_owned();
    for (name, value) in [
        ("iothub-messageid", "id of one"),
        ("iothub-to", "/devices/d1/messages/devicebound"),
        ("iothub-sequencenumber", "1"),
        ("iothub-deliverycount", "1"),
        ("iothub-ack", "full"),
        ("iothub-contenttype", "text/plain"),
        ("iothub-app-building", "7"),
        ("iothub-app-a%20b", "ü"),
        ("iothub-app-flag", ""),
    ] {
        assert_eq!(header(name), value, "{name}");
    }
    let etag = header("etag");
    let lock = etag.trim_matches('"').to_owned();
    assert_eq!(etag, format!("\"{lock}\""));
    let two = fetch().await;
    assert_eq!(&two.body()[..], b"two");
    let second = two.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned();
    assert_eq!(fetch().await.status(), StatusCode::NO_CONTENT, "both are locked");

    assert_eq!(settle(Method::POST, &format!("{lock}/abandon")).await, StatusCode::NO_CONTENT);
    assert_eq!(settle(Method::DELETE, &lock).await, StatusCode::PRECONDITION_FAILED);
    let again = fetch().await;
    assert_eq!(
        (&again.body()[..], &again.headers()["iothub-deliverycount"]),
        (b"one".as_slice(), &"2".parse().unwrap())
    );
    let lock = again.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned();
    assert_eq!(settle(Method::DELETE, &lock).await, StatusCode::NO_CONTENT);
    assert_eq!(settle(Method::DELETE, &format!("{second}?reject")).await, StatusCode::NO_CONTENT);
    assert_eq!(
        outcomes(&central).await,
        [("id of one".to_owned(), "Success".to_owned()), ("id of two".to_owned(), "Rejected".to_owned())]
    );
    let other = central.provision("d2").await;
    send(&central, "d1", "three").await;
    let refused = Caller::device(&central, &other).send(Method::GET, path, &[], "").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "another device's queue");
    central.stop().await;
}
