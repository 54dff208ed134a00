//! Device templates: what kinds of devices there are.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::collection;

/// A device template: a JSON-LD document, of which the outside is described here.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTemplate {
    /// Its id.
    #[serde(rename = "@id", default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub id: Option<String>,
    /// `ModelDefinition`, `DeviceModel`, and `EdgeModel` or `GatewayModel` where they apply.
    #[serde(rename = "@type")]
    #[schema(value_type = Vec<String>)]
    pub types: Value,
    /// Changes with every write; send it back to detect a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Name shown to people: a text, or texts by language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Value>,
    /// What it is for: a text, or texts by language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Value>,
    /// The root interface (DTDL v2).
    #[schema(value_type = Object)]
    pub capability_model: Value,
    /// `@context` and whatever else the document holds.
    #[serde(flatten)]
    #[schema(additional_properties)]
    pub rest: Map<String, Value>,
}

collection! {
    /// A page of device templates.
    DeviceTemplateCollection of DeviceTemplate
}

/// What a template is generated from.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateFromManifestRequest {
    /// Id of the template to be.
    pub id: String,
    /// Its name.
    pub display_name: String,
    /// The deployment manifest.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// A generated template, not yet stored.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TemplateFromManifestResponse {
    /// The template.
    pub template: DeviceTemplate,
    /// What the manifest holds and a template cannot.
    pub warnings: Vec<String>,
}
