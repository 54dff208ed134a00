//! Individual attestation of a device: it wins over the group's.

use super::engine::{Locks, Statement, retried};
use super::{Registry, StoreError, SymmetricKeys, devices, lifecycle};

const TABLE: &str = "attestations";

/// Symmetric keys a device was given by itself.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AttestationRow {
    /// The keys.
    #[sqlx(flatten)]
    pub keys: SymmetricKeys,
    /// When they were set.
    pub updated_ms: i64,
}

impl Registry {
    /// The individual attestation of a device, if it has one.
    pub async fn attestation_get(&self, application: &str, device: &str) -> Result<Option<AttestationRow>, StoreError> {
        let sql =
            "SELECT primary_key, secondary_key, updated_ms FROM attestations WHERE application = $1 AND device = $2";
        let statement = Statement::new("read an attestation", TABLE, sql).bind(application).bind(device);
        self.engine.fetch_optional(statement).await
    }

    /// Sets a device's individual attestation. Its keys are the device's at once, whether it was provisioned before or not.
    pub async fn attestation_put(
        &self,
        application: &str,
        device: &str,
        attestation: &AttestationRow,
    ) -> Result<(), StoreError> {
        let put = "INSERT INTO attestations (application, device, primary_key, secondary_key, updated_ms) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (application, device) \
             DO UPDATE SET primary_key = $3, secondary_key = $4, updated_ms = $5";
        let put = Statement::new("store an attestation", TABLE, put)
            .bind(application)
            .bind(device)
            .bind(&attestation.keys.primary)
            .bind(&attestation.keys.secondary)
            .bind(attestation.updated_ms);
        let take = "UPDATE devices SET primary_key = $3, secondary_key = $4, enrollment_group = NULL \
             WHERE application = $1 AND id = $2";
        let take = Statement::new("give a device the keys of its attestation", "devices", take)
            .bind(application)
            .bind(device)
            .bind(&attestation.keys.primary)
            .bind(&attestation.keys.secondary);
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
