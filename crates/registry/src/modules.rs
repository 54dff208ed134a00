//! Module identities of devices, made by the edge runtime with the device's own credentials.

use std::num::TryFromIntError;

use serde_json::json;

use super::engine::{Locks, Statement, Transaction, retried};
use super::{Registry, StoreError, SymmetricKeys, devices, lifecycle, new_etag, new_generation_id};

const TABLE: &str = "modules";
const COLUMNS: &str = "device, id, generation_id, etag, managed_by, auth_type, primary_key, secondary_key, \
     primary_thumbprint, secondary_thumbprint, created_ms, updated_ms, subscriptions";

/// How a module proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleAuthentication {
    /// Not yet decided: it cannot connect.
    None,
    /// Signed tokens.
    Sas(SymmetricKeys),
    /// Certificates with these thumbprints, hex digits.
    SelfSigned {
        /// Of one it may show.
        primary: Option<String>,
        /// Of another one.
        secondary: Option<String>,
    },
    /// A certificate in its name that leads to an authority of its device's.
    CertificateAuthority,
}

/// One module identity.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ModuleRow {
    /// Its device.
    pub device: String,
    /// Its id, case-sensitive, such as `$edgeAgent`.
    pub id: String,
    /// Stable for the identity's life: the edge derives the module's keys from it.
    pub generation_id: String,
    /// Changes with every write.
    pub etag: String,
    /// Who manages it, `IotEdge` for deployed modules.
    pub managed_by: Option<String>,
    /// How it proves who it is.
    #[sqlx(flatten, try_from = "ModuleProof")]
    pub authentication: ModuleAuthentication,
    /// When it was created.
    pub created_ms: i64,
    /// When it last changed.
    pub updated_ms: i64,
    /// What its session is subscribed to, in the hub's own bits; 0 when no session is kept. No part of the record: the etag stays.
    #[sqlx(try_from = "i64")]
    pub subscriptions: u8,
}

/// What a write of a module identity sets; `None` leaves a member as it is.
#[derive(Debug, Clone, Default)]
pub struct ModuleChange {
    /// Who manages it.
    pub managed_by: Option<String>,
    /// How it proves who it is.
    pub authentication: Option<ModuleAuthentication>,
    /// Changes only a module that carries this etag.
    pub if_match: Option<String>,
}

impl ModuleChange {
    /// What it sets, as events name it.
    fn names(&self) -> Vec<&'static str> {
        let names = [("managedBy", self.managed_by.is_some()), ("authentication", self.authentication.is_some())];
        names.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }
}

const SELF_SIGNED: &str = "selfSigned";
const CERTIFICATE_AUTHORITY: &str = "certificateAuthority";

/// How a module proves who it is: keys both or none.
#[derive(sqlx::FromRow)]
struct ModuleProof {
    auth_type: String,
    primary_key: Option<String>,
    secondary_key: Option<String>,
    primary_thumbprint: Option<String>,
    secondary_thumbprint: Option<String>,
}

impl From<ModuleProof> for ModuleAuthentication {
    fn from(proof: ModuleProof) -> Self {
        match (proof.auth_type.as_str(), proof.primary_key, proof.secondary_key) {
            (SELF_SIGNED, ..) => {
                Self::SelfSigned { primary: proof.primary_thumbprint, secondary: proof.secondary_thumbprint }
            }
            (CERTIFICATE_AUTHORITY, ..) => Self::CertificateAuthority,
            (_, Some(primary), Some(secondary)) => Self::Sas(SymmetricKeys { primary, secondary }),
            _ => Self::None,
        }
    }
}

/// The same, to be written; no type leaves all of it as it is.
#[derive(Default)]
struct WrittenProof<'c> {
    auth_type: Option<&'static str>,
    keys: Option<&'c SymmetricKeys>,
    thumbprints: [Option<&'c str>; 2],
}

impl<'c> From<Option<&'c ModuleAuthentication>> for WrittenProof<'c> {
    fn from(authentication: Option<&'c ModuleAuthentication>) -> Self {
        let Some(authentication) = authentication else { return Self::default() };
        let (auth_type, keys, thumbprints) = match authentication {
            ModuleAuthentication::None => ("none", None, [None, None]),
            ModuleAuthentication::Sas(keys) => ("sas", Some(keys), [None, None]),
            ModuleAuthentication::SelfSigned { primary, secondary } => {
                (SELF_SIGNED, None, [primary.as_deref(), secondary.as_deref()])
            }
            ModuleAuthentication::CertificateAuthority => (CERTIFICATE_AUTHORITY, None, [None, None]),
        };
        Self { auth_type: Some(auth_type), keys, thumbprints }
    }
}

/// The columns of a module in a statement that joins them to devices.
pub(super) const JOINED_COLUMNS: &str = "modules.device AS module_device, modules.id AS module_id, \
     modules.generation_id AS module_generation_id, modules.etag AS module_etag, modules.managed_by AS module_managed_by, \
     modules.auth_type AS module_auth_type, modules.primary_thumbprint AS module_primary_thumbprint, \
     modules.secondary_thumbprint AS module_secondary_thumbprint, modules.primary_key AS module_primary_key, modules.secondary_key AS module_secondary_key, \
     modules.created_ms AS module_created_ms, modules.updated_ms AS module_updated_ms, \
     modules.subscriptions AS module_subscriptions";

/// A module's columns, of a device that may have none.
#[derive(sqlx::FromRow)]
pub(super) struct JoinedModule {
    module_device: Option<String>,
    module_id: Option<String>,
    module_generation_id: Option<String>,
    module_etag: Option<String>,
    module_managed_by: Option<String>,
    module_auth_type: Option<String>,
    module_primary_key: Option<String>,
    module_secondary_key: Option<String>,
    module_primary_thumbprint: Option<String>,
    module_secondary_thumbprint: Option<String>,
    module_created_ms: Option<i64>,
    module_updated_ms: Option<i64>,
    module_subscriptions: Option<i64>,
}

impl TryFrom<JoinedModule> for Option<ModuleRow> {
    type Error = TryFromIntError;

    fn try_from(columns: JoinedModule) -> Result<Self, Self::Error> {
        // As of a module that is read by itself: out of range is an error, and no session without subscriptions.
        let subscriptions = columns.module_subscriptions.map(u8::try_from).transpose()?;
        let row = || {
            let proof = ModuleProof {
                auth_type: columns.module_auth_type?,
                primary_key: columns.module_primary_key,
                secondary_key: columns.module_secondary_key,
                primary_thumbprint: columns.module_primary_thumbprint,
                secondary_thumbprint: columns.module_secondary_thumbprint,
            };
            Some(ModuleRow {
                device: columns.module_device?,
                id: columns.module_id?,
                generation_id: columns.module_generation_id?,
                etag: columns.module_etag?,
                managed_by: columns.module_managed_by,
                authentication: proof.into(),
                created_ms: columns.module_created_ms?,
                updated_ms: columns.module_updated_ms?,
                subscriptions: subscriptions?,
            })
        };
        Ok(row())
    }
}

fn read<'q>(application: &'q str, device: &'q str, id: &'q str) -> Statement<'q> {
    let sql = format!("SELECT {COLUMNS} FROM modules WHERE application = $1 AND device = $2 AND id = $3");
    Statement::new("read a module", TABLE, sql).bind(application).bind(device).bind(id)
}

async fn get(
    transaction: &mut Transaction,
    application: &str,
    device: &str,
    id: &str,
) -> Result<Option<ModuleRow>, StoreError> {
    transaction.fetch_optional(&read(application, device, id)).await
}

impl Registry {
    /// One module.
    pub async fn module_get(&self, application: &str, device: &str, id: &str) -> Result<Option<ModuleRow>, StoreError> {
        self.engine.fetch_optional(read(application, device, id)).await
    }

    /// A device's modules, by id.
    pub async fn modules_list(&self, application: &str, device: &str) -> Result<Vec<ModuleRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM modules WHERE application = $1 AND device = $2 ORDER BY id");
        self.engine
            .fetch_all(Statement::new("list a device's modules", TABLE, sql).bind(application).bind(device))
            .await
    }

    /// Makes a module, or changes one: the generation id stays. `Missing` when the device is not there.
    pub async fn module_put(
        &self,
        application: &str,
        device: &str,
        id: &str,
        change: ModuleChange,
        now_ms: i64,
    ) -> Result<ModuleRow, StoreError> {
        let WrittenProof { auth_type, keys, thumbprints } = change.authentication.as_ref().into();
        let kept =
            |column: &str, new: &str| format!("{column} = CASE WHEN $7 IS NULL THEN modules.{column} ELSE {new} END");
        let sql = format!(
            "INSERT INTO modules (application, {COLUMNS}) \
             VALUES ($1, $2, $3, $4, $5, $6, COALESCE($7, 'none'), $8, $9, $10, $11, $12, $12, 0) \
             ON CONFLICT (application, device, id) DO UPDATE SET etag = $5, managed_by = COALESCE($6, modules.managed_by), \
             auth_type = COALESCE($7, modules.auth_type), {}, {}, {}, {}, updated_ms = $12 \
             WHERE $13 IS NULL OR modules.etag = $13 RETURNING {COLUMNS}",
            kept("primary_key", "$8"),
            kept("secondary_key", "$9"),
            kept("primary_thumbprint", "$10"),
            kept("secondary_thumbprint", "$11"),
        );
        let statement = Statement::new("store a module", TABLE, sql)
            .bind(application)
            .bind(device)
            .bind(id)
            .bind(new_generation_id())
            .bind(new_etag())
            .bind(&change.managed_by)
            .bind(auth_type)
            .bind(keys.map(|keys| keys.primary.as_str()))
            .bind(keys.map(|keys| keys.secondary.as_str()))
            .bind(thumbprints[0])
            .bind(thumbprints[1])
            .bind(now_ms)
            .bind(&change.if_match);
        let act = statement.act();
        retried!(self.engine, {
            let mut transaction = self.engine.begin(&Locks::device(application, device), act).await?;
            let owner = devices::get(&mut transaction, application, device).await?.ok_or(StoreError::Missing(act))?;
            let is_new = get(&mut transaction, application, device, id).await?.is_none();
            let row: Option<ModuleRow> = transaction.fetch_optional(&statement).await?;
            let row = row.ok_or(StoreError::EtagMismatch(act))?;
            let body = match is_new {
                true => json!({ "event": "created", "managedBy": row.managed_by }),
                false => json!({ "event": "updated", "changed": change.names(), "managedBy": row.managed_by }),
            };
            let event = lifecycle::of_module(application, &row, owner.organization, now_ms, &body);
            self.commit_with(transaction, &[event]).await?;
            Ok(row)
        })
    }

    /// Deletes a module and its twin. Answers whether it was there.
    pub async fn module_delete(
        &self,
        application: &str,
        device: &str,
        id: &str,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let twin = "DELETE FROM twins WHERE application = $1 AND device = $2 AND module = $3 AND $3 <> ''";
        let module = "DELETE FROM modules WHERE application = $1 AND device = $2 AND id = $3";
        let statements =
            [Statement::new("delete a module's twin", "twins", twin), Statement::new("delete a module", TABLE, module)];
        let statements = statements.map(|statement| statement.bind(application).bind(device).bind(id));
        let act = statements[1].act();
        retried!(self.engine, {
            let mut transaction = self.engine.begin(&Locks::device(application, device), act).await?;
            let Some(module) = get(&mut transaction, application, device, id).await? else {
                transaction.roll_back().await?;
                return Ok(false);
            };
            let owner = devices::get(&mut transaction, application, device).await?.ok_or(StoreError::Missing(act))?;
            for statement in &statements {
                transaction.execute(statement).await?;
            }
            let body = json!({ "event": "deleted" });
            let event = lifecycle::of_module(application, &module, owner.organization, now_ms, &body);
            self.commit_with(transaction, &[event]).await?;
            Ok(true)
        })
    }

    /// The device whose id equals `registration_id`, else one that differs from it in case only: registration ids ignore case.
    pub async fn device_id_of_registration(
        &self,
        application: &str,
        registration_id: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT id FROM devices WHERE application = $1 AND lower(id) = $3 \
             ORDER BY CASE WHEN id = $2 THEN 0 ELSE 1 END, id LIMIT 1";
        let statement = Statement::new("find a device by its registration id", "devices", sql)
            .bind(application)
            .bind(registration_id)
            .bind(registration_id.to_ascii_lowercase());
        let row = self.engine.fetch_optional(statement).await?;
        Ok(row.map(|(id,)| id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_out_of_range_are_an_error_and_not_none() {
        let row = |subscriptions: i64| {
            let text = || Some(String::from("x"));
            <Option<ModuleRow>>::try_from(JoinedModule {
                module_device: text(),
                module_id: text(),
                module_generation_id: text(),
                module_etag: text(),
                module_managed_by: None,
                module_auth_type: text(),
                module_primary_key: None,
                module_secondary_key: None,
                module_primary_thumbprint: None,
                module_secondary_thumbprint: None,
                module_created_ms: Some(1),
                module_updated_ms: Some(1),
                module_subscriptions: Some(subscriptions),
            })
        };
        assert_eq!(row(255).map(|row| row.map(|row| row.subscriptions)), Ok(Some(255)));
        assert!(row(256).is_err());
        assert!(row(-1).is_err());
    }
}
