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

/// What a value of a name of one letter takes.
fn one() -> usize {
    entry_bytes(&(None, None, "a".into()), &Value::Integer(0))
}

fn limits(values: usize, values_of_device: usize) -> LastValuesLimits {
    LastValuesLimits { bytes_max: values * one(), device_bytes_max: values_of_device * one() }
}

fn held_bytes(values: &LastValues) -> usize {
    let held = values.lock();
    let counted: usize = held
        .devices
        .values()
        .flat_map(|device| &device.values)
        .map(|(key, entry)| entry_bytes(key, &entry.value))
        .sum();
    assert_eq!(held.bytes, counted);
    assert_eq!(held.bytes, held.devices.values().map(|device| device.bytes).sum::<usize>());
    counted
}

#[test]
fn the_named_limits_are_those_of_a_store() {
    let named = LastValuesLimits { bytes_max: LAST_VALUES_BYTES_MAX, device_bytes_max: LAST_VALUES_DEVICE_BYTES_MAX };
    assert_eq!(LastValues::default().limits, named);
}

#[test]
fn at_the_limit_all_stay_and_one_more_forgets_the_silent() {
    let values = LastValues::new(limits(32, 32));
    for device in 0..32 {
        values.observe(&row(&format!("d{device}"), 1, device, 0));
    }
    values.observe(&row("d0", 2, 40, 0));
    assert!((0..32).all(|device| last(&values, &format!("d{device}")).is_some()));
    assert_eq!(held_bytes(&values), 32 * one());
    values.observe(&row("new", 3, 41, 0));
    assert!(last(&values, "new").is_some() && last(&values, "d0").is_some());
    assert!(last(&values, "d1").is_none(), "silent for longest");
    assert!(held_bytes(&values) <= 32 * one());
}

#[test]
fn a_device_with_more_than_its_share_forgets_its_own_oldest_and_nobody_elses() {
    let values = LastValues::new(limits(64, 8));
    values.observe(&row("quiet", 1, 1, 1));
    let named = |offset: u64| Row {
        values: vec![(format!("{offset:04}").into(), Value::Text("x".repeat(100).into()))],
        ..row("loud", offset as i64, offset, 0)
    };
    for offset in 2..1_000 {
        values.observe(&named(offset));
        assert!(held_bytes(&values) <= 9 * one());
    }
    assert_eq!(last(&values, "quiet"), Some(Value::Integer(1)));
    assert!(values.get("loud", None, None, "0999").is_some() && values.get("loud", None, None, "0002").is_none());
    values.remove_device("loud");
    assert_eq!(held_bytes(&values), one());
}

#[test]
fn a_value_that_grows_and_shrinks_is_counted_as_it_is() {
    let values = LastValues::new(limits(64, 64));
    for (offset, length) in [(1, 500), (2, 10), (3, 700)] {
        let text = Value::Text("x".repeat(length).into());
        values.observe(&Row { values: vec![("a".into(), text)], ..row("d", 1, offset, 0) });
        held_bytes(&values);
    }
}

#[test]
fn a_message_larger_than_the_share_of_its_device_is_not_kept() {
    let values = LastValues::new(limits(64, 2));
    let names = ["a", "b", "c"].map(|name| (Arc::from(name), Value::Integer(1)));
    values.observe(&Row { values: names.to_vec(), ..row("d", 1, 1, 1) });
    assert_eq!(values.of_device("d"), []);
}
