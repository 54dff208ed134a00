//! What the service answers to register and to a poll, as JSON both ways.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AssignmentStatus {
    /// Never assigned.
    Unassigned,
    /// Under way: poll.
    Assigning,
    /// Done.
    Assigned,
    /// Ended without an assignment; see the error members.
    Failed,
    /// The enrollment is disabled.
    Disabled,
}

/// How an assignment came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Substatus {
    /// The first one.
    InitialAssignment,
    /// Moved to another hub with its data.
    DeviceDataMigrated,
    /// Assigned again from the initial twin.
    DeviceDataReset,
    /// Assigned again to the hub it had at first.
    ReprovisionedToInitialAssignment,
}

/// The enrollment group behind a symmetric-key registration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SymmetricKeyResult {
    /// Absent for an individual enrollment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrollment_group_id: Option<String>,
}

/// The certificate behind an X.509 registration, and its enrollment group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct X509Result {
    /// Absent for an individual enrollment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrollment_group_id: Option<String>,
    /// The certificate the device has shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_info: Option<CertificateInfo>,
}

/// What tells a certificate from others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateInfo {
    /// Hex digits.
    #[serde(default)]
    pub sha1_thumbprint: String,
    /// Hex digits.
    #[serde(default)]
    pub sha256_thumbprint: String,
}

/// The registration's state. `registrationId` and `status` are always written: the Edge identity service needs them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationState {
    /// The registration id.
    #[serde(default)]
    pub registration_id: String,
    /// First registration, RFC 3339 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_date_time_utc: Option<String>,
    /// Bare host name of the hub: SDKs append their own ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_hub: Option<String>,
    /// The device's id on that hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Where the registration stands.
    #[serde(default = "unassigned")]
    pub status: AssignmentStatus,
    /// How the assignment came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substatus: Option<Substatus>,
    /// Last change, RFC 3339 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_date_time_utc: Option<String>,
    /// Version of the registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Result of a custom allocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Present for symmetric-key registrations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symmetric_key: Option<SymmetricKeyResult>,
    /// Present for registrations with a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x509: Option<X509Result>,
    /// Why it failed or is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

fn unassigned() -> AssignmentStatus {
    AssignmentStatus::Unassigned
}

impl RegistrationState {
    /// A state that says nothing but where the registration stands.
    pub fn new(registration_id: &str, status: AssignmentStatus) -> Self {
        Self {
            registration_id: registration_id.to_owned(),
            created_date_time_utc: None,
            assigned_hub: None,
            device_id: None,
            status,
            substatus: None,
            last_updated_date_time_utc: None,
            etag: None,
            payload: None,
            symmetric_key: None,
            x509: None,
            error_code: None,
            error_message: None,
        }
    }

    /// A registration assigned to a hub.
    pub fn assigned(registration_id: &str, hub: &str, device_id: &str) -> Self {
        Self {
            assigned_hub: Some(hub.to_owned()),
            device_id: Some(device_id.to_owned()),
            substatus: Some(Substatus::InitialAssignment),
            ..Self::new(registration_id, AssignmentStatus::Assigned)
        }
    }

    /// A registration that failed or is disabled, with both members the Edge identity service asks for.
    pub fn refused(registration_id: &str, status: AssignmentStatus, code: u32, message: &str) -> Self {
        Self { error_code: Some(code), error_message: Some(message.to_owned()), ..Self::new(registration_id, status) }
    }
}

/// The answer to register and to a poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationStatus {
    /// What to poll with. Always written: C needs it in every answer.
    #[serde(default)]
    pub operation_id: String,
    /// Where the registration stands.
    pub status: AssignmentStatus,
    /// The state, once there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_state: Option<RegistrationState>,
}

impl OperationStatus {
    /// An assignment under way.
    pub fn assigning(operation_id: &str, registration_id: &str) -> Self {
        Self::with_state(operation_id, RegistrationState::new(registration_id, AssignmentStatus::Assigning))
    }

    /// An answer that carries this state.
    pub fn with_state(operation_id: &str, state: RegistrationState) -> Self {
        Self { operation_id: operation_id.to_owned(), status: state.status, registration_state: Some(state) }
    }

    /// Whether the client should poll again.
    pub fn is_pending(&self) -> bool {
        matches!(self.status, AssignmentStatus::Assigning | AssignmentStatus::Unassigned)
    }

    /// The status that goes with the body over MQTT and on polls: 202 while assigning, 200 when done (also when it failed).
    pub fn http_status(&self) -> u16 {
        if self.is_pending() { 202 } else { 200 }
    }

    /// The JSON body.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and JSON values always serialize")
    }
}
