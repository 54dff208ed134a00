//! Enrollment groups: one pair of keys for many devices.

use super::engine::{Locks, Statement};
use super::{Registry, StoreError, SymmetricKeys, new_etag};

const TABLE: &str = "enrollment_groups";
const COLUMNS: &str =
    "id, etag, display_name, enabled, is_edge, auto_approve, primary_key, secondary_key, created_ms, updated_ms";

/// One enrollment group with symmetric keys.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
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
    #[sqlx(flatten)]
    pub keys: SymmetricKeys,
    /// When it was created.
    pub created_ms: i64,
    /// When it last changed.
    pub updated_ms: i64,
}

/// The statement of [`Registry::enrollment_group_put`].
pub(super) fn put_statement<'q>(application: &'q str, group: &'q EnrollmentGroupRow) -> Statement<'q> {
    let sql = format!(
        "INSERT INTO enrollment_groups (application, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (application, id) DO UPDATE SET etag = $3, display_name = $4, enabled = $5, is_edge = $6, \
         auto_approve = $7, primary_key = $8, secondary_key = $9, updated_ms = $11 \
         WHERE $12 = '' OR enrollment_groups.etag = $12 RETURNING {COLUMNS}"
    );
    Statement::new("store an enrollment group", TABLE, sql)
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
}

impl Registry {
    /// Every enrollment group of the application, by id.
    pub async fn enrollment_groups_list(&self, application: &str) -> Result<Vec<EnrollmentGroupRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM enrollment_groups WHERE application = $1 ORDER BY id");
        self.engine.fetch_all(Statement::new("list the enrollment groups", TABLE, sql).bind(application)).await
    }

    /// One enrollment group.
    pub async fn enrollment_group_get(
        &self,
        application: &str,
        id: &str,
    ) -> Result<Option<EnrollmentGroupRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM enrollment_groups WHERE application = $1 AND id = $2");
        let statement = Statement::new("read an enrollment group", TABLE, sql).bind(application).bind(id);
        self.engine.fetch_optional(statement).await
    }

    /// Stores a group under its id, new or replaced, with a new etag. With `group.etag` not empty, only if it is still that.
    pub async fn enrollment_group_put(
        &self,
        application: &str,
        group: &EnrollmentGroupRow,
    ) -> Result<EnrollmentGroupRow, StoreError> {
        let statement = put_statement(application, group);
        let act = statement.act();
        self.engine.change_returning(&Locks::none(), statement).await?.ok_or(StoreError::EtagMismatch(act))
    }

    /// Deletes a group; its devices stay. Answers whether it was there.
    pub async fn enrollment_group_delete(&self, application: &str, id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM enrollment_groups WHERE application = $1 AND id = $2";
        let statement = Statement::new("delete an enrollment group", TABLE, sql).bind(application).bind(id);
        Ok(self.engine.execute(statement).await? == 1)
    }
}
