//! Users who sign in to the console.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Registry, StoreError};

/// One user with an e-mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
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

fn from_row(row: &SqliteRow) -> Result<UserRow, sqlx::Error> {
    Ok(UserRow {
        id: row.try_get("id")?,
        email: row.try_get("email")?,
        roles: row.try_get("roles")?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}

impl Registry {
    /// Every user, by id.
    pub async fn user_list(&self, application: &str) -> Result<Vec<UserRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, email, roles, created_ms, updated_ms FROM users WHERE application = $1 ORDER BY id",
        )
        .bind(application)
        .fetch_all(self.reader())
        .await?;
        Ok(rows.iter().map(from_row).collect::<Result<_, _>>()?)
    }

    /// One user.
    pub async fn user_get(&self, application: &str, id: &str) -> Result<Option<UserRow>, StoreError> {
        let row = sqlx::query(
            "SELECT id, email, roles, created_ms, updated_ms FROM users WHERE application = $1 AND id = $2",
        )
        .bind(application)
        .bind(id)
        .fetch_optional(self.reader())
        .await?;
        Ok(row.as_ref().map(from_row).transpose()?)
    }

    /// The user with this address (lower case).
    pub async fn user_by_email(&self, application: &str, email: &str) -> Result<Option<UserRow>, StoreError> {
        let row = sqlx::query(
            "SELECT id, email, roles, created_ms, updated_ms FROM users WHERE application = $1 AND email = $2",
        )
        .bind(application)
        .bind(email)
        .fetch_optional(self.reader())
        .await?;
        Ok(row.as_ref().map(from_row).transpose()?)
    }

    /// Stores a user under its id, new or replaced; `Duplicate` when the address is another user's.
    pub async fn user_put(&self, application: &str, user: &UserRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO users (application, id, email, roles, created_ms, updated_ms) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (application, id) DO UPDATE SET email = $3, roles = $4, updated_ms = $6",
        )
        .bind(application)
        .bind(&user.id)
        .bind(&user.email)
        .bind(&user.roles)
        .bind(user.created_ms)
        .bind(user.updated_ms)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Deletes a user with sign-in codes and sessions. Answers whether it was there.
    pub async fn user_delete(&self, application: &str, id: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM users WHERE application = $1 AND id = $2")
            .bind(application)
            .bind(id)
            .execute(self.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
