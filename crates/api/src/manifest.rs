//! Deployment manifests: what runs on an edge device.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::collection;

/// A deployment manifest.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentManifest {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub id: Option<String>,
    /// Name shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1)]
    pub display_name: Option<String>,
    /// The manifest: `{"modulesContent": {"$edgeAgent": …, "$edgeHub": …, …}}`.
    #[schema(value_type = Object)]
    pub data: Value,
    /// Changes with every write; send it back to detect a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The organization it belongs to, one at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organizations: Option<Vec<String>>,
}

collection! {
    /// A page of deployment manifests.
    DeploymentManifestCollection of DeploymentManifest
}
