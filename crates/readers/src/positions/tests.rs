//! Retention by the slowest that counts, and where a lost log begins anew.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use storage::log::LogOptions;

use super::*;

const SLOW: ReaderName = ReaderName { name: "slow", about: "", counts: true, begin: Begin::First };
const FAST: ReaderName = ReaderName { name: "fast", about: "", counts: true, begin: Begin::First };
const GUEST: ReaderName = ReaderName { name: "guest", about: "", counts: false, begin: Begin::First };

async fn open(folder: &std::path::Path) -> (Registry, Log) {
    let registry = Registry::open(&folder.join("registry.db")).await.unwrap();
    let log = Log::open(&folder.join("log"), LogOptions { first_offset: Offset(0), ..LogOptions::default() }).unwrap();
    (registry, log)
}

#[tokio::test]
async fn the_slowest_that_counts_decides() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, log) = open(folder.path()).await;
    log.append(vec![Bytes::from_static(b"x"); 10]).await.unwrap();
    let positions = Positions::open(&registry, &log, &[SLOW, FAST, GUEST]).await.unwrap();
    for (name, slow, fast, guest, expected) in
        [("at the start", 0, 0, 0, 0), ("fast ahead", 3, 10, 0, 3), ("guest behind", 7, 8, 1, 7)]
    {
        for (reader, at) in [("slow", slow), ("fast", fast), ("guest", guest)] {
            positions.of(reader).unwrap().set_durable(at);
        }
        assert_eq!(positions.slowest(), expected, "{name}");
    }
    positions.of("fast").unwrap().set_handled(9);
    let fast = positions.standings()[1];
    assert_eq!((fast.reader, fast.lag, fast.uncommitted), (FAST, 1, 2));
    assert!(positions.of("nobody").is_none());
}

#[tokio::test]
async fn a_lost_log_begins_behind_the_furthest_reader_and_all_go_on_there() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, log) = open(folder.path()).await;
    registry.checkpoint_put("slow", 4).await.unwrap();
    registry.checkpoint_put("fast", 9).await.unwrap();
    let replaced = Positions::open(&registry, &log, &[SLOW, FAST]).await.unwrap_err();
    assert!(matches!(replaced, OpenPositionsError::LogReplaced { reader: "slow", next: 0, stored: 4 }), "{replaced}");
    log.close().await;
    std::fs::remove_dir_all(folder.path().join("log")).unwrap();

    registry.log_loss_accept("log/ was removed", 1).await.unwrap();
    let first_offset = first_offset(&registry).await.unwrap();
    assert_eq!(first_offset, Offset(9));
    let log = Log::open(&folder.path().join("log"), LogOptions { first_offset, ..LogOptions::default() }).unwrap();
    let positions = Positions::open(&registry, &log, &[SLOW, FAST]).await.unwrap();
    assert_eq!(positions.slowest(), 9);
}

#[tokio::test]
async fn a_standing_tells_since_when_records_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, log) = open(folder.path()).await;
    let positions = Positions::open(&registry, &log, &[SLOW]).await.unwrap();
    let slow = positions.of("slow").unwrap();
    let standing = || positions.standings()[0];
    assert_eq!((standing().unread_since_ms, standing().moved_ms), (None, None), "nothing waits");

    log.append(vec![Bytes::from_static(b"x"); 2]).await.unwrap();
    let appended_at_ms = log.appended_at_ms(Offset(0)).unwrap();
    assert_eq!(standing().unread_since_ms, Some(i64::try_from(appended_at_ms).unwrap()));
    slow.set_moved(appended_at_ms, 7);
    slow.set_handled(2);
    assert_eq!((standing().unread_since_ms, standing().moved_ms), (None, Some(7)));
    drop(positions);
    log.close().await;

    // After a start nothing is in memory: what was read last tells, and before that nobody knows.
    let log = Log::open(&folder.path().join("log"), LogOptions::default()).unwrap();
    let positions = Positions::open(&registry, &log, &[SLOW]).await.unwrap();
    assert_eq!((positions.standings()[0].lag, positions.standings()[0].unread_since_ms), (2, None));
    let slow = positions.of("slow").unwrap();
    slow.set_moved(5, 8);
    // What is read again, for what is in memory only, is older.
    slow.set_moved(3, 9);
    slow.set_handled(1);
    assert_eq!((positions.standings()[0].lag, positions.standings()[0].unread_since_ms), (1, Some(5)));
}
