//! The listener's certificate: issued at start, replaced at two thirds of its life while connections stay open.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use transport::tls::{IdentityError, ServerIdentity, SwappableIdentity};

use crate::identity::authority::Authority;
use crate::limits::{CERTIFICATE_VALIDITY, RETRY_WAIT_MAX};

/// The clock may jump: the expiry is looked at at least this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(3600);

/// Issues certificates for one host name.
pub(super) struct Issuer {
    pub(super) authority: Arc<Authority>,
    pub(super) hostname: String,
}

/// A certificate in use.
pub(super) struct Current {
    pub(super) identity: ServerIdentity,
    pub(super) expires_at: OffsetDateTime,
}

/// No certificate was issued.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The authority did not sign.
    #[error("the certificate cannot be issued")]
    Issue(#[from] transport::tls::authority::IssueError),
    /// What it signed cannot be used.
    #[error("the certificate cannot be used")]
    Identity(#[from] IdentityError),
}

impl Issuer {
    pub(super) fn issue(&self) -> Result<Current, RenewError> {
        let issued = self.authority.issue_server(std::slice::from_ref(&self.hostname))?;
        Ok(Current { identity: issued.certified.server_identity()?, expires_at: issued.expires_at })
    }

    /// Replaces the certificate in time, for ever.
    pub(super) async fn renew(self, swappable: Arc<SwappableIdentity>, mut expires_at: OffsetDateTime) {
        loop {
            let renew_at = expires_at - CERTIFICATE_VALIDITY / 3;
            let left = renew_at - OffsetDateTime::now_utc();
            if left.is_positive() {
                tokio::time::sleep(left.unsigned_abs().min(LOOK_INTERVAL)).await;
                continue;
            }
            match self.issue() {
                Ok(current) => {
                    swappable.swap(current.identity);
                    expires_at = current.expires_at;
                    tracing::info!(%expires_at, "server certificate renewed");
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "server certificate not renewed");
                    tokio::time::sleep(RETRY_WAIT_MAX).await;
                }
            }
        }
    }
}
