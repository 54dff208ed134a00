//! Enrollment groups: one pair of keys for many devices.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{Registry, StoreError, SymmetricKeys, new_etag};

const COLUMNS: &str =
    "id, etag, display_name, enabled, is_edge, auto_approve, primary_key, secondary_key, created_ms, updated_ms";

/// One enrollment group with symmetric keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentGroupRow {
    /// Its id.
    pub id: String,
    /// Changes with every write.
    pub etag: String,
    /// Name shown to people.
    pub display_name: String,
    /// Whether devices may register through it.
    pub enabled: bool,
    /// Whether its devices are edge devices.
    pub is_edge: bool,
    /// Whether a device nobody announced may connect at once.
    pub auto_approve: bool,
    /// The group's keys, from which each device's are derived.
    pub keys: SymmetricKeys,
    /// When it was created.
    pub created_ms: i64,
    /// When it last changed.
    pub updated_ms: i64,
}

fn from_row(row: &SqliteRow) -> Result<EnrollmentGroupRow, sqlx::Error> {
    Ok(EnrollmentGroupRow {
        id: row.try_get("id")?,
        etag: row.try_get("etag")?,
        display_name: row.try_get("display_name")?,
        enabled: row.try_get("enabled")?,
        is_edge: row.try_get("is_edge")?,
        auto_approve: row.try_get("auto_approve")?,
        keys: SymmetricKeys { primary: row.try_get("primary_key")?, secondary: row.try_get("secondary_key")? },
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}

/// The statement of [`Registry::enrollment_group_put`], in a transaction.
pub(super) async fn put_group(
    connection: &mut SqliteConnection,
    application: &str,
    group: &EnrollmentGroupRow,
) -> Result<EnrollmentGroupRow, StoreError> {
    let sql = format!(
        "INSERT INTO enrollment_groups (application, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (application, id) DO UPDATE SET etag = $3, display_name = $4, enabled = $5, is_edge = $6, \
         auto_approve = $7, primary_key = $8, secondary_key = $9, updated_ms = $11 \
         WHERE $12 = '' OR enrollment_groups.etag = $12 RETURNING {COLUMNS}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(application)
        .bind(&group.id)
        .bind(new_etag())
        .bind(&group.display_name)
        .bind(group.enabled)
        .bind(group.is_edge)
        .bind(group.auto_approve)
        .bind(&group.keys.primary)
        .bind(&group.keys.secondary)
        .bind(group.created_ms)
        .bind(group.updated_ms)
        .bind(&group.etag)
        .fetch_optional(connection)
        .await?
        .ok_or(StoreError::EtagMismatch)?;
    Ok(from_row(&row)?)
}

impl Registry {
    /// Every enrollment group of the application, by id.
    pub async fn enrollment_groups_list(&self, application: &str) -> Result<Vec<EnrollmentGroupRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM enrollment_groups WHERE application = $1 ORDER BY id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(application).fetch_all(self.reader()).await?;
        Ok(rows.iter().map(from_row).collect::<Result<_, _>>()?)
    }

    /// One enrollment group.
    pub async fn enrollment_group_get(
        &self,
        application: &str,
        id: &str,
    ) -> Result<Option<EnrollmentGroupRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM enrollment_groups WHERE application = $1 AND id = $2");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(application).bind(id).fetch_optional(self.reader()).await?;
        Ok(row.as_ref().map(from_row).transpose()?)
    }

    /// Stores a group under its id, new or replaced, with a new etag. With `group.etag` not empty, only if it is still that.
    pub async fn enrollment_group_put(
        &self,
        application: &str,
        group: &EnrollmentGroupRow,
    ) -> Result<EnrollmentGroupRow, StoreError> {
        let mut transaction = self.writer().begin().await?;
        let stored = put_group(&mut transaction, application, group).await?;
        transaction.commit().await?;
        Ok(stored)
    }

    /// Deletes a group; its devices stay. Answers whether it was there.
    pub async fn enrollment_group_delete(&self, application: &str, id: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM enrollment_groups WHERE application = $1 AND id = $2")
            .bind(application)
            .bind(id)
            .execute(self.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
