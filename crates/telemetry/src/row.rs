//! One telemetry message as a row: who sent it, when, and its named values with their types.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One value, typed as its JSON was. Numbers without a fraction are integers: `21` and `21.0` are different values, and are
/// stored in different columns. Comparisons and aggregates treat both as numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A number with a fraction or exponent. Never NaN or infinite when it came from JSON.
    Double(f64),
    /// A number that fits 64 bits with sign.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A string.
    Text(Arc<str>),
    /// Any other JSON (object, array, a number beyond 64 bits), as its compact text.
    Json(Arc<str>),
}

impl Value {
    /// The value of a JSON member; `None` for `null`, which says that there is no value.
    pub fn from_json(json: &serde_json::Value) -> Option<Value> {
        use serde_json::Value as Json;
        Some(match json {
            Json::Null => return None,
            Json::Bool(value) => Value::Boolean(*value),
            Json::String(text) => Value::Text(Arc::from(text.as_str())),
            Json::Number(number) => match (number.as_i64(), number.is_u64(), number.as_f64()) {
                (Some(integer), _, _) => Value::Integer(integer),
                (None, false, Some(double)) => Value::Double(double),
                _ => Value::Json(Arc::from(number.to_string())),
            },
            Json::Object(_) | Json::Array(_) => Value::Json(Arc::from(json.to_string())),
        })
    }

    /// The value as JSON again. A double that JSON cannot say (NaN, infinite) is `null`.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Double(value) => serde_json::Value::from(*value),
            Value::Integer(value) => serde_json::Value::from(*value),
            Value::Boolean(value) => serde_json::Value::from(*value),
            Value::Text(text) => serde_json::Value::from(text.as_ref()),
            // Stored JSON was JSON when it came; if a foreign writer left something else, show it as it is.
            Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::from(text.as_ref())),
        }
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Double(value) => Some(*value),
            // Above 2^53 the nearest double: good enough to compare and to draw, never used to store.
            Value::Integer(value) => Some(*value as f64),
            Value::Boolean(_) | Value::Text(_) | Value::Json(_) => None,
        }
    }

    /// Bytes this value holds beside its own place in the row.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Value::Double(_) | Value::Integer(_) | Value::Boolean(_) => 0,
            Value::Text(text) | Value::Json(text) => text.len() + ARC_BYTES,
        }
    }
}

/// Two counters in front of every shared string.
const ARC_BYTES: usize = 16;

/// One telemetry message of a device, module or component, or one element of it: a message that is an array of objects is as many
/// rows of the same offset, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Device id.
    pub device: Arc<str>,
    /// Module that sent it, if one did.
    pub module: Option<Arc<str>>,
    /// Component of the device's or module's model it belongs to.
    pub component: Option<Arc<str>>,
    /// Telemetry time: when the device says it happened, else when it was enqueued. Milliseconds since 1970.
    pub ts_ms: i64,
    /// When Central received it. Milliseconds since 1970.
    pub enqueued_ms: i64,
    /// Offset of the message in the application's log: its identity.
    pub offset: u64,
    /// Template the device had when it came.
    pub template: Option<Arc<str>>,
    /// Names and values. Should a name appear twice, the last one counts, as in JSON.
    pub values: Vec<(Arc<str>, Value)>,
}

impl Row {
    /// The value of `name`.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.iter().rev().find(|(own, _)| own.as_ref() == name).map(|(_, value)| value)
    }

    /// What newest is decided by: the telemetry time, but none after the arrival, and the offset. A clock that is ahead makes
    /// nothing the newest for longer than until the next message.
    pub fn newest_by(&self) -> (i64, u64) {
        (self.ts_ms.min(self.enqueued_ms), self.offset)
    }

    /// Whether `module` and `component` are exactly those of the row; `None` is the device itself.
    pub fn is_of(&self, module: Option<&str>, component: Option<&str>) -> bool {
        self.module.as_deref() == module && self.component.as_deref() == component
    }

    /// The order of rows in a segment.
    pub fn storage_order(&self, other: &Row) -> Ordering {
        compare_shared(&self.device, &other.device)
            .then_with(|| self.module.cmp(&other.module))
            .then_with(|| self.component.cmp(&other.component))
            .then_with(|| self.ts_ms.cmp(&other.ts_ms))
            .then_with(|| self.offset.cmp(&other.offset))
    }

    /// Estimated memory of the row. Names and ids are counted as pointers: callers share them between rows.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Row>()
            + self.values.capacity() * size_of::<(Arc<str>, Value)>()
            + self.values.iter().map(|(_, value)| value.heap_bytes()).sum::<usize>()
    }
}

/// Most neighbours are of the same device and share the text, which saves reading it.
fn compare_shared(left: &Arc<str>, right: &Arc<str>) -> Ordering {
    if Arc::ptr_eq(left, right) { Ordering::Equal } else { left.cmp(right) }
}

#[cfg(test)]
mod tests;
