//! Reads every telemetry file again and again, slowly, and compares it with its checksum: bits flip where nobody looks.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::TimeSeries;
use crate::limits::{SCRUB_BYTES_PER_SECOND_MAX, SCRUB_PAUSE};

/// The task.
pub struct Scrub {
    telemetry: TimeSeries,
}

/// How long after a file of this size the next one is read.
fn pause_after(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1_000) / SCRUB_BYTES_PER_SECOND_MAX)
}

impl Scrub {
    /// Over the files of every application.
    pub fn new(telemetry: TimeSeries) -> Self {
        Self { telemetry }
    }

    /// Runs until the token is cancelled.
    pub async fn run(self, shutdown: CancellationToken) {
        // Bounded in what it reads: at most so many bytes a second, over all files, and then a pause.
        shutdown.run_until_cancelled(self.rounds()).await;
    }

    async fn rounds(&self) {
        loop {
            for app in self.telemetry.catalog().applications() {
                self.round(&app).await;
            }
            tokio::time::sleep(SCRUB_PAUSE).await;
        }
    }

    async fn round(&self, app: &str) {
        let store = match self.telemetry.application(app) {
            Ok(store) => store,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                return tracing::error!(error, "the telemetry files could not be checked");
            }
        };
        for meta in self.telemetry.catalog().of_application(app) {
            let (checker, bytes) = (Arc::clone(&store), meta.bytes);
            let checking = tokio::task::spawn_blocking(move || checker.check(&meta)).await;
            match checking {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "a telemetry file could not be checked");
                }
                Err(error) => tracing::error!(%error, "a telemetry file could not be checked"),
            }
            tokio::time::sleep(pause_after(bytes)).await;
        }
        store.forget_unlisted();
    }
}

#[cfg(test)]
mod tests {
    //! How fast it reads.

    use super::*;

    #[test]
    fn it_reads_at_most_so_much_a_second() {
        assert_eq!(pause_after(0), Duration::ZERO);
        assert_eq!(pause_after(SCRUB_BYTES_PER_SECOND_MAX), Duration::from_secs(1));
        assert!(SCRUB_PAUSE >= Duration::from_secs(60), "a small store is not read all the time");
    }
}
