//! What is stored is what the log says, and what replay gives back.
#![allow(clippy::unwrap_used)]

use events::last_seen::DeviceCounts;
use events::record::Origin;
use registry::{ApplicationRow, NewDevice};
use storage::log::{LogOptions, Records};

use super::*;

async fn log_with(folder: &std::path::Path, records: &[(Kind, &str, i64)]) -> Log {
    let log = Log::open(&folder.join("log"), LogOptions::default()).unwrap();
    let mut batch = Records::default();
    for (kind, device, at_ms) in records {
        let origin = Origin::new("a", &Identity::device(device), "g", None, None).unwrap();
        batch.push(&origin.encode(*kind, *at_ms, b"", b"{}").unwrap());
    }
    log.append(batch).await.unwrap();
    log
}

#[tokio::test]
async fn the_newest_time_of_each_identity_is_stored_and_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(&folder.path().join("registry.db")).await.unwrap();
    let application = ApplicationRow { id: "a".into(), name: "a".into(), id_scope: "0ne1".into(), created_ms: 0 };
    registry.application_create(&application, &[]).await.unwrap();
    for id in ["d1", "d2"] {
        registry.device_create("a", NewDevice { id: id.into(), ..NewDevice::default() }).await.unwrap();
    }
    let records = [
        (Kind::Telemetry, "d1", 5),
        (Kind::Connection, "d1", 9),
        (Kind::Telemetry, "d1", 7),
        // Made by a person: nothing was heard of the device.
        (Kind::Lifecycle, "d2", 8),
        (Kind::DesiredProperties, "d2", 8),
        (Kind::Telemetry, "deleted", 3),
    ];
    let log = log_with(folder.path(), &records).await;
    let batch = log.reader(log.first_offset()).try_next_batch(10, 1 << 20).unwrap();

    let seen = LastSeen::default();
    let reader = LastSeenReader::new(registry.clone(), &log, seen.clone());
    let (mut run, position) = reader.start().await.unwrap();
    assert_eq!((position, run.commit_at()), (0, None));
    run.handle(&batch).await.unwrap();
    let due = run.commit_at().unwrap();
    assert!(due > Instant::now() && due <= Instant::now() + LAST_SEEN_COMMIT_AFTER);
    assert_eq!(seen.get("a", &Identity::device("d1")), Some(9), "what was in the log at the start is given back");
    assert_eq!(seen.get("a", &Identity::device("d2")), None);
    run.commit(6).await.unwrap();
    assert_eq!(run.commit_at(), None);
    assert_eq!(registry.checkpoint_get("last_seen").await.unwrap(), Some(6));

    let later = LastSeen::default();
    let reader = LastSeenReader::new(registry, &log, later.clone());
    reader.restore().await.unwrap();
    assert_eq!(reader.start().await.unwrap().1, 6);
    assert_eq!(later.get("a", &Identity::device("d1")), Some(9));
    let counted = DeviceCounts { total: 2, blocked: 2, seen: 1, seen_blocked: 1 };
    assert_eq!(later.devices("a"), counted);
    assert_eq!(later.get("a", &Identity::device("deleted")), None, "rows of deleted devices are not stored");
}

#[tokio::test]
async fn at_the_limit_of_what_may_wait_it_is_stored_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(&folder.path().join("registry.db")).await.unwrap();
    let log = log_with(folder.path(), &[(Kind::Telemetry, "d", 1)]).await;
    let batch = log.reader(log.first_offset()).try_next_batch(1, 1 << 20).unwrap();
    let reader = LastSeenReader::new(registry, &log, LastSeen::default());
    let (mut run, _) = reader.start().await.unwrap();
    run.handle(&batch).await.unwrap();
    for n in run.seen.len()..LAST_SEEN_PENDING_MAX - 1 {
        run.seen.insert(Bytes::from(n.to_string()), 1);
    }
    assert!(run.commit_at().unwrap() > Instant::now());
    run.seen.insert(Bytes::from_static(b"one more"), 1);
    assert!(run.commit_at().unwrap() <= Instant::now());
}
