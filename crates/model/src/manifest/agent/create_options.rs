//! Create options: the engine's container-create body as JSON text, cut into parts that fit the twin's text limit.
//!
//! ```text
//! "createOptions":   "{\"HostConfig\":{\"Bin"      first part, no number
//! "createOptions01": "ds\":[\"/a:/b\"]}}"          then 01, 02 … 99, without gaps
//! ```
//! Parts are joined in that order with nothing between them. Names ignore case. A blank text or null stands for none.
//! Where the service insists on text, a device also takes a JSON object as the only part.

use serde_json::{Map, Value};

use crate::limits::CREATE_OPTIONS_PARTS_MAX;
use crate::manifest::problem::{ManifestErrorCode as Code, Problems};
use crate::pointer::Pointer;

const NAME: &str = "createOptions";

/// Whether a member of `settings` is meant as a part, rightly numbered or not.
pub(super) fn is_part_name(name: &str) -> bool {
    name.get(..NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAME))
}

/// The joined options; empty after a problem.
pub(super) fn join(settings: &Map<String, Value>, at: &Pointer<'_>, problems: &mut Problems) -> Map<String, Value> {
    let Some(parts) = numbered_parts(settings, at, problems) else { return Map::new() };
    if let [(_, Value::Object(options))] = parts.as_slice()
        && !problems.is_service()
    {
        return options.clone();
    }
    let mut text = String::new();
    for (name, part) in &parts {
        match part {
            Value::Null => {}
            Value::String(part) => text.push_str(part),
            _ => {
                problems.add(&at.key(name), Code::WrongType, "create options must be a text that holds JSON");
                return Map::new();
            }
        }
    }
    if text.trim().is_empty() {
        return Map::new();
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(options)) => options,
        Ok(Value::Null) => Map::new(),
        Ok(_) => {
            problems.add(&at.key(NAME), Code::BadCreateOptions, "create options must hold a JSON object");
            Map::new()
        }
        Err(error) => {
            problems.add(&at.key(NAME), Code::BadCreateOptions, format!("create options are no JSON: {error}"));
            Map::new()
        }
    }
}

/// The parts in order, checked to be numbered 0, 1, 2 …
fn numbered_parts<'v>(
    settings: &'v Map<String, Value>,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<Vec<(&'v str, &'v Value)>> {
    let mut parts = Vec::new();
    for (name, value) in settings.iter().filter(|(name, _)| is_part_name(name)) {
        let Some(number) = part_number(&name[NAME.len()..]) else {
            let message = format!("{name} is no part: they are {NAME}, {NAME}01 … {NAME}99");
            problems.add(&at.key(name), Code::BadCreateOptions, message);
            return None;
        };
        parts.push((number, name.as_str(), value));
    }
    parts.sort_by_key(|(number, ..)| *number);
    if let Some((wanted, (_, name, _))) = parts.iter().enumerate().find(|(index, (number, ..))| index != number) {
        let message = format!("{name} does not follow the part before it: number {wanted:02} is missing or doubled");
        problems.add(&at.key(name), Code::BadCreateOptions, message);
        return None;
    }
    Some(parts.into_iter().map(|(_, name, value)| (name, value)).collect())
}

/// No number is 0; otherwise exactly two digits, from 01.
fn part_number(suffix: &str) -> Option<usize> {
    if suffix.is_empty() {
        return Some(0);
    }
    let digits = suffix.len() == 2 && suffix.bytes().all(|byte| byte.is_ascii_digit());
    suffix.parse().ok().filter(|number| digits && (1..CREATE_OPTIONS_PARTS_MAX).contains(number))
}
