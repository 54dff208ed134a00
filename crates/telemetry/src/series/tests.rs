//! Buckets, gaps, ends, limits.
#![allow(clippy::unwrap_used)]

use super::*;

fn points(values: &[(i64, f64)], range: TimeRange, points: usize) -> Vec<Point> {
    let column = SeriesColumn { module: None, component: None, name: "a".into(), fields: Vec::new() };
    let request = SeriesRequest { device: "d".into(), columns: vec![column.clone()], range, points };
    let mut collected = ColumnPoints::new(&column, &request);
    for (offset, (ts_ms, value)) in values.iter().enumerate() {
        collected.add(*ts_ms, offset as u64, *value);
    }
    collected.finish().points
}

const RANGE: TimeRange = TimeRange { from_ms: 0, to_ms: 1_000 };

#[test]
fn few_values_come_as_they_are_in_order_of_time() {
    let expected = [Point::Value { ts_ms: 10, value: 1.0 }, Point::Value { ts_ms: 20, value: 2.0 }];
    assert_eq!(points(&[(20, 2.0), (10, 1.0)], RANGE, 2), expected);
    assert_eq!(points(&[], RANGE, 2), []);
}

#[test]
fn many_values_keep_their_extremes_and_their_ends() {
    let values: Vec<(i64, f64)> = (3..997).map(|ts| (ts, if ts == 500 { 99.0 } else { 1.0 })).collect();
    let drawn = points(&values, RANGE, 10);
    assert_eq!(drawn.len(), 10);
    assert_eq!((drawn[0].ts_ms(), drawn[9].ts_ms()), (3, 996));
    let spikes = drawn.iter().filter(|point| matches!(point, Point::Bucket { max, .. } if *max == 99.0)).count();
    assert_eq!(spikes, 1);
    assert!(drawn.is_sorted_by_key(Point::ts_ms));
    let Point::Bucket { min, max, avg, .. } = drawn[0] else { panic!("a bucket") };
    assert_eq!((min, max, avg), (1.0, 1.0, 1.0));
}

#[test]
fn the_number_of_points_is_the_limit_between_values_and_buckets() {
    let values: Vec<(i64, f64)> = (0..5).map(|n| (n * 200, n as f64)).collect();
    assert!(points(&values, RANGE, 5).iter().all(|point| matches!(point, Point::Value { .. })));
    assert!(points(&values, RANGE, 4).iter().all(|point| matches!(point, Point::Bucket { .. })));
    assert_eq!(points(&values, RANGE, 1).len(), 1);
}

#[test]
fn a_silence_is_a_gap_and_an_even_slow_pace_is_not() {
    let paced = [(0, 1.0), (300, 1.0), (600, 1.0), (900, 1.0)];
    assert_eq!(points(&paced, RANGE, 1_000).len(), 4);
    let silent = [(0, 1.0), (10, 1.0), (20, 1.0), (30, 1.0), (900, 1.0), (910, 1.0)];
    let drawn = points(&silent, RANGE, 100);
    assert_eq!(drawn[4], Point::Gap { ts_ms: 465 });
    assert_eq!(drawn.len(), 7);
}

#[test]
fn values_at_the_ends_of_all_time_are_drawn() {
    let values = [(i64::MIN, 1.0), (0, f64::MAX), (i64::MAX - 1, f64::MAX)];
    for limit in 1..4 {
        let drawn = points(&values, TimeRange::ALL, limit);
        let ends = (drawn.first().unwrap().ts_ms(), drawn.last().unwrap().ts_ms());
        assert!(limit == 1 || ends == (i64::MIN, i64::MAX - 1), "{drawn:?}");
        assert!(!drawn.iter().any(|point| matches!(point, Point::Bucket { avg, .. } if !avg.is_finite())), "{drawn:?}");
    }
}

#[test]
fn numbers_and_booleans_are_drawn() {
    let drawn =
        [Value::Integer(2), Value::Double(2.5), Value::Boolean(true), Value::Double(f64::NAN), Value::Text("2".into())]
            .map(|value| drawn(&value, &[]));
    assert_eq!(drawn, [Some(2.0), Some(2.5), Some(1.0), None, None]);
}

#[test]
fn a_field_of_an_object_is_drawn_and_anything_else_is_not() {
    let object = Value::Json(r#"{"temperature":21.5,"door":{"open":true},"text":"hot"}"#.into());
    for (value, fields, expected) in [
        (&object, vec!["temperature"], Some(21.5)),
        (&object, vec!["door", "open"], Some(1.0)),
        (&object, vec!["door"], None),
        (&object, vec!["text"], None),
        (&object, vec!["absent"], None),
        (&object, vec![], None),
        (&Value::Double(3.0), vec!["temperature"], None),
        (&Value::Double(3.0), vec![], Some(3.0)),
    ] {
        let fields: Vec<Arc<str>> = fields.into_iter().map(Arc::from).collect();
        assert_eq!(drawn(value, &fields), expected, "{value:?} {fields:?}");
    }
}
