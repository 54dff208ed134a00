//! Individual attestation of a device: it wins over the group's.

use super::engine::{Locks, Statement, retried};
use super::{Registry, StoreError, SymmetricKeys, devices, lifecycle};

const TABLE: &str = "attestations";

/// Certificates a device has itself, base64 of DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCertificates {
    /// One it may show.
    pub primary: String,
    /// Another one, to change over to.
    pub secondary: Option<String>,
}

/// What a device proves itself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceProof {
    /// A token signed with a key of its own.
    Keys(SymmetricKeys),
    /// A certificate of its own.
    Certificates(DeviceCertificates),
}

/// What a device was given by itself.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AttestationRow {
    /// What it proves itself with.
    #[sqlx(flatten, try_from = "ProofColumns")]
    pub proof: DeviceProof,
    /// When they were set.
    pub updated_ms: i64,
}

#[derive(sqlx::FromRow)]
struct ProofColumns {
    primary_key: Option<String>,
    secondary_key: Option<String>,
    primary_certificate: Option<String>,
    secondary_certificate: Option<String>,
}

/// A row that says neither.
#[derive(Debug, thiserror::Error)]
#[error("an attestation has neither keys nor certificates")]
struct NoProof;

impl TryFrom<ProofColumns> for DeviceProof {
    type Error = NoProof;

    fn try_from(columns: ProofColumns) -> Result<Self, NoProof> {
        match (columns.primary_certificate, columns.primary_key, columns.secondary_key) {
            (Some(primary), ..) => {
                let secondary = columns.secondary_certificate;
                Ok(Self::Certificates(DeviceCertificates { primary, secondary }))
            }
            (None, Some(primary), Some(secondary)) => Ok(Self::Keys(SymmetricKeys { primary, secondary })),
            _ => Err(NoProof),
        }
    }
}

/// The certificates of a device itself in a statement that has [`JOIN_OWN`].
pub(super) const OWN_COLUMNS: &str = "attestations.primary_certificate AS own_primary_certificate, \
     attestations.secondary_certificate AS own_secondary_certificate";

/// Joins the attestations of the application `$1` to its devices.
pub(super) const JOIN_OWN: &str =
    "LEFT JOIN attestations ON attestations.application = $1 AND attestations.device = devices.id";

/// A device's own certificates, if it has some.
#[derive(sqlx::FromRow)]
pub(super) struct OwnColumns {
    own_primary_certificate: Option<String>,
    own_secondary_certificate: Option<String>,
}

impl From<OwnColumns> for Option<DeviceCertificates> {
    fn from(columns: OwnColumns) -> Self {
        let primary = columns.own_primary_certificate?;
        Some(DeviceCertificates { primary, secondary: columns.own_secondary_certificate })
    }
}

impl Registry {
    /// The individual attestation of a device, if it has one.
    pub async fn attestation_get(&self, application: &str, device: &str) -> Result<Option<AttestationRow>, StoreError> {
        let sql = "SELECT primary_key, secondary_key, primary_certificate, secondary_certificate, updated_ms \
             FROM attestations WHERE application = $1 AND device = $2";
        let statement = Statement::new("read an attestation", TABLE, sql).bind(application).bind(device);
        self.engine.fetch_optional(statement).await
    }

    /// Sets a device's individual attestation. It is the device's at once, whether it was provisioned before or not, and the only
    /// one: keys it had are gone.
    pub async fn attestation_put(
        &self,
        application: &str,
        device: &str,
        attestation: &AttestationRow,
    ) -> Result<(), StoreError> {
        let (keys, certificates) = match &attestation.proof {
            DeviceProof::Keys(keys) => (Some(keys), None),
            DeviceProof::Certificates(certificates) => (None, Some(certificates)),
        };
        let put = "INSERT INTO attestations (application, device, primary_key, secondary_key, primary_certificate, \
             secondary_certificate, updated_ms) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (application, device) \
             DO UPDATE SET primary_key = $3, secondary_key = $4, primary_certificate = $5, secondary_certificate = $6, \
             updated_ms = $7";
        let put = Statement::new("store an attestation", TABLE, put)
            .bind(application)
            .bind(device)
            .bind(keys.map(|keys| keys.primary.as_str()))
            .bind(keys.map(|keys| keys.secondary.as_str()))
            .bind(certificates.map(|certificates| certificates.primary.as_str()))
            .bind(certificates.and_then(|certificates| certificates.secondary.as_deref()))
            .bind(attestation.updated_ms);
        let take = "UPDATE devices SET primary_key = $3, secondary_key = $4, enrollment_group = NULL \
             WHERE application = $1 AND id = $2";
        let take = Statement::new("give a device the keys of its attestation", "devices", take)
            .bind(application)
            .bind(device)
            .bind(keys.map(|keys| keys.primary.as_str()))
            .bind(keys.map(|keys| keys.secondary.as_str()));
        self.change_attestation(application, device, &[take, put], attestation.updated_ms).await.map(drop)
    }

    /// Removes a device's individual attestation and the identity keys that came from it, so that it must provision again
    /// through a group. Answers whether there was one.
    pub async fn attestation_delete(&self, application: &str, device: &str, now_ms: i64) -> Result<bool, StoreError> {
        let take = "UPDATE devices SET primary_key = NULL, secondary_key = NULL, provisioned = FALSE \
             WHERE application = $1 AND id = $2 AND enrollment_group IS NULL \
             AND EXISTS (SELECT device FROM attestations WHERE application = $1 AND device = $2)";
        let take = Statement::new("take the keys of its attestation from a device", "devices", take);
        let delete = "DELETE FROM attestations WHERE application = $1 AND device = $2";
        let delete = Statement::new("delete an attestation", TABLE, delete);
        let statements = [take, delete].map(|statement| statement.bind(application).bind(device));
        self.change_attestation(application, device, &statements, now_ms).await
    }

    /// Runs the statements of a change of the device's attestation, and commits it with the event that tells of it if the last
    /// one changed something. Answers whether it did.
    async fn change_attestation(
        &self,
        application: &str,
        device: &str,
        statements: &[Statement<'_>; 2],
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let act = statements[1].act();
        retried!(self.engine, {
            let mut transaction = self.engine.begin(&Locks::device(application, device), act).await?;
            transaction.execute(&statements[0]).await?;
            if transaction.execute(&statements[1]).await? == 0 {
                transaction.roll_back().await?;
                return Ok(false);
            }
            let row = devices::get(&mut transaction, application, device).await?.ok_or(StoreError::Missing(act))?;
            let event = lifecycle::of_device(application, &row, now_ms, &lifecycle::updated_secret("attestation"));
            self.commit_with(transaction, &[event]).await?;
            Ok(true)
        })
    }
}
