//! Which values, which component, which time.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use model::identity::Identity;
use serde_json::json;

use super::*;
use crate::record::Kind;

fn record(properties: &'static str, body: &'static str) -> Record {
    Record {
        kind: Kind::Telemetry,
        enqueued_ms: 5,
        application: "a".into(),
        identity: Identity::module("d", "m"),
        generation: "g".into(),
        model: None,
        bag: Bytes::from_static(properties.as_bytes()),
        body: Bytes::from_static(body.as_bytes()),
    }
}

#[test]
fn values_are_the_top_level_names_of_a_json_object() {
    let cases = [
        ("", r#"{"a":1,"b":{"c":2}}"#, json!({ "a": 1, "b": { "c": 2 } })),
        ("%24.ct=application%2Fjson&%24.ce=utf-8", r#" {"a":1}"#, json!({ "a": 1 })),
        ("%24.ct=application%2Fjson%3B%20charset%3Dutf-8", r#"{"a":1}"#, json!({ "a": 1 })),
        ("%24.ct=application%2Foctet-stream", r#"{"a":1}"#, json!({})),
        ("%24.ct=application%2Fjson&%24.ce=utf-16", r#"{"a":1}"#, json!({})),
        ("", "[1,2]", json!({})),
        ("", "{broken", json!({})),
        ("", "", json!({})),
    ];
    for (properties, body, expected) in cases {
        assert_eq!(json!(decode(&record(properties, body)).values), expected, "{properties} {body}");
    }
}

#[test]
fn component_and_time_come_from_properties() {
    let decoded = decode(&record("%24.sub=pump&iothub-creation-time-utc=1970-01-01T00%3A00%3A01Z", r#"{"a":1}"#));
    assert_eq!((decoded.component.as_deref(), decoded.ts_ms), (Some("pump"), 1_000));
    let decoded = decode(&record("iothub-creation-time-utc=soon&%24.sub=", r#"{"a":1}"#));
    assert_eq!((decoded.component, decoded.ts_ms), (None, 5));
}

#[test]
fn a_row_shares_texts_and_leaves_out_null() {
    let record = record("%24.sub=pump", r#"{"a":1,"b":null}"#);
    let decoded = decode(&record);
    let mut texts = SharedTexts::default();
    let first = row(&record, &decoded, 1, None, &mut texts).unwrap();
    let second = row(&record, &decoded, 2, None, &mut texts).unwrap();
    assert!(Arc::ptr_eq(&first.device, &second.device));
    assert_eq!(first.values, [(Arc::from("a"), Value::Integer(1))]);
    assert_eq!((first.module.as_deref(), first.component.as_deref()), (Some("m"), Some("pump")));
    let empty = decode(&self::record("", r#"{"b":null}"#));
    assert_eq!(row(&record, &empty, 3, None, &mut texts), None);
}
