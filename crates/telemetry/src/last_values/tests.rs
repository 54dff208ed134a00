//! Which value is the newest, and what is forgotten.
#![allow(clippy::unwrap_used)]

use super::*;

fn row(device: &str, ts_ms: i64, offset: u64, value: i64) -> Row {
    Row {
        device: device.into(),
        module: None,
        component: None,
        ts_ms,
        enqueued_ms: ts_ms,
        offset,
        template: None,
        values: vec![("a".into(), Value::Integer(value))],
    }
}

fn last(values: &LastValues, device: &str) -> Option<Value> {
    values.get(device, None, None, "a").map(|last| last.value)
}

#[test]
fn what_comes_late_does_not_replace_what_happened_later() {
    let values = LastValues::default();
    values.observe(&row("d", 200, 1, 1));
    values.observe(&row("d", 100, 2, 2));
    assert_eq!(last(&values, "d"), Some(Value::Integer(1)));
    values.observe(&row("d", 200, 3, 3));
    assert_eq!(last(&values, "d"), Some(Value::Integer(3)));
}

#[test]
fn a_time_that_lies_ahead_is_the_newest_until_the_next_message_only() {
    let values = LastValues::default();
    values.observe(&row("d", 200, 1, 1));
    values.observe(&Row { enqueued_ms: 300, ..row("d", i64::MAX, 2, 2) });
    let ahead = values.get("d", None, None, "a").unwrap();
    assert_eq!((ahead.value, ahead.ts_ms), (Value::Integer(2), i64::MAX), "it is shown as it came");
    values.observe(&row("d", 299, 3, 3));
    assert_eq!(last(&values, "d"), Some(Value::Integer(2)), "what happened before that arrived");
    values.observe(&row("d", 301, 4, 4));
    assert_eq!(last(&values, "d"), Some(Value::Integer(4)));
}

#[test]
fn of_the_elements_of_a_message_and_of_equal_names_the_last_one_counts() {
    let values = LastValues::default();
    values.observe(&row("d", 200, 1, 1));
    values.observe(&Row {
        values: vec![("a".into(), Value::Integer(2)), ("a".into(), Value::Integer(3))],
        ..row("d", 200, 1, 0)
    });
    assert_eq!(last(&values, "d"), Some(Value::Integer(3)));
}

#[test]
fn parts_of_a_device_have_values_of_their_own() {
    let values = LastValues::default();
    values.observe(&row("d", 1, 1, 1));
    values.observe(&Row { module: Some("m".into()), ..row("d", 1, 2, 2) });
    values.observe(&Row { component: Some("m".into()), ..row("d", 1, 3, 3) });
    assert_eq!(values.get("d", Some("m"), None, "a").unwrap().value, Value::Integer(2));
    assert_eq!(values.get("d", None, Some("m"), "a").unwrap().value, Value::Integer(3));
    assert_eq!(values.of_device("d").len(), 3);
    values.remove_device("d");
    assert_eq!(values.of_device("d"), []);
}

#[test]
fn the_named_limit_is_that_of_a_store() {
    let values = LastValues::default();
    for offset in 0..LAST_VALUES_MAX as u64 {
        values.observe(&row(&format!("d{offset}"), 1, offset, 0));
    }
    assert!(last(&values, "d0").is_some());
    values.observe(&row("new", 1, LAST_VALUES_MAX as u64, 0));
    assert!(last(&values, "d0").is_none() && last(&values, "new").is_some());
}

#[test]
fn at_the_limit_all_stay_and_one_more_forgets_the_silent() {
    let values = LastValues::new(32);
    for device in 0..32 {
        values.observe(&row(&format!("d{device}"), 1, device, 0));
    }
    values.observe(&row("d0", 2, 40, 0));
    assert!((0..32).all(|device| last(&values, &format!("d{device}")).is_some()));
    values.observe(&row("new", 3, 41, 0));
    assert!(last(&values, "new").is_some() && last(&values, "d0").is_some());
    assert!(last(&values, "d1").is_none(), "silent for longest");
}

#[test]
fn a_device_with_more_names_than_the_limit_is_not_kept() {
    let values = LastValues::new(2);
    let names = ["a", "b", "c"].map(|name| (Arc::from(name), Value::Integer(1)));
    values.observe(&Row { values: names.to_vec(), ..row("d", 1, 1, 1) });
    assert_eq!(values.of_device("d"), []);
}
