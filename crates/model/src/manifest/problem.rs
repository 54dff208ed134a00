//! What is wrong with a document, where, and how strictly it is judged.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::limits::PROBLEMS_MAX;
use crate::pointer::Pointer;

/// One problem of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} (at \"{pointer}\")")]
pub struct ManifestError {
    /// JSON pointer to the place.
    pub pointer: String,
    /// What is wrong, for a person.
    pub message: String,
    /// The rule, for a program.
    pub code: ManifestErrorCode,
}

/// The rules a manifest is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestErrorCode {
    /// A required member is absent.
    MissingMember,
    /// A value has another JSON type than it must have.
    WrongType,
    /// A member nobody defined: most often a misspelled one.
    UnknownMember,
    /// A value that is not among the allowed ones, or out of range.
    BadValue,
    /// A name with characters it must not have, or a reserved one.
    BadName,
    /// `schemaVersion` is no version, or none that is supported.
    BadSchemaVersion,
    /// An image name that cannot be read.
    BadImage,
    /// Create options that are no JSON object, or whose parts have a gap.
    BadCreateOptions,
    /// A route that is blank or does not parse.
    BadRoute,
    /// A rule of twin documents (size, depth, keys, text length) is broken.
    TwinLimit,
    /// A path of a layered deployment where a full one is needed.
    Layered,
}

impl ManifestErrorCode {
    /// The stable text of the code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingMember => "missingMember",
            Self::WrongType => "wrongType",
            Self::UnknownMember => "unknownMember",
            Self::BadValue => "badValue",
            Self::BadName => "badName",
            Self::BadSchemaVersion => "badSchemaVersion",
            Self::BadImage => "badImage",
            Self::BadCreateOptions => "badCreateOptions",
            Self::BadRoute => "badRoute",
            Self::TwinLimit => "twinLimit",
            Self::Layered => "layered",
        }
    }
}

/// Who judges: the service what a person wrote, or the device what reached it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Service,
    Device,
}

/// Collects problems while a document is read. Readers go on after one, so a person sees all of them at once.
pub(super) struct Problems {
    pub(super) level: Level,
    errors: Vec<ManifestError>,
}

impl Problems {
    pub(super) fn new(level: Level) -> Self {
        Self { level, errors: Vec::new() }
    }

    pub(super) fn is_service(&self) -> bool {
        self.level == Level::Service
    }

    pub(super) fn any(&self) -> bool {
        !self.errors.is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<ManifestError> {
        self.errors
    }

    pub(super) fn add(&mut self, at: &Pointer<'_>, code: ManifestErrorCode, message: impl Into<String>) {
        if self.errors.len() < PROBLEMS_MAX {
            self.errors.push(ManifestError { pointer: at.to_string(), message: message.into(), code });
        }
    }

    fn wrong_type(&mut self, value: &Value, at: &Pointer<'_>, wanted: &str) {
        self.add(at, ManifestErrorCode::WrongType, format!("must be {wanted}, is {}", type_name(value)));
    }

    /// The member `name`; when absent a problem of the object that lacks it. `null` counts as absent: a twin never
    /// stores it.
    pub(super) fn required<'v>(
        &mut self,
        object: &'v Map<String, Value>,
        at: &Pointer<'_>,
        name: &str,
    ) -> Option<&'v Value> {
        let found = object.get(name).filter(|value| !value.is_null());
        if found.is_none() {
            self.add(at, ManifestErrorCode::MissingMember, format!("{name} is required"));
        }
        found
    }

    pub(super) fn object<'v>(&mut self, value: &'v Value, at: &Pointer<'_>) -> Option<&'v Map<String, Value>> {
        if !value.is_object() {
            self.wrong_type(value, at, "an object");
        }
        value.as_object()
    }

    pub(super) fn required_object<'v>(
        &mut self,
        object: &'v Map<String, Value>,
        at: &Pointer<'_>,
        name: &str,
    ) -> Option<&'v Map<String, Value>> {
        let value = self.required(object, at, name)?;
        self.object(value, &at.key(name))
    }

    pub(super) fn optional_object<'v>(
        &mut self,
        object: &'v Map<String, Value>,
        at: &Pointer<'_>,
        name: &str,
    ) -> Option<&'v Map<String, Value>> {
        let value = object.get(name).filter(|value| !value.is_null())?;
        self.object(value, &at.key(name))
    }

    pub(super) fn text<'v>(&mut self, value: &'v Value, at: &Pointer<'_>) -> Option<&'v str> {
        if !value.is_string() {
            self.wrong_type(value, at, "a text");
        }
        value.as_str()
    }

    pub(super) fn required_text<'v>(
        &mut self,
        object: &'v Map<String, Value>,
        at: &Pointer<'_>,
        name: &str,
    ) -> Option<&'v str> {
        let value = self.required(object, at, name)?;
        self.text(value, &at.key(name))
    }

    /// A text that may be absent or null: empty then.
    pub(super) fn optional_text<'v>(
        &mut self,
        object: &'v Map<String, Value>,
        at: &Pointer<'_>,
        name: &str,
    ) -> &'v str {
        match object.get(name) {
            None | Some(Value::Null) => "",
            Some(value) => self.text(value, &at.key(name)).unwrap_or_default(),
        }
    }

    /// A whole number from 0 to `max`. `None` when absent; a problem, and also `None`, when it is anything else.
    pub(super) fn optional_integer(
        &mut self,
        object: &Map<String, Value>,
        at: &Pointer<'_>,
        name: &str,
        max: u64,
    ) -> Option<u64> {
        let value = object.get(name)?;
        let found = value.as_u64().filter(|number| *number <= max);
        if found.is_none() {
            self.add(
                &at.key(name),
                ManifestErrorCode::BadValue,
                format!("{name} must be a whole number from 0 to {max}"),
            );
        }
        found
    }

    /// At the service's level, each member that `known` does not name is a problem. Devices ignore such members.
    pub(super) fn unknown_members(
        &mut self,
        object: &Map<String, Value>,
        at: &Pointer<'_>,
        known: impl Fn(&str) -> bool,
    ) {
        if self.is_service() {
            for name in object.keys().filter(|name| !known(name)) {
                self.add(&at.key(name), ManifestErrorCode::UnknownMember, format!("{name} is not a known member"));
            }
        }
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
