//! What the live stream (server-sent events) carries, by event name.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// `event: telemetry`: a device or module sent values.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LiveTelemetry {
    /// Who.
    pub device: String,
    /// The module that sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The component it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// When, in epoch milliseconds.
    pub ts: i64,
    /// The values by name.
    #[schema(value_type = Object, additional_properties)]
    pub values: Map<String, Value>,
    /// Place in the log.
    pub offset: u64,
}

/// `event: properties`: a device or module reported properties.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LiveProperties {
    /// Who.
    pub device: String,
    /// The module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The patch.
    #[schema(value_type = Object, additional_properties)]
    pub properties: Map<String, Value>,
}

/// `event: connection`: a device or module connected or disconnected.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LiveConnection {
    /// Who.
    pub device: String,
    /// The module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// `connected` or `disconnected`.
    pub status: String,
}

/// `event: edge`: an edge device's agent or hub reported; read its view again.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LiveEdge {
    /// Who.
    pub device: String,
}
