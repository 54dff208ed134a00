//! Messages as devices sent them, and values over time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The newest messages of a device.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MessagePage {
    /// Newest first.
    pub value: Vec<RawMessage>,
}

/// One message.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RawMessage {
    /// Place in the log; ask for what was before it.
    pub offset: u64,
    /// When the hub got it.
    #[schema(format = DateTime)]
    pub enqueued_time: String,
    /// Who sent it.
    pub device: String,
    /// The module that sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The component it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Properties the sender set.
    pub properties: BTreeMap<String, String>,
    /// Properties of the system.
    pub system_properties: BTreeMap<String, String>,
    /// The body if it is JSON, else null.
    pub body: Value,
    /// The body if it is text but not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_text: Option<String>,
    /// The body if it is not text, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

/// Values over time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SeriesResponse {
    /// One a name asked for.
    pub series: Vec<Series>,
}

/// One name's values over time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Series {
    /// The name asked for.
    pub name: String,
    /// `[epoch milliseconds, value | null | [min, max, average]]`, oldest first.
    pub points: Vec<(i64, Value)>,
}
