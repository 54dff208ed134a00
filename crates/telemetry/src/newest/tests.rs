//! Limits, known offsets, release.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::row::Value;
use crate::selection::{Part, TimeRange};

fn row(device: &str, offset: u64) -> Row {
    Row {
        device: device.into(),
        module: None,
        component: None,
        ts_ms: offset as i64,
        enqueued_ms: 0,
        offset,
        template: None,
        values: vec![("a".into(), Value::Integer(1))],
    }
}

fn offsets(newest: &Newest, devices: Devices) -> Vec<u64> {
    let selection = Selection { devices, module: Part::Any, component: Part::Any, range: TimeRange::ALL };
    let mut offsets: Vec<u64> = newest.select(&selection).iter().map(|row| row.offset).collect();
    offsets.sort_unstable();
    offsets
}

#[test]
fn the_named_limits_are_those_of_a_store() {
    let limits = NewestLimits::default();
    assert_eq!((limits.rows_max, limits.bytes_max), (NEWEST_ROWS_MAX, NEWEST_BYTES_MAX));
    let newest = Newest::new(NewestLimits { bytes_max: usize::MAX, ..limits });
    newest.insert((1..=NEWEST_ROWS_MAX as u64).map(|offset| row("a", offset)).collect()).unwrap();
    let refused = newest.insert(vec![row("a", NEWEST_ROWS_MAX as u64 + 1)]).unwrap_err();
    assert_eq!(refused.rows, NEWEST_ROWS_MAX);
}

#[test]
fn rows_up_to_the_limit_fit_and_one_more_is_given_back() {
    let newest = Newest::new(NewestLimits { rows_max: 3, ..NewestLimits::default() });
    newest.insert(vec![row("a", 1), row("b", 2), row("a", 3)]).unwrap();
    let refused = newest.insert(vec![row("a", 4)]).unwrap_err();
    assert_eq!((refused.rejected.len(), refused.rows), (1, 3));
    newest.release(1);
    newest.insert(refused.rejected).unwrap();
    assert_eq!(offsets(&newest, Devices::Any), [2, 3, 4]);
}

#[test]
fn bytes_up_to_the_limit_fit_and_one_more_is_given_back() {
    let bytes = row("a", 1).memory_bytes();
    let newest = Newest::new(NewestLimits { bytes_max: 2 * bytes, ..NewestLimits::default() });
    newest.insert(vec![row("a", 1), row("a", 2)]).unwrap();
    assert_eq!(newest.pending(), Pending { rows: 2, bytes: 2 * bytes, offset_last: Some(2) });
    assert!(newest.insert(vec![row("a", 3)]).is_err());
    newest.release(2);
    assert_eq!(newest.pending(), Pending { rows: 0, bytes: 0, offset_last: Some(2) });
}

#[test]
fn reading_the_log_again_changes_nothing() {
    let newest = Newest::default();
    newest.insert(vec![row("a", 1), row("a", 2)]).unwrap();
    newest.release(1);
    newest.insert(vec![row("a", 1), row("a", 2), row("b", 3)]).unwrap();
    assert_eq!(offsets(&newest, Devices::Any), [2, 3]);
    assert_eq!(offsets(&newest, Devices::one("b")), [3]);
    assert!(offsets(&newest, Devices::one("c")).is_empty());
    assert_eq!(newest.rows().len(), 2);
}
