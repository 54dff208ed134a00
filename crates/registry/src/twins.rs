//! Twins: both sections of an identity with their versions and metadata.
//!
//! Changes are read-modify-write in a transaction that holds the devices it is about, so no two interleave; a group of them
//! costs one commit.

use model::identity::Identity;
use model::twin::{Twin, TwinSection};
use serde_json::{Map, Value};

use super::engine::{Locks, Statement, Transaction};
use super::outbox::OutboxEvent;
use super::{Act, DeviceManifestRow, Registry, StoreError, manifests};

const TABLE: &str = "twins";
const COLUMNS: &str = "desired, desired_version, desired_metadata, reported, reported_version, reported_metadata";
const CHANGE: Act = Act { act: "change twins", table: TABLE };

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

#[derive(sqlx::FromRow)]
struct TwinRow {
    desired: String,
    #[sqlx(try_from = "i64")]
    desired_version: u64,
    desired_metadata: String,
    reported: String,
    #[sqlx(try_from = "i64")]
    reported_version: u64,
    reported_metadata: String,
}

impl TwinRow {
    fn twin(&self) -> Result<Twin, StoreError> {
        Ok(Twin {
            desired: section(&self.desired, self.desired_version, &self.desired_metadata)?,
            reported: section(&self.reported, self.reported_version, &self.reported_metadata)?,
        })
    }
}

/// A device with what is stored of a twin; columns of a twin that is not stored are absent.
#[derive(sqlx::FromRow)]
struct OwnedTwinRow {
    desired: Option<String>,
    desired_version: Option<i64>,
    desired_metadata: Option<String>,
    reported: Option<String>,
    reported_version: Option<i64>,
    reported_metadata: Option<String>,
    organization: Option<String>,
    generation: Option<String>,
}

impl OwnedTwinRow {
    fn owned(self) -> Result<OwnedTwin, StoreError> {
        let row = match (self.desired, self.desired_metadata, self.reported, self.reported_metadata) {
            (Some(desired), Some(desired_metadata), Some(reported), Some(reported_metadata)) => Some(TwinRow {
                desired,
                desired_version: self.desired_version.unwrap_or_default().unsigned_abs(),
                desired_metadata,
                reported,
                reported_version: self.reported_version.unwrap_or_default().unsigned_abs(),
                reported_metadata,
            }),
            _ => None,
        };
        Ok(OwnedTwin {
            twin: row.as_ref().map(TwinRow::twin).transpose()?.unwrap_or_default(),
            generation: self.generation.unwrap_or_default(),
            organization: self.organization,
        })
    }
}

fn section(properties: &str, version: u64, metadata: &str) -> Result<TwinSection, StoreError> {
    let object = |text: &str| -> Result<Map<String, Value>, StoreError> {
        serde_json::from_str(text).map_err(|source| StoreError::Corrupt { what: "twin", source })
    };
    Ok(TwinSection { properties: object(properties)?, version, metadata: object(metadata)? })
}

fn read<'q>(application: &'q str, identity: &'q Identity) -> Statement<'q> {
    let sql = format!("SELECT {COLUMNS} FROM twins WHERE application = $1 AND device = $2 AND module = $3");
    bind_key(Statement::new("read a twin", TABLE, sql), application, identity)
}

/// Binds `$1` to `$3`.
fn bind_key<'q>(statement: Statement<'q>, application: &'q str, identity: &'q Identity) -> Statement<'q> {
    statement.bind(application).bind(identity.device_id()).bind(identity.module_id().unwrap_or_default())
}

/// A transaction over twins: everything read and written in it becomes durable together.
pub struct TwinTransaction<'a> {
    registry: &'a Registry,
    transaction: Transaction,
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
        let statement = bind_key(Statement::new("read a twin", TABLE, sql), application, identity);
        let row: Option<OwnedTwinRow> = self.transaction.fetch_optional(&statement).await?;
        row.map(OwnedTwinRow::owned).transpose()
    }

    /// Adds an event that becomes durable with the changes.
    pub fn note(&mut self, event: OutboxEvent) {
        self.events.push(event);
    }

    /// Stores the twin; `Missing`, and the transaction goes on, when its device is not there.
    pub async fn put(
        &mut self,
        application: &str,
        identity: &Identity,
        twin: &Twin,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let text = |object: &Map<String, Value>| serde_json::to_string(object).expect("JSON values always serialize");
        let sql = format!(
            "INSERT INTO twins (application, device, module, {COLUMNS}, updated_ms) \
             SELECT application, id, $3, $4, $5, $6, $7, $8, $9, $10 FROM devices WHERE application = $1 AND id = $2 {} \
             ON CONFLICT (application, device, module) DO UPDATE SET desired = $4, desired_version = $5, \
             desired_metadata = $6, reported = $7, reported_version = $8, reported_metadata = $9, updated_ms = $10",
            self.registry.engine.keep_rows()
        );
        let statement = bind_key(Statement::new("store a twin", TABLE, sql), application, identity)
            .bind(text(&twin.desired.properties))
            .bind(twin.desired.version)
            .bind(text(&twin.desired.metadata))
            .bind(text(&twin.reported.properties))
            .bind(twin.reported.version)
            .bind(text(&twin.reported.metadata))
            .bind(now_ms);
        match self.transaction.execute(&statement).await? {
            0 => Err(StoreError::Missing(statement.act())),
            _ => Ok(()),
        }
    }

    /// Stores a device's copy of the manifest its twins are of.
    pub async fn put_manifest(
        &mut self,
        application: &str,
        device: &str,
        manifest: &DeviceManifestRow,
    ) -> Result<(), StoreError> {
        self.transaction.execute(&manifests::put_copy(application, device, manifest)).await.map(drop)
    }

    /// Makes it durable. Fails when a step failed for another reason than `Missing`, with `OutboxFull` when too many events wait
    /// for the log; then nothing of it is stored.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.registry.commit_with(self.transaction, &self.events).await
    }
}

impl Registry {
    /// The twin of an identity; `None` when nothing was ever written to it.
    pub async fn twin_get(&self, application: &str, identity: &Identity) -> Result<Option<Twin>, StoreError> {
        let row: Option<TwinRow> = self.engine.fetch_optional(read(application, identity)).await?;
        row.as_ref().map(TwinRow::twin).transpose()
    }

    /// Starts a group of twin changes to the devices given by application and id. Others' changes to them wait.
    pub async fn twin_transaction<'d>(
        &self,
        devices: impl IntoIterator<Item = (&'d str, &'d str)>,
    ) -> Result<TwinTransaction<'_>, StoreError> {
        let transaction = self.engine.begin(&Locks::devices(devices), CHANGE).await?;
        Ok(TwinTransaction { registry: self, transaction, events: Vec::new() })
    }
}
