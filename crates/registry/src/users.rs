//! Users who sign in to the console.

use super::engine::Statement;
use super::{Registry, StoreError};

const TABLE: &str = "users";

/// One user with an e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct UserRow {
    /// Id chosen by whoever made the user.
    pub id: String,
    /// Address, lower case.
    pub email: String,
    /// Role assignments, the JSON array the API shows.
    pub roles: String,
    /// When the user was made.
    pub created_ms: i64,
    /// When the user last changed.
    pub updated_ms: i64,
}

impl Registry {
    /// Every user, by id.
    pub async fn user_list(&self, application: &str) -> Result<Vec<UserRow>, StoreError> {
        let sql = "SELECT id, email, roles, created_ms, updated_ms FROM users WHERE application = $1 ORDER BY id";
        self.engine.fetch_all(Statement::new("list the users", TABLE, sql).bind(application)).await
    }

    /// One user.
    pub async fn user_get(&self, application: &str, id: &str) -> Result<Option<UserRow>, StoreError> {
        let sql = "SELECT id, email, roles, created_ms, updated_ms FROM users WHERE application = $1 AND id = $2";
        self.engine.fetch_optional(Statement::new("read a user", TABLE, sql).bind(application).bind(id)).await
    }

    /// The user with this address (lower case).
    pub async fn user_by_email(&self, application: &str, email: &str) -> Result<Option<UserRow>, StoreError> {
        let sql = "SELECT id, email, roles, created_ms, updated_ms FROM users WHERE application = $1 AND email = $2";
        let statement = Statement::new("find a user by the address", TABLE, sql).bind(application).bind(email);
        self.engine.fetch_optional(statement).await
    }

    /// Stores a user under its id, new or replaced; `Duplicate` when the address is another user's.
    pub async fn user_put(&self, application: &str, user: &UserRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO users (application, id, email, roles, created_ms, updated_ms) \
             VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (application, id) DO UPDATE SET email = $3, roles = $4, updated_ms = $6";
        let statement = Statement::new("store a user", TABLE, sql)
            .bind(application)
            .bind(&user.id)
            .bind(&user.email)
            .bind(&user.roles)
            .bind(user.created_ms)
            .bind(user.updated_ms);
        self.engine.execute(statement).await.map(drop)
    }

    /// Deletes a user with sign-in codes and sessions. Answers whether it was there.
    pub async fn user_delete(&self, application: &str, id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM users WHERE application = $1 AND id = $2";
        let statement = Statement::new("delete a user", TABLE, sql).bind(application).bind(id);
        Ok(self.engine.execute(statement).await? == 1)
    }
}
