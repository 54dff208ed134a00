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

/// The rows of a record, and how many values are not in them.
fn read(record: &RecordParts) -> (Vec<Row>, u64) {
    let mut texts = SharedTexts::default();
    let source = KnownSources::default().get(&record.source, &mut texts).unwrap();
    rows(record, &source, &decode(record), 1, None, &mut texts)
}

fn row(record: &RecordParts) -> Option<Row> {
    read(record).0.pop()
}

fn values(properties: &str, body: &str) -> Vec<(Arc<str>, Value)> {
    row(&record(properties, body)).map(|row| row.values).unwrap_or_default()
}

/// The rows of a body, as JSON.
fn rows_of(properties: &str, body: &[u8]) -> Vec<serde_json::Value> {
    let identity = Identity::module("d", "m");
    let origin = Origin::new("a", &identity, "g", None, None).unwrap();
    let record = RecordParts::decode(origin.encode(Kind::Telemetry, 5, properties.as_bytes(), body).unwrap()).unwrap();
    let rows = read(&record).0.into_iter().map(|row| {
        row.values.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect::<serde_json::Value>()
    });
    rows.collect()
}

#[test]
fn values_are_the_top_level_names_of_a_json_object() {
    let cases = [
        (r#"{"a":1,"b":{"c":2}}"#, json!({ "a": 1, "b": { "c": 2 } })),
        (r#" {"a":1}"#, json!({ "a": 1 })),
        ("[1,2]", json!({})),
        ("5", json!({})),
        (r#""{}""#, json!({})),
        ("{broken", json!({})),
        ("", json!({})),
    ];
    for (body, expected) in cases {
        let record = record("", body);
        assert_eq!(json!(json_values(&record)), expected, "{body}");
        let read: Vec<_> = values("", body).iter().map(|(name, value)| (name.to_string(), value.to_json())).collect();
        assert_eq!(json!(serde_json::Map::from_iter(read)), expected, "{body}");
    }
}

#[test]
fn values_are_taken_whatever_content_type_and_encoding_say() {
    let types = [
        "application%252Fjson",
        "application%2Fx-monitored-item-json-v1",
        "text%2Fplain",
        "application%2Foctet-stream",
        "",
    ];
    let encodings = ["utf-8", "utf8", "us-ascii", "UTF-16", "gzip", ""];
    for (kind, encoding) in types.iter().flat_map(|kind| encodings.map(|encoding| (kind, encoding))) {
        let properties = format!("%24.ct={kind}&%24.ce={encoding}");
        assert_eq!(rows_of(&properties, br#"{"temperature":21.5}"#), [json!({ "temperature": 21.5 })], "{properties}");
    }
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0];
    assert_eq!(rows_of("%24.ct=application%2Fjson&%24.ce=gzip", &gzip), Vec::<serde_json::Value>::new());
}

#[test]
fn every_encoding_of_unicode_is_read() {
    let text = r#"{"t":"°C 🌡"}"#;
    let bytes16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(bytes).collect() };
    let bytes32 = |bytes: fn(u32) -> [u8; 4]| -> Vec<u8> { text.chars().map(u32::from).flat_map(bytes).collect() };
    let encoded = [
        (text.as_bytes().to_vec(), vec![0xEF, 0xBB, 0xBF]),
        (bytes16(u16::to_le_bytes), vec![0xFF, 0xFE]),
        (bytes16(u16::to_be_bytes), vec![0xFE, 0xFF]),
        (bytes32(u32::to_le_bytes), vec![0xFF, 0xFE, 0, 0]),
        (bytes32(u32::to_be_bytes), vec![0, 0, 0xFE, 0xFF]),
    ];
    for (body, mark) in encoded {
        assert_eq!(rows_of("", &body), [json!({ "t": "°C 🌡" })], "without {mark:?}");
        assert_eq!(rows_of("", &[&mark[..], &body].concat()), [json!({ "t": "°C 🌡" })], "with {mark:?}");
    }
}

#[test]
fn each_object_of_an_array_is_a_row() {
    let cases = [
        (r#"[{"a":1},{"a":2,"b":null}]"#, vec![json!({"a":1}), json!({"a":2})]),
        (r#" [ {"a":1} ] "#, vec![json!({"a":1})]),
        (r#"[1,{"a":1},"x",null,true,2.5,-1,[{"a":9}],{},{"a":2}]"#, vec![json!({"a":1}), json!({"a":2})]),
        ("[]", vec![]),
        (r#"[{"a":1},{"a":]"#, vec![]),
        (r#"[{"a":1}]]"#, vec![]),
    ];
    for (body, expected) in cases {
        assert_eq!(rows_of("", body.as_bytes()), expected, "{body}");
    }
    let record = record("iothub-creation-time-utc=1970-01-01T00%3A00%3A01Z", r#"[{"a":1,"b":1},{"a":2}]"#);
    assert!(read(&record).0.iter().all(|row| (row.ts_ms, row.offset) == (1_000, 1)));
    assert_eq!(json!(json_values(&record)), json!({ "a": 2, "b": 1 }), "live: the latest of each");
}

#[test]
fn a_message_has_as_many_rows_as_it_may_and_the_values_of_further_ones_are_counted() {
    let body = |rows: usize| format!("[{}]", vec![r#"{"a":1,"b":2}"#; rows].join(","));
    for (rows, left_out) in [(ROWS_PER_MESSAGE_MAX, 0), (ROWS_PER_MESSAGE_MAX + 1, 2), (ROWS_PER_MESSAGE_MAX + 3, 6)] {
        let (read, beyond) = read(&record("", &body(rows)));
        assert_eq!((read.len(), beyond), (ROWS_PER_MESSAGE_MAX, left_out), "{rows}");
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
fn the_devices_time_is_read_from_whichever_property_has_it() {
    let (first, second) = ("1970-01-01T00%3A00%3A01Z", "1970-01-01T00%3A00%3A02.0000000Z");
    let cases = [
        (format!("%24.ctime={first}"), 1_000),
        (format!("$.ctime={second}"), 2_000),
        (format!("iothub-creation-time-utc={first}"), 1_000),
        (format!("IoTHub-Creation-Time-Utc={second}"), 2_000),
        (format!("%24.ctime={first}&iothub-creation-time-utc={second}"), 2_000),
        (format!("iothub-creation-time-utc=soon&%24.ctime={first}"), 1_000),
        ("iothub-creation-time-utc=1970-01-01T00%3A00%3A03".to_owned(), 3_000),
        ("%24.ctime=1970-01-01T02%3A00%3A01%2B02%3A00".to_owned(), 1_000),
        ("%24.ctime=".to_owned(), 5),
    ];
    for (properties, ts_ms) in cases {
        assert_eq!(decode(&record(&properties, "{}")).ts_ms, ts_ms, "{properties}");
    }
}

#[test]
fn a_row_shares_texts_and_leaves_out_null() {
    let record = record("%24.sub=pump", r#"{"a":1,"b":null}"#);
    let (mut texts, mut sources) = (SharedTexts::default(), KnownSources::default());
    let decoded = decode(&record);
    let mut row_at = |offset| {
        let source = sources.get(&record.source, &mut texts).unwrap();
        rows(&record, &source, &decoded, offset, None, &mut texts).0.pop().unwrap()
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
fn an_object_has_as_many_values_as_it_may_and_further_ones_are_counted() {
    let members = |count: usize| -> String { (0..count).map(|n| format!(r#""n{n}":{n},"#)).collect() };
    let full = members(VALUES_PER_ROW_MAX);
    let cases = [
        (format!(r#"{{{}"last":null}}"#, full), VALUES_PER_ROW_MAX, 0),
        (format!(r#"{{"null":null,{}"last":null}}"#, full), VALUES_PER_ROW_MAX, 0),
        (format!(r#"{{{}"last":{{"a":[1]}}}}"#, full), VALUES_PER_ROW_MAX, 1),
        (format!(r#"{{{}"x":null,"y":"1","z":1e999}}"#, full), VALUES_PER_ROW_MAX, 2),
        (format!(r#"{{{}"last":1}}"#, members(VALUES_PER_ROW_MAX - 1)), VALUES_PER_ROW_MAX, 0),
    ];
    for (body, taken, left_out) in cases {
        let (mut texts, record) = (SharedTexts::default(), record("", &body));
        let source = KnownSources::default().get(&record.source, &mut texts).unwrap();
        let (mut rows, beyond) = rows(&record, &source, &decode(&record), 1, None, &mut texts);
        let row = rows.pop().unwrap();
        assert_eq!((row.values.len(), beyond), (taken, left_out), "{}", &body[body.len() - 40..]);
        assert_eq!(&*row.values[0].0, "n0");
        assert!(!texts.known.contains("x") && !texts.known.contains("z"), "a name that is not indexed is not kept");
    }
    let broken = format!(r#"{{{full}"last":}}"#);
    assert_eq!(row(&record("", &broken)), None, "a broken end is no JSON");
}

#[test]
fn texts_are_shared_up_to_so_many_bytes_and_then_from_the_start() {
    let mut texts = SharedTexts::default();
    let text = |n: usize| format!("{n:0SHARED_TEXT_BYTES_MAX$}");
    let most = SHARED_TEXTS_BYTES_MAX / (SHARED_TEXT_OVERHEAD_BYTES + SHARED_TEXT_BYTES_MAX);
    let first = texts.share(&text(0));
    for n in 1..most {
        texts.share(&text(n));
    }
    assert_eq!(texts.known.len(), most);
    assert!(Arc::ptr_eq(&first, &texts.share(&text(0))));
    texts.share(&text(most));
    assert_eq!((texts.known.len(), texts.bytes), (1, SHARED_TEXT_OVERHEAD_BYTES + SHARED_TEXT_BYTES_MAX));
    assert_eq!(texts.share(&text(0)), first);
}

#[test]
fn sources_are_remembered_up_to_so_many_bytes_and_then_from_the_start() {
    let (mut texts, mut sources) = (SharedTexts::default(), KnownSources::default());
    let (one, other) = (record("", "{}").source, {
        let origin = Origin::new("a", &Identity::device("other"), "g", None, None).unwrap();
        RecordParts::decode(origin.encode(Kind::Telemetry, 5, b"", b"{}").unwrap()).unwrap().source
    });
    let first = sources.get(&one, &mut texts).unwrap();
    let of_one = sources.bytes;
    assert_eq!(of_one, SOURCE_OVERHEAD_BYTES + 2 * one.len());
    sources.bytes = KNOWN_SOURCES_BYTES_MAX - of_one;
    assert!(Arc::ptr_eq(&first.source, &sources.get(&one, &mut texts).unwrap().source));
    sources.known.clear();
    sources.get(&one, &mut texts).unwrap();
    assert_eq!(sources.bytes, KNOWN_SOURCES_BYTES_MAX, "just at the limit");
    assert_eq!(&*sources.get(&other, &mut texts).unwrap().device, "other");
    assert_eq!((sources.known.len(), sources.bytes), (1, SOURCE_OVERHEAD_BYTES + 2 * other.len()));
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
