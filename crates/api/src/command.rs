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

/// A command that waits for its device, or did.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuedCommand {
    /// Id of the run.
    pub id: String,
    /// The component, if it is a component's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The command's name.
    pub name: String,
    /// What is sent to the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Value>,
    /// `queued`, `sent`, `answered`, `refused`, `expired` or `purged`.
    pub state: String,
    /// When it was asked for.
    #[schema(format = DateTime)]
    pub requested: String,
    /// Since when it has this state.
    #[schema(format = DateTime)]
    pub changed: String,
}

/// Queued commands of a device.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueuedCommands {
    /// Newest first.
    pub value: Vec<QueuedCommand>,
    /// Messages that wait for the device, commands among them.
    pub waiting: u64,
}

/// What became of a message for a device.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageOutcome {
    /// Id of the message.
    pub message_id: String,
    /// `Success`, `Expired`, `DeliveryCountExceeded`, `Rejected` or `Purged`.
    pub outcome: String,
    /// When it was put into the queue.
    #[schema(format = DateTime)]
    pub enqueued: String,
    /// When it left the queue.
    #[schema(format = DateTime)]
    pub ended: String,
}

/// What became of messages whose sender asked for it, for two days.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MessageOutcomes {
    /// Oldest first.
    pub value: Vec<MessageOutcome>,
}

/// How many messages a queue had that was emptied.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PurgedMessages {
    /// In words, as the command line extension shows them.
    pub message: String,
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
