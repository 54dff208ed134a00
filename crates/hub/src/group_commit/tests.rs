//! Many to a commit, bounded on their way, each answered once.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::future::ready;

use futures_util::future::{JoinAll, join_all};
use futures_util::poll;
use tokio::task::{Unconstrained, unconstrained};

use super::*;

/// One poll has a budget, which would not do for all of them.
fn queue<F: Future>(asked: impl Iterator<Item = F>) -> JoinAll<Unconstrained<F>> {
    join_all(asked.map(unconstrained))
}

#[tokio::test]
async fn what_waits_is_one_commit_in_order_and_a_stop_writes_what_is_queued() {
    let (commit, commits) = GroupCommit::new(16, 4);
    let stop = CancellationToken::new();
    let mut asked = queue((0..10).map(|n| commit.make(n)));
    assert!(poll!(&mut asked).is_pending());
    stop.cancel();
    let written = RefCell::new(Vec::new());
    let write = |changes| {
        written.borrow_mut().push(changes);
        ready(Ok(()))
    };
    commits.run(stop, write).await;
    assert!(asked.await.iter().all(Result::is_ok));
    assert_eq!(written.into_inner(), [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    assert!(matches!(commit.make(0).await, Err(GroupCommitError::Stopping)));
}

#[tokio::test]
async fn so_many_wait_for_the_writer_and_further_ones_for_room() {
    let (commit, mut commits) = GroupCommit::new(3, 1);
    let mut asked = queue((0..5).map(|n| commit.make(n)));
    assert!(poll!(&mut asked).is_pending());
    assert_eq!(commits.queue.len(), 3);
    commits.queue.recv().await.unwrap();
    assert!(poll!(&mut asked).is_pending());
    assert_eq!(commits.queue.len(), 3);
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_everybody_in_it_and_to_nobody_else() {
    let (commit, commits) = GroupCommit::new(16, 2);
    let stop = CancellationToken::new();
    let mut asked = queue((0..4).map(|n| commit.make(n)));
    assert!(poll!(&mut asked).is_pending());
    stop.cancel();
    let write = |changes: Vec<u32>| {
        let source = serde_json::from_str::<u8>("x").unwrap_err();
        ready(if changes.contains(&1) { Err(StoreError::Corrupt { what: "test", source }) } else { Ok(()) })
    };
    commits.run(stop, write).await;
    let told: Vec<bool> = asked.await.iter().map(Result::is_ok).collect();
    assert_eq!(told, [false, false, true, true]);
}

#[tokio::test]
async fn a_caller_that_goes_away_holds_nobody_up() {
    let (commit, commits) = GroupCommit::new(16, 16);
    let mut gone = Box::pin(commit.make(1));
    assert!(poll!(&mut gone).is_pending());
    drop(gone);
    let stays = commit.make(2);
    let written = RefCell::new(Vec::new());
    let write = |changes: Vec<u32>| {
        written.borrow_mut().extend(changes);
        ready(Ok(()))
    };
    let run = commits.run(CancellationToken::new(), write);
    tokio::select! {
        () = run => {}
        answer = stays => answer.unwrap(),
    }
    assert_eq!(*written.borrow(), [1, 2]);
}
