//! Individual attestation of a device: it wins over the group's.

use sqlx::{Row, Sqlite, Transaction};

use super::{Registry, StoreError, SymmetricKeys, devices, lifecycle};

/// Symmetric keys a device was given by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationRow {
    /// The keys.
    pub keys: SymmetricKeys,
    /// When they were set.
    pub updated_ms: i64,
}

impl Registry {
    /// The individual attestation of a device, if it has one.
    pub async fn attestation_get(&self, application: &str, device: &str) -> Result<Option<AttestationRow>, StoreError> {
        let row = sqlx::query(
            "SELECT primary_key, secondary_key, updated_ms FROM attestations WHERE application = $1 AND device = $2",
        )
        .bind(application)
        .bind(device)
        .fetch_optional(self.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(AttestationRow {
            keys: SymmetricKeys { primary: row.try_get("primary_key")?, secondary: row.try_get("secondary_key")? },
            updated_ms: row.try_get("updated_ms")?,
        }))
    }

    /// Sets a device's individual attestation; an identity that is provisioned already takes the new keys at once.
    pub async fn attestation_put(
        &self,
        application: &str,
        device: &str,
        attestation: &AttestationRow,
    ) -> Result<(), StoreError> {
        let mut transaction = self.writer().begin().await?;
        sqlx::query(
            "INSERT INTO attestations (application, device, primary_key, secondary_key, updated_ms) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (application, device) DO UPDATE SET primary_key = $3, secondary_key = $4, updated_ms = $5",
        )
        .bind(application)
        .bind(device)
        .bind(&attestation.keys.primary)
        .bind(&attestation.keys.secondary)
        .bind(attestation.updated_ms)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "UPDATE devices SET primary_key = $3, secondary_key = $4, enrollment_group = NULL \
             WHERE application = $1 AND id = $2 AND provisioned = 1",
        )
        .bind(application)
        .bind(device)
        .bind(&attestation.keys.primary)
        .bind(&attestation.keys.secondary)
        .execute(&mut *transaction)
        .await?;
        self.commit_attestation(transaction, application, device, attestation.updated_ms).await
    }

    /// Removes a device's individual attestation and the identity keys that came from it, so that it must provision again
    /// through a group. Answers whether there was one.
    pub async fn attestation_delete(&self, application: &str, device: &str, now_ms: i64) -> Result<bool, StoreError> {
        let mut transaction = self.writer().begin().await?;
        let done = sqlx::query("DELETE FROM attestations WHERE application = $1 AND device = $2")
            .bind(application)
            .bind(device)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        sqlx::query(
            "UPDATE devices SET primary_key = NULL, secondary_key = NULL, provisioned = 0 \
             WHERE application = $1 AND id = $2 AND enrollment_group IS NULL",
        )
        .bind(application)
        .bind(device)
        .execute(&mut *transaction)
        .await?;
        self.commit_attestation(transaction, application, device, now_ms).await?;
        Ok(true)
    }

    /// Commits a change of the device's attestation with the event that tells of it.
    async fn commit_attestation(
        &self,
        mut transaction: Transaction<'_, Sqlite>,
        application: &str,
        device: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let device = devices::get(&mut transaction, application, device).await?.ok_or(StoreError::Missing)?;
        let event = lifecycle::of_device(application, &device, now_ms, &lifecycle::updated_secret("attestation"));
        self.commit_with(transaction, &[event]).await
    }
}
