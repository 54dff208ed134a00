//! Users: people with an e-mail address.

use api::access::{RoleAssignment, User, UserType};
use events::clock::now_ms;
use registry::{StoreError, UserRow};
use serde_json::{Map, Value};

use super::tokens::{check_id, read_roles};
use super::{Access, App, AppError, roles};
use crate::limits::{EMAIL_CHARS_MAX, USERS_MAX};

fn to_api(row: &UserRow) -> Result<User, AppError> {
    Ok(User {
        id: Some(row.id.clone()),
        kind: UserType::Email,
        email: row.email.clone(),
        roles: read_roles(&row.roles)?,
    })
}

impl App {
    /// Every user.
    pub async fn users(&self, access: &Access) -> Result<Vec<User>, AppError> {
        self.registry().user_list(access.application()).await?.iter().map(to_api).collect()
    }

    /// One user.
    pub async fn user(&self, access: &Access, id: &str) -> Result<User, AppError> {
        to_api(&self.user_row(access, id).await?)
    }

    async fn user_row(&self, access: &Access, id: &str) -> Result<UserRow, AppError> {
        let row = self.registry().user_get(access.application(), id).await?;
        row.ok_or_else(|| AppError::not_found("user", id))
    }

    /// Makes or replaces a user.
    pub async fn user_put(&self, access: &Access, id: &str, wanted: &User) -> Result<User, AppError> {
        check_id("user", id)?;
        let known = self.registry().user_get(access.application(), id).await?;
        if known.is_none() && self.registry().user_list(access.application()).await?.len() >= USERS_MAX {
            return Err(AppError::Conflict(format!("The application has {USERS_MAX} users, which is the limit.")));
        }
        let now_ms = now_ms();
        let created_ms = known.map_or(now_ms, |known| known.created_ms);
        let row = UserRow {
            id: id.to_owned(),
            email: wanted.email.clone(),
            roles: String::new(),
            created_ms,
            updated_ms: now_ms,
        };
        self.user_store(access, row, &wanted.roles).await
    }

    /// Changes a user.
    pub async fn user_patch(&self, access: &Access, id: &str, patch: &Map<String, Value>) -> Result<User, AppError> {
        let known = self.user_row(access, id).await?;
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
        self.user_store(access, UserRow { email, updated_ms: now_ms(), ..known }, &roles).await
    }

    /// Stores a row with these roles, once both are checked.
    async fn user_store(&self, access: &Access, row: UserRow, roles: &[RoleAssignment]) -> Result<User, AppError> {
        roles::check_assignments(access, roles)?;
        let email = row.email.trim().to_lowercase();
        let is_address = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
        if !is_address || email.len() > EMAIL_CHARS_MAX {
            return Err(AppError::fault("/email", "email must be an e-mail address"));
        }
        let roles = serde_json::to_string(roles).expect("role assignments are plain JSON");
        let row = UserRow { email, roles, ..row };
        match self.registry().user_put(access.application(), &row).await {
            Err(StoreError::Duplicate(..)) => {
                return Err(AppError::Conflict("Another user has this e-mail address.".to_owned()));
            }
            done => done?,
        }
        tracing::info!(actor = access.actor().id(), user = row.id, "user stored");
        to_api(&row)
    }

    /// Deletes a user with their sessions.
    pub async fn user_delete(&self, access: &Access, id: &str) -> Result<(), AppError> {
        if !self.registry().user_delete(access.application(), id).await? {
            return Err(AppError::not_found("user", id));
        }
        tracing::info!(actor = access.actor().id(), user = id, "user deleted");
        Ok(())
    }
}
