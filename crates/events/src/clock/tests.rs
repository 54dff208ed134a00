//! Time texts as devices write them.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn iso8601_of_devices_is_read() {
    let cases = [
        ("2021-04-21T11:30:16Z", Some(1_619_004_616_000)),
        ("2021-04-21T11:30:16", Some(1_619_004_616_000)),
        ("2021-04-21T11:30:16.5Z", Some(1_619_004_616_500)),
        ("2021-04-21T13:30:16.5000000+02:00", Some(1_619_004_616_500)),
        ("yesterday", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_iso8601_ms(text), expected, "{text}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    for at in [0, 1, 1_619_004_616_500, 4_102_444_800_000] {
        assert_eq!(parse_iso8601_ms(&rfc3339_ms(at)), Some(at));
    }
}
