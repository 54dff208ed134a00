//! The listener's certificate: issued at start, replaced at two thirds of its life while connections stay open.

use std::sync::Arc;

use time::OffsetDateTime;
use transport::tls::SwappableIdentity;

use crate::identity::{HubCertificate, SignError, Signer};
use crate::lifecycle::clock::Clock;
use crate::limits::{CERTIFICATE_VALIDITY, RETRY_WAIT_MAX};

/// Asks for certificates for one host name.
pub(super) struct ListenerCertificate {
    pub(super) signer: Arc<dyn Signer>,
    pub(super) hostname: String,
    pub(super) clock: Clock,
}

impl ListenerCertificate {
    pub(super) async fn issue(&self) -> Result<HubCertificate, SignError> {
        self.signer.hub_certificate(&self.hostname).await
    }

    /// Replaces the certificate in time, for ever.
    pub(super) async fn renew(self, swappable: Arc<SwappableIdentity>, mut expires_at: OffsetDateTime) {
        loop {
            let renew_at = expires_at - CERTIFICATE_VALIDITY / 3;
            let left = renew_at - self.clock.now();
            if left.is_positive() {
                // The clock may jump, from 1970 to today for one.
                tokio::time::sleep(left.unsigned_abs().min(RETRY_WAIT_MAX)).await;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use testkit::complaints::Complaints;
    use tokio::time::Instant;

    use super::*;
    use crate::identity::testing;

    const FIRST: Duration = Duration::from_secs(600);

    /// When certificates were asked for, by a listener whose first one is due for renewal after [`FIRST`].
    async fn asked_for(hostname: &str, count: usize, expected: Option<&'static str>) -> Vec<Duration> {
        let complaints = Complaints::watch();
        expected.into_iter().for_each(|text| complaints.expect(text));
        let dir = tempfile::tempdir().unwrap();
        let signer = testing::Recorded::new(testing::signer(dir.path(), "edge", &[]));
        let clock = Clock::of_runtime();
        let begun = Instant::now();
        let first = signer.hub_certificate("edge.local").await.unwrap();
        let mut asked = signer.certificates.subscribe();
        let expires_at = clock.now() + FIRST + CERTIFICATE_VALIDITY / 3;
        let listener = ListenerCertificate { signer, hostname: hostname.to_owned(), clock };
        let renewing = tokio::spawn(listener.renew(SwappableIdentity::new(first.identity), expires_at));
        let mut times = Vec::new();
        for number in 2..2 + count {
            asked.wait_for(|asked| *asked == number).await.unwrap();
            times.push(begun.elapsed());
        }
        renewing.abort();
        times
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_is_renewed_at_two_thirds_of_its_life() {
        let times = asked_for("edge.local", 2, None).await;
        // The second is made with the machine's clock, which goes on a little while the test runs.
        for (time, expected) in times.iter().zip([FIRST, CERTIFICATE_VALIDITY * 2 / 3]) {
            assert!(time.abs_diff(expected) < Duration::from_secs(60), "{times:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_that_cannot_be_made_is_tried_again_at_the_longest_wait() {
        let times = asked_for("\u{fc}", 3, Some("server certificate not renewed")).await;
        for (time, retries) in times.iter().zip(0..) {
            assert!(time.abs_diff(FIRST + RETRY_WAIT_MAX * retries) < Duration::from_secs(1), "{times:?}");
        }
    }
}
