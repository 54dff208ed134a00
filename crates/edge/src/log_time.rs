//! Times in log requests: `1h30m` or `2 days 3 hours` (ago), RFC 3339, or UNIX seconds.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The moment a text means.
pub fn parse(text: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let text = text.trim();
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(time);
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return OffsetDateTime::from_unix_timestamp(seconds).ok();
    }
    now.checked_sub(duration(text)?.try_into().ok()?)
}

fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit_secs: u64 = match &rest[..letters] {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            _ => return None,
        };
        total = total.checked_add(Duration::from_secs(number.checked_mul(unit_secs)?))?;
        rest = rest[letters..].trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let now = OffsetDateTime::from_unix_timestamp(1_000_000).unwrap();
        let cases = [
            ("90m", Some(1_000_000 - 5400)),
            ("1h30m", Some(1_000_000 - 5400)),
            ("2 days 3 hours", Some(1_000_000 - 2 * 86_400 - 3 * 3600)),
            ("1970-01-02T00:00:00Z", Some(86_400)),
            ("86400", Some(86_400)),
            ("", None),
            ("soon", None),
            ("5 parsecs", None),
            ("99999999999999999999d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, now).map(OffsetDateTime::unix_timestamp), expected, "{text:?}");
        }
    }
}
