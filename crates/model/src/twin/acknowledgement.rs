//! Conventions of IoT Plug and Play inside twins: acknowledgements of writable properties, and components.
//!
//! ```text
//! acknowledgement  "target": { "value": 22, "ac": 200, "av": 4, "ad": "ok" }
//! component        "motor":  { "__t": "c", "serial": "…" }
//! ```

use serde_json::{Map, Value};

/// Member that tells a component from an object-valued property.
pub const COMPONENT_MARKER: &str = "__t";
/// The marker's value.
pub const COMPONENT_VALUE: &str = "c";

/// A device's answer to a desired value of a writable property.
#[derive(Debug, Clone, PartialEq)]
pub struct Acknowledgement {
    /// The value the device uses now.
    pub value: Value,
    /// Status, HTTP-like: 200 done, 202 in progress, 203 the device's own initial value, 4xx and 5xx refused.
    pub ac: i64,
    /// The desired `$version` being answered; 0 with `ac` 203.
    pub av: i64,
    /// Free text for a person.
    pub ad: Option<String>,
}

impl Acknowledgement {
    /// Reads the envelope: an object with code and version, and the value. `None` for anything else: a plain value, or an object
    /// that merely has such a member. Further members are not looked at.
    pub fn recognize(reported: &Value) -> Option<Self> {
        let envelope = reported.as_object()?;
        // An acknowledged null was deleted by the merge that stored it; then there is nothing but the envelope's own.
        let is_bare = || envelope.keys().all(|name| matches!(name.as_str(), "ac" | "av" | "ad"));
        if !envelope.contains_key("value") && !is_bare() {
            return None;
        }
        Some(Self {
            value: envelope.get("value").cloned().unwrap_or(Value::Null),
            ac: whole_number(envelope.get("ac")?)?,
            av: whole_number(envelope.get("av")?)?,
            ad: envelope.get("ad").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// The envelope as a device reports it.
    pub fn to_json(&self) -> Value {
        let mut envelope = Map::new();
        envelope.insert("value".to_owned(), self.value.clone());
        envelope.insert("ac".to_owned(), self.ac.into());
        envelope.insert("av".to_owned(), self.av.into());
        if let Some(description) = &self.ad {
            envelope.insert("ad".to_owned(), description.clone().into());
        }
        Value::Object(envelope)
    }
}

/// A number without a fraction, however it is written.
fn whole_number(value: &Value) -> Option<i64> {
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() < 2f64.powi(53)).then_some(number as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(whole))
}

/// Whether a member of a twin section is a component, by its marker.
pub fn is_component(value: &Value) -> bool {
    value.get(COMPONENT_MARKER).and_then(Value::as_str) == Some(COMPONENT_VALUE)
}

/// Marks the members of a component, for a desired patch that touches it.
pub fn mark_component(members: &mut Map<String, Value>) {
    members.insert(COMPONENT_MARKER.to_owned(), COMPONENT_VALUE.into());
}
