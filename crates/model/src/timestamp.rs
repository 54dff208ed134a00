//! Times as milliseconds since 1970 and as ISO 8601 text, and ISO 8601 durations.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

/// `2024-03-05T09:12:44.010Z`. Times outside the years 0 to 9999 are given as the number of milliseconds.
pub fn format_timestamp(ts_ms: i64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ts_ms) * 1_000_000)
        .ok()
        .filter(|time| (0..=9999).contains(&time.year()))
        .and_then(|time| time.format(&format).ok())
        .unwrap_or_else(|| ts_ms.to_string())
}

/// Milliseconds of an ISO 8601 time. Without an offset it is UTC; a date alone is its midnight. Finer digits are cut.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let local = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let local_fraction = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond]");
    let date = format_description!("[year]-[month]-[day]");
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .or_else(|| PrimitiveDateTime::parse(text, &local).ok().map(PrimitiveDateTime::assume_utc))
        .or_else(|| PrimitiveDateTime::parse(text, &local_fraction).ok().map(PrimitiveDateTime::assume_utc))
        .or_else(|| Date::parse(text, &date).ok().map(|date| date.midnight().assume_utc()))?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// Milliseconds of an ISO 8601 duration of weeks, days, hours, minutes and seconds: `PT10M`, `P1D`, `P2DT12H`, `P1W`, `PT0.5S`.
/// Years and months have no fixed length and are refused, as is an empty duration.
pub fn parse_duration(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('P')?;
    let mut units: &[(char, i64)] = &[('W', 7 * DAY_MS), ('D', DAY_MS)];
    let mut in_time = false;
    let mut total_ms: i64 = 0;
    let mut parts = 0;
    loop {
        if let Some(time) = rest.strip_prefix('T').filter(|time| !in_time && !time.is_empty()) {
            (rest, in_time, units) = (time, true, &[('H', HOUR_MS), ('M', 60_000), ('S', 1_000)]);
        }
        if rest.is_empty() {
            return (parts > 0).then_some(total_ms);
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = rest[end..].chars().next()?;
        let at = units.iter().position(|(name, _)| *name == unit)?;
        total_ms = total_ms.checked_add(amount_ms(&rest[..end], units[at].1)?)?;
        units = &units[at + 1..];
        rest = &rest[end + unit.len_utf8()..];
        parts += 1;
    }
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// `2` or `0.5` times the unit; digits below a millisecond are cut.
fn amount_ms(text: &str, unit_ms: i64) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let scale = 10_i64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = i128::from(fraction.parse::<i64>().ok()?) * i128::from(unit_ms) / i128::from(scale);
    whole.parse::<i64>().ok()?.checked_mul(unit_ms)?.checked_add(i64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests;
