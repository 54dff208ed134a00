//! Commands and their runs.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::collection;

/// A run of a command.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceCommand {
    /// Id of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub id: Option<String>,
    /// Seconds to wait for the device to connect; 0 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 30)]
    pub connection_timeout: Option<i32>,
    /// Seconds to wait for the answer; 30 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 5, maximum = 30)]
    pub response_timeout: Option<i32>,
    /// What is sent to the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Value>,
    /// What the device answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub response: Option<Value>,
    /// The status the device answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub response_code: Option<i32>,
}

collection! {
    /// A page of runs, newest first.
    DeviceCommandCollection of DeviceCommand
}

/// A direct method to call, as the command line extension sends it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectMethodRequest {
    /// Name of the method.
    pub method_name: String,
    /// What is sent.
    #[serde(default)]
    pub payload: Value,
}

/// What a direct method answered, in the form the command line extension takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum DirectMethodAnswer {
    /// The status alone, when there is no payload.
    Status(i32),
    /// Status and payload.
    WithPayload(DirectMethodPayload),
}

/// An answer that says more than its status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DirectMethodPayload {
    /// The status the method answered.
    pub status: i32,
    /// What it answered.
    pub payload: Value,
}
