//! Durable first, told second.
#![allow(clippy::unwrap_used)]

use prometheus_client::registry::Registry;
use serde_json::json;
use storage::log::{LogOptions, Offset};

use super::*;
use crate::record::{Record, Source};

/// A door on a log of a folder.
pub(crate) fn events(folder: &std::path::Path, options: LogOptions, health: &Health) -> Events {
    let log = Log::open(folder, options).unwrap();
    Events::new(log, Live::default(), EventMetrics::register(&mut Registry::default()), health)
}

pub(crate) fn source(device: &str) -> Source {
    Source {
        application: "a".into(),
        identity: Identity::device(device),
        generation: "g".into(),
        model: None,
        organization: Some("north".into()),
    }
}

fn reported(device: &str, sequence: u64, patch: Value) -> Event {
    let body = json!({ "version": 2, "patch": patch }).to_string();
    Event {
        kind: Kind::ReportedProperties,
        sequence: Some(sequence),
        body: body.into(),
        ..Event::connection(&source(device), 5, true)
    }
}

#[tokio::test]
async fn what_is_told_is_in_the_log_with_organization_and_number() {
    let folder = tempfile::tempdir().unwrap();
    let events = events(folder.path(), LogOptions::default(), &Health::default());
    let mut stream = events.live().subscribe("a", Some("d".into())).unwrap();
    let mut batch = Batch::default();
    batch.event(Event::connection(&source("d"), 4, true)).unwrap();
    batch.event(reported("d", 9, json!({ "serial": "x1" }))).unwrap();
    let range = events.publish(batch).await.unwrap();
    assert_eq!((range.first, range.last), (Offset(0), Offset(1)));
    let connected = LiveEvent::Connection { device: "d".into(), module: None, connected: true };
    assert_eq!(*stream.next().await.unwrap(), connected);
    let properties = LiveEvent::Properties { device: "d".into(), module: None, properties: json!({ "serial": "x1" }) };
    assert_eq!(*stream.next().await.unwrap(), properties);

    let mut reader = events.log().reader(Offset(0));
    let read: Vec<_> = reader.try_next_batch(10, 1 << 20).unwrap().into_iter().map(|logged| logged.payload).collect();
    let first = Record::decode(read[0].clone()).unwrap();
    assert_eq!((first.kind, first.organization.as_deref()), (Kind::Connection, Some("north")));
    assert_eq!(crate::record::RecordParts::decode(read[1].clone()).unwrap().sequence(), Some(9));
}

#[tokio::test]
async fn what_the_log_refuses_is_told_to_nobody_and_shows_as_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let health = Health::default();
    let options = LogOptions { total_bytes_max: Some(64 * 1024), ..LogOptions::default() };
    let events = events(folder.path(), options, &health);
    let mut stream = events.live().subscribe("a", Some("d".into())).unwrap();
    let origin = Origin::new("a", &Identity::device("d"), "g", None, None).unwrap();
    let refusal = loop {
        let mut batch = Batch::default();
        batch.telemetry(&origin, 1, b"", &[b'x'; 8 * 1024]).unwrap();
        if let Err(error) = events.publish(batch).await {
            break error;
        }
    };
    assert!(matches!(refusal, AppendError::Full { .. }), "{refusal}");
    assert_eq!(health.problems()[0].condition, "log");
    let mut batch = Batch::default();
    batch.event(reported("d", 1, json!({ "filler": "x".repeat(16 * 1024) }))).unwrap();
    events.publish(batch).await.unwrap_err();
    events.live().close();
    assert!(stream.next().await.is_none(), "what is not durable is not told");

    events.log().trim_before(events.log().next_offset()).unwrap();
    let small = || {
        let mut batch = Batch::default();
        batch.event(reported("d", 2, json!({}))).unwrap();
        batch
    };
    events.publish(small()).await.unwrap();
    assert_eq!(health.problems().len(), 1, "room for an event says nothing about messages");
    events.room_made();
    assert!(health.problems().is_empty());

    // Refused without any message: then an event that is taken tells that there is room.
    let mut batch = Batch::default();
    batch.event(reported("d", 3, json!({ "filler": "x".repeat(64 * 1024) }))).unwrap();
    events.publish(batch).await.unwrap_err();
    assert_eq!(health.problems().len(), 1);
    events.publish(small()).await.unwrap();
    assert!(health.problems().is_empty());
}
