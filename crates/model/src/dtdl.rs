//! The Digital Twins Definition Language, version 2: what devices are said to be able to do.
//!
//! Three layers, each usable without the next:
//!
//! - [`Schema`] and the elements ([`Telemetry`], [`Property`], [`Command`] …): the typed side, and whether a JSON value
//!   fits a schema ([`Schema::validate`]).
//! - the reader, which turns JSON into them and reports every departure from the language under a stable code ([`code`])
//!   with a JSON pointer. Device templates are read by it too.
//! - [`validate_documents`]: judges a set of files, the command `tidegate model validate`.
//!
//! Checked: interfaces with telemetry, properties, commands, components, relationships; primitive, complex, geospatial
//! and IoT Central schemas; reusable schemas; semantic types with their units; inheritance; ids, names, lengths,
//! numbers, texts in languages; contexts. References resolve among the given documents only.
//!
//! Not checked, and said so instead of passing silently: documents of versions 1, 3 and 4 ([`code::UNSUPPORTED_VERSION`])
//! and extensions other than IoT Central's ([`code::UNKNOWN_CONTEXT`]). An *undefined* co-type is legal in the language
//! and makes further members of its element legal; nothing is known about those.
//!
//! Refused although legal: spellings of JSON-LD that tools may write and people do not, such as members named by full id
//! (`dtmi:dtdl:property:name;2`), values as `{"@value": …}`, and an array of one where a single value is meant.

pub mod code;
pub mod dtmi;
mod element;
pub(crate) mod graph;
mod iso8601;
pub(crate) mod read;
mod schema;
mod semantic;
mod terms;
mod value;

use serde::Serialize;
use serde_json::Value;

pub use element::{
    Command, CommandPayload, Component, Content, Element, Interface, LocalText, Property, Relationship, Telemetry,
};
pub use schema::{EnumSchema, EnumValue, Field, GeoShape, Schema};
pub use value::SchemaError;

/// One departure from the language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, one of [`code`].
    pub code: &'static str,
    /// What is wrong, for a person.
    pub message: String,
    /// JSON pointer to the place; for something missing, to the object that lacks it.
    pub pointer: String,
}

/// The verdict on one file; as JSON, one line of `tidegate model validate --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The file.
    pub path: String,
    /// Whether nothing was found.
    pub valid: bool,
    /// What was found, up to [`crate::limits::PROBLEMS_MAX`].
    pub errors: Vec<Finding>,
}

impl FileReport {
    /// The report of one file.
    pub fn new(path: impl Into<String>, errors: Vec<Finding>) -> Self {
        Self { path: path.into(), valid: errors.is_empty(), errors }
    }
}

/// Judges a set of DTDL files together: a reference may lead from one to another. Reports come in the order given.
pub fn validate_documents(documents: &[(String, Value)]) -> Vec<FileReport> {
    let mut reader = read::Reader::new(read::Rules::Language, documents.len());
    for (index, (_, json)) in documents.iter().enumerate() {
        reader.file(index, json);
    }
    graph::resolve(&mut reader);
    let findings = reader.into_findings();
    documents.iter().zip(findings).map(|((path, _), errors)| FileReport::new(path, errors)).collect()
}

#[cfg(test)]
mod tests;
