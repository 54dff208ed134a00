//! Order, back-pressure, and a log that is full for a while.
#![allow(clippy::unwrap_used)]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use storage::log::{Log, LogOptions, Offset};

use super::*;
use crate::health::Health;
use crate::live::Live;
use crate::metrics::EventMetrics;
use crate::publish::tests::{events, source};
use crate::record::{Origin, Record};

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn logged(events: &Events) -> Vec<(String, bool)> {
    let mut reader = events.log().reader(events.log().first_offset());
    let mut found = Vec::new();
    loop {
        let batch = reader.try_next_batch(1_000, 1 << 20).unwrap();
        if batch.is_empty() {
            return found;
        }
        for record in batch {
            let record = Record::decode(record.payload).unwrap();
            if record.kind == crate::record::Kind::Connection {
                let connected = record.body == br#"{"connected":true}"#[..];
                found.push((record.identity.device_id().to_owned(), connected));
            }
        }
    }
}

#[tokio::test]
async fn the_queue_is_full_at_its_limit_and_then_connections_wait() {
    let folder = tempfile::tempdir().unwrap();
    let events = events(folder.path(), LogOptions::default(), &Health::default());
    let (queue, writer) = EventQueue::new(events.clone());
    for n in 0..EVENTS_QUEUED_MAX {
        queue.place().await.unwrap().fill(Event::connection(&source("d"), 1, n % 2 == 0));
    }
    assert!(poll_once(queue.place()).is_pending(), "one more must wait");
    let stop = CancellationToken::new();
    let running = tokio::spawn(writer.run(stop.clone()));
    queue.place().await.unwrap().fill(Event::connection(&source("last"), 1, true));
    stop.cancel();
    running.await.unwrap();
    assert_eq!(queue.place().await.err(), Some(Stopping));
    let found = logged(&events);
    assert_eq!(found.len(), EVENTS_QUEUED_MAX + 1);
    assert!(found[..EVENTS_QUEUED_MAX].iter().enumerate().all(|(n, (_, connected))| *connected == (n % 2 == 0)));
    assert_eq!(found.last().unwrap().0, "last");
}

#[tokio::test]
async fn a_full_log_keeps_events_waiting_and_takes_them_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let health = Health::default();
    let options = LogOptions { total_bytes_max: Some(64 * 1024), ..LogOptions::default() };
    let events = events(folder.path(), options, &health);
    let origin = Origin::new("a", &source("d").identity, "g", None, None).unwrap();
    for filler in [8 * 1024, 64] {
        loop {
            let mut batch = Batch::default();
            batch.telemetry(&origin, 1, b"", &vec![b'x'; filler]).unwrap();
            if events.publish(batch).await.is_err() {
                break;
            }
        }
    }
    let (queue, writer) = EventQueue::new(events.clone());
    let stop = CancellationToken::new();
    let running = tokio::spawn(writer.run(stop.clone()));
    for n in 0..4 {
        queue.place().await.unwrap().fill(Event::connection(&source(&format!("d{n}")), 1, true));
    }
    // The writer tries in vain, which shows.
    events.room_made();
    while health.problems().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(logged(&events), []);
    let mut reader = events.log().reader(events.log().next_offset());
    events.log().trim_before(Offset(u64::MAX)).unwrap();
    let mut taken = 0;
    while taken < 4 {
        taken += reader.next_batch(10, 1 << 20).await.unwrap().len();
    }
    stop.cancel();
    running.await.unwrap();
    let devices: Vec<String> = logged(&events).into_iter().map(|(device, _)| device).collect();
    assert_eq!(devices, ["d0", "d1", "d2", "d3"]);
}

/// How often something was published, as an operator sees it.
fn publishes(metrics: &Registry) -> u64 {
    let mut shown = String::new();
    text::encode(&mut shown, metrics).unwrap();
    let count = shown.lines().find_map(|line| line.strip_prefix("tidegate_publish_seconds_count "));
    count.unwrap().parse().unwrap()
}

#[tokio::test]
async fn as_many_events_are_appended_together_as_may_be() {
    for (queued, appends) in [(EVENTS_PER_APPEND_MAX, 1), (EVENTS_PER_APPEND_MAX + 1, 2)] {
        for stops_first in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let log = Log::open(folder.path(), LogOptions::default()).unwrap();
            let mut metrics = Registry::default();
            let published = EventMetrics::register(&mut metrics);
            let events = Events::new(log, Live::default(), published, &Health::default());
            let (queue, writer) = EventQueue::new(events.clone());
            for _ in 0..queued {
                queue.place().await.unwrap().fill(Event::connection(&source("d"), 1, true));
            }
            let stop = CancellationToken::new();
            if stops_first {
                stop.cancel();
            } else {
                // With nobody to queue more, the writer ends by itself.
                drop(queue);
            }
            writer.run(stop).await;
            assert_eq!((logged(&events).len(), publishes(&metrics)), (queued, appends), "{stops_first}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_a_busy_time_share_an_append_and_the_first_waits_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), LogOptions::default()).unwrap();
    let mut metrics = Registry::default();
    let events = Events::new(log, Live::default(), EventMetrics::register(&mut metrics), &Health::default());
    let mut reader = events.log().reader(events.log().first_offset());
    let (queue, writer) = EventQueue::new(events.clone());
    let stop = CancellationToken::new();
    let running = tokio::spawn(writer.run(stop.clone()));
    let begun = Instant::now();
    queue.place().await.unwrap().fill(Event::connection(&source("first"), 1, true));
    reader.next_batch(10, 1 << 20).await.unwrap();
    let busy = Instant::now();
    assert!(busy - begun < EVENTS_APPEND_INTERVAL);
    for _ in 0..3 {
        queue.place().await.unwrap().fill(Event::connection(&source("next"), 1, true));
        tokio::task::yield_now().await;
    }
    assert_eq!(reader.next_batch(10, 1 << 20).await.unwrap().len(), 3);
    assert!(busy.elapsed() <= 2 * EVENTS_APPEND_INTERVAL);
    stop.cancel();
    running.await.unwrap();
    assert_eq!(publishes(&metrics), 2);
}
