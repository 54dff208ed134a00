//! Users who sign in to the console.

use super::engine::{Statement, Value};
use super::list::IdField;
use super::resource::{Acts, Resource};
use super::{Ground, Registry, StoreError};

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

impl Resource for UserRow {
    type Field = IdField;
    const TABLE: &'static str = "users";
    const GROUND: Option<fn(&str, &str) -> Ground> = Some(Ground::user);
    const COLUMNS: &'static [&'static str] = &["id", "email", "roles", "created_ms", "updated_ms"];
    const ACTS: Acts =
        Acts { read: "read a user", list: "list the users", store: "store a user", delete: "delete a user" };

    fn id(&self) -> &str {
        &self.id
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            (&self.id).into(),
            (&self.email).into(),
            (&self.roles).into(),
            self.created_ms.into(),
            self.updated_ms.into(),
        ]
    }
}

impl Registry {
    /// The user with this address (lower case).
    pub async fn user_by_email(&self, application: &str, email: &str) -> Result<Option<UserRow>, StoreError> {
        let sql = "SELECT id, email, roles, created_ms, updated_ms FROM users WHERE application = $1 AND email = $2";
        let statement = Statement::new("find a user by the address", UserRow::TABLE, sql).bind(application).bind(email);
        self.engine.fetch_optional(statement).await
    }
}
