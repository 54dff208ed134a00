//! Where a client's tokens come from.

use std::future::Future;
use std::pin::Pin;

use protocol::auth::sas;

/// A token on its way.
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send + 'a>>;

/// Gives the password of a CONNECT: a shared access signature. Whoever holds the key implements this: here from memory, on
/// the edge by asking the workload API to sign.
pub trait TokenSource: Send + Sync {
    /// A token for an audience (unescaped, e.g. `{hub}/devices/{d}`) that ends at that Unix second.
    fn token<'a>(&'a self, audience: &'a str, expiry_secs: u64) -> TokenFuture<'a>;
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no token could be made: {message}")]
pub struct TokenError {
    /// What went wrong.
    pub message: String,
}

/// Signs with a key held in memory.
#[derive(Clone)]
pub struct SharedKey {
    key_base64: String,
    policy: Option<String>,
}

impl SharedKey {
    /// A base64 key of a device or module.
    pub fn new(key_base64: impl Into<String>) -> Self {
        Self { key_base64: key_base64.into(), policy: None }
    }

    /// The same, naming a policy (`skn`), as provisioning wants it.
    pub fn with_policy(self, policy: &str) -> Self {
        Self { policy: Some(policy.to_owned()), ..self }
    }
}

/// Keys stay out of logs.
impl std::fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedKey").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl TokenSource for SharedKey {
    fn token<'a>(&'a self, audience: &'a str, expiry_secs: u64) -> TokenFuture<'a> {
        Box::pin(async move {
            sas::sign(audience, &self.key_base64, expiry_secs, self.policy.as_deref())
                .map_err(|error| TokenError { message: error.to_string() })
        })
    }
}
