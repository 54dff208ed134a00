//! Tables of times and durations, both ways.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn times_are_read_in_every_accepted_form() {
    for (text, expected) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2024-03-05T09:12:44.010Z", Some(1_709_629_964_010)),
        ("2024-03-05T09:12:44.0109999Z", Some(1_709_629_964_010)),
        ("2024-03-05T10:12:44.010+01:00", Some(1_709_629_964_010)),
        ("2024-03-05T09:12:44", Some(1_709_629_964_000)),
        ("2024-03-05T09:12:44.5", Some(1_709_629_964_500)),
        ("2024-03-05", Some(1_709_596_800_000)),
        ("1969-12-31T23:59:59.999Z", Some(-1)),
        ("2024-02-30", None),
        ("yesterday", None),
        ("", None),
    ] {
        assert_eq!(parse_timestamp(text), expected, "{text}");
    }
}

#[test]
fn a_time_is_written_with_milliseconds_and_reads_back() {
    for ts_ms in [0, -1, 1_709_629_964_010, 253_402_300_799_999] {
        assert_eq!(parse_timestamp(&format_timestamp(ts_ms)), Some(ts_ms));
    }
    assert_eq!(format_timestamp(1_709_629_964_010), "2024-03-05T09:12:44.010Z");
    assert_eq!(format_timestamp(i64::MAX), i64::MAX.to_string());
}

#[test]
fn durations_of_fixed_length_are_read() {
    for (text, expected) in [
        ("PT10M", Some(600_000)),
        ("P1D", Some(86_400_000)),
        ("P2DT12H", Some(216_000_000)),
        ("P1W", Some(604_800_000)),
        ("PT0.5S", Some(500)),
        ("PT1H30M5S", Some(5_405_000)),
        ("PT0S", Some(0)),
        ("P1M", None),
        ("P1Y", None),
        ("P", None),
        ("PT", None),
        ("P1DT", None),
        ("PT1H1H", None),
        ("PT1M1H", None),
        ("PT1.H", None),
        ("PT.5S", None),
        ("PTS", None),
        ("1D", None),
        ("P-1D", None),
        ("P99999999999999999W", None),
        ("P1Dé", None),
    ] {
        assert_eq!(parse_duration(text), expected, "{text}");
    }
}
