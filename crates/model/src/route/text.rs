//! Text as the original sees it: a row of UTF-16 code units, compared without any language's rules.
use std::cmp::Ordering;

/// Orders by code unit. Differs from the order of bytes only beyond U+FFFF.
pub(super) fn order(left: &str, right: &str) -> Ordering {
    if left.is_ascii() { left.cmp(right) } else { left.encode_utf16().cmp(right.encode_utf16()) }
}

/// The length in code units.
pub(super) fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// The code units from `start`, `count` of them or all; the caller has checked the bounds. Half of a surrogate pair
/// becomes U+FFFD.
pub(super) fn substring(text: &str, start: usize, count: Option<usize>) -> String {
    let units: Vec<u16> = text.encode_utf16().skip(start).take(count.unwrap_or(usize::MAX)).collect();
    String::from_utf16_lossy(&units)
}

/// The code unit at which `part` begins.
pub(super) fn index_of(text: &str, part: &str) -> Option<usize> {
    text.find(part).map(|byte| length(&text[..byte]))
}

/// Lower case, character by character: the length never changes, and `İ` stays as it is.
pub(super) fn lower(text: &str) -> String {
    text.chars()
        .map(|character| if character == 'İ' { character } else { single(character, character.to_lowercase()) })
        .collect()
}

/// Upper case, character by character: `ß` and `ı` stay as they are.
pub(super) fn upper(text: &str) -> String {
    text.chars().map(upper_character).collect()
}

fn upper_character(character: char) -> char {
    if character == 'ı' { character } else { single(character, character.to_uppercase()) }
}

fn single(character: char, mut mapped: impl ExactSizeIterator<Item = char>) -> char {
    if mapped.len() == 1 { mapped.next().unwrap_or(character) } else { character }
}

/// Whether two names are the same but for case, by the rule of sources and property names.
#[must_use]
pub fn names_equal(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
        || (!left.is_ascii() && left.chars().map(upper_character).eq(right.chars().map(upper_character)))
}

/// Whether a text begins with a prefix but for case.
pub(super) fn starts_with_any_case(text: impl IntoIterator<Item = char>, prefix: &str) -> bool {
    let mut text = text.into_iter();
    prefix.chars().all(|expected| {
        text.next().is_some_and(|found| found == expected || upper_character(found) == upper_character(expected))
    })
}
