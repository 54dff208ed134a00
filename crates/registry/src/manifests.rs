//! Deployment manifests: those stored for the application, and the copy each device was given.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Registry, StoreError, new_etag};

const COLUMNS: &str = "id, etag, display_name, organization, data, created_ms, updated_ms";

/// One stored deployment manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestRow {
    /// Its id.
    pub id: String,
    /// Changes with every write.
    pub etag: String,
    /// Name shown to people.
    pub display_name: String,
    /// The organization it belongs to, if not the root.
    pub organization: Option<String>,
    /// The manifest, JSON text.
    pub data: String,
    /// When it was created.
    pub created_ms: i64,
    /// When it last changed.
    pub updated_ms: i64,
}

/// The manifest a device was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceManifestRow {
    /// Id of this copy.
    pub id: String,
    /// Changes with every assignment.
    pub etag: String,
    /// Name shown to people.
    pub display_name: String,
    /// The manifest, JSON text.
    pub data: String,
    /// When it was given.
    pub applied_ms: i64,
}

fn from_row(row: &SqliteRow) -> Result<ManifestRow, sqlx::Error> {
    Ok(ManifestRow {
        id: row.try_get("id")?,
        etag: row.try_get("etag")?,
        display_name: row.try_get("display_name")?,
        organization: row.try_get("organization")?,
        data: row.try_get("data")?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}

impl Registry {
    /// One stored manifest.
    pub async fn manifest_get(&self, application: &str, id: &str) -> Result<Option<ManifestRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM deployment_manifests WHERE application = $1 AND id = $2");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(application).bind(id).fetch_optional(self.reader()).await?;
        Ok(row.as_ref().map(from_row).transpose()?)
    }

    /// Every stored manifest, by id.
    pub async fn manifest_list(&self, application: &str) -> Result<Vec<ManifestRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM deployment_manifests WHERE application = $1 ORDER BY id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(application).fetch_all(self.reader()).await?;
        Ok(rows.iter().map(from_row).collect::<Result<_, _>>()?)
    }

    /// Stores a manifest under its id, new or replaced, with a new etag. With `manifest.etag` not empty, only if it is still that.
    pub async fn manifest_put(&self, application: &str, manifest: &ManifestRow) -> Result<ManifestRow, StoreError> {
        let sql = format!(
            "INSERT INTO deployment_manifests (application, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (application, id) DO UPDATE SET etag = $3, display_name = $4, organization = $5, data = $6, \
             updated_ms = $8 WHERE $9 = '' OR deployment_manifests.etag = $9 RETURNING {COLUMNS}"
        );
        let statement = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(application)
            .bind(&manifest.id)
            .bind(new_etag())
            .bind(&manifest.display_name)
            .bind(&manifest.organization)
            .bind(&manifest.data)
            .bind(manifest.created_ms)
            .bind(manifest.updated_ms)
            .bind(&manifest.etag);
        let row = self.change_returning(statement).await?.ok_or(StoreError::EtagMismatch)?;
        Ok(from_row(&row)?)
    }

    /// Deletes a stored manifest; devices keep their copies. Answers whether it was there.
    pub async fn manifest_delete(&self, application: &str, id: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM deployment_manifests WHERE application = $1 AND id = $2")
            .bind(application)
            .bind(id)
            .execute(self.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The manifest a device has.
    pub async fn device_manifest_get(
        &self,
        application: &str,
        device: &str,
    ) -> Result<Option<DeviceManifestRow>, StoreError> {
        let row = sqlx::query(
            "SELECT id, etag, display_name, data, applied_ms FROM device_manifests WHERE application = $1 AND device = $2",
        )
        .bind(application)
        .bind(device)
        .fetch_optional(self.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(DeviceManifestRow {
            id: row.try_get("id")?,
            etag: row.try_get("etag")?,
            display_name: row.try_get("display_name")?,
            data: row.try_get("data")?,
            applied_ms: row.try_get("applied_ms")?,
        }))
    }

    /// Gives a device its manifest, in place of the one it had.
    pub async fn device_manifest_put(
        &self,
        application: &str,
        device: &str,
        manifest: &DeviceManifestRow,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO device_manifests (application, device, id, etag, display_name, data, applied_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (application, device) DO UPDATE SET id = $3, etag = $4, \
             display_name = $5, data = $6, applied_ms = $7",
        )
        .bind(application)
        .bind(device)
        .bind(&manifest.id)
        .bind(&manifest.etag)
        .bind(&manifest.display_name)
        .bind(&manifest.data)
        .bind(manifest.applied_ms)
        .execute(self.writer())
        .await?;
        Ok(())
    }
}
