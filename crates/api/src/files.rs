//! Files that devices uploaded.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The files of a device.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeviceFiles {
    /// By name.
    pub value: Vec<DeviceFile>,
}

/// A file a device uploaded.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceFile {
    /// Id of the upload; another one when the file is uploaded again.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it is, as the device says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// When its bytes were complete.
    #[schema(format = DateTime)]
    pub uploaded: String,
    /// When it is removed.
    #[schema(format = DateTime)]
    pub kept_until: String,
}
