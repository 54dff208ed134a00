//! Twins: both sections of an identity with their versions and metadata.
//!
//! Changes are read-modify-write under the registry's one writer connection, so no two interleave; a group of them costs one
//! commit.

use model::identity::Identity;
use model::twin::{Twin, TwinSection};
use serde_json::{Map, Value};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::outbox::OutboxEvent;
use super::{Registry, StoreError};

const COLUMNS: &str = "desired, desired_version, desired_metadata, reported, reported_version, reported_metadata";

/// A twin, and what events about it say of its identity.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnedTwin {
    /// The twin; an empty one when nothing was ever written to it.
    pub twin: Twin,
    /// Generation id of the device or module; empty when the module has no identity yet.
    pub generation: String,
    /// The device's organization.
    pub organization: Option<String>,
}

fn from_row(row: &SqliteRow) -> Result<Twin, StoreError> {
    Ok(Twin {
        desired: section(row, "desired", "desired_version", "desired_metadata")?,
        reported: section(row, "reported", "reported_version", "reported_metadata")?,
    })
}

fn section(row: &SqliteRow, properties: &str, version: &str, metadata: &str) -> Result<TwinSection, StoreError> {
    let object = |column: &str| -> Result<Map<String, Value>, StoreError> {
        let text: &str = row.try_get(column)?;
        serde_json::from_str(text).map_err(|source| StoreError::Corrupt { what: "twin", source })
    };
    let version: i64 = row.try_get(version)?;
    Ok(TwinSection { properties: object(properties)?, version: version.unsigned_abs(), metadata: object(metadata)? })
}

fn key(identity: &Identity) -> (&str, &str) {
    (identity.device_id(), identity.module_id().unwrap_or_default())
}

/// A transaction over twins: everything read and written in it becomes durable together.
pub struct TwinTransaction<'a> {
    registry: &'a Registry,
    transaction: sqlx::Transaction<'a, sqlx::Sqlite>,
    events: Vec<OutboxEvent>,
}

impl TwinTransaction<'_> {
    /// The twin as it stands in this transaction; `None` when its device is not there.
    pub async fn get(&mut self, application: &str, identity: &Identity) -> Result<Option<OwnedTwin>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, devices.organization, CASE WHEN $3 = '' THEN devices.generation_id \
             ELSE (SELECT generation_id FROM modules WHERE application = $1 AND device = $2 AND id = $3) END AS generation \
             FROM devices LEFT JOIN twins ON twins.application = $1 AND twins.device = $2 AND twins.module = $3 \
             WHERE devices.application = $1 AND devices.id = $2"
        );
        let (device, module) = key(identity);
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(application)
            .bind(device)
            .bind(module)
            .fetch_optional(&mut *self.transaction)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let is_stored = row.try_get::<Option<i64>, _>("desired_version")?.is_some();
        Ok(Some(OwnedTwin {
            twin: if is_stored { from_row(&row)? } else { Twin::default() },
            generation: row.try_get::<Option<String>, _>("generation")?.unwrap_or_default(),
            organization: row.try_get("organization")?,
        }))
    }

    /// Adds an event that becomes durable with the changes.
    pub fn note(&mut self, event: OutboxEvent) {
        self.events.push(event);
    }

    /// Stores the twin; `Missing` when its device is not there.
    pub async fn put(
        &mut self,
        application: &str,
        identity: &Identity,
        twin: &Twin,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let text = |object: &Map<String, Value>| serde_json::to_string(object).expect("JSON values always serialize");
        let (device, module) = key(identity);
        sqlx::query(
            "INSERT INTO twins (application, device, module, desired, desired_version, desired_metadata, reported, \
             reported_version, reported_metadata, updated_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (application, device, module) DO UPDATE SET desired = $4, desired_version = $5, \
             desired_metadata = $6, reported = $7, reported_version = $8, reported_metadata = $9, updated_ms = $10",
        )
        .bind(application)
        .bind(device)
        .bind(module)
        .bind(text(&twin.desired.properties))
        .bind(stored_version(twin.desired.version))
        .bind(text(&twin.desired.metadata))
        .bind(text(&twin.reported.properties))
        .bind(stored_version(twin.reported.version))
        .bind(text(&twin.reported.metadata))
        .bind(now_ms)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Makes it durable. `OutboxFull` when too many events wait for the log; then nothing of it is.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.registry.commit_with(self.transaction, &self.events).await
    }
}

fn stored_version(version: u64) -> i64 {
    i64::try_from(version).expect("no twin is updated 2^63 times")
}

async fn get(
    connection: &mut SqliteConnection,
    application: &str,
    identity: &Identity,
) -> Result<Option<Twin>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM twins WHERE application = $1 AND device = $2 AND module = $3");
    let (device, module) = key(identity);
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(application)
        .bind(device)
        .bind(module)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(from_row).transpose()
}

impl Registry {
    /// The twin of an identity; `None` when nothing was ever written to it.
    pub async fn twin_get(&self, application: &str, identity: &Identity) -> Result<Option<Twin>, StoreError> {
        let mut connection = self.reader().acquire().await?;
        get(&mut connection, application, identity).await
    }

    /// Starts a group of twin changes.
    pub async fn twin_transaction(&self) -> Result<TwinTransaction<'_>, StoreError> {
        Ok(TwinTransaction { registry: self, transaction: self.writer().begin().await?, events: Vec::new() })
    }
}
