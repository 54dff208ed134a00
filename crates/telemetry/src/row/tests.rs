//! Values from and to JSON, and the order of rows.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn every_json_value_keeps_its_type_and_comes_back() {
    for (text, expected) in [
        ("21", Value::Integer(21)),
        ("21.0", Value::Double(21.0)),
        ("-9223372036854775808", Value::Integer(i64::MIN)),
        ("18446744073709551615", Value::Json("18446744073709551615".into())),
        ("true", Value::Boolean(true)),
        (r#""on""#, Value::Text("on".into())),
        (r#"{"a":[1,2.5]}"#, Value::Json(r#"{"a":[1,2.5]}"#.into())),
    ] {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(Value::from_json(&json), Some(expected.clone()), "{text}");
        assert_eq!(expected.to_json(), json, "{text}");
    }
    assert_eq!(Value::from_json(&serde_json::Value::Null), None);
}

#[test]
fn the_last_of_two_equal_names_counts() {
    let values = vec![("a".into(), Value::Integer(1)), ("a".into(), Value::Text("2".into()))];
    let row = Row {
        device: "d".into(),
        module: None,
        component: None,
        ts_ms: 0,
        enqueued_ms: 0,
        offset: 0,
        template: None,
        values,
    };
    assert_eq!(row.value("a"), Some(&Value::Text("2".into())));
    assert_eq!(row.value("b"), None);
}
