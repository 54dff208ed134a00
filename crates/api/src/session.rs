//! Signing in to the console.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::permission::Permission;

/// Asks for a session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SignInRequest {
    /// The one-time code of the sign-in link.
    pub code: String,
}

/// Who is signed in, where, and what they may do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Who.
    pub user: SessionUser,
    /// Where.
    pub application: SessionApplication,
    /// What they may do.
    pub permissions: Vec<Permission>,
}

/// The user of a session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionUser {
    /// Their id; an API token's id when a token asks.
    pub id: String,
    /// Their address; absent when a token asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Their roles.
    pub roles: Vec<SessionRole>,
}

/// A role of a session's user.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionRole {
    /// Id of the role.
    pub role: String,
    /// Its name.
    pub display_name: String,
}

/// The application of a session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionApplication {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Where devices register.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisioningInfo {
    /// Scope to register in.
    pub id_scope: String,
    /// Address of the provisioning service.
    pub endpoint: String,
}
