//! The hub at its named limits, with a clock that goes from timer to timer.

use std::time::Duration;

use model::route::Endpoint;
use serde_json::json;
use tokio::time::{Instant, sleep};
use transport::server::link::{DetachedLink, LinkCommand};
use transport::server::{SessionLink, Subscriptions};

use super::alone::{Alone, assert_took, hold_clock};
use super::*;
use crate::hub::queue::{Batch, QueueId};
use crate::hub::record::{StoredMessage, Target};
use crate::limits::{
    DROPPED_REPORT_INTERVAL, EXPIRY_INTERVAL, INPUT_ACK_TIMEOUT, PROGRESS_INTERVAL, RETRY_WAIT_FIRST, RETRY_WAIT_MAX,
    SESSIONS_MAX, UPSTREAM_CALL_TIMEOUT,
};

const INPUTS: Subscriptions = Subscriptions {
    inputs: true,
    methods: false,
    desired: false,
    twin_replies: false,
    cloud_to_device: false,
    inputs_unacknowledged: false,
    cloud_to_device_unacknowledged: false,
};
const MILLISECOND: Duration = Duration::from_millis(1);

/// The next message for an input, and how to acknowledge it.
async fn next_input(far_end: &mut DetachedLink) -> (usize, tokio::sync::oneshot::Sender<()>) {
    match far_end.next().await {
        LinkCommand::Input { message, done, .. } => (bag::get(&message.bag, "n").unwrap().parse().unwrap(), done),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_module_that_does_not_acknowledge_in_time_gets_the_message_again() {
    let alone = Alone::new(json!({ "filter": TO_FILTER }));
    let mut filter = alone.connect(&module("filter"), INPUTS);
    alone.take_in(&module("sensor"), vec![numbered(0), numbered(1)]).await;
    let began = Instant::now();
    let (first, done) = next_input(&mut filter).await;
    let (second, _never) = next_input(&mut filter).await;
    assert_eq!((first, second), (0, 1));
    sleep(INPUT_ACK_TIMEOUT - MILLISECOND).await;
    done.send(()).unwrap();
    let (again, done) = next_input(&mut filter).await;
    assert_eq!(again, 1, "the one before was acknowledged in time");
    assert_took(began, INPUT_ACK_TIMEOUT - MILLISECOND + INPUT_ACK_TIMEOUT + RETRY_WAIT_FIRST);
    done.send(()).unwrap();
    sleep(2 * INPUT_ACK_TIMEOUT).await;
    assert!(filter.try_next().is_none());
    assert!(alone.hub.queues.endpoints().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_module_that_never_acknowledges_is_tried_ever_more_seldom_and_for_ever() {
    let alone = Alone::new(json!({ "filter": TO_FILTER }));
    let mut filter = alone.connect(&module("filter"), INPUTS);
    alone.take_in(&module("sensor"), vec![numbered(0)]).await;
    let mut wait = RETRY_WAIT_FIRST;
    let (_, mut kept) = next_input(&mut filter).await;
    for _ in 0..10 {
        let sent_at = Instant::now();
        let (_, again) = next_input(&mut filter).await;
        assert_took(sent_at, INPUT_ACK_TIMEOUT + wait);
        wait = (wait * 2).min(RETRY_WAIT_MAX);
        // The one before is held until here: it did not fail, it was not answered.
        drop(std::mem::replace(&mut kept, again));
        filter.delivered();
    }
    assert_eq!(wait, RETRY_WAIT_MAX);
    kept.send(()).unwrap();
    alone.take_in(&module("sensor"), vec![numbered(1)]).await;
    let (_, _never) = next_input(&mut filter).await;
    let sent_at = Instant::now();
    next_input(&mut filter).await;
    assert_took(sent_at, INPUT_ACK_TIMEOUT + RETRY_WAIT_FIRST);
}

#[tokio::test(start_paused = true)]
async fn a_slow_module_has_the_time_for_each_message() {
    let alone = Alone::new(json!({ "filter": TO_FILTER }));
    let mut filter = alone.connect(&module("filter"), INPUTS);
    alone.take_in(&module("sensor"), (0..5).map(numbered).collect()).await;
    let mut waiting = Vec::new();
    for number in 0..5 {
        let (found, done) = next_input(&mut filter).await;
        assert_eq!(found, number, "all are handed over at once, in order");
        waiting.push(done);
    }
    for done in waiting {
        sleep(INPUT_ACK_TIMEOUT - MILLISECOND).await;
        done.send(()).unwrap();
    }
    sleep(2 * INPUT_ACK_TIMEOUT).await;
    assert!(filter.try_next().is_none(), "none comes twice");
    assert!(alone.hub.queues.endpoints().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_expired_behind_a_delivery_that_hangs_is_looked_for_every_so_often() {
    let urgent = "FROM /messages/* WHERE urgent = 'y' INTO BrokeredEndpoint(\"/modules/filter/inputs/in1\")";
    let alone = Alone::new(json!({
        "urgent": { "route": urgent, "priority": 0 },
        "rest": { "route": urgent.replace("urgent = 'y'", "NOT is_defined(urgent)"), "priority": 1, "timeToLiveSecs": 60 },
    }));
    // No filter is there to take it.
    let hanging = Message { bag: Bytes::from_static(b"n=0&urgent=y"), body: Bytes::new() };
    alone.take_in(&module("sensor"), vec![hanging]).await;
    let began = Instant::now();
    alone.take_in(&module("sensor"), vec![numbered(1), numbered(2)]).await;
    alone.advance_clock(60);
    for round in 1..=2 {
        tokio::time::sleep_until(began + round * EXPIRY_INTERVAL - MILLISECOND).await;
        assert_eq!(alone.expired(), 2 * (round as usize - 1));
        sleep(2 * MILLISECOND).await;
        assert_eq!(alone.expired(), 2 * round as usize);
        alone.take_in(&module("sensor"), vec![numbered(3), numbered(4)]).await;
        alone.advance_clock(60);
    }
}

#[tokio::test(start_paused = true)]
async fn time_that_passed_while_the_machine_slept_is_noticed() {
    let alone = Alone::new(json!({ "filter": { "route": TO_FILTER, "timeToLiveSecs": 3600 } }));
    let began = Instant::now();
    alone.take_in(&module("sensor"), vec![numbered(0)]).await;
    alone.advance_clock(3600);
    tokio::time::sleep_until(began + EXPIRY_INTERVAL - MILLISECOND).await;
    assert_eq!(alone.expired(), 0);
    sleep(2 * MILLISECOND).await;
    assert_eq!(alone.expired(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_ages_nothing_and_what_did_expire_is_reported() {
    let alone = Alone::new(json!({ "filter": { "route": TO_FILTER, "timeToLiveSecs": 3600 } }));
    let reported = || alone.hub.reports().borrow().get("messagesDropped").cloned();
    alone.take_in(&module("sensor"), vec![numbered(0)]).await;
    alone.set_wall_forward(3 * 86_400);
    sleep(3 * EXPIRY_INTERVAL).await;
    assert_eq!((alone.expired(), alone.hub.queues.endpoints().len()), (0, 1));
    alone.advance_clock(3600);
    sleep(EXPIRY_INTERVAL + MILLISECOND).await;
    assert_eq!((alone.expired(), reported()), (1, None));
    sleep(DROPPED_REPORT_INTERVAL).await;
    assert_eq!(reported(), Some(json!({ "ttl_expiry": 1 })));
}

#[tokio::test(start_paused = true)]
async fn how_far_the_queues_came_is_noted_once_in_an_interval() {
    let alone = Alone::new(json!({}));
    let queue = QueueId { endpoint: Endpoint::Upstream, priority: 0 };
    let noted = || alone.files.contents(&alone.hub.options.dir.join("queues/positions"));
    let (began, mut before, mut noted_at) = (Instant::now(), noted(), Vec::new());
    while began.elapsed() < 10 * PROGRESS_INTERVAL + PROGRESS_INTERVAL / 2 {
        let held = hold_clock();
        let message = StoredMessage { sender: module("sensor"), stored_at_ms: 1, message: numbered(0) };
        let mut batch = Batch::default();
        batch.add(&[Target { queue: queue.clone(), lifetime_secs: None }], &message);
        alone.hub.queues.store(batch).await.unwrap();
        alone.hub.queues.clear(&queue.endpoint);
        drop(held);
        sleep(PROGRESS_INTERVAL / 20).await;
        let now = noted();
        if now != before {
            noted_at.push(began.elapsed());
            before = now;
        }
    }
    assert_eq!(noted_at.len(), 10, "{noted_at:?}");
    assert!(noted_at.windows(2).all(|pair| pair[1] - pair[0] >= PROGRESS_INTERVAL), "{noted_at:?}");
}

#[tokio::test]
async fn a_client_too_many_is_told_to_come_again() {
    let site = Site::new(json!({})).await;
    site.complaints.expect("connection refused: too many sessions identity=edge/sensor");
    let links: Vec<_> = (1..SESSIONS_MAX)
        .map(|number| {
            let (link, far_end) = SessionLink::detached();
            site.hub().sessions.insert(&Identity::device(&format!("d{number}")), link, false).unwrap();
            far_end
        })
        .collect();
    let (last, _events) = site.client(&Identity::device("leaf"));
    soon(last.state().wait_for(|state| *state == LinkState::Connected)).await.unwrap();
    let (refused, _refused_events) = site.client(&module("sensor"));
    let mut state = refused.state();
    let state = soon(state.wait_for(|state| *state != LinkState::Connecting)).await.unwrap();
    // Not `Refused`, which is for keys that do not fit and asks for a long pause.
    let LinkState::Waiting { reason, .. } = &*state else { panic!("{state:?}") };
    assert!(reason.to_lowercase().contains("unavailable"), "{reason}");
    drop(links);
}

/// A site whose sensor's twin is known below and above, with a clock that is paused.
async fn with_a_twin() -> Site {
    let site = Site::new(json!({})).await;
    let (sensor, _events) = site.client(&module("sensor"));
    soon(sensor.state().wait_for(|state| *state == LinkState::Connected)).await.unwrap();
    soon(sensor.patch_reported(Bytes::from_static(b"{\"a\":1}"))).await.unwrap();
    soon(sensor.twin()).await.unwrap();
    tokio::time::pause();
    site
}

const A_IS_2: &[u8] = b"{\"a\":2}";

async fn read_reported(site: &Site) -> Value {
    let twin = site.hub().read_twin(&module("sensor")).await.unwrap();
    serde_json::from_slice::<Value>(&twin).unwrap()["reported"].clone()
}

#[tokio::test]
async fn the_hub_above_has_so_long_to_take_an_update_then_it_is_kept() {
    let site = with_a_twin().await;
    site.upstream.answer_after(UPSTREAM_CALL_TIMEOUT - MILLISECOND);
    let asked = Instant::now();
    site.hub().patch_reported(&module("sensor"), Bytes::from_static(A_IS_2)).await.unwrap();
    assert_took(asked, UPSTREAM_CALL_TIMEOUT - MILLISECOND);
    assert_eq!(site.upstream.reported(&module("sensor"))["a"], 2);
    let entry = site.hub().twins.get(&module("sensor"));
    assert!(!entry.lock().await.unsent, "in time");
    site.upstream.answer_after(2 * UPSTREAM_CALL_TIMEOUT);
    let asked = Instant::now();
    site.hub().patch_reported(&module("sensor"), Bytes::from_static(b"{\"a\":3}")).await.unwrap();
    assert_took(asked, UPSTREAM_CALL_TIMEOUT);
    assert!(entry.lock().await.unsent, "kept until it was sent");
}

#[tokio::test]
async fn a_twin_is_read_from_the_cache_when_the_hub_above_is_too_slow() {
    let site = with_a_twin().await;
    site.upstream.answer_after(2 * UPSTREAM_CALL_TIMEOUT);
    let asked = Instant::now();
    assert_eq!(read_reported(&site).await["a"], 1);
    assert_took(asked, UPSTREAM_CALL_TIMEOUT);
}

/// What was kept is sent before the twin is read: three requests, each of which would be in time alone.
#[tokio::test]
async fn an_operation_has_its_time_once_however_many_requests_it_takes() {
    let site = with_a_twin().await;
    let patch = serde_json::from_slice(A_IS_2).unwrap();
    site.hub().twins.get(&module("sensor")).lock().await.patch_unsent(&patch).unwrap();
    site.upstream.answer_after(UPSTREAM_CALL_TIMEOUT * 3 / 4);
    let asked = Instant::now();
    assert_eq!(read_reported(&site).await["a"], 2);
    assert_took(asked, UPSTREAM_CALL_TIMEOUT);
}
