use super::*;

/// Segments of 100 bytes and 10 records, created a second after each other from second 0.
fn segments(count: u64) -> VecDeque<Segment> {
    (0..count).map(|n| Segment { base: Offset(n * 10), bytes: 100, salt: 0, created_at_ms: n * 1000 }).collect()
}

#[test]
fn what_is_kept() {
    let age = |secs| Retention { age: Some(Duration::from_secs(secs)), bytes: None };
    let bytes = |bytes| Retention { age: None, bytes: Some(bytes) };
    // (retention, segments, seconds now, first offset to keep)
    let cases = [
        ("nothing configured", Retention::default(), 5, 1000, None),
        ("young enough", age(10), 3, 10, None),
        ("the second was created exactly then", age(10), 3, 11, Some(10)),
        ("two are too old", age(10), 3, 12, Some(20)),
        ("the newest stays, however old", age(10), 3, 1000, Some(20)),
        ("alone and old", age(10), 1, 1000, None),
        ("a clock that went back", age(10), 3, 0, None),
        ("exactly the limit", bytes(300), 3, 0, None),
        ("one byte over", bytes(299), 3, 0, Some(10)),
        ("two over", bytes(199), 4, 0, Some(30)),
        ("the newest stays, however small the limit", bytes(0), 3, 0, Some(20)),
        ("either reason", Retention { age: Some(Duration::from_secs(10)), bytes: Some(200) }, 4, 11, Some(20)),
    ];
    for (name, retention, count, now_secs, expected) in cases {
        assert_eq!(retention.keep_from(&segments(count), now_secs * 1000), expected.map(Offset), "{name}");
    }
}

#[test]
fn an_old_newest_segment_is_closed() {
    let newest = segments(3)[2];
    let retention = Retention { age: Some(Duration::from_secs(10)), bytes: None };
    assert!(!retention.closes(&newest, 11_999));
    assert!(retention.closes(&newest, 12_000));
    assert!(!Retention::default().closes(&newest, u64::MAX));
}
