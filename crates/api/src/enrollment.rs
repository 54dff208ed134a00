//! Enrollment groups: how many devices share one secret.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::certificate::SigningX509;
use crate::collection;
use crate::device::SymmetricKey;

/// Kind of the devices of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum EnrollmentGroupType {
    /// Plain devices.
    Iot,
    /// Edge devices.
    IotEdge,
}

/// How the devices of a group prove who they are.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum GroupAttestation {
    /// With a key derived from one of the group's two.
    SymmetricKey {
        /// The keys; generated when absent.
        #[serde(rename = "symmetricKey", default, skip_serializing_if = "Option::is_none")]
        symmetric_key: Option<SymmetricKey>,
    },
    /// With a certificate that leads to one of the group's two.
    X509 {
        /// The certificates; they may come later.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        x509: Option<SigningX509>,
    },
}

/// An enrollment group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrollmentGroup {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub id: Option<String>,
    /// Name shown to people.
    pub display_name: String,
    /// Whether devices may register through it.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub enabled: bool,
    /// Kind of its devices.
    #[serde(rename = "type")]
    pub kind: EnrollmentGroupType,
    /// How its devices prove who they are.
    pub attestation: GroupAttestation,
    /// Changes with every write; send it back to detect a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Scope its devices register in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub id_scope: Option<String>,
}

fn yes() -> bool {
    true
}

collection! {
    /// A page of enrollment groups.
    EnrollmentGroupCollection of EnrollmentGroup
}
