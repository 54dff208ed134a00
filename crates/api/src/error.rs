//! The error body every failing request answers with.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every answer that is not a success.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Error {
    /// What went wrong.
    pub error: ErrorDetails,
}

/// What went wrong: a stable code for programs, a sentence for people, an id for whoever reads the log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorDetails {
    /// Stable name of the kind of error; also in the header `x-ms-error-code`.
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// Id of the request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When, as an HTTP date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Which parts of the body are wrong, when the body is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner_error: Option<InnerError>,
}

/// Which parts of a body are wrong.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InnerError {
    /// One entry a fault.
    pub context: Vec<ErrorContext>,
}

/// One fault in a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorContext {
    /// JSON pointer to the part that is wrong.
    pub data_path: String,
    /// What is wrong with it.
    pub message: String,
}
