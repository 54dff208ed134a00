//! One message that cannot be delivered stops nobody, is told of, and is not acknowledged as if it could.

use model::message::MESSAGE_BYTES_MAX;
use model::route::Endpoint;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use protocol::hub::{delivery, topic};
use protocol::limits::TEXT_BYTES_MAX;

use super::alone::Alone;
use super::*;
use crate::hub::queue::{Batch, QueueId, Readers};
use crate::hub::record::{StoredMessage, Target};
use crate::hub::way_out::for_upstream;

const TO_BOTH: &str = "FROM /messages/* INTO BrokeredEndpoint(\"/modules/filter/inputs/in1\")";
const DEAD: &str = "messages that cannot be delivered are dead letters now";

fn leaf() -> Identity {
    Identity::device("leaf")
}

/// A message whose bag is exactly so long.
fn with_bag(number: usize, bytes: usize, filler: &str) -> Message {
    let start = format!("n={number}&x=");
    let filler = filler.repeat((bytes - start.len()) / filler.len());
    Message { bag: Bytes::from(start + &filler), body: Bytes::from_static(b"{}") }
}

#[tokio::test]
async fn the_largest_bag_a_device_may_send_goes_upstream_and_what_is_behind_it_too() {
    let mut site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream" })).await;
    site.stop_upstream().await;
    let (client, _events) = site.client(&leaf());
    let (sensor, _sensor_events) = site.client(&module("sensor"));
    let room = TEXT_BYTES_MAX - topic::telemetry_prefix(&leaf()).len();
    soon(client.send(vec![with_bag(1, room, "a"), numbered(2)])).await.unwrap();
    // With the time that is added on the way it would be too large.
    soon(client.send(vec![with_bag(3, room - 50, "a"), numbered(4)])).await.unwrap();
    soon(sensor.send(vec![numbered(5)])).await.unwrap();
    site.restart_edge().await;
    site.start_upstream().await;
    let received = site.upstream_received(5).await;
    assert_eq!(without_repeats(numbers(&received, &leaf())), [1, 2, 3, 4]);
    assert_eq!(without_repeats(numbers(&received, &module("sensor"))), [5]);
}

#[tokio::test]
async fn a_bag_that_outgrows_an_input_is_a_dead_letter_there_and_what_is_behind_it_comes_once() {
    let site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream", "filter": TO_BOTH })).await;
    site.complaints.expect(DEAD);
    let (client, _events) = site.client(&leaf());
    let (_filter, mut inputs) = site.client(&module("filter"));
    let outgrows = with_bag(1, 30_000, "/");
    soon(client.send(vec![numbered(0), outgrows, numbered(2), numbered(3)])).await.unwrap();
    let mut taken = Vec::new();
    while taken.len() < 3 {
        if let ClientEvent::Input(input) = soon(inputs.recv()).await.unwrap() {
            taken.push(bag::get(&input.message.bag, "n").unwrap().parse::<usize>().unwrap());
            input.acknowledge().await;
        }
    }
    assert_eq!(taken, [0, 2, 3]);
    assert_eq!(numbers(&site.upstream_received(4).await, &leaf()), [0, 1, 2, 3], "it fits the way upstream");
    site.counted("edgehub_messages_dropped_total", &[r#"reason="undeliverable""#, r#"to="filter""#], 1.0).await;
    site.counted("edgehub_queue_length", &[], 0.0).await;
    let mut reports = site.hub().reports();
    let told = soon(reports.wait_for(|section| section.get("messagesUndeliverable").is_some())).await.unwrap().clone();
    assert_eq!(told["messagesUndeliverable"]["count"], 1);
    assert_eq!(told["messagesUndeliverable"]["last"]["from"], "leaf");
    assert_eq!(told["messagesUndeliverable"]["last"]["to"], "filter/in1");
}

/// Queues an earlier version filled may hold what this one would not take.
#[tokio::test]
async fn what_was_stored_and_cannot_be_delivered_holds_up_nothing() {
    let mut site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream", "filter": TO_BOTH })).await;
    site.complaints.expect(DEAD);
    site.stop_upstream().await;
    let filter = Endpoint::Module { module: "filter".into(), input: "in1".into() };
    for endpoint in [Endpoint::Upstream, filter] {
        let mut batch = Batch::default();
        for message in [with_bag(1, TEXT_BYTES_MAX, "a"), numbered(2), with_bag(3, 60_000, "/"), numbered(4)] {
            let stored = StoredMessage { sender: leaf(), stored_at_ms: site.hub().queues.now_ms(), message };
            let queue = QueueId { endpoint: endpoint.clone(), priority: 5 };
            batch.add(&[Target { queue, lifetime_secs: None }], &stored);
        }
        soon(site.hub().queues.store(batch)).await.unwrap();
    }
    site.restart_edge().await;
    site.start_upstream().await;
    let (_filter, mut inputs) = site.client(&module("filter"));
    let mut taken = Vec::new();
    while taken.len() < 2 {
        if let ClientEvent::Input(input) = soon(inputs.recv()).await.unwrap() {
            taken.push(bag::get(&input.message.bag, "n").unwrap().into_owned());
            input.acknowledge().await;
        }
    }
    assert_eq!(taken, ["2", "4"]);
    assert_eq!(without_repeats(numbers(&site.upstream_received(3).await, &leaf())), [2, 3, 4]);
    site.counted("edgehub_messages_dropped_total", &[r#"reason="undeliverable""#], 3.0).await;
    site.counted("edgehub_queue_length", &[], 0.0).await;
}

/// Whatever is acknowledged is stored for ways out it fits, and the rest is counted.
#[test]
fn whatever_is_accepted_is_deliverable_over_every_way_out() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let complaints = testkit::complaints::Complaints::watch();
    complaints.expect(DEAD);
    runtime.block_on(async {
        let alone = Alone::new(json!({ "up": "FROM /messages/* INTO $upstream", "filter": TO_BOTH }));
        let strategy = (
            0..TEXT_BYTES_MAX + 200,
            prop_oneof![Just("a"), Just("/"), Just("é"), Just("%2F"), Just("a=1&")],
            prop_oneof![Just(0_usize), 0..1000_usize, Just(MESSAGE_BYTES_MAX)],
            prop_oneof![Just(leaf()), Just(module("sensor")), Just(Identity::device(&"d".repeat(128)))],
        );
        let mut runner = TestRunner::new_with_rng(
            Config { cases: 64, failure_persistence: None, ..Config::default() },
            proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
        );
        for _ in 0..64 {
            let (bytes, filler, body, sender) = strategy.new_tree(&mut runner).unwrap().current();
            let bag = filler.repeat(bytes / filler.len());
            let body = Bytes::from(vec![b'x'; body.saturating_sub(bag.len())]);
            let message = Message { bag: Bytes::from(bag), body };
            // What does not fit the topic it comes on does not come.
            if delivery::as_telemetry(&sender, &message).is_err() {
                continue;
            }
            let dropped = || alone.hub.losses.to_json()["undeliverable"].as_u64().unwrap();
            let before = dropped();
            alone.hub.ingest(&sender, std::iter::once((None, message))).await.unwrap();
            let mut ways = 0;
            let filter = Endpoint::Module { module: "filter".into(), input: "in1".into() };
            for endpoint in [Endpoint::Upstream, filter] {
                alone.hub.stop_pump(&endpoint);
                let taken = alone.hub.queues.take(&endpoint, &mut Readers::default()).await.unwrap();
                for waiting in taken.iter().flat_map(|taken| &taken.messages) {
                    ways += 1;
                    let fits = match &endpoint {
                        Endpoint::Upstream => {
                            delivery::as_telemetry(&sender, &for_upstream(&waiting.stored, 1_800_000_000_000))
                        }
                        Endpoint::Module { input, .. } => {
                            delivery::to_input(&module("filter"), input, &waiting.stored.message)
                        }
                    };
                    assert_eq!(fits, Ok(()));
                }
                alone.hub.queues.clear(&endpoint);
            }
            assert_eq!(ways + dropped() - before, 2, "each way out is taken or told of");
        }
    });
}
