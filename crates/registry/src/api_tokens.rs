//! API tokens: what a token may do and until when. The token's text is signed, not stored.

use super::Ground;
use super::engine::Value;
use super::list::IdField;
use super::resource::{Acts, Resource};

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

impl Resource for ApiTokenRow {
    type Field = IdField;
    const TABLE: &'static str = "api_tokens";
    const GROUND: Option<fn(&str, &str) -> Ground> = Some(Ground::token);
    const COLUMNS: &'static [&'static str] = &["id", "roles", "expires_ms", "created_ms"];
    const ACTS: Acts = Acts {
        read: "read an API token",
        list: "list the API tokens",
        store: "store an API token",
        delete: "delete an API token",
    };

    fn id(&self) -> &str {
        &self.id
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![(&self.id).into(), (&self.roles).into(), self.expires_ms.into(), self.created_ms.into()]
    }
}
