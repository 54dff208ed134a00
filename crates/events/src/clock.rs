//! The wall clock, read in one place, and the text forms of time.

use std::time::{SystemTime, UNIX_EPOCH};

use model::timestamp;

/// Now, in Unix milliseconds. A clock set before 1970 reads as 0.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Now, in Unix seconds.
pub fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// `2024-05-01T10:00:00.123Z`.
pub fn rfc3339_ms(unix_ms: i64) -> String {
    timestamp::format_timestamp(unix_ms)
}

/// Reads an ISO 8601 time as devices write it: with `Z` or an offset, or without either, which means UTC.
pub fn parse_iso8601_ms(text: &str) -> Option<i64> {
    timestamp::parse_timestamp(text.trim())
}

#[cfg(test)]
mod tests;
