//! Device templates: what a kind of device can do, in the JSON form of IoT Central.
//!
//! ```text
//! { "@type": ["ModelDefinition", "DeviceModel", "EdgeModel"?, "GatewayModel"?],
//!   "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
//!   "displayName": …, "description": …,
//!   "capabilityModel": <one DTDL interface, the root> }
//! ```
//!
//! The document is kept as it was sent; [`Capabilities`] is the index that programs ask. Its key is the [`Scope`]: where
//! a capability lives on the wire and in the API.
//!
//! | Scope | In the document | Telemetry column |
//! |---|---|---|
//! | root | `contents` of the root and of everything it extends | `name` |
//! | component | `{"@type": "Component", "name", "schema": <interface>}` in the root | `component.name` |
//! | module | `{"@type": ["Relationship", "EdgeModule"], "name", "target": [<interface>]}` in the root | `module.name` |
//! | component of a module | a component in the module's interface | `module.component.name` |
//!
//! Inherited interfaces have no scope of their own: the properties of `management` are at the root of a module's twin.

mod capabilities;
mod from_manifest;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::dtdl::read::{Reader, Rules};
use crate::dtdl::{code, dtmi, graph};
use crate::pointer::Pointer;

pub use crate::dtdl::{
    Command, CommandPayload, Element, EnumSchema, EnumValue, Field, GeoShape, LocalText, Property, Schema, SchemaError,
    Telemetry,
};
pub use capabilities::{Capabilities, ChildType, Column, Scope, ScopeCapabilities};
pub use from_manifest::{Warning, from_manifest};

/// One thing wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} (at \"{pointer}\")")]
pub struct TemplateError {
    /// JSON pointer to the place; for something missing, to the object that lacks it.
    pub pointer: String,
    /// What is wrong, for a person.
    pub message: String,
    /// The rule, one of [`crate::dtdl::code`].
    pub code: &'static str,
}

/// A template that passed all checks.
#[derive(Debug, Clone)]
pub struct DeviceTemplate {
    json: Value,
    model_id: String,
    display_name: Option<LocalText>,
    description: Option<LocalText>,
    is_edge: bool,
    is_gateway: bool,
    capabilities: Capabilities,
}

impl DeviceTemplate {
    /// Reads a template document. Members nobody defined are kept and ignored.
    ///
    /// # Errors
    /// Everything found, up to [`crate::limits::PROBLEMS_MAX`].
    pub fn parse(json: Value) -> Result<Self, Vec<TemplateError>> {
        let outline = read(&json)?;
        Ok(Self {
            json,
            model_id: outline.model_id,
            display_name: outline.display_name,
            description: outline.description,
            is_edge: outline.types.iter().any(|name| name == "EdgeModel"),
            is_gateway: outline.types.iter().any(|name| name == "GatewayModel"),
            capabilities: outline.capabilities,
        })
    }

    /// The document as it was sent.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// The template's own id, where the document carries it (it comes from the path of the request otherwise).
    pub fn id(&self) -> Option<&str> {
        self.json.get("@id").and_then(Value::as_str)
    }

    /// Id of the root interface: what a device names as its model id.
    pub fn model_id(&self) -> &str {
        &self.model_id
    }

    /// Name for people.
    pub fn display_name(&self) -> Option<&LocalText> {
        self.display_name.as_ref()
    }

    /// Description for people.
    pub fn description(&self) -> Option<&LocalText> {
        self.description.as_ref()
    }

    /// Whether its devices run modules.
    pub fn is_edge(&self) -> bool {
        self.is_edge
    }

    /// Whether its devices may have downstream devices.
    pub fn is_gateway(&self) -> bool {
        self.is_gateway
    }

    /// What its devices can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The modules it declares, in order. Their names equal the module ids in the manifest.
    pub fn modules(&self) -> &[Element] {
        self.capabilities.modules()
    }

    /// The components of the device itself (`None`) or of a module.
    pub fn components(&self, module: Option<&str>) -> &[Element] {
        self.capabilities.components(module)
    }

    /// The kinds of downstream devices it declares.
    pub fn children(&self) -> &[ChildType] {
        self.capabilities.children()
    }
}

/// What reading a document yields beside itself.
struct Outline {
    model_id: String,
    types: Vec<String>,
    display_name: Option<LocalText>,
    description: Option<LocalText>,
    capabilities: Capabilities,
}

fn read(json: &Value) -> Result<Outline, Vec<TemplateError>> {
    let mut reader = Reader::new(Rules::Template, 1);
    let root = Pointer::root("");
    let outline = json.as_object().and_then(|object| read_outside(object, &root, &mut reader));
    if !json.is_object() {
        reader.add(&root, code::WRONG_TYPE, "a template must be an object");
    }
    let graph = graph::resolve(&mut reader);
    let errors: Vec<_> = reader.into_findings().into_iter().flatten().map(TemplateError::from).collect();
    match outline {
        Some((mut outline, id)) if errors.is_empty() => {
            outline.capabilities = Capabilities::of(&graph, &id);
            outline.model_id = id;
            Ok(outline)
        }
        _ => Err(errors),
    }
}

/// Reads everything; the capabilities are filled in once references are resolved.
fn read_outside<'v>(
    object: &'v Map<String, Value>,
    at: &Pointer<'_>,
    reader: &mut Reader<'v>,
) -> Option<(Outline, String)> {
    let types = reader.types(object, at);
    for wanted in ["ModelDefinition", "DeviceModel"] {
        if !types.iter().any(|name| name == wanted) {
            reader.add(at, code::UNKNOWN_TYPE, format!("@type of a template must hold {wanted}"));
        }
    }
    if let Some(id) = object.get("@id")
        && !id.as_str().is_some_and(dtmi::is_template_id)
    {
        reader.add(
            &at.key("@id"),
            code::BAD_DTMI,
            "@id must be a DTMI: dtmi:<segment>[:<segment>…], with ;<version> or without",
        );
    }
    if !reader.context(object, at) {
        return None;
    }
    let (display_name, description) = reader.texts(object, at);
    let model = reader.required(object, at, "capabilityModel")?;
    let id = reader.interface(model, &at.key("capabilityModel"))?;
    let capabilities = Capabilities::default();
    Some((Outline { model_id: String::new(), types, display_name, description, capabilities }, id))
}

impl From<crate::dtdl::Finding> for TemplateError {
    fn from(finding: crate::dtdl::Finding) -> Self {
        Self { pointer: finding.pointer, message: finding.message, code: finding.code }
    }
}

#[cfg(test)]
mod tests;
