//! The provisioning exchange: a device that knows only an id scope, its registration id and a key learns its hub.
//!
//! ```text
//! device                                   service
//!   | register {payload} ------------------> |
//!   | <------ 202 operationId, "assigning"   |    (retry-after seconds)
//!   | status operationId ------------------> |
//!   | <------ 200 "assigned", hub, device id |    or "failed" / "disabled", also 200
//! ```
//!
//! The bodies are the same over MQTT, HTTPS and AMQP. Topics are in [`crate::hub::topic`], the CONNECT user name in
//! [`crate::hub::username`].

mod body;
mod error;
mod request;

pub use body::{
    AssignmentStatus, CertificateInfo, OperationStatus, RegistrationState, Substatus, SymmetricKeyResult, X509Result,
};
pub use error::DpsError;
pub use request::{RegisterRequest, TpmAttestation};

/// Seconds a client is asked to wait before it polls (suits all SDKs; C# raises lower values to 2).
pub const RETRY_AFTER_SECS: u32 = 3;

/// The api-version our own device role announces.
pub const API_VERSION: &str = "2019-03-31";

/// The resource a registration's token is signed for: `{scope}/registrations/{reg}`, unescaped.
pub fn audience(id_scope: &str, registration_id: &str) -> String {
    format!("{id_scope}/registrations/{registration_id}")
}

/// The policy name that goes with tokens for provisioning.
pub const POLICY: &str = "registration";

/// Whether a text may be a registration id: 1 to 128 letters, digits, `-`, `.`, `_`, `:`, the last a letter,
/// a digit or a dash.
pub fn is_registration_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= crate::limits::ID_BYTES_MAX
        && bytes.last().is_some_and(|last| last.is_ascii_alphanumeric() || *last == b'-')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(byte))
}

#[cfg(test)]
mod tests;
