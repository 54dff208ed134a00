//! `mqttBroker` of the hub's section: who may use the generic topics, and which topics cross to the parent.
//!
//! ```text
//! { "authorizations": [ { "identities": [text], "allow": [ { operations, resources } ], "deny": [ … ] } ],
//!   "bridges": [ { "endpoint": "$upstream", "settings": [ { "direction": "in"|"out", topic, inPrefix, outPrefix } ] } ] }
//! ```
//! The generic broker left the original product; documents with this section are still met. It is checked, so that a
//! mistake in it is told, and has no effect.

use serde_json::{Map, Value};

use super::problem::{ManifestErrorCode as Code, Problems};
use crate::pointer::Pointer;

const OPERATIONS: &[&str] = &["mqtt:connect", "mqtt:publish", "mqtt:subscribe"];

/// Checks the section.
pub(super) fn check(broker: &Value, at: &Pointer<'_>, problems: &mut Problems) {
    let Some(broker) = problems.object(broker, at) else { return };
    problems.unknown_members(broker, at, |name| matches!(name, "authorizations" | "bridges"));
    each_object(broker.get("authorizations"), &at.key("authorizations"), problems, check_authorization);
    each_object(broker.get("bridges"), &at.key("bridges"), problems, check_bridge);
}

type Check = fn(&Map<String, Value>, &Pointer<'_>, &mut Problems);

/// Runs `check` on every object of an array that may be absent.
fn each_object(array: Option<&Value>, at: &Pointer<'_>, problems: &mut Problems, check: Check) {
    match array {
        None | Some(Value::Null) => {}
        Some(Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                let at = at.index(index);
                if let Some(item) = problems.object(item, &at) {
                    check(item, &at, problems);
                }
            }
        }
        Some(_) => problems.add(at, Code::WrongType, "must be an array"),
    }
}

fn check_authorization(authorization: &Map<String, Value>, at: &Pointer<'_>, problems: &mut Problems) {
    problems.unknown_members(authorization, at, |name| matches!(name, "identities" | "allow" | "deny"));
    texts(authorization, "identities", at, problems);
    for list in ["allow", "deny"] {
        each_object(authorization.get(list), &at.key(list), problems, check_rule);
    }
}

fn check_rule(rule: &Map<String, Value>, at: &Pointer<'_>, problems: &mut Problems) {
    problems.unknown_members(rule, at, |name| matches!(name, "operations" | "resources"));
    let operations = texts(rule, "operations", at, problems);
    for unknown in operations.iter().filter(|operation| !OPERATIONS.contains(operation)) {
        let message = format!("{unknown:?} is no operation: {} are", OPERATIONS.join(", "));
        problems.add(&at.key("operations"), Code::BadValue, message);
    }
    // Connecting concerns no topic, so such a rule may leave the resources out.
    if rule.contains_key("resources") || operations.iter().any(|operation| *operation != "mqtt:connect") {
        texts(rule, "resources", at, problems);
    }
}

fn check_bridge(bridge: &Map<String, Value>, at: &Pointer<'_>, problems: &mut Problems) {
    problems.unknown_members(bridge, at, |name| matches!(name, "endpoint" | "settings"));
    if let Some(endpoint) = problems.required_text(bridge, at, "endpoint")
        && endpoint != "$upstream"
    {
        problems.add(&at.key("endpoint"), Code::BadValue, "endpoint must be \"$upstream\"");
    }
    each_object(bridge.get("settings"), &at.key("settings"), problems, |setting, at, problems| {
        problems.unknown_members(setting, at, |name| matches!(name, "direction" | "topic" | "inPrefix" | "outPrefix"));
        if let Some(direction) = problems.required_text(setting, at, "direction")
            && !matches!(direction, "in" | "out")
        {
            problems.add(&at.key("direction"), Code::BadValue, "direction must be \"in\" or \"out\"");
        }
        problems.required_text(setting, at, "topic");
        problems.optional_text(setting, at, "inPrefix");
        problems.optional_text(setting, at, "outPrefix");
    });
}

/// A required array of texts; empty after a problem.
fn texts<'v>(object: &'v Map<String, Value>, name: &str, at: &Pointer<'_>, problems: &mut Problems) -> Vec<&'v str> {
    let Some(value) = problems.required(object, at, name) else { return Vec::new() };
    let texts: Option<Vec<_>> = value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
    texts.filter(|texts| !texts.is_empty()).unwrap_or_else(|| {
        problems.add(&at.key(name), Code::WrongType, format!("{name} must be an array of at least one text"));
        Vec::new()
    })
}
