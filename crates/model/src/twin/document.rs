//! The rules a twin document obeys.
//!
//! | Rule | Value |
//! |---|---|
//! | size | desired and reported 32 KiB each, tags 8 KiB, `$` members not counted |
//! | depth | 10 objects or arrays inside one another below the section |
//! | key | not empty, ≤ 1 KiB UTF-8, no control character, white space, `.`, `$`, `#` |
//! | null | deletes a member; none in an array, nor in an object there |
//! | string | ≤ 4 KiB UTF-8 |
//! | integer | −4503599627370496 … 4503599627370495 |
//! | text | 192 KiB of JSON text, 8,192 members and items |
//!
//! Size is counted as the service documents it, not as JSON text: a key or string counts its UTF-8 bytes, a number 8, a
//! boolean 4, objects and arrays the sum of what they hold. So counted, nulls and empty arrays are nothing; the text of a section
//! and the number of its elements are therefore bounded beside it, wider than anything the count lets through otherwise.

use serde_json::Value;
use thiserror::Error;

use crate::limits::{
    TWIN_DEPTH_MAX, TWIN_ELEMENTS_MAX, TWIN_INTEGER_MAX, TWIN_INTEGER_MIN, TWIN_KEY_BYTES_MAX, TWIN_SECTION_BYTES_MAX,
    TWIN_SECTION_TEXT_BYTES_MAX, TWIN_STRING_BYTES_MAX, TWIN_TAGS_BYTES_MAX,
};
use crate::pointer::Pointer;

/// A twin document breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} (at \"{path}\")")]
pub struct TwinError {
    /// JSON pointer to the offending value, within the patch or section.
    pub path: String,
    /// The rule.
    pub kind: TwinErrorKind,
}

/// The rules of a twin document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TwinErrorKind {
    /// The section or patch is something other than a JSON object.
    #[error("twin properties must be a JSON object")]
    NotAnObject,
    /// A key is empty or holds a control character, white space, `.`, `$` or `#`.
    #[error("key must not be empty nor hold control characters, white space, '.', '$' or '#'")]
    BadKey,
    /// A null in an array or below, where there is nothing to delete.
    #[error("an array must not hold null, nor what is in it")]
    NullInArray,
    /// A key is longer than 1 KiB.
    #[error("key is longer than {TWIN_KEY_BYTES_MAX} bytes")]
    KeyTooLong,
    /// A string is longer than 4 KiB.
    #[error("string is longer than {TWIN_STRING_BYTES_MAX} bytes")]
    StringTooLong,
    /// An integer outside ±2^52.
    #[error("integer is outside {TWIN_INTEGER_MIN} to {TWIN_INTEGER_MAX}")]
    IntegerOutOfRange,
    /// Objects nested too deeply.
    #[error("nested deeper than {TWIN_DEPTH_MAX} levels")]
    TooDeep,
    /// The section is too large.
    #[error("section is {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Size as counted.
        bytes: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The section holds too much that the count of its bytes leaves out.
    #[error("section is {bytes} bytes of JSON text, the limit is {TWIN_SECTION_TEXT_BYTES_MAX}")]
    TooMuchText {
        /// Bytes of its text.
        bytes: usize,
    },
    /// The section has too many members and items.
    #[error("section has {elements} members and items, the limit is {TWIN_ELEMENTS_MAX}")]
    TooManyElements {
        /// How many.
        elements: usize,
    },
}

/// Checks a patch for desired or reported properties, before it is merged. `$version` and `$metadata` at the top are
/// let through (they are ignored by the merge).
///
/// # Errors
/// The first rule that is broken, and where.
pub fn validate_patch(patch: &Value) -> Result<(), TwinError> {
    check_object(patch, &Pointer::root(""), 0, false)?;
    check_section(patch)
}

/// What a section may hold, by the count of its bytes and by what that leaves out.
fn check_section(section: &Value) -> Result<(), TwinError> {
    check_size(section, TWIN_SECTION_BYTES_MAX)?;
    let fail = |kind| Err(TwinError { path: String::new(), kind });
    let elements = elements(section);
    if elements > TWIN_ELEMENTS_MAX {
        return fail(TwinErrorKind::TooManyElements { elements });
    }
    let bytes = text_bytes(section);
    if bytes > TWIN_SECTION_TEXT_BYTES_MAX {
        return fail(TwinErrorKind::TooMuchText { bytes });
    }
    Ok(())
}

/// Checks a whole tags section or a patch of it.
///
/// # Errors
/// The first rule that is broken, and where.
pub fn validate_tags(tags: &Value) -> Result<(), TwinError> {
    check_object(tags, &Pointer::root(""), 0, false)?;
    check_size(tags, TWIN_TAGS_BYTES_MAX)
}

/// Checks a merged section: the size can be broken by the sum of patches that are each fine. What an earlier version stored by looser
/// rules stays: a device could not patch its twin any more.
pub(super) fn validate_section(section: &Value) -> Result<(), TwinError> {
    check_section(section)
}

/// Size of a document as the limits count it.
pub fn document_bytes(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(document_bytes).sum(),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !name.starts_with('$'))
            .map(|(name, value)| name.len() + document_bytes(value))
            .sum(),
    }
}

/// Members and items at all depths, but for what is read and never kept at the top.
fn elements(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len() + items.iter().map(elements).sum::<usize>(),
        Value::Object(members) => {
            members.iter().filter(|(name, _)| !name.starts_with('$')).map(|(_, member)| 1 + elements(member)).sum()
        }
        _ => 0,
    }
}

/// Bytes of the JSON text, without `$` members.
pub(super) fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Array(items) => 2 + items.iter().map(|item| text_bytes(item) + 1).sum::<usize>(),
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| !name.starts_with('$'));
            2 + members.map(|(name, member)| escaped_bytes(name) + 4 + text_bytes(member)).sum::<usize>()
        }
        Value::String(text) => escaped_bytes(text) + 2,
        Value::Null | Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(number) => number.to_string().len(),
    }
}

fn escaped_bytes(text: &str) -> usize {
    let of_byte = |byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(of_byte).sum()
}

fn check_size(document: &Value, limit: usize) -> Result<(), TwinError> {
    let bytes = document_bytes(document);
    if bytes > limit {
        return Err(TwinError { path: String::new(), kind: TwinErrorKind::TooLarge { bytes, limit } });
    }
    Ok(())
}

fn check_object(value: &Value, at: &Pointer<'_>, depth: usize, in_array: bool) -> Result<(), TwinError> {
    let Value::Object(members) = value else { return Err(error(at, TwinErrorKind::NotAnObject)) };
    for (name, member) in members {
        if depth == 0 && (name == "$version" || name == "$metadata") {
            continue;
        }
        let at = at.key(name);
        check_key(name).map_err(|kind| error(&at, kind))?;
        check_value(member, &at, depth, in_array)?;
    }
    Ok(())
}

/// `depth` counts the objects and arrays around `value`, not counting the section itself.
fn check_value(value: &Value, at: &Pointer<'_>, depth: usize, in_array: bool) -> Result<(), TwinError> {
    match value {
        Value::Object(_) | Value::Array(_) if depth == TWIN_DEPTH_MAX => Err(error(at, TwinErrorKind::TooDeep)),
        Value::Null if in_array => Err(error(at, TwinErrorKind::NullInArray)),
        Value::Object(_) => check_object(value, at, depth + 1, in_array),
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(index, item)| check_value(item, &at.index(index), depth + 1, true))
        }
        Value::String(text) if text.len() > TWIN_STRING_BYTES_MAX => Err(error(at, TwinErrorKind::StringTooLong)),
        Value::Number(number) => {
            // `as_i64` fails for unsigned numbers above its range, and for fractions, which have no range of their own.
            let fits = match number.as_i64() {
                Some(integer) => (TWIN_INTEGER_MIN..=TWIN_INTEGER_MAX).contains(&integer),
                None => !number.is_u64(),
            };
            if fits { Ok(()) } else { Err(error(at, TwinErrorKind::IntegerOutOfRange)) }
        }
        _ => Ok(()),
    }
}

fn check_key(name: &str) -> Result<(), TwinErrorKind> {
    if name.len() > TWIN_KEY_BYTES_MAX {
        return Err(TwinErrorKind::KeyTooLong);
    }
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '.' | '$' | '#');
    if name.is_empty() || name.contains(forbidden) {
        return Err(TwinErrorKind::BadKey);
    }
    Ok(())
}

fn error(at: &Pointer<'_>, kind: TwinErrorKind) -> TwinError {
    TwinError { path: at.to_string(), kind }
}
