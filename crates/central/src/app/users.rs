//! Users: people with an e-mail address.

use api::access::{RoleAssignment, User, UserType};
use events::clock::now_ms;
use registry::{CountMax, IdField, Precondition, UserRow};
use serde_json::{Map, Value};

use super::page::Cursor;
use super::resource::Managed;
use super::tokens::{check_id, read_roles};
use super::{Access, App, AppError, roles};
use crate::limits::{EMAIL_CHARS_MAX, USERS_MAX};

/// Users, as people manage them.
pub struct Users;

impl Managed for Users {
    type Row = UserRow;
    type Api = User;
    const WHAT: &'static str = "user";
    const COUNT_MAX: CountMax = CountMax(USERS_MAX);
    const DUPLICATE: &'static str = "Another user has this e-mail address.";

    fn field(name: &str) -> Option<IdField> {
        (name == "id").then_some(IdField)
    }

    fn to_api(_: &Access, row: UserRow) -> Result<User, AppError> {
        Ok(User { id: Some(row.id), kind: UserType::Email, email: row.email, roles: read_roles(&row.roles)? })
    }

    fn cursor(row: &UserRow) -> Cursor {
        Cursor::of_id(&row.id)
    }
}

impl App {
    /// Makes or replaces a user.
    pub async fn user_put(
        &self,
        access: &Access,
        id: &str,
        wanted: &User,
        precondition: &Precondition,
    ) -> Result<User, AppError> {
        check_id("user", id)?;
        let now_ms = now_ms();
        let row = UserRow {
            id: id.to_owned(),
            email: wanted.email.clone(),
            roles: String::new(),
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        self.user_store(access, row, &wanted.roles, precondition).await
    }

    /// Changes a user.
    pub async fn user_patch(&self, access: &Access, id: &str, patch: &Map<String, Value>) -> Result<User, AppError> {
        let known = self.resource_row::<Users>(access, id).await?;
        let email = match patch.get("email") {
            None => known.email.clone(),
            Some(Value::String(email)) => email.clone(),
            Some(_) => return Err(AppError::fault("/email", "email must be a text")),
        };
        let roles = match patch.get("roles") {
            None => read_roles(&known.roles)?,
            Some(roles) => serde_json::from_value(roles.clone())
                .map_err(|_| AppError::fault("/roles", "roles must be a list of role assignments"))?,
        };
        self.user_store(access, UserRow { email, updated_ms: now_ms(), ..known }, &roles, &Precondition::Present).await
    }

    /// Stores a row with these roles, once both are checked.
    async fn user_store(
        &self,
        access: &Access,
        row: UserRow,
        roles: &[RoleAssignment],
        precondition: &Precondition,
    ) -> Result<User, AppError> {
        roles::check_assignments(access, roles)?;
        let email = row.email.trim().to_lowercase();
        let is_address = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
        if !is_address || email.len() > EMAIL_CHARS_MAX {
            return Err(AppError::fault("/email", "email must be an e-mail address"));
        }
        let roles = serde_json::to_string(roles).expect("role assignments are plain JSON");
        let row = UserRow { email, roles, ..row };
        Users::to_api(access, self.resource_store::<Users>(access, &row, precondition).await?)
    }
}
