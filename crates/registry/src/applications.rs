//! Applications: the unit of isolation.

use super::engine::{Locks, Statement};
use super::resource::upsert;
use super::{EnrollmentGroupRow, Registry, StoreError};

const TABLE: &str = "applications";

/// One application.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ApplicationRow {
    /// Its id, a UUID; the `sr` of its API tokens.
    pub id: String,
    /// Name shown in the console, unique in any case; but for the first one also the label of its host name.
    pub name: String,
    /// Scope its devices are provisioned in.
    pub id_scope: String,
    /// When it was created.
    pub created_ms: i64,
}

impl Registry {
    /// Every application, the first made first.
    pub async fn application_list(&self) -> Result<Vec<ApplicationRow>, StoreError> {
        let sql = "SELECT id, name, id_scope, created_ms FROM applications ORDER BY created_ms, id";
        self.engine.fetch_all(Statement::new("list the applications", TABLE, sql)).await
    }

    /// The application devices of this scope belong to.
    pub async fn application_by_scope(&self, id_scope: &str) -> Result<Option<ApplicationRow>, StoreError> {
        let sql = "SELECT id, name, id_scope, created_ms FROM applications WHERE id_scope = $1";
        self.engine
            .fetch_optional(Statement::new("find an application by its id scope", TABLE, sql).bind(id_scope))
            .await
    }

    /// The application of a name, in any case of its ASCII letters.
    pub async fn application_by_name(&self, name: &str) -> Result<Option<ApplicationRow>, StoreError> {
        let sql = "SELECT id, name, id_scope, created_ms FROM applications WHERE lower(name) = $1";
        let statement = Statement::new("find an application by its name", TABLE, sql).bind(name.to_ascii_lowercase());
        self.engine.fetch_optional(statement).await
    }

    /// Stores a new application with the enrollment groups it starts with, all or nothing.
    pub async fn application_create(
        &self,
        application: &ApplicationRow,
        groups: &[EnrollmentGroupRow],
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO applications (id, name, id_scope, created_ms) VALUES ($1, $2, $3, $4)";
        let create = Statement::new("create an application", TABLE, sql)
            .bind(&application.id)
            .bind(&application.name)
            .bind(&application.id_scope)
            .bind(application.created_ms);
        let mut statements = vec![create];
        statements.extend(groups.iter().map(|group| upsert(&application.id, group)));
        let created = self.engine.write(&Locks::none(), &statements).await;
        self.resources_changed();
        created.map(drop)
    }
}
