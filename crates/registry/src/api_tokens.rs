//! API tokens: what a token may do and until when. The token's text is signed, not stored.

use super::engine::Statement;
use super::{Registry, StoreError};

const TABLE: &str = "api_tokens";

/// One API token.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
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

impl Registry {
    /// Every token, by id.
    pub async fn api_token_list(&self, application: &str) -> Result<Vec<ApiTokenRow>, StoreError> {
        let sql = "SELECT id, roles, expires_ms, created_ms FROM api_tokens WHERE application = $1 ORDER BY id";
        self.engine.fetch_all(Statement::new("list the API tokens", TABLE, sql).bind(application)).await
    }

    /// One token.
    pub async fn api_token_get(&self, application: &str, id: &str) -> Result<Option<ApiTokenRow>, StoreError> {
        let sql = "SELECT id, roles, expires_ms, created_ms FROM api_tokens WHERE application = $1 AND id = $2";
        self.engine.fetch_optional(Statement::new("read an API token", TABLE, sql).bind(application).bind(id)).await
    }

    /// Stores a new token; `Duplicate` when the id is taken.
    pub async fn api_token_create(&self, application: &str, token: &ApiTokenRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO api_tokens (application, id, roles, expires_ms, created_ms) VALUES ($1, $2, $3, $4, $5)";
        let statement = Statement::new("create an API token", TABLE, sql)
            .bind(application)
            .bind(&token.id)
            .bind(&token.roles)
            .bind(token.expires_ms)
            .bind(token.created_ms);
        self.engine.execute(statement).await.map(drop)
    }

    /// Deletes a token, which stops working at once. Answers whether it was there.
    pub async fn api_token_delete(&self, application: &str, id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM api_tokens WHERE application = $1 AND id = $2";
        let statement = Statement::new("delete an API token", TABLE, sql).bind(application).bind(id);
        Ok(self.engine.execute(statement).await? == 1)
    }
}
