//! Which texts are dates, times and durations.

use super::{is_date, is_date_time, is_duration, is_time};

fn check(holds: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(holds(text), "{text:?} should pass");
    }
    for text in bad {
        assert!(!holds(text), "{text:?} should not pass");
    }
}

#[test]
fn dates() {
    check(
        is_date,
        &["2024-03-05", "2024-02-29", "0001-01-01"],
        &[
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-1-1",
            "24-01-01",
            "2024-03-05T",
            "",
            "2024-03-05-1",
            "2024-03-3²",
        ],
    );
}

#[test]
fn times() {
    check(
        is_time,
        &[
            "09:12",
            "09:12:44",
            "09:12:44.1082781",
            "09:12:44Z",
            "09:12:44+01:00",
            "09:12:44-0530",
            "23:59:60",
            "09:12+01",
        ],
        &["24:00:00", "09:60:00", "9:12:44", "09:12:44.", "09:12:44+1", "09:12:44+25:00", "noon", "", "09", "09:12.5"],
    );
}

#[test]
fn dates_with_times() {
    check(
        is_date_time,
        &["2022-05-23T22:43:47.1082781Z", "2022-05-23T22:43:47", "2022-05-23T22:43+02:00"],
        &["2022-05-23", "2022-05-23 22:43:47", "T22:43:47", "2022-05-23T", "2022-05-32T22:43:47Z"],
    );
}

#[test]
fn durations() {
    check(
        is_duration,
        &["PT1S", "P1D", "P1Y2M3W4DT5H6M7.5S", "PT0.5H", "P1M", "PT1M", "P0D"],
        &["P", "PT", "1D", "P1", "PD", "P1S", "PT1D", "P1D2Y", "PT1.5H3M", "P1DT", "PT1.S", "P-1D", "P1ä"],
    );
}
