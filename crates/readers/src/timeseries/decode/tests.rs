//! Which values, which component, which time.
#![allow(clippy::unwrap_used)]

use events::record::{Kind, Origin};
use model::identity::Identity;
use serde_json::json;

use super::*;

fn record(properties: &str, body: &str) -> RecordParts {
    let identity = Identity::module("d", "m");
    let origin = Origin::new("a", &identity, "g", None, None).unwrap();
    let encoded = origin.encode(Kind::Telemetry, 5, properties.as_bytes(), body.as_bytes()).unwrap();
    RecordParts::decode(encoded).unwrap()
}

fn values(properties: &'static str, body: &'static str) -> Vec<(Arc<str>, Value)> {
    let (mut texts, record) = (SharedTexts::default(), record(properties, body));
    let source = KnownSources::default().get(&record.source, &mut texts).unwrap();
    row(&record, &source, &decode(&record), 1, None, &mut texts).map(|(row, _)| row.values).unwrap_or_default()
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
        let record = record(properties, body);
        assert_eq!(json!(json_values(&record, &decode(&record))), expected, "{properties} {body}");
        let read: Vec<_> =
            values(properties, body).iter().map(|(name, value)| (name.to_string(), value.to_json())).collect();
        assert_eq!(json!(serde_json::Map::from_iter(read)), expected, "{properties} {body}");
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
    let (mut texts, mut sources) = (SharedTexts::default(), KnownSources::default());
    let decoded = decode(&record);
    let mut row_at = |offset| {
        let source = sources.get(&record.source, &mut texts).unwrap();
        row(&record, &source, &decoded, offset, None, &mut texts).unwrap().0
    };
    let (first, second) = (row_at(1), row_at(2));
    assert!(Arc::ptr_eq(&first.device, &second.device));
    assert!(Arc::ptr_eq(&first.values[0].0, &second.values[0].0));
    assert_eq!(first.values, [(Arc::from("a"), Value::Integer(1))]);
    assert_eq!((&*first.device, first.module.as_deref(), first.component.as_deref()), ("d", Some("m"), Some("pump")));
    assert_eq!(values("", r#"{"b":null}"#), []);
}

#[test]
fn values_are_read_as_a_tree_of_the_body_would_be() {
    let bodies = [
        r#"{"i":-3,"u":18446744073709551615,"f":1.0,"e":1e3,"t":"\u00e9\n","b":true}"#,
        r#"{"o":{"z":[1, 2.50 ,null]},"l":[ {"x":1} ]}"#,
        r#"{"a":1} trailing"#,
        r#"{"a":1,"b":}"#,
        r#"{"a":1e999}"#,
    ];
    for body in bodies {
        let tree: serde_json::Map<String, serde_json::Value> = serde_json::from_str(body).unwrap_or_default();
        let mut read = values("", body);
        read.sort_by(|left, right| left.0.cmp(&right.0));
        let mut expected: Vec<_> =
            tree.iter().filter_map(|(name, json)| Some((Arc::from(name.as_str()), Value::from_json(json)?))).collect();
        expected.sort_by(|left: &(Arc<str>, Value), right| left.0.cmp(&right.0));
        assert_eq!(read, expected, "{body}");
    }
}

#[test]
fn a_message_has_as_many_values_as_it_may_and_further_ones_are_counted() {
    let members = |count: usize| -> String { (0..count).map(|n| format!(r#""n{n}":{n},"#)).collect() };
    let full = members(VALUES_PER_MESSAGE_MAX);
    let cases = [
        (format!(r#"{{{}"last":null}}"#, full), VALUES_PER_MESSAGE_MAX, 0),
        (format!(r#"{{"null":null,{}"last":null}}"#, full), VALUES_PER_MESSAGE_MAX, 0),
        (format!(r#"{{{}"last":{{"a":[1]}}}}"#, full), VALUES_PER_MESSAGE_MAX, 1),
        (format!(r#"{{{}"x":null,"y":"1","z":1e999}}"#, full), VALUES_PER_MESSAGE_MAX, 2),
        (format!(r#"{{{}"last":1}}"#, members(VALUES_PER_MESSAGE_MAX - 1)), VALUES_PER_MESSAGE_MAX, 0),
    ];
    for (body, taken, left_out) in cases {
        let (mut texts, record) = (SharedTexts::default(), record("", &body));
        let source = KnownSources::default().get(&record.source, &mut texts).unwrap();
        let (row, beyond) = row(&record, &source, &decode(&record), 1, None, &mut texts).unwrap();
        assert_eq!((row.values.len(), beyond), (taken, left_out), "{}", &body[body.len() - 40..]);
        assert_eq!(&*row.values[0].0, "n0");
        assert!(!texts.known.contains("x") && !texts.known.contains("z"), "a name that is not indexed is not kept");
    }
    let broken = format!(r#"{{{full}"last":}}"#);
    let (mut texts, record) = (SharedTexts::default(), record("", &broken));
    let source = KnownSources::default().get(&record.source, &mut texts).unwrap();
    assert_eq!(row(&record, &source, &decode(&record), 1, None, &mut texts), None, "a broken end is no JSON");
}

#[test]
fn texts_are_shared_up_to_a_number_and_then_from_the_start() {
    let mut texts = SharedTexts::default();
    let first = texts.share("0");
    for n in 1..SHARED_TEXTS_MAX {
        texts.share(&n.to_string());
    }
    assert_eq!(texts.known.len(), SHARED_TEXTS_MAX);
    assert!(Arc::ptr_eq(&first, &texts.share("0")));
    texts.share("one more");
    assert_eq!(texts.known.len(), 1);
    assert_eq!(texts.share("0"), first);
}

#[test]
fn sources_are_remembered_up_to_a_number_and_then_from_the_start() {
    let (mut texts, mut sources) = (SharedTexts::default(), KnownSources::default());
    let (one, other) = (record("", "{}").source, {
        let origin = Origin::new("a", &Identity::device("other"), "g", None, None).unwrap();
        RecordParts::decode(origin.encode(Kind::Telemetry, 5, b"", b"{}").unwrap()).unwrap().source
    });
    let first = sources.get(&one, &mut texts).unwrap();
    for n in 1..SHARED_TEXTS_MAX {
        sources.known.insert(Bytes::from(n.to_string()), first.clone());
    }
    assert!(Arc::ptr_eq(&first.source, &sources.get(&one, &mut texts).unwrap().source));
    assert_eq!(sources.known.len(), SHARED_TEXTS_MAX);
    assert_eq!(&*sources.get(&other, &mut texts).unwrap().device, "other");
    assert_eq!(sources.known.len(), 1);
}

#[test]
fn a_long_text_is_not_kept() {
    let mut texts = SharedTexts::default();
    texts.share(&"x".repeat(SHARED_TEXT_BYTES_MAX));
    assert_eq!(texts.known.len(), 1);
    let long = "y".repeat(SHARED_TEXT_BYTES_MAX + 1);
    assert_eq!(&*texts.share(&long), long);
    assert_eq!(texts.known.len(), 1);
}
