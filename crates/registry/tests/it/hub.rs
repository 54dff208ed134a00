//! Modules, twins, the catalog of telemetry, readers' positions, guarded folders.

use model::identity::Identity;
use model::twin::Twin;
use registry::{LastSeenRow, ModuleAuthentication, ModuleChange, SegmentRow, StoreError};
use serde_json::json;

use crate::rig::{APP, OTHER, Rig, keys, on_both_engines};

on_both_engines!(
    a_module_keeps_its_generation_and_goes_with_its_twin,
    twins_of_a_group_become_durable_together,
    a_twin_of_a_missing_device_leaves_the_rest_of_its_group,
    a_dropped_group_of_twins_never_was,
    segments_positions_and_last_seen_times_are_one_commit,
    a_segment_replaces_those_it_was_made_from,
    an_older_catalog_is_brought_up_to_its_files_at_once,
    guarded_folders_and_losses_are_remembered,
);

async fn a_module_keeps_its_generation_and_goes_with_its_twin(rig: Rig) {
    rig.device("edge").await;
    let put = async |change| rig.registry.module_put(APP, "edge", "m", change, 7).await;
    let first = put(ModuleChange::default()).await.unwrap();
    assert_eq!((&first.authentication, first.managed_by.as_deref()), (&ModuleAuthentication::None, None));
    let sas = ModuleAuthentication::Sas(keys("m"));
    let change = ModuleChange {
        managed_by: Some("IotEdge".into()),
        authentication: Some(sas.clone()),
        if_match: Some(first.etag.clone()),
    };
    let second = put(change.clone()).await.unwrap();
    assert_eq!((&second.authentication, &second.generation_id), (&sas, &first.generation_id));
    assert!(matches!(put(change).await, Err(StoreError::EtagMismatch(..))));
    let third = put(ModuleChange::default()).await.unwrap();
    assert_eq!((third.authentication, third.managed_by.as_deref()), (sas, Some("IotEdge")));
    let none = ModuleChange { authentication: Some(ModuleAuthentication::None), ..ModuleChange::default() };
    assert_eq!(put(none).await.unwrap().authentication, ModuleAuthentication::None);
    let missing = rig.registry.module_put(APP, "none", "m", ModuleChange::default(), 7).await;
    assert!(matches!(missing, Err(StoreError::Missing(..))), "{missing:?}");
    rig.registry.module_put(APP, "edge", "$edgeHub", ModuleChange::default(), 7).await.unwrap();
    let listed = rig.registry.modules_list(APP, "edge").await.unwrap();
    assert_eq!(listed.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["$edgeHub", "m"]);
    assert!(rig.registry.module_get(APP, "edge", "m").await.unwrap().is_some());

    let module = Identity::module("edge", "m");
    let mut group = rig.registry.twin_transaction([(APP, "edge")]).await.unwrap();
    group.put(APP, &module, &twin(1), 8).await.unwrap();
    group.commit().await.unwrap();
    assert!(rig.registry.module_delete(APP, "edge", "m", 9).await.unwrap());
    assert_eq!(rig.registry.twin_get(APP, &module).await.unwrap(), None);
    assert!(!rig.registry.module_delete(APP, "edge", "m", 9).await.unwrap());
}

pub fn twin(n: u64) -> Twin {
    let mut twin = Twin::default();
    twin.desired.version = n;
    twin.reported.version = n + 1;
    twin.desired.properties.insert("n".to_owned(), json!(n));
    twin.reported.properties.insert("text".to_owned(), json!("ü\u{0}"));
    twin.reported.metadata.insert("at".to_owned(), json!({ "n": n }));
    twin
}

async fn twins_of_a_group_become_durable_together(rig: Rig) {
    for id in ["a", "b"] {
        rig.device(id).await;
    }
    let (a, b) = (Identity::device("a"), Identity::device("b"));
    assert_eq!(rig.registry.twin_get(APP, &a).await.unwrap(), None);
    let mut group = rig.registry.twin_transaction([(APP, "b"), (APP, "a"), (APP, "b")]).await.unwrap();
    let owned = group.get(APP, &a).await.unwrap().unwrap();
    assert_eq!((owned.twin, owned.organization), (Twin::default(), None));
    assert_eq!(group.get(APP, &Identity::device("none")).await.unwrap(), None);
    group.put(APP, &a, &twin(1), 7).await.unwrap();
    group.put(APP, &b, &twin(2), 7).await.unwrap();
    group.put(APP, &a, &twin(3), 7).await.unwrap();
    assert_eq!(group.get(APP, &a).await.unwrap().unwrap().twin, twin(3), "a transaction sees its own changes");
    assert_eq!(rig.registry.twin_get(APP, &a).await.unwrap(), None, "others do not, before the commit");
    group.commit().await.unwrap();
    let rig = rig.restarted().await;
    assert_eq!(rig.registry.twin_get(APP, &a).await.unwrap(), Some(twin(3)));
    assert_eq!(rig.registry.twin_get(APP, &b).await.unwrap(), Some(twin(2)));
    assert_eq!(rig.registry.twin_get(OTHER, &a).await.unwrap(), None);
}

async fn a_twin_of_a_missing_device_leaves_the_rest_of_its_group(rig: Rig) {
    rig.device("a").await;
    let a = Identity::device("a");
    let mut group = rig.registry.twin_transaction([(APP, "a"), (APP, "none")]).await.unwrap();
    group.put(APP, &a, &twin(1), 7).await.unwrap();
    let missing = group.put(APP, &Identity::device("none"), &twin(1), 7).await;
    assert!(matches!(missing, Err(StoreError::Missing(..))), "{missing:?}");
    group.put(APP, &a, &twin(2), 7).await.unwrap();
    group.commit().await.unwrap();
    assert_eq!(rig.registry.twin_get(APP, &a).await.unwrap(), Some(twin(2)));
}

async fn a_dropped_group_of_twins_never_was(rig: Rig) {
    rig.device("a").await;
    let a = Identity::device("a");
    let mut group = rig.registry.twin_transaction([(APP, "a")]).await.unwrap();
    group.put(APP, &a, &twin(1), 7).await.unwrap();
    drop(group);
    let mut group = rig.registry.twin_transaction([(APP, "a")]).await.unwrap();
    assert_eq!(group.get(APP, &a).await.unwrap().unwrap().twin, Twin::default());
    group.commit().await.unwrap();
}

fn segment(name: &str, offset_first: u64) -> SegmentRow {
    SegmentRow {
        application: APP.to_owned(),
        file_name: name.to_owned(),
        offset_first,
        offset_last: i64::MAX.unsigned_abs(),
        ts_min_ms: -5,
        ts_max_ms: 7,
        bytes: 9,
        meta: "{}".to_owned(),
    }
}

async fn segments_positions_and_last_seen_times_are_one_commit(rig: Rig) {
    rig.device("d").await;
    let seen = |device: &str, module: Option<&str>, last_seen_ms| LastSeenRow {
        application: APP.to_owned(),
        device: device.to_owned(),
        module: module.map(str::to_owned),
        last_seen_ms,
    };
    assert_eq!(rig.registry.checkpoint_get("telemetry").await.unwrap(), None);
    let rows = [seen("d", None, 5), seen("d", Some("m"), 6), seen("deleted", None, 5)];
    rig.registry.last_seen_commit(&rows, "last-seen", 7).await.unwrap();
    rig.registry.last_seen_commit(&[seen("d", None, 4)], "last-seen", 8).await.unwrap();
    rig.registry.segments_commit(&[segment("1", 3)], "telemetry", 10).await.unwrap();
    rig.registry.segments_commit(&[segment("0", 1)], "telemetry", 20).await.unwrap();
    let positions = [("last-seen".to_owned(), 8), ("telemetry".to_owned(), 20)];
    assert_eq!(rig.registry.checkpoints_list().await.unwrap(), positions);
    assert_eq!(rig.registry.segments_list().await.unwrap(), [segment("0", 1), segment("1", 3)]);
    assert_eq!(rig.registry.checkpoint_get("telemetry").await.unwrap(), Some(20));
    let mut listed = rig.registry.last_seen_list().await.unwrap();
    listed.sort_by(|left, right| left.module.cmp(&right.module));
    assert_eq!(
        listed,
        [seen("d", None, 5), seen("d", Some("m"), 6)],
        "a later time is not overwritten by an earlier one"
    );
    let doubled = rig.registry.segments_commit(&[segment("2", 5), segment("1", 3)], "telemetry", 30).await;
    assert!(matches!(doubled, Err(StoreError::Duplicate(..))), "{doubled:?}");
    let rig = rig.restarted().await;
    assert_eq!(rig.registry.segments_list().await.unwrap().len(), 2);
    assert_eq!(rig.registry.checkpoint_get("telemetry").await.unwrap(), Some(20));
}

async fn a_segment_replaces_those_it_was_made_from(rig: Rig) {
    let both = [segment("1", 1), segment("2", 2)];
    rig.registry.segments_commit(&both, "telemetry", 10).await.unwrap();
    let missing = rig.registry.segments_replace(&["1", "none"], &segment("3", 1)).await;
    assert!(matches!(missing, Err(StoreError::Missing(..))), "{missing:?}");
    assert_eq!(rig.registry.segments_list().await.unwrap(), both);
    rig.registry.segments_replace(&["1", "2"], &segment("3", 1)).await.unwrap();
    assert_eq!(rig.registry.segments_list().await.unwrap(), [segment("3", 1)]);
}

async fn an_older_catalog_is_brought_up_to_its_files_at_once(rig: Rig) {
    rig.registry.segments_commit(&[segment("1", 1), segment("2", 2)], "telemetry", 10).await.unwrap();
    let of_app = |name: &str| (APP.to_owned(), name.to_owned());
    let losses = ["it is older".to_owned(), "a file is damaged".to_owned()];
    let take_over = async |old: &[(String, String)], new: &[SegmentRow]| {
        rig.registry.segments_take_over(old, new, ("telemetry", 30), &losses, 5).await
    };
    let doubled = take_over(&[], &[segment("3", 1), segment("2", 1)]).await;
    assert!(matches!(doubled, Err(StoreError::Duplicate(..))), "{doubled:?}");
    assert_eq!(rig.registry.segments_list().await.unwrap().len(), 2);
    assert!(rig.registry.survey().await.unwrap().losses.is_empty());
    take_over(&[of_app("1"), of_app("gone")], &[segment("3", 1)]).await.unwrap();
    let rig = rig.restarted().await;
    assert_eq!(rig.registry.segments_list().await.unwrap(), [segment("3", 1), segment("2", 2)]);
    assert_eq!(rig.registry.checkpoint_get("telemetry").await.unwrap(), Some(30));
    let mut recorded = rig.registry.survey().await.unwrap().losses;
    recorded.sort();
    assert_eq!(recorded, [(5, losses[1].clone()), (5, losses[0].clone())]);
}

async fn guarded_folders_and_losses_are_remembered(rig: Rig) {
    assert_eq!(rig.registry.guarded_folder_marker("log").await.unwrap(), None);
    rig.registry.guarded_folder_put("log", "one", 1).await.unwrap();
    rig.registry.guarded_folder_put("log", "two", 2).await.unwrap();
    assert_eq!(rig.registry.guarded_folder_marker("log").await.unwrap().as_deref(), Some("two"));
    rig.registry.segments_commit(&[segment("1", 1)], "telemetry", 10).await.unwrap();
    rig.registry.telemetry_loss_accept("telemetry is gone", 8).await.unwrap();
    rig.registry.checkpoint_put("last-seen", 4).await.unwrap();
    rig.registry.log_loss_accept("log is gone", 7).await.unwrap();
    rig.registry.log_loss_accept("log is gone", 7).await.unwrap();
    assert_eq!(rig.registry.checkpoint_get("last-seen").await.unwrap(), Some(10), "where the furthest reader was");
    assert!(rig.registry.segments_list().await.unwrap().is_empty());
    let losses = [(7, "log is gone".to_owned()), (8, "telemetry is gone".to_owned())];
    assert_eq!(rig.registry.survey().await.unwrap().losses, losses);
}
