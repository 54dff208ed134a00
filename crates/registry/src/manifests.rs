//! Deployment manifests: those stored for the application, and the copy each device was given.

use super::engine::{Statement, Value};
use super::list::NamedField;
use super::resource::{Acts, Resource};
use super::{Ground, Registry, StoreError};

const DEVICE_TABLE: &str = "device_manifests";

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

impl Resource for ManifestRow {
    type Field = NamedField;
    const TABLE: &'static str = "deployment_manifests";
    const GROUND: Option<fn(&str, &str) -> Ground> = None;
    const COLUMNS: &'static [&'static str] =
        &["id", "etag", "display_name", "organization", "data", "created_ms", "updated_ms"];
    const ACTS: Acts = Acts {
        read: "read a deployment manifest",
        list: "list the deployment manifests",
        store: "store a deployment manifest",
        delete: "delete a deployment manifest",
    };

    fn id(&self) -> &str {
        &self.id
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            (&self.id).into(),
            (&self.etag).into(),
            (&self.display_name).into(),
            (&self.organization).into(),
            (&self.data).into(),
            self.created_ms.into(),
            self.updated_ms.into(),
        ]
    }
}

impl Registry {
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
}

/// Stores a device's copy of the manifest it has, in place of an earlier one.
pub(super) fn put_copy<'q>(application: &'q str, device: &'q str, manifest: &'q DeviceManifestRow) -> Statement<'q> {
    let sql = "INSERT INTO device_manifests (application, device, id, etag, display_name, data, applied_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (application, device) DO UPDATE SET id = $3, etag = $4, \
         display_name = $5, data = $6, applied_ms = $7";
    Statement::new("store a device's manifest", DEVICE_TABLE, sql)
        .bind(application)
        .bind(device)
        .bind(&manifest.id)
        .bind(&manifest.etag)
        .bind(&manifest.display_name)
        .bind(&manifest.data)
        .bind(manifest.applied_ms)
}
