//! An edge device seen from the platform: what it should run and what it says it runs.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What an edge device was told and what it reported.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeView {
    /// The manifest it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub manifest: Option<Value>,
    /// When the agent last reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_report: Option<String>,
    /// Version of what it was told.
    pub desired_version: u64,
    /// Version it last tried to apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_version: Option<u64>,
    /// How that went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_status: Option<AppliedStatus>,
    /// Whether the agent is connected.
    pub connected: bool,
    /// Its modules, system modules first.
    pub modules: Vec<EdgeModule>,
    /// Who is or was connected to its hub.
    pub clients: Vec<EdgeClient>,
}

/// How applying a manifest went.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AppliedStatus {
    /// 200 when it was applied.
    pub code: i64,
    /// What went wrong, when something did.
    pub description: String,
}

/// A module of an edge device.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeModule {
    /// Its id.
    pub id: String,
    /// Whether it is the agent or the hub.
    pub is_system: bool,
    /// The image asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The status asked for: `running` or `stopped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The status reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_status: Option<String>,
    /// The last exit code reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// How often it was started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_count: Option<i64>,
    /// The status in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_description: Option<String>,
    /// When it last started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_start: Option<String>,
    /// When it last ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<String>,
    /// When it was last started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_restart: Option<String>,
    /// Whether it is connected to the device's hub, as the hub reported: `connected` or `disconnected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
}

/// A client of an edge device's hub.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeClient {
    /// `device` or `device/module`.
    pub id: String,
    /// `connected` or `disconnected`.
    pub status: String,
    /// When it last connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_connected: Option<String>,
    /// When it last disconnected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_disconnected: Option<String>,
}
