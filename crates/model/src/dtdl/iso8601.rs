//! ISO 8601 texts, as far as devices and forms write them.
//!
//! ```text
//! date       2024-03-05
//! time       09:12[:44[.123]][Z|±hh[:mm]]
//! dateTime   <date>T<time>
//! duration   P[nY][nM][nW][nD][T[nH][nM][nS]]   at least one part; the last may have a fraction
//! ```

/// A calendar date that exists.
pub(super) fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2)) else {
        return false;
    };
    let month = u8::try_from(month).ok().and_then(|month| time::Month::try_from(month).ok());
    let (Some(month), Ok(year), Ok(day)) = (month, i32::try_from(year), u8::try_from(day)) else { return false };
    time::Date::from_calendar_date(year, month, day).is_ok()
}

/// A time of day, with or without offset.
pub(super) fn is_time(text: &str) -> bool {
    let clock = match text.strip_suffix('Z') {
        Some(clock) => clock,
        None => match text.rfind(['+', '-']) {
            Some(sign) if is_offset(&text[sign + 1..]) => &text[..sign],
            Some(_) => return false,
            None => text,
        },
    };
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let parts: Option<Vec<u32>> = clock.split(':').map(|part| digits(part, 2)).collect();
    let clock_holds = match parts.as_deref() {
        Some([hour, minute]) => fraction.is_none() && *hour < 24 && *minute < 60,
        // A leap second is written 60.
        Some([hour, minute, second]) => *hour < 24 && *minute < 60 && *second <= 60,
        _ => false,
    };
    clock_holds && fraction.is_none_or(is_digits)
}

/// A date and a time of day.
pub(super) fn is_date_time(text: &str) -> bool {
    text.split_once(['T', 't']).is_some_and(|(date, time)| is_date(date) && is_time(time))
}

/// A duration.
pub(super) fn is_duration(text: &str) -> bool {
    let Some(text) = text.strip_prefix('P') else { return false };
    let (days, times) = text.split_once('T').map_or((text, None), |(days, times)| (days, Some(times)));
    let days = parts_in_order(days, "YMWD");
    match times.map(|times| parts_in_order(times, "HMS")) {
        None => days.is_some_and(|count| count > 0),
        Some(times) => days.is_some() && times.is_some_and(|count| count > 0),
    }
}

/// How many `<number><unit>` parts a text has, when it consists of them alone and their units follow `units`' order.
fn parts_in_order(text: &str, units: &str) -> Option<usize> {
    let (mut rest, mut units, mut count) = (text, units, 0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, after) = rest.split_at(end);
        let unit = after.chars().next()?;
        let place = units.find(unit)?;
        rest = &after[unit.len_utf8()..];
        units = &units[place + unit.len_utf8()..];
        let (whole, fraction) = number.split_once(['.', ',']).map_or((number, None), |(w, f)| (w, Some(f)));
        if !is_digits(whole) || fraction.is_some_and(|fraction| !is_digits(fraction) || !rest.is_empty()) {
            return None;
        }
        count += 1;
    }
    Some(count)
}

fn is_offset(text: &str) -> bool {
    let (hours, minutes) = match text.split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if text.len() == 4 && text.is_ascii() => text.split_at(2),
        None => (text, "00"),
    };
    digits(hours, 2).is_some_and(|hours| hours < 24) && digits(minutes, 2).is_some_and(|minutes| minutes < 60)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number that exactly `count` digits make.
fn digits(text: &str, count: usize) -> Option<u32> {
    if text.len() == count && is_digits(text) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
