//! Device rows, and the values of their cloud properties.

mod filter;

use serde_json::{Map, Value, json};

use super::attestations::{JOIN_OWN, OWN_COLUMNS, OwnColumns};
use super::engine::{Locks, Statement, Transaction, retried};
use super::signing_certificates::{CertificateColumns, SigningCertificates};
use super::{
    Act, DeviceCertificates, EnrollmentGroupRow, Registry, StoreError, lifecycle, new_etag, new_generation_id,
};
use crate::limits::LIST_TEXTS_MAX;

pub use filter::{DeviceField, DeviceFilter, DeviceHead, DevicePage, DeviceQueried};

const TABLE: &str = "devices";

/// Every column, in the order of the table.
const COLUMNS: &str = "id, generation_id, etag, display_name, template, enabled, provisioned, awaiting_approval, simulated, \
     is_edge, organization, primary_key, secondary_key, enrollment_group, gateway, gateway_relationship, created_ms, updated_ms, \
     subscriptions";

/// A pair of symmetric keys in base64.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SymmetricKeys {
    /// The key in use.
    #[sqlx(rename = "primary_key")]
    pub primary: String,
    /// The key to change over to.
    #[sqlx(rename = "secondary_key")]
    pub secondary: String,
}

/// One device as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DeviceRow {
    /// Its id, case-sensitive.
    pub id: String,
    /// Differs when a device is deleted and made again.
    pub generation_id: String,
    /// Changes with every write of the record.
    pub etag: String,
    /// Name shown to people.
    pub display_name: String,
    /// The id of its template, when assigned.
    pub template: Option<String>,
    /// Whether it may connect.
    pub enabled: bool,
    /// Whether it has been through provisioning.
    pub provisioned: bool,
    /// Whether it registered by itself and waits for a person to enable it.
    pub awaiting_approval: bool,
    /// Whether Central generates its data.
    pub simulated: bool,
    /// Whether it is an edge device.
    pub is_edge: bool,
    /// The organization it belongs to, if not the root.
    pub organization: Option<String>,
    /// Primary key of its hub identity, once known.
    pub primary_key: Option<String>,
    /// Secondary key of its hub identity, once known.
    pub secondary_key: Option<String>,
    /// The enrollment group its keys are of.
    pub enrollment_group: Option<String>,
    /// Its parent, an edge device or gateway.
    pub gateway: Option<String>,
    /// The id of the relationship to its parent.
    pub gateway_relationship: Option<String>,
    /// When it was created.
    pub created_ms: i64,
    /// When the record last changed.
    pub updated_ms: i64,
    /// What its session is subscribed to, in the hub's own bits; 0 when no session is kept. No part of the record: the etag stays.
    #[sqlx(try_from = "i64")]
    pub subscriptions: u8,
}

/// What a new device is made from; the rest is generated.
#[derive(Debug, Clone, Default)]
pub struct NewDevice {
    /// Its id.
    pub id: String,
    /// Name shown to people; the id when empty.
    pub display_name: String,
    /// Template assigned.
    pub template: Option<String>,
    /// Whether it may connect.
    pub enabled: bool,
    /// Whether it waits for a person to enable it.
    pub awaiting_approval: bool,
    /// Whether Central generates its data.
    pub simulated: bool,
    /// Whether it is an edge device.
    pub is_edge: bool,
    /// The organization it belongs to.
    pub organization: Option<String>,
    /// Keys of its hub identity: a device behind a gateway may never reach the provisioning service.
    pub keys: Option<SymmetricKeys>,
    /// The enrollment group those are of.
    pub enrollment_group: Option<String>,
    /// When it was created.
    pub created_ms: i64,
}

/// A device and the enrollment group its keys are of: what decides whether it is let in.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AdmittedDevice {
    /// The device.
    #[sqlx(flatten)]
    pub device: DeviceRow,
    /// The group; `None` when it has none, or had one that is gone.
    #[sqlx(flatten, try_from = "GroupColumns")]
    pub group: Option<AdmittingGroup>,
    /// Certificates of its own; they win over the group.
    #[sqlx(flatten, try_from = "OwnColumns")]
    pub certificates: Option<DeviceCertificates>,
}

/// What a group says of its devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittingGroup {
    /// Whether they may connect.
    pub enabled: bool,
    /// What they prove themselves with.
    pub proof: GroupProof,
}

/// What the devices of a group prove themselves with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupProof {
    /// Tokens signed with keys that are derived from these.
    Keys(SymmetricKeys),
    /// Certificates that lead to these.
    Certificates(SigningCertificates),
}

/// The columns of a group in a statement that has [`JOIN_GROUP`].
pub(super) const GROUP_COLUMNS: &str = "enrollment_groups.enabled AS group_enabled, \
     enrollment_groups.primary_key AS group_primary_key, enrollment_groups.secondary_key AS group_secondary_key, \
     enrollment_groups.attestation, enrollment_groups.primary_certificate, enrollment_groups.primary_verified, \
     enrollment_groups.primary_code, enrollment_groups.primary_certificate_etag, \
     enrollment_groups.secondary_certificate, enrollment_groups.secondary_verified, \
     enrollment_groups.secondary_code, enrollment_groups.secondary_certificate_etag";

/// Joins the groups of the application `$1` to its devices.
pub(super) const JOIN_GROUP: &str = "LEFT JOIN enrollment_groups ON enrollment_groups.application = $1 \
     AND enrollment_groups.id = devices.enrollment_group";

/// The columns of a device in a statement that names its table so.
pub(super) fn columns_of(table: &str) -> String {
    let columns: Vec<String> = COLUMNS.split(", ").map(|column| format!("{table}.{column}")).collect();
    columns.join(", ")
}

/// A group's columns, all or none.
#[derive(sqlx::FromRow)]
pub(super) struct GroupColumns {
    group_enabled: Option<bool>,
    group_primary_key: Option<String>,
    group_secondary_key: Option<String>,
    #[sqlx(flatten)]
    certificates: CertificateColumns,
}

impl From<GroupColumns> for Option<AdmittingGroup> {
    fn from(columns: GroupColumns) -> Self {
        match (columns.group_enabled, columns.group_primary_key, columns.group_secondary_key) {
            (Some(enabled), Some(primary), Some(secondary)) => {
                let keys = SymmetricKeys { primary, secondary };
                let certificates = Option::<SigningCertificates>::from(columns.certificates);
                let proof = certificates.map_or(GroupProof::Keys(keys), GroupProof::Certificates);
                Some(AdmittingGroup { enabled, proof })
            }
            _ => None,
        }
    }
}

/// New values of what a caller may change on a device.
#[derive(Debug, Clone)]
pub struct DeviceChange {
    /// Name shown to people.
    pub display_name: String,
    /// Template assigned.
    pub template: Option<String>,
    /// Whether it may connect.
    pub enabled: bool,
    /// The organization it belongs to.
    pub organization: Option<String>,
    /// When.
    pub updated_ms: i64,
}

/// What a change made of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedDevice {
    /// The device as the change found it.
    pub before: DeviceRow,
    /// The device as the change left it.
    pub after: DeviceRow,
}

/// The value of one cloud property.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct CloudPropertyRow {
    /// The property's name.
    pub name: String,
    /// JSON text.
    pub value: String,
    /// When it was set.
    pub updated_ms: i64,
}

fn read<'q>(application: &'q str, id: &'q str) -> Statement<'q> {
    let sql = format!("SELECT {COLUMNS} FROM devices WHERE application = $1 AND id = $2");
    Statement::new("read a device", TABLE, sql).bind(application).bind(id)
}

/// The device as it stands in a transaction.
pub(super) async fn get(
    transaction: &mut Transaction,
    application: &str,
    id: &str,
) -> Result<Option<DeviceRow>, StoreError> {
    transaction.fetch_optional(&read(application, id)).await
}

/// Reads [`AdmittedDevice`]s of application `$1`.
fn admitted_where(condition: &str) -> String {
    format!(
        "SELECT {}, {GROUP_COLUMNS}, {OWN_COLUMNS} FROM devices {JOIN_GROUP} {JOIN_OWN} \
         WHERE devices.application = $1 AND {condition}",
        columns_of(TABLE)
    )
}

impl Registry {
    /// Application and id of every device, and whether it may connect.
    pub async fn devices_enabled(&self) -> Result<Vec<(String, String, bool)>, StoreError> {
        let sql = "SELECT application, id, enabled FROM devices";
        self.engine.fetch_all(Statement::new("list which devices may connect", TABLE, sql)).await
    }

    /// One device.
    pub async fn device_get(&self, application: &str, id: &str) -> Result<Option<DeviceRow>, StoreError> {
        self.engine.fetch_optional(read(application, id)).await
    }

    /// One device with the group its keys are of.
    pub async fn device_admitted(&self, application: &str, id: &str) -> Result<Option<AdmittedDevice>, StoreError> {
        let sql = admitted_where("devices.id = $2");
        let statement = Statement::new("read a device and its group", TABLE, sql).bind(application).bind(id);
        self.engine.fetch_optional(statement).await
    }

    /// The devices of these ids that are there, each with the group its keys are of; at most
    /// [`LIST_TEXTS_MAX`](crate::limits::LIST_TEXTS_MAX).
    pub async fn devices_admitted<I: AsRef<str>>(
        &self,
        application: &str,
        ids: &[I],
    ) -> Result<Vec<AdmittedDevice>, StoreError> {
        debug_assert!(ids.len() <= LIST_TEXTS_MAX, "callers keep to the limit");
        let parameters: Vec<String> = (2..ids.len() + 2).map(|number| format!("${number}")).collect();
        let sql = admitted_where(&format!("devices.id IN ({})", parameters.join(", ")));
        let statement = Statement::new("read devices and their groups", TABLE, sql).bind(application);
        self.engine.fetch_all(ids.iter().fold(statement, |statement, id| statement.bind(id.as_ref()))).await
    }

    /// Stores a new device; `Duplicate` when the id is taken.
    pub async fn device_create(&self, application: &str, device: NewDevice) -> Result<DeviceRow, StoreError> {
        let sql = format!(
            "INSERT INTO devices (application, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE, $8, $9, $10, $11, \
             $13, $14, $15, NULL, NULL, $12, $12, 0) RETURNING {COLUMNS}"
        );
        let name = if device.display_name.is_empty() { &device.id } else { &device.display_name };
        let statement = Statement::new("create a device", TABLE, sql)
            .bind(application)
            .bind(&device.id)
            .bind(new_generation_id())
            .bind(new_etag())
            .bind(name)
            .bind(&device.template)
            .bind(device.enabled)
            .bind(device.awaiting_approval)
            .bind(device.simulated)
            .bind(device.is_edge)
            .bind(&device.organization)
            .bind(device.created_ms)
            .bind(device.keys.as_ref().map(|keys| keys.primary.as_str()))
            .bind(device.keys.as_ref().map(|keys| keys.secondary.as_str()))
            .bind(&device.enrollment_group);
        let act = statement.act();
        retried!(self.engine, {
            let mut transaction = self.engine.begin(&Locks::device(application, &device.id), act).await?;
            let row: Option<DeviceRow> = transaction.fetch_optional(&statement).await?;
            let row = row.ok_or(StoreError::Missing(act))?;
            let event = lifecycle::of_device(application, &row, row.created_ms, &lifecycle::created(&row));
            self.commit_with(transaction, &[event]).await?;
            Ok(row)
        })
    }

    /// Writes what a caller may change. With `etag`, only if the record still carries it.
    pub async fn device_update(
        &self,
        application: &str,
        id: &str,
        change: DeviceChange,
        etag: Option<&str>,
    ) -> Result<ChangedDevice, StoreError> {
        let sql = format!(
            "UPDATE devices SET etag = $3, display_name = $4, template = $5, enabled = $6, organization = $7, updated_ms = $8, \
             awaiting_approval = CASE WHEN $6 THEN FALSE ELSE awaiting_approval END \
             WHERE application = $1 AND id = $2 AND ($9 IS NULL OR etag = $9) RETURNING {COLUMNS}"
        );
        let statement = Statement::new("change a device", TABLE, sql)
            .bind(application)
            .bind(id)
            .bind(new_etag())
            .bind(&change.display_name)
            .bind(&change.template)
            .bind(change.enabled)
            .bind(&change.organization)
            .bind(change.updated_ms)
            .bind(etag);
        let act = statement.act();
        retried!(self.engine, {
            let mut transaction = self.engine.begin(&Locks::device(application, id), act).await?;
            let before = get(&mut transaction, application, id).await?.ok_or(StoreError::Missing(act))?;
            let after: Option<DeviceRow> = transaction.fetch_optional(&statement).await?;
            let after = after.ok_or(StoreError::EtagMismatch(act))?;
            let bodies = lifecycle::changes(&before, &after);
            let event = |body| lifecycle::of_device(application, &after, change.updated_ms, body);
            let events: Vec<_> = bodies.iter().map(event).collect();
            self.commit_with(transaction, &events).await?;
            Ok(ChangedDevice { before, after })
        })
    }

    /// Assigns the template a device announced, if it has none yet. Answers whether it was assigned.
    pub async fn device_assign_template(
        &self,
        application: &str,
        id: &str,
        template: &str,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let sql = format!(
            "UPDATE devices SET template = $3, etag = $4, updated_ms = $5 \
             WHERE application = $1 AND id = $2 AND template IS NULL RETURNING {COLUMNS}"
        );
        let statement = Statement::new("assign a template to a device", TABLE, sql)
            .bind(application)
            .bind(id)
            .bind(template)
            .bind(new_etag())
            .bind(now_ms);
        retried!(self.engine, {
            let mut transaction = self.engine.begin(&Locks::device(application, id), statement.act()).await?;
            let row: Option<DeviceRow> = transaction.fetch_optional(&statement).await?;
            let Some(row) = row else {
                transaction.roll_back().await?;
                return Ok(false);
            };
            let body = lifecycle::template_changed(None, Some(template));
            self.commit_with(transaction, &[lifecycle::of_device(application, &row, now_ms, &body)]).await?;
            Ok(true)
        })
    }

    /// Records that provisioning gave the device its hub identity; `Missing` when there is no such device, or what its keys
    /// are of has gone or changed meanwhile: the group, or without one its attestation.
    pub async fn device_mark_provisioned(
        &self,
        application: &str,
        id: &str,
        keys: Option<&SymmetricKeys>,
        group: Option<&EnrollmentGroupRow>,
        now_ms: i64,
    ) -> Result<DeviceRow, StoreError> {
        let sql = format!(
            "UPDATE devices SET provisioned = TRUE, primary_key = $3, secondary_key = $4, enrollment_group = $5, etag = $6, \
             updated_ms = $7 WHERE application = $1 AND id = $2 \
             AND ($5 IS NULL OR EXISTS (SELECT id FROM enrollment_groups WHERE application = $1 AND id = $5 AND enabled \
             AND primary_key = $8 AND secondary_key = $9)) \
             AND ($5 IS NOT NULL OR $3 IS NULL OR EXISTS (SELECT device FROM attestations WHERE application = $1 \
             AND device = $2 AND primary_key = $3 AND secondary_key = $4)) RETURNING {COLUMNS}"
        );
        let enrollment_group = group.map(|group| group.id.as_str());
        let statement = Statement::new("mark a device as provisioned", TABLE, sql)
            .bind(application)
            .bind(id)
            .bind(keys.map(|keys| keys.primary.as_str()))
            .bind(keys.map(|keys| keys.secondary.as_str()))
            .bind(enrollment_group)
            .bind(new_etag())
            .bind(now_ms)
            .bind(group.map(|group| group.keys.primary.as_str()))
            .bind(group.map(|group| group.keys.secondary.as_str()));
        let act = statement.act();
        retried!(self.engine, {
            let mut transaction = self.engine.begin(&Locks::device(application, id), act).await?;
            let row: Option<DeviceRow> = transaction.fetch_optional(&statement).await?;
            let row = row.ok_or(StoreError::Missing(act))?;
            let body = json!({ "event": "provisioned", "enrollmentGroup": enrollment_group });
            self.commit_with(transaction, &[lifecycle::of_device(application, &row, now_ms, &body)]).await?;
            Ok(row)
        })
    }

    /// Deletes a device with all that belongs to it; its children lose their parent. Answers whether it was there.
    pub async fn device_delete(&self, application: &str, id: &str, now_ms: i64) -> Result<bool, StoreError> {
        let orphan =
            "UPDATE devices SET gateway = NULL, gateway_relationship = NULL WHERE application = $1 AND gateway = $2";
        let delete = "DELETE FROM devices WHERE application = $1 AND id = $2";
        let statements = [
            Statement::new("take a device from its children", TABLE, orphan),
            Statement::new("delete a device", TABLE, delete),
        ];
        let statements = statements.map(|statement| statement.bind(application).bind(id));
        retried!(self.engine, {
            let mut transaction = self.engine.begin(&Locks::device(application, id), statements[1].act()).await?;
            let Some(device) = get(&mut transaction, application, id).await? else {
                transaction.roll_back().await?;
                return Ok(false);
            };
            for statement in &statements {
                transaction.execute(statement).await?;
            }
            let event = lifecycle::of_device(application, &device, now_ms, &json!({ "event": "deleted" }));
            self.commit_with(transaction, &[event]).await?;
            Ok(true)
        })
    }

    /// The devices whose parent is this one, by id.
    pub async fn devices_children(&self, application: &str, gateway: &str) -> Result<Vec<DeviceRow>, StoreError> {
        // Put in order here: asked to do it, SQLite walks all devices by their id instead of taking the gateway's index.
        let sql = format!("SELECT {COLUMNS} FROM devices WHERE application = $1 AND gateway = $2");
        let statement = Statement::new("list a device's children", TABLE, sql).bind(application).bind(gateway);
        let mut children: Vec<DeviceRow> = self.engine.fetch_all(statement).await?;
        children.sort_unstable_by(|left, right| left.id.cmp(&right.id));
        Ok(children)
    }

    /// Whether a device uses the template.
    pub async fn template_in_use(&self, application: &str, template: &str) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM devices WHERE application = $1 AND template = $2 LIMIT 1";
        let statement = Statement::new("look for a template's devices", TABLE, sql).bind(application).bind(template);
        let row: Option<(String,)> = self.engine.fetch_optional(statement).await?;
        Ok(row.is_some())
    }

    /// A device's cloud properties, by name.
    pub async fn cloud_properties(&self, application: &str, device: &str) -> Result<Vec<CloudPropertyRow>, StoreError> {
        let sql =
            "SELECT name, value, updated_ms FROM cloud_properties WHERE application = $1 AND device = $2 ORDER BY name";
        let statement = Statement::new("read cloud properties", "cloud_properties", sql).bind(application).bind(device);
        self.engine.fetch_all(statement).await
    }

    /// Sets (`Some`, JSON text) and clears (`None`) cloud properties together; with `replace`, clears every other one.
    pub async fn cloud_properties_write(
        &self,
        application: &str,
        device: &str,
        values: &[(String, Option<String>)],
        replace: bool,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let write =
            |sql| Statement::new("write cloud properties", "cloud_properties", sql).bind(application).bind(device);
        let mut statements = Vec::with_capacity(values.len() + 1);
        if replace {
            statements.push(write("DELETE FROM cloud_properties WHERE application = $1 AND device = $2"));
        }
        for (name, value) in values {
            statements.push(match value {
                Some(value) => write(
                    "INSERT INTO cloud_properties (application, device, name, value, updated_ms) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (application, device, name) DO UPDATE SET value = $4, updated_ms = $5",
                )
                .bind(name)
                .bind(value)
                .bind(now_ms),
                None => write("DELETE FROM cloud_properties WHERE application = $1 AND device = $2 AND name = $3").bind(name),
            });
        }
        let change = Act { act: "write cloud properties", table: "cloud_properties" };
        retried!(self.engine, {
            let mut transaction = self.engine.begin(&Locks::device(application, device), change).await?;
            let row = get(&mut transaction, application, device).await?.ok_or(StoreError::Missing(change))?;
            for statement in &statements {
                transaction.execute(statement).await?;
            }
            let event = lifecycle::of_device(application, &row, now_ms, &cloud_properties_changed(values, replace));
            self.commit_with(transaction, &[event]).await
        })
    }
}

/// The values as they were set, `null` for those that were cleared; with `replaced`, every other one was cleared too.
fn cloud_properties_changed(values: &[(String, Option<String>)], replaced: bool) -> Value {
    let value = |text: &Option<String>| text.as_ref().and_then(|text| serde_json::from_str(text).ok());
    let values: Map<String, Value> =
        values.iter().map(|(name, text)| (name.clone(), value(text).unwrap_or(Value::Null))).collect();
    let mut changed = Map::new();
    changed.insert("cloudProperties".to_owned(), json!({ "replaced": replaced, "values": values }));
    lifecycle::updated(changed)
}
