//! Whether the log takes messages again after it refused some: told by itself, without waiting for somebody to send one.
//!
//! A log that was closed by a failure takes nothing until it is opened again: then this ends, and Central with it.

use std::time::Duration;

use events::Events;
use events::health::Condition;
use storage::log::ProbeError;
use tokio_util::sync::CancellationToken;

/// How often a log that refuses messages is tried.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Runs until the token is cancelled, or the log is closed for good.
pub(super) async fn run(events: Events, health: Condition, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(PROBE_INTERVAL)).await.is_some() {
        if health.problem().is_none() {
            continue;
        }
        let log = events.log().clone();
        match tokio::task::spawn_blocking(move || log.probe()).await {
            Ok(Ok(())) => events.room_made(),
            Ok(Err(ProbeError::Closed)) => return,
            // Said already.
            Ok(Err(ProbeError::NoRoom)) => {}
            Err(error) => tracing::error!(%error, "whether the log takes messages could not be tried"),
        }
    }
}
