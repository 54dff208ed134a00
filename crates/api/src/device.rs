//! Devices: the record, credentials, relationships, and the open documents that hang on them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::certificate::X509;
use crate::collection;
use crate::manifest::DeploymentManifest;

/// Kinds of devices that need to be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DeviceType {
    /// Runs modules and serves devices of its own.
    IotEdge,
}

/// A device's record.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its id, case-sensitive.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub id: Option<String>,
    /// Changes with every write; send it back to detect a conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Name shown to people; the id when it was not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// `@id` of its template (not of the capability model).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Whether it may connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether it has been through provisioning.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub provisioned: Option<bool>,
    /// Whether Central generates its data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulated: Option<bool>,
    /// The organization it belongs to, one at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organizations: Option<Vec<String>>,
    /// Kind of device; fixed when it is made.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Vec<DeviceType>>,
    /// The manifest it was given, with `expand=deploymentManifest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_manifest: Option<DeploymentManifest>,
}

collection! {
    /// A page of devices.
    DeviceCollection of Device
}

/// A pair of keys in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SymmetricKey {
    /// The key in use.
    pub primary_key: String,
    /// The key to change over to.
    pub secondary_key: String,
}

/// What a device needs to be provisioned.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceCredentials {
    /// Scope to register in.
    pub id_scope: String,
    /// Its keys: its own, or derived from its group's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symmetric_key: Option<SymmetricKey>,
    /// Its certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x509: Option<X509>,
}

/// How a device proves by itself who it is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Attestation {
    /// With one of two symmetric keys.
    SymmetricKey {
        /// The keys.
        #[serde(rename = "symmetricKey")]
        symmetric_key: SymmetricKey,
    },
    /// With one of two certificates.
    X509 {
        /// The certificates.
        x509: X509,
    },
}

/// A gateway and a device behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceRelationship {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub id: Option<String>,
    /// Id of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Id of the device behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

collection! {
    /// A page of relationships.
    DeviceRelationshipCollection of DeviceRelationship
}

/// Property values by name, components under theirs, with `$metadata` at every level.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = HashMap<String, Value>)]
pub struct DeviceProperties(pub Map<String, Value>);

/// The last known value of one telemetry.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeviceTelemetry {
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// When it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub timestamp: Option<String>,
}

/// A component or module a template declares.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionItem {
    /// `Component`, or the types of the module's relationship.
    #[serde(rename = "@type")]
    pub types: Value,
    /// Name in paths and properties.
    pub name: String,
    /// Name shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Value>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Value>,
    /// A note of the model's author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

collection! {
    /// Components or modules.
    Collection of CollectionItem
}

/// A partial document (JSON merge patch): absent members stay, `null` removes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = HashMap<String, Value>)]
pub struct MergePatch(pub Map<String, Value>);
