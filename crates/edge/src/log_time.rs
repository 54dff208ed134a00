//! Times in log requests: `1h30m` or `2 days 3 hours` (ago), RFC 3339, or UNIX seconds.

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
    now.checked_sub(humantime::parse_duration(text).ok()?.try_into().ok()?)
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
