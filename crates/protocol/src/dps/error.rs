//! Refusals of the provisioning service.

use serde::{Deserialize, Serialize};

/// A refusal: status, the service's numeric code and words that are safe to show. SDKs give up on 300 to 428 and retry
/// from 429 on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("provisioning error {code}: {message}")]
pub struct DpsError {
    /// HTTP status, also the status in the reply topic.
    pub status: u16,
    /// The service's code, e.g. 401002.
    pub code: u32,
    /// What was wrong.
    pub message: String,
}

impl DpsError {
    /// 400: malformed, or an id that does not fit the connection.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { status: 400, code: 400_000, message: message.into() }
    }

    /// 401002: bad or expired token, unknown registration, unknown certificate.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self { status: 401, code: 401_002, message: message.into() }
    }

    /// 404202: no such operation.
    pub fn unknown_operation() -> Self {
        Self { status: 404, code: 404_202, message: "no such operation".to_owned() }
    }

    /// 429001: asked too often.
    pub fn throttled() -> Self {
        Self { status: 429, code: 429_001, message: "too many requests, try again later".to_owned() }
    }

    /// 500: the service's own fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { status: 500, code: 500_000, message: message.into() }
    }

    /// Whether the refusal asks the client to come back (`retry-after` goes with it).
    pub fn is_retryable(&self) -> bool {
        self.status >= 429
    }

    /// The JSON body. The caller draws the tracking id and tells the time (RFC 3339 UTC).
    pub fn to_json(&self, tracking_id: &str, timestamp_utc: &str) -> Vec<u8> {
        let body = ErrorBody {
            error_code: self.code,
            tracking_id: tracking_id.to_owned(),
            message: self.message.clone(),
            timestamp_utc: timestamp_utc.to_owned(),
        };
        serde_json::to_vec(&body).expect("strings and numbers always serialize")
    }

    /// Reads a refusal from a status and whatever body came with it.
    pub fn from_json(status: u16, body: &[u8]) -> Self {
        let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
        let message = if body.message.is_empty() { format!("status {status}") } else { body.message };
        Self { status, code: body.error_code, message }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody {
    #[serde(default, alias = "code")]
    error_code: u32,
    #[serde(default)]
    tracking_id: String,
    #[serde(default, alias = "errorMessage", alias = "Message")]
    message: String,
    #[serde(default)]
    timestamp_utc: String,
}
