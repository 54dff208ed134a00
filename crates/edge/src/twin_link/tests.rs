//! When the twin is read and reported, by a clock that stands still until nothing is left to do.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::limits::{RETRY_WAIT_FIRST, RETRY_WAIT_MAX};
use crate::metrics::Metrics;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testkit::complaints::Complaints;

/// The hub's end: keeps when it was asked for what.
struct Hub {
    begun: Instant,
    answers: AtomicBool,
    reads: Mutex<Vec<Duration>>,
    patches: Mutex<Vec<(Duration, Value)>>,
}

impl Hub {
    fn answer<T>(&self, answer: T) -> Result<T, RequestError> {
        if self.answers.load(Ordering::Relaxed) { Ok(answer) } else { Err(RequestError::Timeout) }
    }
}

impl TwinCalls for Arc<Hub> {
    async fn twin(&self) -> Result<Bytes, RequestError> {
        self.reads.lock().unwrap().push(self.begun.elapsed());
        self.answer(Bytes::from_static(br#"{"desired":{"$version":1},"reported":{"$version":1}}"#))
    }

    async fn patch_reported(&self, patch: Bytes) -> Result<u64, RequestError> {
        let patch = serde_json::from_slice(&patch).unwrap();
        self.patches.lock().unwrap().push((self.begun.elapsed(), patch));
        self.answer(2)
    }
}

struct NoMethods;

impl AnswerMethods for NoMethods {
    async fn answer(&self, _: String, _: Value) -> (i32, Option<Value>) {
        (404, None)
    }
}

/// A link that is connected.
struct Connected {
    hub: Arc<Hub>,
    events: mpsc::Sender<ClientEvent>,
    reports: watch::Sender<Value>,
    desired: mpsc::Receiver<Deployment>,
    metrics: Arc<Metrics>,
    _complaints: Complaints,
}

const CONNECTED: ClientEvent = ClientEvent::Connected { session_present: false };

async fn connected(hub_answers: bool) -> Connected {
    let hub = Arc::new(Hub {
        begun: Instant::now(),
        answers: AtomicBool::new(hub_answers),
        reads: Mutex::default(),
        patches: Mutex::default(),
    });
    let metrics = Metrics::new("hub", "edge");
    let (events, events_received) = mpsc::channel(1);
    let (reports, reports_received) = watch::channel(Value::Null);
    // Nobody takes them, as many as there are.
    let (desired, desired_received) = mpsc::channel(16);
    let link = TwinLink {
        client: Arc::clone(&hub),
        events: events_received,
        reports: reports_received,
        desired,
        methods: Arc::new(NoMethods),
        syncs: metrics.agent.syncs.clone(),
    };
    tokio::spawn(link.run());
    events.send(CONNECTED).await.unwrap();
    while hub.reads.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    Connected { hub, events, reports, desired: desired_received, metrics, _complaints: Complaints::watch() }
}

/// A change is sent when it is so old, with all that came meanwhile; changes that go on come in steps.
#[tokio::test(start_paused = true)]
async fn reports_go_at_most_once_in_their_interval() {
    let link = connected(true).await;
    let step = REPORT_INTERVAL_MIN * 2 / 5;
    for number in 1..=9 {
        link.reports.send_replace(json!({ "n": number }));
        tokio::time::sleep(step).await;
    }
    tokio::time::sleep(REPORT_INTERVAL_MIN).await;
    let patches: Vec<_> = [(0, 3), (3, 6), (6, 9)]
        .map(|(steps, number)| (step * steps + REPORT_INTERVAL_MIN, json!({ "n": number })))
        .into();
    assert_eq!(*link.hub.patches.lock().unwrap(), patches);
}

/// Doubling from the first wait to the longest; what succeeded begins anew.
#[tokio::test(start_paused = true)]
async fn a_twin_that_cannot_be_read_is_tried_again_after_waits_up_to_the_longest() {
    let link = connected(false).await;
    tokio::time::sleep(RETRY_WAIT_MAX * 5).await;
    let waits = |reads: &[Duration]| -> Vec<_> { reads.windows(2).map(|pair| pair[1] - pair[0]).collect() };
    let mut expected: Vec<_> =
        std::iter::successors(Some(RETRY_WAIT_FIRST), |wait| Some((*wait * 2).min(RETRY_WAIT_MAX))).take(9).collect();
    assert_eq!(expected[5..], [32 * RETRY_WAIT_FIRST, RETRY_WAIT_MAX, RETRY_WAIT_MAX, RETRY_WAIT_MAX]);
    assert_eq!(waits(&link.hub.reads.lock().unwrap()), expected);

    link.hub.answers.store(true, Ordering::Relaxed);
    tokio::time::sleep(RETRY_WAIT_MAX).await;
    link.hub.answers.store(false, Ordering::Relaxed);
    let answered = link.hub.reads.lock().unwrap().len();
    assert_eq!(answered, expected.len() + 2);
    // A patch got lost on the way: the whole section is needed.
    let patch = Bytes::from_static(br#"{"$version":5}"#);
    link.events.send(ClientEvent::Desired { version: 5, patch }).await.unwrap();
    tokio::time::sleep(RETRY_WAIT_FIRST * 4).await;
    expected.truncate(2);
    assert_eq!(waits(&link.hub.reads.lock().unwrap()[answered..]), expected);
}

/// A report that was not taken is sent again, with what is true by then.
#[tokio::test(start_paused = true)]
async fn a_report_that_was_not_taken_is_sent_again_after_the_first_wait() {
    let link = connected(true).await;
    link.reports.send_replace(json!({ "n": 1 }));
    tokio::time::sleep(Duration::from_millis(1)).await;
    link.hub.answers.store(false, Ordering::Relaxed);
    tokio::time::sleep(REPORT_INTERVAL_MIN + RETRY_WAIT_FIRST / 2).await;
    link.hub.answers.store(true, Ordering::Relaxed);
    tokio::time::sleep(RETRY_WAIT_MAX).await;
    let sent: Vec<_> = link.hub.patches.lock().unwrap().iter().map(|(at, _)| *at).collect();
    assert_eq!(sent, [REPORT_INTERVAL_MIN, REPORT_INTERVAL_MIN + RETRY_WAIT_FIRST]);
}

#[tokio::test(start_paused = true)]
async fn reads_of_the_twin_and_changes_that_are_told_are_counted() {
    let mut link = connected(true).await;
    assert_eq!(link.desired.recv().await.unwrap().version, 1);
    let patch = Bytes::from_static(br#"{"a":1,"$version":2}"#);
    link.events.send(ClientEvent::Desired { version: 2, patch }).await.unwrap();
    assert_eq!(link.desired.recv().await.unwrap().version, 2);
    link.hub.answers.store(false, Ordering::Relaxed);
    link.events.send(CONNECTED).await.unwrap();
    tokio::time::sleep(RETRY_WAIT_FIRST / 2).await;
    let text = link.metrics.text();
    for (name, count) in [("iothub_syncs", 3), ("unsuccessful_iothub_syncs", 1)] {
        let line = text.lines().find(|line| line.starts_with(&format!("edgeAgent_{name}_total{{"))).unwrap();
        assert!(line.ends_with(&format!("}} {count}")), "{line}");
    }
}
