//! Which texts of a body the original takes for date-times.
//!
//! Its JSON reader turns them into a type conditions do not know, so they are undefined instead of text. The forms:
//!
//! ```text
//! yyyy-MM-ddTHH:mm:ss[.fraction][Z | z | ±HH[[:]mm]]      19 to 40 characters, fraction of 1 to 7 digits
//! /Date(milliseconds[±HHmm])/
//! ```
//! A bare date stays text.

/// Whether a body text counts as a date-time.
pub(super) fn is_date_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'0'..=b'9') => (19..=40).contains(&bytes.len()) && is_iso(bytes),
        Some(b'/') => text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")).is_some_and(is_milliseconds),
        _ => false,
    }
}

fn is_iso(bytes: &[u8]) -> bool {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, rest @ ..] = bytes
    else {
        return false;
    };
    let numbers = (|| {
        let year = two_digits(*y1, *y2)? * 100 + two_digits(*y3, *y4)?;
        let date = (year, two_digits(*m1, *m2)?, two_digits(*d1, *d2)?);
        Some((date, (two_digits(*h1, *h2)?, two_digits(*n1, *n2)?, two_digits(*s1, *s2)?)))
    })();
    let Some(((year, month, day), (hour, minute, second))) = numbers else { return false };
    let (fraction, zone) = match rest.strip_prefix(b".") {
        Some(digits) => {
            let count = digits.iter().take(7).take_while(|digit| digit.is_ascii_digit()).count();
            if count == 0 {
                return false;
            }
            digits.split_at(count)
        }
        None => rest.split_at(0),
    };
    let midnight = minute == 0 && second == 0 && fraction.iter().all(|digit| *digit == b'0');
    year >= 1
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && (hour < 24 || (hour == 24 && midnight))
        && minute < 60
        && second < 60
        && is_zone(zone)
}

fn two_digits(tens: u8, ones: u8) -> Option<u32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_zone(zone: &[u8]) -> bool {
    match zone {
        [] | [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] | [b'+' | b'-', h1, h2, m1, m2] => {
            [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit)
        }
        [b'+' | b'-', h1, h2] => h1.is_ascii_digit() && h2.is_ascii_digit(),
        _ => false,
    }
}

fn is_milliseconds(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (digits, zone) = digits.split_at(digits.find(['+', '-']).unwrap_or(digits.len()));
    let zone_digits = zone.trim_start_matches(['+', '-']);
    digits.parse::<i64>().is_ok() && (zone.is_empty() || (zone_digits.len() == 4 && zone_digits.parse::<u16>().is_ok()))
}
