//! Two demos on one folder, and a child that is still ending.
#![allow(clippy::unwrap_used)]

use super::*;

#[tokio::test]
async fn a_second_demo_on_the_same_folder_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first = take(folder.path()).await.unwrap();
    let refused = take(folder.path()).await.unwrap_err().to_string();
    assert!(refused.starts_with("another demo runs on"), "{refused}");
    drop(first);
    take(folder.path()).await.unwrap();
}

#[tokio::test]
async fn the_demo_waits_for_a_child_of_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("edge")).unwrap();
    let child = File::create(folder.path().join("edge/lock")).unwrap();
    child.lock().unwrap();
    let mut taken = std::pin::pin!(take(folder.path()));
    assert!(tokio::time::timeout(POLL_INTERVAL * 3, &mut taken).await.is_err(), "it must wait while the child runs");
    drop(child);
    taken.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_end_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("central")).unwrap();
    let child = File::create(folder.path().join("central/serve.lock")).unwrap();
    child.lock().unwrap();
    let refused = take(folder.path()).await.unwrap_err().to_string();
    assert!(refused.starts_with("tidegate serve still runs on"), "{refused}");
}
