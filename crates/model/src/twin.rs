//! Twins: the JSON document a device or module shares with the service.
//!
//! A twin has two sections. *Desired* is written by the service and read by the device, *reported* the other way
//! round. Each is a JSON object with a version that grows by one with every accepted update:
//!
//! ```text
//! what a device reads (GET)             what the service reads ("properties")
//! { "desired":  { …, "$version": 3 },   { "desired":  { …, "$metadata": {…}, "$version": 3 },
//!   "reported": { …, "$version": 7 } }    "reported": { …, "$metadata": {…}, "$version": 7 } }
//! ```
//!
//! Updates are JSON merge patches (RFC 7396): objects merge, `null` deletes, anything else replaces. The rules every
//! patch and every stored section obey are in [`validate_patch`]; an update that breaks one leaves the section as it
//! was. `$metadata` mirrors the section with the time each level last changed.
//!
//! Nothing here reads a clock: callers pass `now`.

mod acknowledgement;
mod document;
mod metadata;
mod patch;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

pub use acknowledgement::{Acknowledgement, COMPONENT_MARKER, COMPONENT_VALUE, is_component, mark_component};
pub use document::{TwinError, TwinErrorKind, document_bytes, validate_patch, validate_tags};
pub use metadata::format_time;
pub use patch::{diff, merge_patch};

/// Which half of a twin: it decides what metadata is kept (`$lastUpdatedVersion` exists in desired only).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Written by the service, read by the device.
    Desired,
    /// Written by the device, read by the service.
    Reported,
}

/// One half of a twin: its content, version and times.
#[derive(Debug, Clone, PartialEq)]
pub struct TwinSection {
    /// The content, without `$version` and `$metadata`. Holds no null outside arrays.
    pub properties: Map<String, Value>,
    /// 1 for a new section, one more for each accepted update.
    pub version: u64,
    /// `$lastUpdated` (and in desired `$lastUpdatedVersion`) for the section, each object and each leaf in it.
    /// Empty until the first update.
    pub metadata: Map<String, Value>,
}

/// What [`TwinSection::follow`] made of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// It was the next version and is merged.
    Merged,
    /// Its version is already known: nothing changed.
    Stale,
    /// Versions are missing in between, or the patch carries none: read the whole twin again.
    Gap,
}

impl Default for TwinSection {
    fn default() -> Self {
        Self { properties: Map::new(), version: 1, metadata: Map::new() }
    }
}

impl TwinSection {
    /// Merges `patch` and raises the version. Members `$version` and `$metadata` at its top are ignored.
    ///
    /// # Errors
    /// When the patch, or the section it would lead to, breaks a document rule; the section is then unchanged.
    pub fn patch(&mut self, section: Section, patch: &Value, now: OffsetDateTime) -> Result<u64, TwinError> {
        validate_patch(patch)?;
        self.merge(section, &without_service_members(patch), now)
    }

    /// Merges a patch that needs no check of its own; what it leads to is checked.
    fn merge(&mut self, section: Section, patch: &Value, now: OffsetDateTime) -> Result<u64, TwinError> {
        let mut merged = Value::Object(self.properties.clone());
        merge_patch(&mut merged, patch);
        document::validate_section(&merged)?;
        let Value::Object(merged) = merged else { unreachable!("an object patch leaves an object") };
        self.properties = merged;
        self.version += 1;
        let stamp = metadata::Stamp::new(now, (section == Section::Desired).then_some(self.version));
        metadata::update(&mut self.metadata, patch, &stamp);
        Ok(self.version)
    }

    /// Makes the content equal to `properties`, as the patch that leads there, and returns that patch: it is what a
    /// connected device has to be told.
    ///
    /// # Errors
    /// As for [`TwinSection::patch`].
    pub fn replace(&mut self, section: Section, properties: &Value, now: OffsetDateTime) -> Result<Value, TwinError> {
        validate_patch(properties)?;
        let mut wanted = Value::Object(Map::new());
        merge_patch(&mut wanted, &without_service_members(properties));
        let patch = diff(&Value::Object(self.properties.clone()), &wanted);
        // It names everything that goes beside everything that comes: more than either document may hold.
        self.merge(section, &patch, now)?;
        Ok(patch)
    }

    /// Takes a desired-properties notification as its receiver: `patch` carries its own `$version`.
    pub fn follow(&mut self, patch: &Value) -> Followed {
        let Some(version) = patch.get("$version").and_then(Value::as_u64) else { return Followed::Gap };
        if version <= self.version {
            return Followed::Stale;
        }
        if version != self.version + 1 {
            return Followed::Gap;
        }
        let mut merged = Value::Object(std::mem::take(&mut self.properties));
        merge_patch(&mut merged, &without_service_members(patch));
        if let Value::Object(merged) = merged {
            self.properties = merged;
        }
        self.version = version;
        Followed::Merged
    }

    /// The content with `$version` at its end: the form devices see.
    pub fn to_device_json(&self) -> Value {
        let mut object = self.properties.clone();
        object.insert("$version".to_owned(), self.version.into());
        Value::Object(object)
    }

    /// Reads the form of [`TwinSection::to_device_json`]; a section without `$version` counts as version 1.
    /// `None` when it is no object.
    pub fn from_device_json(json: &Value) -> Option<Self> {
        let version = json.get("$version").and_then(Value::as_u64).unwrap_or(1);
        let Value::Object(properties) = without_service_members(json) else { return None };
        Some(Self { properties, version, metadata: Map::new() })
    }

    /// The content with `$metadata` and `$version`: the form the service sees.
    pub fn to_service_json(&self) -> Value {
        let mut object = self.properties.clone();
        object.insert("$metadata".to_owned(), Value::Object(self.metadata.clone()));
        object.insert("$version".to_owned(), self.version.into());
        Value::Object(object)
    }
}

/// Both sections of one identity's twin.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Twin {
    /// What the service wants.
    pub desired: TwinSection,
    /// What the device says.
    pub reported: TwinSection,
}

impl Twin {
    /// The answer to a device that reads its twin.
    pub fn to_device_json(&self) -> Value {
        json!({ "desired": self.desired.to_device_json(), "reported": self.reported.to_device_json() })
    }

    /// Reads the answer of a hub. `None` when a section is missing or no object.
    pub fn from_device_json(json: &Value) -> Option<Self> {
        Some(Self {
            desired: TwinSection::from_device_json(json.get("desired")?)?,
            reported: TwinSection::from_device_json(json.get("reported")?)?,
        })
    }

    /// The `properties` member of a twin as the service API shows it.
    pub fn to_service_json(&self) -> Value {
        json!({ "desired": self.desired.to_service_json(), "reported": self.reported.to_service_json() })
    }
}

/// The body of a desired-properties notification: the patch with the version it led to.
pub fn desired_notification(patch: &Value, version: u64) -> Value {
    let mut body = without_service_members(patch);
    body["$version"] = version.into();
    body
}

/// A copy without `$version` and `$metadata` at the top: clients echo them back, and they are never content.
fn without_service_members(section: &Value) -> Value {
    let mut copy = section.clone();
    if let Some(object) = copy.as_object_mut() {
        object.remove("$version");
        object.remove("$metadata");
    }
    copy
}

#[cfg(test)]
mod tests;
