//! Order, groups, and what a refused change leaves behind.
#![allow(clippy::unwrap_used)]

use events::metrics::Metrics;
use registry::{ApplicationRow, NewDevice};
use storage::log::{Log, LogOptions};
use transport::server::link::LinkCommand;
use transport::server::{SessionLink, Subscriptions};

use super::*;

struct Bench {
    twins: Twins,
    sessions: Sessions,
    _dir: tempfile::TempDir,
}

async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(&dir.path().join("registry.db")).await.unwrap();
    let application = ApplicationRow { id: "a".into(), name: "a".into(), id_scope: "0ne1".into(), created_ms: 0 };
    registry.application_create(&application, &[]).await.unwrap();
    let device = NewDevice { id: "d".into(), enabled: true, ..NewDevice::default() };
    registry.device_create("a", device).await.unwrap();
    let log = Log::open(&dir.path().join("log"), LogOptions::default()).unwrap();
    let (ingest, _events) = Ingest::new(log, Metrics::default());
    let sessions = Sessions::default();
    let (twins, writer) = Twins::new(registry, sessions.clone(), Live::default(), ingest);
    tokio::spawn(writer.run(CancellationToken::new()));
    Bench { twins, sessions, _dir: dir }
}

#[tokio::test]
async fn concurrent_changes_are_all_kept_and_told_in_order() {
    let bench = bench().await;
    let identity = Identity::device("d");
    let (near, mut far) = SessionLink::detached();
    far.set_subscriptions(Subscriptions { desired: true, ..Subscriptions::default() });
    bench.sessions.register("a", &identity, near);
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
    let refused = bench.twins.replace_desired_group("a", bad).await.unwrap_err();
    assert!(matches!(refused, ChangeTwinError::Invalid(_)), "{refused:?}");
    assert_eq!(bench.twins.get("a", &agent).await.unwrap(), Twin::default());

    let good = vec![(agent.clone(), json!({ "a": 1 })), (module.clone(), json!({ "b": 2 }))];
    assert_eq!(bench.twins.replace_desired_group("a", good).await.unwrap(), [2, 2]);
    let replaced = bench.twins.replace_desired("a", &agent, json!({ "c": 3 })).await.unwrap();
    let twin = bench.twins.get("a", &agent).await.unwrap();
    assert_eq!((replaced, json!(twin.desired.properties)), (3, json!({ "c": 3 })));
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
