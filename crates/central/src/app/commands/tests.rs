//! Runs are stored many to a commit, and so many wait for it.
#![allow(clippy::unwrap_used)]

use futures_util::future::join_all;
use registry::{ApplicationRow, NewDevice};
use tokio::task::unconstrained;

use super::*;

async fn registry(folder: &tempfile::TempDir) -> Registry {
    let registry = Registry::open(&folder.path().join("registry.db")).await.unwrap();
    let application = ApplicationRow { id: "a".into(), name: "a".into(), id_scope: "0ne1".into(), created_ms: 0 };
    registry.application_create(&application, &[]).await.unwrap();
    registry.device_create("a", NewDevice { id: "d".into(), ..NewDevice::default() }).await.unwrap();
    registry
}

/// A run of a command of its own.
fn run(n: usize) -> NewCommand {
    let place = Place { device: "d", module: None, component: None };
    let run = CommandRow {
        id: new_id(),
        request: None,
        response: None,
        response_code: Some(200),
        connection_timeout_secs: None,
        response_timeout_secs: None,
        requested_ms: 1,
    };
    NewCommand { application: "a".to_owned(), target: target(place, &n.to_string()), run }
}

async fn stored(registry: &Registry, most: usize) -> usize {
    let mut stored = 0;
    for n in 0..most {
        stored += registry.command_history("a", &run(n).target).await.unwrap().len();
    }
    stored
}

#[tokio::test]
async fn so_many_runs_wait_and_a_stop_stores_them_all_in_commits_of_their_size() {
    for (asked, queued) in [
        (COMMAND_RUNS_PER_COMMIT_MAX + 1, COMMAND_RUNS_PER_COMMIT_MAX + 1),
        (COMMAND_RUNS_QUEUED_MAX + 1, COMMAND_RUNS_QUEUED_MAX),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(&folder).await;
        let (runs, writer) = CommandRunWriter::new(registry.clone());
        // One poll has a budget, which would not do for all of them.
        let mut callers = join_all((0..asked).map(|n| unconstrained(runs.make(run(n)))));
        assert!(futures_util::poll!(&mut callers).is_pending());
        // Whoever is queued has its run stored although it went away; whoever waits for room has none.
        drop(callers);
        let stop = CancellationToken::new();
        stop.cancel();
        writer.run(stop).await;
        assert_eq!(stored(&registry, asked).await, queued);
    }
}

#[test]
fn what_no_row_can_hold_is_refused_before_it_is_stored_with_others() {
    let place = Place { device: "d", module: None, component: Some("c\0") };
    assert!(check_texts(place, "name").is_err());
    assert!(check_texts(Place { component: None, ..place }, "na\0me").is_err());
    assert!(check_texts(Place { component: None, ..place }, "name").is_ok());
}
