//! Order, groups, and what a refused change leaves behind.
#![allow(clippy::unwrap_used)]

use futures_util::future::{JoinAll, join_all};
use registry::limits::OUTBOX_EVENTS_MAX;
use registry::{ApplicationRow, DeviceManifestRow, NewDevice};
use tokio::task::unconstrained;
use transport::server::link::LinkCommand;
use transport::server::{SessionLink, Subscriptions};

use super::*;

struct Bench {
    twins: Twins,
    sessions: Sessions,
    registry: Registry,
    _dir: tempfile::TempDir,
}

async fn bench() -> Bench {
    let (bench, writer) = bench_without_writer().await;
    tokio::spawn(writer.run(CancellationToken::new()));
    bench
}

/// Nothing is written until the writer runs.
async fn bench_without_writer() -> (Bench, TwinWriter) {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(&dir.path().join("registry.db")).await.unwrap();
    let application = ApplicationRow { id: "a".into(), name: "a".into(), id_scope: "0ne1".into(), created_ms: 0 };
    registry.application_create(&application, &[]).await.unwrap();
    let device = NewDevice { id: "d".into(), enabled: true, ..NewDevice::default() };
    registry.device_create("a", device).await.unwrap();
    let sessions = Sessions::default();
    let (twins, writer) = Twins::new(registry.clone(), sessions.clone());
    (Bench { twins, sessions, registry, _dir: dir }, writer)
}

impl Bench {
    /// Changes asked for in this order, and in the queue as far as it takes them.
    async fn queue(&self, asked: usize) -> JoinAll<impl Future<Output = Result<u64, ChangeTwinError>>> {
        let changes = (0..asked).map(|n| {
            let twins = self.twins.clone();
            // One poll has a budget, which would not do for all of them.
            unconstrained(async move { twins.patch_reported("a", &Identity::device("d"), json!({ "n": n })).await })
        });
        let mut changes = join_all(changes);
        assert!(futures_util::poll!(&mut changes).is_pending());
        changes
    }

    /// Leaves room for so many events of changes.
    async fn fill_outbox(&self, room: u64) {
        let event = self.registry.outbox_read(1).await.unwrap().remove(0).event;
        let mut transaction = self.registry.twin_transaction([]).await.unwrap();
        for _ in self.registry.outbox_waiting()..OUTBOX_EVENTS_MAX - room {
            transaction.note(event.clone());
        }
        transaction.commit().await.unwrap();
    }
}

#[tokio::test]
async fn concurrent_changes_are_all_kept_and_told_in_order() {
    let bench = bench().await;
    let identity = Identity::device("d");
    let (near, mut far) = SessionLink::detached();
    far.set_subscriptions(Subscriptions { desired: true, ..Subscriptions::default() });
    bench.sessions.register("a", &identity, near, || {});
    let changes = (0..40).map(|n| {
        let (twins, identity) = (bench.twins.clone(), identity.clone());
        tokio::spawn(async move { twins.patch_desired("a", &identity, json!({ format!("k{n}"): n })).await.unwrap() })
    });
    let changes: Vec<_> = changes.collect();
    let mut versions = Vec::new();
    for change in changes {
        versions.push(change.await.unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, (2..=41).collect::<Vec<u64>>());
    for expected in 2..=41 {
        let LinkCommand::DesiredPatch { version, patch } = far.next().await else { panic!("a patch must come") };
        assert_eq!(version, expected);
        assert_eq!(serde_json::from_slice::<Value>(&patch).unwrap()["$version"], expected);
    }
    let twin = bench.twins.get("a", &identity).await.unwrap();
    assert_eq!((twin.desired.version, twin.desired.properties.len()), (41, 40));
}

#[tokio::test]
async fn a_group_is_all_or_nothing() {
    let bench = bench().await;
    let (agent, module) = (Identity::module("d", "$edgeAgent"), Identity::module("d", "m"));
    let bad = vec![(agent.clone(), json!({ "a": 1 })), (module.clone(), json!({ "a.b": 1 }))];
    let manifest = |id: &str, name: &str| DeviceManifestRow {
        id: id.to_owned(),
        etag: "\"1\"".to_owned(),
        display_name: name.to_owned(),
        data: "{}".to_owned(),
        applied_ms: 1,
    };
    let kept = async || bench.registry.device_manifest_get("a", "d").await.unwrap().map(|manifest| manifest.id);
    let refused = bench.twins.deploy("a", bad, manifest("1", "first")).await.unwrap_err();
    assert!(matches!(refused, ChangeTwinError::Invalid(_)), "{refused:?}");
    let unstorable = vec![(agent.clone(), json!({ "a": 1 }))];
    let refused = bench.twins.deploy("a", unstorable, manifest("1", "a\0b")).await.unwrap_err();
    assert!(matches!(refused, ChangeTwinError::Store(_)), "{refused:?}");
    assert_eq!(kept().await, None);
    assert_eq!(bench.twins.get("a", &agent).await.unwrap(), Twin::default());

    let good = vec![(agent.clone(), json!({ "a": 1 })), (module.clone(), json!({ "b": 2 }))];
    assert_eq!(bench.twins.deploy("a", good, manifest("2", "second")).await.unwrap(), [2, 2]);
    let other = vec![(agent.clone(), json!({ "c": 3 }))];
    assert_eq!(bench.twins.deploy("a", other, manifest("3", "third")).await.unwrap(), [3]);
    assert_eq!(kept().await.as_deref(), Some("3"));
    let twin = bench.twins.get("a", &agent).await.unwrap();
    assert_eq!(json!(twin.desired.properties), json!({ "c": 3 }));
}

#[tokio::test]
async fn a_refused_change_leaves_others_of_its_commit_alone() {
    let bench = bench().await;
    let identity = Identity::device("d");
    let unknown = Identity::device("nobody");
    let changes = tokio::join!(
        bench.twins.patch_reported("a", &identity, json!({ "x": 1 })),
        bench.twins.patch_reported("a", &unknown, json!({ "x": 1 })),
        bench.twins.patch_reported("a", &identity, json!([])),
        bench.twins.patch_reported("a", &identity, json!({ "y": 2 })),
    );
    assert_eq!(changes.0.unwrap(), 2);
    assert!(matches!(changes.1.unwrap_err(), ChangeTwinError::UnknownDevice));
    assert!(matches!(changes.2.unwrap_err(), ChangeTwinError::Invalid(_)));
    assert_eq!(changes.3.unwrap(), 3);
    let twin = bench.twins.get("a", &identity).await.unwrap();
    assert_eq!(json!(twin.reported.properties), json!({ "x": 1, "y": 2 }));
}

#[tokio::test]
async fn every_change_leaves_its_event_and_a_refused_one_none() {
    let bench = bench().await;
    let identity = Identity::device("d");
    bench.twins.patch_desired("a", &identity, json!({ "rate": 5 })).await.unwrap();
    bench.twins.patch_reported("a", &identity, json!({ "rate": 4 })).await.unwrap();
    bench.twins.patch_reported("a", &identity, json!([])).await.unwrap_err();
    let rows = bench.registry.outbox_read(100).await.unwrap();
    // The first event is that of the device itself.
    let told: Vec<_> = rows[1..].iter().map(|row| (row.event.kind, row.event.body.as_str())).collect();
    let expected = [
        (OutboxKind::DesiredProperties, r#"{"patch":{"rate":5},"version":2}"#),
        (OutboxKind::ReportedProperties, r#"{"patch":{"rate":4},"version":2}"#),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn the_queue_of_changes_is_full_at_its_limit_and_then_callers_wait() {
    let (bench, writer) = bench_without_writer().await;
    let changes = bench.queue(TWIN_CHANGES_QUEUED_MAX + 1).await;
    assert_eq!(writer.changes.len(), TWIN_CHANGES_QUEUED_MAX, "one more waits outside");
    tokio::spawn(writer.run(CancellationToken::new()));
    let versions: Vec<u64> = changes.await.into_iter().map(|changed| changed.unwrap()).collect();
    assert_eq!(versions, (2..).take(TWIN_CHANGES_QUEUED_MAX + 1).collect::<Vec<u64>>(), "and has its turn");
}

/// What one commit holds is seen where the outbox has no room for all of it: a commit is refused as a whole.
#[tokio::test]
async fn as_many_changes_are_committed_together_as_may_be() {
    let together = TWIN_CHANGES_PER_COMMIT_MAX;
    for (asked, room, stored) in [(together, together - 1, 0), (together + 1, together, together)] {
        for stops_first in [false, true] {
            let (bench, writer) = bench_without_writer().await;
            bench.fill_outbox(room as u64).await;
            let changes = bench.queue(asked).await;
            let stop = CancellationToken::new();
            if stops_first {
                stop.cancel();
            }
            tokio::spawn(writer.run(stop));
            let changes: Vec<bool> = changes.await.iter().map(Result::is_ok).collect();
            assert_eq!(changes, (0..asked).map(|n| n < stored).collect::<Vec<_>>(), "{asked} at once, {stops_first}");
            let twin = bench.twins.get("a", &Identity::device("d")).await.unwrap();
            assert_eq!(twin.reported.version, stored as u64 + 1);
        }
    }
}
