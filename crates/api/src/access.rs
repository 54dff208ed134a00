//! Who may do what: API tokens, roles, users.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::collection;

/// A role given to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoleAssignment {
    /// Id of the role.
    pub role: String,
    /// Organization it is limited to; the whole application when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

/// A role.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// Its id, the same in every application.
    #[schema(read_only)]
    pub id: String,
    /// Its name.
    pub display_name: String,
}

collection! {
    /// A page of roles.
    RoleCollection of Role
}

/// A token programs authenticate with.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApiToken {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub id: Option<String>,
    /// What it may do; at least one role.
    #[schema(min_items = 1)]
    pub roles: Vec<RoleAssignment>,
    /// When it stops working; one year from now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expiry: Option<String>,
    /// Its text, shown once: in the answer to the request that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub token: Option<String>,
}

collection! {
    /// A page of API tokens.
    ApiTokenCollection of ApiToken
}

/// Kinds of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum UserType {
    /// A person with an e-mail address.
    Email,
}

/// Somebody who may sign in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Their id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub id: Option<String>,
    /// Kind of user.
    #[serde(rename = "type")]
    pub kind: UserType,
    /// Their address.
    pub email: String,
    /// What they may do; at least one role.
    #[schema(min_items = 1)]
    pub roles: Vec<RoleAssignment>,
}

collection! {
    /// A page of users.
    UserCollection of User
}
