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
    /// Reads the envelope. `None` for anything else: a plain value, or an object that merely has such a member.
    pub fn recognize(reported: &Value) -> Option<Self> {
        let envelope = reported.as_object()?;
        if !envelope.keys().all(|name| matches!(name.as_str(), "value" | "ac" | "av" | "ad")) {
            return None;
        }
        Some(Self {
            // An acknowledged null was deleted by the merge that stored it.
            value: envelope.get("value").cloned().unwrap_or(Value::Null),
            ac: envelope.get("ac")?.as_i64()?,
            av: envelope.get("av")?.as_i64()?,
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

/// Whether a member of a twin section is a component, by its marker.
pub fn is_component(value: &Value) -> bool {
    value.get(COMPONENT_MARKER).and_then(Value::as_str) == Some(COMPONENT_VALUE)
}

/// Marks the members of a component, for a desired patch that touches it.
pub fn mark_component(members: &mut Map<String, Value>) {
    members.insert(COMPONENT_MARKER.to_owned(), COMPONENT_VALUE.into());
}
