//! Deployment manifests: those stored for the application, and the copy each device was given.

use super::engine::{Locks, Statement};
use super::{Registry, StoreError, new_etag};

const TABLE: &str = "deployment_manifests";
const DEVICE_TABLE: &str = "device_manifests";

const COLUMNS: &str = "id, etag, display_name, organization, data, created_ms, updated_ms";

/// One stored deployment manifest.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
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
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
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

impl Registry {
    /// One stored manifest.
    pub async fn manifest_get(&self, application: &str, id: &str) -> Result<Option<ManifestRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM deployment_manifests WHERE application = $1 AND id = $2");
        let statement = Statement::new("read a deployment manifest", TABLE, sql).bind(application).bind(id);
        self.engine.fetch_optional(statement).await
    }

    /// Every stored manifest, by id.
    pub async fn manifest_list(&self, application: &str) -> Result<Vec<ManifestRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM deployment_manifests WHERE application = $1 ORDER BY id");
        self.engine.fetch_all(Statement::new("list the deployment manifests", TABLE, sql).bind(application)).await
    }

    /// Stores a manifest under its id, new or replaced, with a new etag. With `manifest.etag` not empty, only if it is still that.
    pub async fn manifest_put(&self, application: &str, manifest: &ManifestRow) -> Result<ManifestRow, StoreError> {
        let sql = format!(
            "INSERT INTO deployment_manifests (application, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (application, id) DO UPDATE SET etag = $3, display_name = $4, organization = $5, data = $6, \
             updated_ms = $8 WHERE $9 = '' OR deployment_manifests.etag = $9 RETURNING {COLUMNS}"
        );
        let statement = Statement::new("store a deployment manifest", TABLE, sql)
            .bind(application)
            .bind(&manifest.id)
            .bind(new_etag())
            .bind(&manifest.display_name)
            .bind(&manifest.organization)
            .bind(&manifest.data)
            .bind(manifest.created_ms)
            .bind(manifest.updated_ms)
            .bind(&manifest.etag);
        let act = statement.act();
        self.engine.change_returning(&Locks::none(), statement).await?.ok_or(StoreError::EtagMismatch(act))
    }

    /// Deletes a stored manifest; devices keep their copies. Answers whether it was there.
    pub async fn manifest_delete(&self, application: &str, id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM deployment_manifests WHERE application = $1 AND id = $2";
        let statement = Statement::new("delete a deployment manifest", TABLE, sql).bind(application).bind(id);
        Ok(self.engine.execute(statement).await? == 1)
    }

    /// The manifest a device has.
    pub async fn device_manifest_get(
        &self,
        application: &str,
        device: &str,
    ) -> Result<Option<DeviceManifestRow>, StoreError> {
        let sql = "SELECT id, etag, display_name, data, applied_ms FROM device_manifests \
             WHERE application = $1 AND device = $2";
        let statement = Statement::new("read a device's manifest", DEVICE_TABLE, sql).bind(application).bind(device);
        self.engine.fetch_optional(statement).await
    }

    /// Gives a device its manifest, in place of the one it had.
    pub async fn device_manifest_put(
        &self,
        application: &str,
        device: &str,
        manifest: &DeviceManifestRow,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO device_manifests (application, device, id, etag, display_name, data, applied_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (application, device) DO UPDATE SET id = $3, etag = $4, \
             display_name = $5, data = $6, applied_ms = $7";
        let statement = Statement::new("store a device's manifest", DEVICE_TABLE, sql)
            .bind(application)
            .bind(device)
            .bind(&manifest.id)
            .bind(&manifest.etag)
            .bind(&manifest.display_name)
            .bind(&manifest.data)
            .bind(manifest.applied_ms);
        self.engine.execute(statement).await.map(drop)
    }
}
