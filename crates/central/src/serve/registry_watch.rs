//! Whether the registry answers: without it nobody is let in, and Central is not ready.
//!
//! Only told, not mended: the next statement connects anew by itself.

use std::time::Duration;

use events::health::Condition;
use registry::Registry;
use tokio_util::sync::CancellationToken;

/// How often the registry's database is asked whether it answers.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Runs until the token is cancelled.
pub(super) async fn run(registry: Registry, health: Condition, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(PROBE_INTERVAL)).await.is_some() {
        // A stop does not wait for an answer that may take long.
        let Some(answer) = stop.run_until_cancelled(registry.probe()).await else { return };
        match answer {
            Ok(()) => {
                if health.restore() {
                    tracing::info!("the registry answers again");
                }
            }
            Err(error) => {
                if health.break_with("the registry's database does not answer") {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the registry's database does not answer");
                }
            }
        }
    }
}
