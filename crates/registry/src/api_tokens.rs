//! API tokens: what a token may do and until when. The token's text is signed, not stored.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Registry, StoreError};

/// One API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiTokenRow {
    /// Its id, the `skn` of its text.
    pub id: String,
    /// Role assignments, the JSON array the API shows.
    pub roles: String,
    /// When it stops working.
    pub expires_ms: i64,
    /// When it was made.
    pub created_ms: i64,
}

fn from_row(row: &SqliteRow) -> Result<ApiTokenRow, sqlx::Error> {
    Ok(ApiTokenRow {
        id: row.try_get("id")?,
        roles: row.try_get("roles")?,
        expires_ms: row.try_get("expires_ms")?,
        created_ms: row.try_get("created_ms")?,
    })
}

impl Registry {
    /// Every token, by id.
    pub async fn api_token_list(&self, application: &str) -> Result<Vec<ApiTokenRow>, StoreError> {
        let rows =
            sqlx::query("SELECT id, roles, expires_ms, created_ms FROM api_tokens WHERE application = $1 ORDER BY id")
                .bind(application)
                .fetch_all(self.reader())
                .await?;
        Ok(rows.iter().map(from_row).collect::<Result<_, _>>()?)
    }

    /// One token.
    pub async fn api_token_get(&self, application: &str, id: &str) -> Result<Option<ApiTokenRow>, StoreError> {
        let row =
            sqlx::query("SELECT id, roles, expires_ms, created_ms FROM api_tokens WHERE application = $1 AND id = $2")
                .bind(application)
                .bind(id)
                .fetch_optional(self.reader())
                .await?;
        Ok(row.as_ref().map(from_row).transpose()?)
    }

    /// Stores a new token; `Duplicate` when the id is taken.
    pub async fn api_token_create(&self, application: &str, token: &ApiTokenRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO api_tokens (application, id, roles, expires_ms, created_ms) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(application)
        .bind(&token.id)
        .bind(&token.roles)
        .bind(token.expires_ms)
        .bind(token.created_ms)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Deletes a token, which stops working at once. Answers whether it was there.
    pub async fn api_token_delete(&self, application: &str, id: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM api_tokens WHERE application = $1 AND id = $2")
            .bind(application)
            .bind(id)
            .execute(self.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
