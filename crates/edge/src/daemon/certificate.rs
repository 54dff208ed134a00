//! The listener's certificate: issued at start, replaced at two thirds of its life while connections stay open.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use transport::tls::SwappableIdentity;

use crate::identity::{HubCertificate, SignError, Signer};
use crate::limits::{CERTIFICATE_VALIDITY, RETRY_WAIT_MAX};

/// The clock may jump: the expiry is looked at at least this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(3600);

/// Asks for certificates for one host name.
pub(super) struct ListenerCertificate {
    pub(super) signer: Arc<dyn Signer>,
    pub(super) hostname: String,
}

impl ListenerCertificate {
    pub(super) async fn issue(&self) -> Result<HubCertificate, SignError> {
        self.signer.hub_certificate(&self.hostname).await
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
            match self.issue().await {
                Ok(certificate) => {
                    swappable.swap(certificate.identity);
                    expires_at = certificate.expires_at;
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
