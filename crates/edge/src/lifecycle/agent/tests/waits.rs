//! When a module that failed is started again, and when that is forgotten.

use super::*;
use crate::limits::{HEALTHY_AFTER, RESTART_WAIT_FIRST, RESTART_WAIT_MAX};

/// The time since `begun`, which is now the moment of the next step; what tokio's clock rounds up is left off.
fn lap(begun: &mut Instant) -> Duration {
    let lap = begun.elapsed();
    *begun = Instant::now();
    Duration::from_millis(lap.as_millis() as u64 / 100 * 100)
}

#[tokio::test(start_paused = true)]
async fn a_module_that_keeps_failing_is_restarted_after_waits_up_to_the_longest() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.runtime.end_at_once("a", 1);
    let mut begun = Instant::now();
    agent.deploy(1, deployment(json!({ "a": module("on-failure") }))).await;
    let mut wait = RESTART_WAIT_FIRST;
    for restarts in 1..=8 {
        agent.reported(|report| report["modules"]["a"]["restartCount"] == restarts).await;
        assert_eq!(lap(&mut begun), wait, "restart {restarts}");
        wait = (wait * 2).min(RESTART_WAIT_MAX);
    }
    assert_eq!(wait, RESTART_WAIT_MAX);
    agent.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_module_that_ran_for_long_enough_is_well_again_and_the_next_wait_is_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start(dir.path());
    agent.deploy(1, deployment(json!({ "a": module("always") }))).await;
    agent.running(&["a"]).await;
    let mut begun = Instant::now();
    for wait in [RESTART_WAIT_FIRST, 2 * RESTART_WAIT_FIRST] {
        agent.runtime.exit("a", 1);
        agent.reported(|report| status_of(report, "a") == "backoff").await;
        agent.running(&["a"]).await;
        assert_eq!(lap(&mut begun), wait);
    }
    agent.reported(|report| report["modules"]["a"]["restartCount"] == 0).await;
    assert_eq!(lap(&mut begun), HEALTHY_AFTER);
    agent.runtime.exit("a", 1);
    agent.reported(|report| status_of(report, "a") == "backoff").await;
    agent.running(&["a"]).await;
    assert_eq!(lap(&mut begun), RESTART_WAIT_FIRST);
    agent.end().await;
}
