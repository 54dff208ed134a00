//! The hub between real clients and a hub above that is in memory, over real TLS sockets.
#![allow(clippy::unwrap_used)]

pub(super) mod alone;
mod authorities;
mod limits;
mod messages;
mod revoked;
mod site;
mod undeliverable;

use std::time::Duration;

use bytes::Bytes;
use model::identity::Identity;
use model::message::Message;
use protocol::auth::sas;
use protocol::hub::bag;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;
use transport::client::{ClientEvent, LinkState, RequestError, SendError, Subscriptions};
use transport::server::{ConnectRequest, Credential, Refusal, SessionLink};

use super::ScopeSource;
use super::scope::ScopeAnswer;
use crate::identity::hub_api::HubApiError;
use crate::identity::testing::HUB_HOST;
use site::{Site, module, soon};

fn numbered(number: usize) -> Message {
    Message { bag: Bytes::from(format!("n={number}")), body: Bytes::from(format!("{{\"n\":{number}}}")) }
}

fn numbers(received: &[(Identity, Message)], sender: &Identity) -> Vec<usize> {
    let of_sender = received.iter().filter(|(from, _)| from == sender);
    of_sender.map(|(_, message)| bag::get(&message.bag, "n").unwrap().parse().unwrap()).collect()
}

/// Keeps the first of equal numbers: delivery is at least once.
fn without_repeats(numbers: Vec<usize>) -> Vec<usize> {
    let mut seen = std::collections::BTreeSet::new();
    numbers.into_iter().filter(|number| seen.insert(*number)).collect()
}

#[tokio::test]
async fn telemetry_goes_upstream_as_its_sender_without_our_stamps() {
    let site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream" })).await;
    let (sensor, _events) = site.client(&module("sensor"));
    let (leaf, _leaf_events) = site.client(&Identity::device("leaf"));
    soon(sensor.send_to_output("out", vec![numbered(1)])).await.unwrap();
    soon(leaf.send(vec![numbered(2)])).await.unwrap();
    let received = site.upstream_received(2).await;
    assert_eq!(numbers(&received, &module("sensor")), [1]);
    assert_eq!(numbers(&received, &Identity::device("leaf")), [2]);
    for (_, message) in &received {
        assert_eq!(bag::get(&message.bag, bag::CONNECTION_DEVICE_ID), None);
        assert_eq!(bag::get(&message.bag, bag::CONNECTION_MODULE_ID), None);
    }
}

#[tokio::test]
async fn what_is_stored_without_upstream_is_forwarded_in_order_also_after_a_restart() {
    let mut site = Site::new(json!({ "up": "FROM /* INTO $upstream" })).await;
    site.stop_upstream().await;
    let (sensor, _events) = site.client(&module("sensor"));
    for number in 0..300 {
        soon(sensor.send(vec![numbered(number)])).await.unwrap();
    }
    soon(sensor.stop()).await;
    site.restart_edge().await;
    let (sensor, _events) = site.client(&module("sensor"));
    soon(sensor.send((300..600).map(numbered).collect())).await.unwrap();
    site.start_upstream().await;
    let received = site.upstream_received(600).await;
    assert_eq!(without_repeats(numbers(&received, &module("sensor"))), (0..600).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_expired_message_is_not_forwarded() {
    let routes = json!({ "up": { "route": "FROM /* WHERE keep = 'no' INTO $upstream", "timeToLiveSecs": 1, "priority": 0 },
        "rest": "FROM /* WHERE NOT is_defined(keep) INTO $upstream" });
    let mut site = Site::new(routes).await;
    site.stop_upstream().await;
    let (sensor, _events) = site.client(&module("sensor"));
    let short_lived = Message { bag: Bytes::from_static(b"n=1&keep=no"), body: Bytes::new() };
    soon(sensor.send(vec![short_lived])).await.unwrap();
    soon(sensor.send(vec![numbered(2)])).await.unwrap();
    // Its life is a second by the clock of the log.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    site.start_upstream().await;
    assert_eq!(numbers(&site.upstream_received(1).await, &module("sensor")), [2]);
}

#[tokio::test]
async fn a_module_gets_its_input_stamped_and_again_until_it_acknowledges() {
    let route = "FROM /messages/modules/sensor/outputs/out WHERE $body.n > 1 INTO BrokeredEndpoint(\"/modules/filter/inputs/in1\")";
    let site = Site::new(json!({ "filter": route })).await;
    let (sensor, _events) = site.client(&module("sensor"));
    let json_message = |number: usize| {
        let body = numbered(number).body;
        Message { bag: Bytes::from(format!("%24.ct=application%2Fjson&%24.ce=utf-8&n={number}")), body }
    };
    soon(sensor.send_to_output("out", (0..4).map(json_message).collect())).await.unwrap();
    // Nobody listens yet: the messages wait.
    let (filter, mut inputs) = site.client(&module("filter"));
    let mut taken = Vec::new();
    while taken.len() < 2 {
        match soon(inputs.recv()).await.unwrap() {
            ClientEvent::Input(message) => {
                assert_eq!(message.input, "in1");
                assert_eq!(bag::get(&message.message.bag, bag::CONNECTION_MODULE_ID).unwrap(), "sensor");
                taken.push(bag::get(&message.message.bag, "n").unwrap().into_owned());
                message.acknowledge().await;
            }
            ClientEvent::Connected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, ["2", "3"]);
    drop(filter);
}

#[tokio::test]
async fn only_who_is_in_scope_and_has_the_key_gets_in() {
    let site = Site::new(json!({})).await;
    site.complaints.expect("connection refused identity=");
    let refused = |identity: Identity, key: &'static str| {
        let (client, events) = site.client_with_key(&identity, key);
        async move {
            let mut state = client.state();
            let refused =
                soon(state.wait_for(|state| matches!(state, LinkState::Refused { .. } | LinkState::Connected)));
            let refused = matches!(*refused.await.unwrap(), LinkState::Refused { .. });
            drop(events);
            refused
        }
    };
    assert!(refused(Identity::device("leaf"), site::WRONG_KEY).await);
    assert!(refused(module("sensor"), site::WRONG_KEY).await);
    assert!(refused(Identity::device("stranger"), site::LEAF_KEY).await);
    assert!(refused(Identity::device("disabled"), site::LEAF_KEY).await);
    assert!(!refused(Identity::device("leaf"), site::LEAF_KEY).await);
    // A device's key opens its modules, those in scope: `known` is one of leaf's, `ghost` is not.
    assert!(!refused(Identity::module("leaf", "known"), site::LEAF_KEY).await);
    assert!(refused(Identity::module("leaf", "ghost"), site::LEAF_KEY).await);
    assert!(refused(Identity::module("disabled", "known"), site::LEAF_KEY).await);
}

/// A hub above that is not reached.
struct Away;

impl ScopeSource for Away {
    fn page<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        Box::pin(async { Err(HubApiError::Answer { act: "anything" }) })
    }

    fn one<'a>(&'a self, body: &'a Value) -> ScopeAnswer<'a> {
        self.page(body)
    }
}

#[tokio::test]
async fn while_the_hub_above_is_away_a_wrong_key_is_answered_as_an_unknown_name_is() {
    let alone = alone::Alone::with_scope(std::sync::Arc::new(Away));
    let own = Identity::device("edge");
    for identity in [module("sensor"), module("ghost"), own, Identity::device("leaf"), Identity::module("leaf", "m")] {
        let token = sas::sign(&sas::audience(HUB_HOST, &identity), site::WRONG_KEY, 4_000_000_000, None).unwrap();
        let request = ConnectRequest {
            identity: identity.clone(),
            hub_host: HUB_HOST.into(),
            api_version: String::new(),
            model_id: None,
            auth_chain: None,
            client_type: None,
            credential: Credential::Sas(token),
            clean_session: true,
            peer: ([127, 0, 0, 1], 1).into(),
            link: SessionLink::detached().0,
        };
        assert_eq!(alone.hub.authenticate(&request).await, Err(Refusal::Unavailable), "{identity}");
    }
}

#[tokio::test]
async fn without_routes_nothing_is_acknowledged() {
    let site = Site::unconfigured().await;
    site.complaints.expect("error=no routes were seen yet");
    let (sensor, _events) = site.client(&module("sensor"));
    assert_eq!(soon(sensor.send(vec![numbered(1)])).await, Err(SendError::Disconnected));
}

#[tokio::test]
async fn a_refused_configuration_changes_nothing_and_is_reported() {
    let site = Site::new(json!({ "up": "FROM /* INTO $upstream" })).await;
    site.complaints.expect("routes refused version=7");
    site.configure(7, json!({ "up": "FROM nowhere" }));
    let reported = site.reported();
    assert_eq!(reported["lastDesiredVersion"], 7);
    assert_eq!(reported["lastDesiredStatus"]["code"], 400);
    let (sensor, _events) = site.client(&module("sensor"));
    soon(sensor.send(vec![numbered(1)])).await.unwrap();
    site.upstream_received(1).await;
}

#[tokio::test]
async fn twins_are_relayed_and_answered_from_the_cache_without_upstream() {
    let mut site = Site::new(json!({})).await;
    site.upstream.set_desired(&module("sensor"), json!({ "SendInterval": 10, "$version": 2 }));
    let (sensor, mut events) = site.client(&module("sensor"));
    soon(sensor.state().wait_for(|state| *state == LinkState::Connected)).await.unwrap();
    let twin: Value = serde_json::from_slice(&soon(sensor.twin()).await.unwrap()).unwrap();
    assert_eq!(twin["desired"], json!({ "SendInterval": 10, "$version": 2 }));
    assert_eq!(soon(sensor.patch_reported(Bytes::from_static(b"{\"a\":1,\"b\":2}"))).await.unwrap(), 2);

    site.stop_upstream().await;
    soon(site.upstream_link_down(&module("sensor"))).await;
    soon(sensor.patch_reported(Bytes::from_static(b"{\"a\":null,\"c\":3}"))).await.unwrap();
    let twin: Value = serde_json::from_slice(&soon(sensor.twin()).await.unwrap()).unwrap();
    assert_eq!(twin["desired"]["SendInterval"], 10);
    assert_eq!(twin["reported"]["c"], 3);
    assert_eq!(twin["reported"].get("a"), None);
    let bad = soon(sensor.patch_reported(Bytes::from_static(b"{\"a.b\":1}"))).await;
    assert!(bad.is_err(), "{bad:?}");

    site.upstream.set_desired(&module("sensor"), json!({ "SendInterval": 20, "$version": 3 }));
    site.start_upstream().await;
    let patch = loop {
        if let ClientEvent::Desired { version, patch } = soon(events.recv()).await.unwrap() {
            assert_eq!(version, 3);
            break serde_json::from_slice::<Value>(&patch).unwrap();
        }
    };
    assert_eq!(patch, json!({ "SendInterval": 20, "$version": 3 }));
    assert_eq!(site.upstream.reported(&module("sensor")), json!({ "b": 2, "c": 3 }));
}

#[tokio::test]
async fn a_reported_update_that_was_refused_is_not_kept_nor_sent_on_later() {
    let mut site = Site::new(json!({})).await;
    site.complaints.expect("reported update not stored");
    let sensor = module("sensor");
    let (client, _events) = site.client(&sensor);
    soon(client.state().wait_for(|state| *state == LinkState::Connected)).await.unwrap();
    soon(client.twin()).await.unwrap();
    site.stop_upstream().await;
    soon(site.upstream_link_down(&sensor)).await;
    let twins = site.hub().options.dir.join("twins");
    let aside = twins.with_extension("aside");
    std::fs::rename(&twins, &aside).unwrap();
    let refused = soon(client.patch_reported(Bytes::from_static(b"{\"a\":1}"))).await;
    assert!(matches!(refused, Err(RequestError::Refused { status: 503, .. })), "{refused:?}");
    std::fs::rename(&aside, &twins).unwrap();
    soon(client.patch_reported(Bytes::from_static(b"{\"b\":2}"))).await.unwrap();
    let twin: Value = serde_json::from_slice(&soon(client.twin()).await.unwrap()).unwrap();
    assert_eq!((&twin["reported"]["b"], twin["reported"].get("a")), (&json!(2), None));
    site.start_upstream().await;
    soon(site.hub().link(&sensor).client.state().wait_for(|state| *state == LinkState::Connected)).await.unwrap();
    soon(client.twin()).await.unwrap();
    assert_eq!(site.upstream.reported(&sensor), json!({ "b": 2 }));
}

#[tokio::test]
async fn a_method_from_above_reaches_the_client_and_its_answer_goes_back() {
    let site = Site::new(json!({})).await;
    let (_leaf, mut events) = site.client(&Identity::device("leaf"));
    let link = site.upstream.link(&Identity::device("leaf")).await;
    let answering = tokio::spawn(async move {
        loop {
            if let ClientEvent::Method(call) = events.recv().await.unwrap() {
                assert_eq!((call.name.as_str(), &call.payload[..]), ("reset", b"{\"x\":1}".as_slice()));
                call.reply(207, Bytes::from_static(b"{\"done\":true}")).await;
                // Held so that the connection stays.
                return events;
            }
        }
    });
    let answer = site.invoke_until_subscribed(&link, "reset", Bytes::from_static(b"{\"x\":1}")).await;
    assert_eq!((answer.status, &answer.payload[..]), (207, b"{\"done\":true}".as_slice()));
    drop(soon(answering).await.unwrap());
}

#[tokio::test]
async fn a_client_that_subscribed_once_is_served_for_good_also_after_a_restart() {
    let mut site = Site::new(json!({})).await;
    let leaf = Identity::device("leaf");
    let (client, _events) = site.client(&leaf);
    soon(client.state().wait_for(|state| *state == LinkState::Connected)).await.unwrap();
    client.stop().await;
    for restart in [false, true] {
        if restart {
            site.restart_edge().await;
        }
        // As the Python SDK comes back: it subscribes to nothing.
        let (client, mut events) = site.client_subscribing(&leaf, site::LEAF_KEY, Subscriptions::default());
        let first = soon(events.recv()).await.unwrap();
        assert!(matches!(first, ClientEvent::Connected { session_present: true }), "{first:?}");
        soon(client.twin()).await.unwrap();
        let link = site.upstream.link(&leaf).await;
        let answering = async {
            let ClientEvent::Method(call) = soon(events.recv()).await.unwrap() else { panic!("a method was expected") };
            call.reply(200, Bytes::new()).await;
            soon(events.recv()).await.unwrap()
        };
        let asking = async {
            let answer = site.invoke_until_subscribed(&link, "reset", Bytes::new()).await;
            assert_eq!(answer.status, 200);
            site.upstream.set_desired(&leaf, json!({ "rate": 5, "$version": 2 }));
            link.desired_patch(2, Bytes::from_static(b"{\"rate\":5,\"$version\":2}")).await.unwrap();
        };
        let (told, ()) = tokio::join!(answering, asking);
        assert!(matches!(told, ClientEvent::Desired { version: 2, .. }), "{told:?}");
        client.stop().await;
        site.upstream.set_desired(&leaf, json!({ "$version": 1 }));
    }
}

#[tokio::test]
async fn a_newer_session_of_the_same_identity_ends_the_older_one() {
    let site = Site::new(json!({})).await;
    let (first, mut first_events) = site.client(&Identity::device("leaf"));
    soon(first.state().wait_for(|state| *state == LinkState::Connected)).await.unwrap();
    let (second, _events) = site.client(&Identity::device("leaf"));
    soon(second.state().wait_for(|state| *state == LinkState::Connected)).await.unwrap();
    let ended = timeout(Duration::from_secs(20), async {
        while !matches!(first_events.recv().await, Some(ClientEvent::Disconnected { .. }) | None) {}
    });
    ended.await.unwrap();
}

const TO_FILTER: &str = "FROM /messages/modules/sensor/* INTO BrokeredEndpoint(\"/modules/filter/inputs/in1\")";

#[tokio::test]
async fn what_goes_through_is_counted_and_an_absent_module_holds_up_nobody_else() {
    let site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream", "filter": TO_FILTER })).await;
    site.complaints
        .expect("no route leads to this endpoint any more: its messages are dropped endpoint=\"filter/in1\"");
    let (sensor, _events) = site.client(&module("sensor"));
    soon(sensor.send_to_output("out", (0..3).map(numbered).collect())).await.unwrap();
    site.upstream_received(3).await;
    let (id, output) = (r#"id="edge/sensor""#, r#"route_output="out""#);
    site.counted("edgehub_messages_received_total", &[id, output], 3.0).await;
    site.counted("edgehub_messages_sent_total", &[r#"from="edge/sensor",to="upstream""#, r#"priority="default""#], 3.0)
        .await;
    assert_eq!(site.metric("edgehub_message_process_duration_seconds_count", &[r#"to="upstream""#]), 3.0);
    site.counted("edgehub_queue_length", &[r#"endpoint="filter/in1",priority="default""#], 3.0).await;
    site.counted("edgehub_queue_length", &[r#"endpoint="iothub""#], 0.0).await;
    assert_eq!(site.metric("edgehub_connected_clients", &[]), 1.0);

    site.configure(2, json!({}));
    site.counted("edgehub_messages_dropped_total", &[r#"reason="endpoint_removed""#, r#"to="filter""#], 3.0).await;
    site.counted("edgehub_queue_length", &[r#"endpoint="filter/in1""#], 0.0).await;
    soon(sensor.send(vec![numbered(3)])).await.unwrap();
    site.counted("edgehub_messages_dropped_total", &[r#"reason="no_route""#, r#"from="edge/sensor""#], 1.0).await;
    soon(sensor.twin()).await.unwrap();
    site.counted("edgehub_gettwin_total", &[r#"source="upstream""#, id], 1.0).await;
    soon(sensor.patch_reported(Bytes::from_static(b"{\"a\":1}"))).await.unwrap();
    site.counted("edgehub_reported_properties_total", &[r#"target="upstream""#, id], 1.0).await;
}

#[tokio::test]
async fn messages_for_a_module_that_never_comes_are_dropped_when_their_time_is_over() {
    let routes = json!({ "filter": { "route": TO_FILTER, "timeToLiveSecs": 1 } });
    let site = Site::new(routes).await;
    let (sensor, _events) = site.client(&module("sensor"));
    soon(sensor.send_to_output("out", (0..3).map(numbered).collect())).await.unwrap();
    site.counted("edgehub_messages_dropped_total", &[r#"reason="ttl_expiry""#, r#"to="filter""#], 3.0).await;
    site.counted("edgehub_queue_length", &[], 0.0).await;
}

#[tokio::test]
async fn a_full_store_names_what_holds_it_and_takes_messages_again_once_that_is_delivered() {
    let mut site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream" })).await;
    site.complaints.expect("messages are refused: the queues hold");
    site.complaints.expect("error=the messages could not be stored");
    site.queues_disk_bytes_max = 1 << 20;
    site.restart_edge().await;
    site.stop_upstream().await;
    let (sensor, _events) = site.client(&module("sensor"));
    let large = |number: usize| Message { body: Bytes::from(vec![b'x'; 100_000]), ..numbered(number) };
    let mut stored = 0;
    while soon(sensor.send(vec![large(stored)])).await.is_ok() {
        stored += 1;
    }
    assert!((8..=10).contains(&stored), "{stored}");
    let reason = site.reported()["messagesRefused"].as_str().unwrap().to_owned();
    assert!(reason.contains("of 1048576 bytes"), "{reason}");
    assert!(reason.contains(&format!("the oldest of {stored} messages")), "{reason}");
    assert!(reason.ends_with("that wait for $upstream"), "{reason}");
    site.counted("edgehub_messages_unack_total", &[r#"reason="storage_failure",from="edge/sensor""#], 1.0).await;
    site.start_upstream().await;
    site.upstream_received(stored).await;
    soon(async { while sensor.send(vec![large(stored)]).await.is_err() {} }).await;
    assert_eq!(site.reported().get("messagesRefused"), None);
    assert_eq!(
        without_repeats(numbers(&site.upstream_received(stored + 1).await, &module("sensor"))).len(),
        stored + 1
    );
}

#[tokio::test]
async fn a_module_that_is_away_stops_nobody_however_much_goes_by() {
    let mut site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream", "filter": TO_FILTER })).await;
    // Those who come faster than room is made are told to send again.
    site.complaints.expect("messages are refused: the queues hold");
    site.complaints.expect("error=the messages could not be stored");
    site.queues_disk_bytes_max = 1 << 20;
    site.restart_edge().await;
    let (sensor, _events) = site.client(&module("sensor"));
    soon(sensor.send_to_output("out", vec![numbered(1)])).await.unwrap();
    let (leaf, _events) = site.client(&Identity::device("leaf"));
    for number in 0..30 {
        let large = Message { body: Bytes::from(vec![b'x'; 100_000]), ..numbered(number) };
        soon(async { while leaf.send(vec![large.clone()]).await.is_err() {} }).await;
    }
    site.counted("edgehub_queue_length", &[r#"endpoint="filter/in1",priority="default""#], 1.0).await;
    site.restart_edge().await;
    let (_filter, mut inputs) = site.client(&module("filter"));
    // At least once: it may come again while the client subscribes.
    let came = Notify::new();
    let taken = async {
        while let Some(event) = inputs.recv().await {
            if let ClientEvent::Input(input) = event {
                assert_eq!(bag::get(&input.message.bag, "n").as_deref(), Some("1"));
                input.acknowledge().await;
                came.notify_one();
            }
        }
    };
    let settled = async {
        soon(came.notified()).await;
        site.counted("edgehub_queue_length", &[r#"endpoint="filter/in1",priority="default""#], 0.0).await;
    };
    tokio::select! {
        () = taken => panic!("the client ended"),
        () = settled => {}
    }
}
