//! Applications: the unit of isolation.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::enrollment_groups::put_group;
use super::{EnrollmentGroupRow, Registry, StoreError};

/// One application.
#[derive(Debug, Clone, PartialEq, Eq)]
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

fn from_row(row: &SqliteRow) -> Result<ApplicationRow, sqlx::Error> {
    Ok(ApplicationRow {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        id_scope: row.try_get("id_scope")?,
        created_ms: row.try_get("created_ms")?,
    })
}

impl Registry {
    /// Every application, the first made first.
    pub async fn application_list(&self) -> Result<Vec<ApplicationRow>, StoreError> {
        let rows = sqlx::query("SELECT id, name, id_scope, created_ms FROM applications ORDER BY created_ms, id")
            .fetch_all(self.reader())
            .await?;
        Ok(rows.iter().map(from_row).collect::<Result<_, _>>()?)
    }

    /// The application devices of this scope belong to.
    pub async fn application_by_scope(&self, id_scope: &str) -> Result<Option<ApplicationRow>, StoreError> {
        let row = sqlx::query("SELECT id, name, id_scope, created_ms FROM applications WHERE id_scope = $1")
            .bind(id_scope)
            .fetch_optional(self.reader())
            .await?;
        Ok(row.as_ref().map(from_row).transpose()?)
    }

    /// The application of a name, in any case.
    pub async fn application_by_name(&self, name: &str) -> Result<Option<ApplicationRow>, StoreError> {
        let row = sqlx::query("SELECT id, name, id_scope, created_ms FROM applications WHERE LOWER(name) = LOWER($1)")
            .bind(name)
            .fetch_optional(self.reader())
            .await?;
        Ok(row.as_ref().map(from_row).transpose()?)
    }

    /// Stores a new application with the enrollment groups it starts with, all or nothing.
    pub async fn application_create(
        &self,
        application: &ApplicationRow,
        groups: &[EnrollmentGroupRow],
    ) -> Result<(), StoreError> {
        let mut transaction = self.writer().begin().await?;
        sqlx::query("INSERT INTO applications (id, name, id_scope, created_ms) VALUES ($1, $2, $3, $4)")
            .bind(&application.id)
            .bind(&application.name)
            .bind(&application.id_scope)
            .bind(application.created_ms)
            .execute(&mut *transaction)
            .await?;
        for group in groups {
            put_group(&mut transaction, &application.id, group).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
