//! One-time sign-in codes and the console's sessions. Only hashes of the secrets are stored.

use sha2::{Digest, Sha256};
use sqlx::Row;

use super::{Registry, StoreError};

/// SHA-256 of a secret, in hex. The secrets are 256 random bits, so a slow hash would add nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHash(String);

impl SecretHash {
    /// The hash of a secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl Registry {
    /// Stores a sign-in code for a user, and drops the codes that have expired.
    pub async fn sign_in_code_create(
        &self,
        application: &str,
        code: &SecretHash,
        user: &str,
        now_ms: i64,
        expires_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sign_in_codes WHERE application = $1 AND expires_ms <= $2")
            .bind(application)
            .bind(now_ms)
            .execute(self.writer())
            .await?;
        sqlx::query("INSERT INTO sign_in_codes (application, code_hash, user_id, expires_ms) VALUES ($1, $2, $3, $4)")
            .bind(application)
            .bind(&code.0)
            .bind(user)
            .bind(expires_ms)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Takes a sign-in code out of the registry and answers whose it was. One statement, so a code works once.
    pub async fn sign_in_code_take(
        &self,
        application: &str,
        code: &SecretHash,
        now_ms: i64,
    ) -> Result<Option<String>, StoreError> {
        let statement = sqlx::query(
            "DELETE FROM sign_in_codes WHERE application = $1 AND code_hash = $2 AND expires_ms > $3 RETURNING user_id",
        )
        .bind(application)
        .bind(&code.0)
        .bind(now_ms);
        let row = self.change_returning(statement).await?;
        Ok(row.map(|row| row.try_get("user_id")).transpose()?)
    }

    /// Stores a new session for a user, and drops the sessions that have expired.
    pub async fn web_session_create(
        &self,
        application: &str,
        session: &SecretHash,
        user: &str,
        now_ms: i64,
        expires_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM web_sessions WHERE application = $1 AND expires_ms <= $2")
            .bind(application)
            .bind(now_ms)
            .execute(self.writer())
            .await?;
        sqlx::query(
            "INSERT INTO web_sessions (application, session_hash, user_id, created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(application)
        .bind(&session.0)
        .bind(user)
        .bind(now_ms)
        .bind(expires_ms)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// The user of a live session, with when the session was made and when it ends.
    pub async fn web_session_user(
        &self,
        application: &str,
        session: &SecretHash,
        now_ms: i64,
    ) -> Result<Option<(String, i64, i64)>, StoreError> {
        let row = sqlx::query(
            "SELECT user_id, created_ms, expires_ms FROM web_sessions \
             WHERE application = $1 AND session_hash = $2 AND expires_ms > $3",
        )
        .bind(application)
        .bind(&session.0)
        .bind(now_ms)
        .fetch_optional(self.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((row.try_get("user_id")?, row.try_get("created_ms")?, row.try_get("expires_ms")?)))
    }

    /// Moves the end of a session.
    pub async fn web_session_extend(
        &self,
        application: &str,
        session: &SecretHash,
        expires_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE web_sessions SET expires_ms = $3 WHERE application = $1 AND session_hash = $2")
            .bind(application)
            .bind(&session.0)
            .bind(expires_ms)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Ends a session.
    pub async fn web_session_delete(&self, application: &str, session: &SecretHash) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM web_sessions WHERE application = $1 AND session_hash = $2")
            .bind(application)
            .bind(&session.0)
            .execute(self.writer())
            .await?;
        Ok(())
    }
}
