//! Digital twin model identifiers.
//!
//! ```text
//! dtmi:<segment>[:<segment>…];<version>
//! segment   letters, digits, underscores; first not a digit, last not an underscore
//! version   1 to 999999999, no leading zero
//! ```
//! A segment that starts with an underscore makes a *system* id, which documents must not use. The prefixes
//! `dtmi:dtdl:` and `dtmi:standard:` belong to the language.

/// The first segments that belong to the language.
const RESERVED: &[&str] = &["dtdl", "standard"];

/// Whether a text is an id that a document may define.
pub fn is_user_dtmi(text: &str) -> bool {
    is_user_dtmi_syntax(text) && !is_reserved(text)
}

/// Whether a text has the form of a user id, whoever owns its prefix.
pub fn is_user_dtmi_syntax(text: &str) -> bool {
    let Some((path, version)) = text.strip_prefix("dtmi:").and_then(|rest| rest.split_once(';')) else {
        return false;
    };
    is_version(version) && path.split(':').all(is_user_segment)
}

/// Whether a text may be the id of a device template. IoT Central makes them of random segments, and without a version.
pub fn is_template_id(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("dtmi:") else { return false };
    let (path, version) = rest.split_once(';').unwrap_or((rest, "1"));
    let is_segment =
        |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_version(version) && path.split(':').all(is_segment) && !is_reserved(text)
}

/// Whether a text may be an id inside a device template. IoT Central takes any there, and makes such of its own.
pub fn is_template_element_id(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control()) && !is_reserved(text)
}

fn is_reserved(text: &str) -> bool {
    text.starts_with("dtmi:") && RESERVED.contains(&segments(text).next().unwrap_or_default())
}

/// The segments of an id between `dtmi:` and `;`.
pub fn segments(dtmi: &str) -> impl Iterator<Item = &str> {
    let path = dtmi.strip_prefix("dtmi:").unwrap_or(dtmi);
    path.split(';').next().unwrap_or(path).split(':')
}

/// The version of an id, as written.
pub fn version(dtmi: &str) -> Option<&str> {
    dtmi.split_once(';').map(|(_, version)| version)
}

/// Letters, digits and underscores, starting with a letter, not ending with an underscore. DTDL names have the same
/// form.
pub(crate) fn is_user_segment(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with('_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_version(text: &str) -> bool {
    (1..=9).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
