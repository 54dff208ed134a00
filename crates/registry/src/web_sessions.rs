//! One-time sign-in codes and the console's sessions. Only hashes of the secrets are stored.

use sha2::{Digest, Sha256};

use super::engine::{Locks, Statement};
use super::{Ground, Registry, StoreError};

const CODES: &str = "sign_in_codes";
const SESSIONS: &str = "web_sessions";

/// SHA-256 of a secret, in hex. The secrets are 256 random bits, so a slow hash would add nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHash(String);

impl SecretHash {
    /// The hash of a secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// As text.
    pub(crate) fn hex(&self) -> &str {
        &self.0
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
        let drop_old = "DELETE FROM sign_in_codes WHERE application = $1 AND expires_ms <= $2";
        let drop_old = Statement::new("drop expired sign-in codes", CODES, drop_old).bind(application).bind(now_ms);
        let create = "INSERT INTO sign_in_codes (application, code_hash, user_id, expires_ms) VALUES ($1, $2, $3, $4)";
        let create = Statement::new("store a sign-in code", CODES, create)
            .bind(application)
            .bind(&code.0)
            .bind(user)
            .bind(expires_ms);
        self.engine.write(&Locks::none(), &[drop_old, create]).await.map(drop)
    }

    /// Takes a sign-in code out of the registry and answers whose it was. One statement takes it, so a code works once; one that is
    /// not there is only read, since whoever guesses must not keep others from writing.
    pub async fn sign_in_code_take(
        &self,
        application: &str,
        code: &SecretHash,
        now_ms: i64,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT user_id FROM sign_in_codes WHERE application = $1 AND code_hash = $2 AND expires_ms > $3";
        let statement = Statement::new("read a sign-in code", CODES, sql).bind(application).bind(&code.0).bind(now_ms);
        if self.engine.fetch_optional::<(String,)>(statement).await?.is_none() {
            return Ok(None);
        }
        let sql = "DELETE FROM sign_in_codes WHERE application = $1 AND code_hash = $2 AND expires_ms > $3 \
             RETURNING user_id";
        let statement = Statement::new("take a sign-in code", CODES, sql).bind(application).bind(&code.0).bind(now_ms);
        let row = self.engine.change_returning(&Locks::none(), statement).await?;
        Ok(row.map(|(user,)| user))
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
        let drop_old = "DELETE FROM web_sessions WHERE application = $1 AND expires_ms <= $2";
        let drop_old = Statement::new("drop expired sessions", SESSIONS, drop_old).bind(application).bind(now_ms);
        let create = "INSERT INTO web_sessions (application, session_hash, user_id, created_ms, expires_ms) \
             VALUES ($1, $2, $3, $4, $5)";
        let create = Statement::new("store a session", SESSIONS, create)
            .bind(application)
            .bind(&session.0)
            .bind(user)
            .bind(now_ms)
            .bind(expires_ms);
        self.engine.write(&Locks::none(), &[drop_old, create]).await.map(drop)
    }

    /// The user of a live session, with when the session was made and when it ends.
    pub async fn web_session_user(
        &self,
        application: &str,
        session: &SecretHash,
        now_ms: i64,
    ) -> Result<Option<(String, i64, i64)>, StoreError> {
        let sql = "SELECT user_id, created_ms, expires_ms FROM web_sessions \
             WHERE application = $1 AND session_hash = $2 AND expires_ms > $3";
        let statement = Statement::new("read a session", SESSIONS, sql).bind(application).bind(&session.0).bind(now_ms);
        self.engine.fetch_optional(statement).await
    }

    /// Moves the end of a session.
    pub async fn web_session_extend(
        &self,
        application: &str,
        session: &SecretHash,
        expires_ms: i64,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE web_sessions SET expires_ms = $3 WHERE application = $1 AND session_hash = $2";
        let statement =
            Statement::new("extend a session", SESSIONS, sql).bind(application).bind(&session.0).bind(expires_ms);
        self.engine.execute(statement).await.map(drop)
    }

    /// Ends a session.
    pub async fn web_session_delete(&self, application: &str, session: &SecretHash) -> Result<(), StoreError> {
        let sql = "DELETE FROM web_sessions WHERE application = $1 AND session_hash = $2 RETURNING user_id";
        let statement = Statement::new("end a session", SESSIONS, sql).bind(application).bind(&session.0);
        let done = self.engine.change_returning::<(String,)>(&Locks::none(), statement).await;
        let user = done.as_ref().ok().and_then(Option::as_ref).map(|(user,)| Ground::user(application, user));
        self.note_access(&done, user);
        done.map(drop)
    }
}
