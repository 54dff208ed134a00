//! What goes wrong is told apart, names the act and the table, and is the same on both engines.

use std::time::Duration;

use registry::limits::{ACQUIRE_TIMEOUT, SQLITE_READERS_MAX};
use registry::{NewDevice, Precondition, StoreError, UserRow};
use tokio::time::Instant;

use crate::rig::{APP, Rig, change, on_both_engines};

on_both_engines!(
    a_failure_names_the_act_and_the_table,
    a_nul_character_is_refused,
    a_closed_registry_says_so,
    many_callers_share_few_connections,
);

async fn a_failure_names_the_act_and_the_table(rig: Rig) {
    let row = rig.device("d").await;
    let device = NewDevice { id: "d".to_owned(), ..NewDevice::default() };
    let failures = [
        rig.registry.device_create(APP, device).await.unwrap_err(),
        rig.registry.device_update(APP, "d", change(&row), Some("\"other\"")).await.unwrap_err(),
        rig.registry.device_update(APP, "none", change(&row), None).await.unwrap_err(),
    ];
    let texts = failures.each_ref().map(ToString::to_string);
    assert_eq!(
        texts,
        [
            "the registry has such a row already: could not create a device (table devices)",
            "the stored etag differs from the one given: did not change a device (table devices)",
            "the registry has no such row: could not change a device (table devices)",
        ]
    );
    let values = [("a".to_owned(), Some("1".to_owned()))];
    let unknown_application = rig.registry.cloud_properties_write("none", "d", &values, false, 7);
    assert!(matches!(unknown_application.await, Err(StoreError::Missing(act)) if act.table == "cloud_properties"));
}

async fn a_nul_character_is_refused(rig: Rig) {
    let row = rig.device("d").await;
    let mut change = change(&row);
    change.display_name = "a\0b".to_owned();
    let refused = rig.registry.device_update(APP, "d", change, None).await.unwrap_err();
    assert!(matches!(refused, StoreError::NulCharacter(act) if act.table == "devices"), "{refused:?}");
    let refused = rig.registry.device_get(APP, "d\0").await.unwrap_err();
    assert!(matches!(refused, StoreError::NulCharacter(..)), "{refused:?}");
    assert_eq!(rig.registry.device_get(APP, "d").await.unwrap(), Some(row));
}

async fn a_closed_registry_says_so(rig: Rig) {
    rig.registry.close().await;
    let read = rig.registry.device_get(APP, "d").await.unwrap_err();
    let write = rig.registry.resource_delete::<UserRow>(APP, "u", &Precondition::None).await.unwrap_err();
    let probe = rig.registry.probe().await.unwrap_err();
    for (error, act) in [(read, "read a device"), (write, "delete a user"), (probe, "be probed")] {
        assert!(matches!(&error, StoreError::Unavailable(named, _) if named.act == act), "{error:?}");
    }
}

async fn many_callers_share_few_connections(rig: Rig) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..60 {
        let registry = rig.registry.clone();
        tasks.spawn(async move {
            let device = NewDevice { id: format!("d{n}"), ..NewDevice::default() };
            registry.device_create(APP, device).await.unwrap();
            registry.devices_enabled().await.unwrap().len()
        });
    }
    assert!(tasks.join_all().await.contains(&60), "the last one sees all");
}

#[tokio::test]
async fn more_callers_than_readers_are_answered_beside_a_writer() {
    let rig = Rig::sqlite().await;
    let writing = rig.registry.twin_transaction([(APP, "d")]).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..=SQLITE_READERS_MAX {
        let registry = rig.registry.clone();
        tasks.spawn(async move { registry.devices_enabled().await.unwrap() });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(Vec::is_empty));
    drop(writing);
}

#[tokio::test]
async fn who_waits_too_long_for_the_one_writer_is_told() {
    let rig = Rig::sqlite().await;
    let group = rig.registry.twin_transaction([(APP, "d")]).await.unwrap();
    tokio::time::pause();
    let before = Instant::now();
    let refused = rig.registry.resource_delete::<UserRow>(APP, "u", &Precondition::None).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(..)), "{refused:?}");
    let waited = before.elapsed();
    assert!(waited >= ACQUIRE_TIMEOUT && waited < ACQUIRE_TIMEOUT + Duration::from_secs(1), "{waited:?}");
    tokio::time::resume();
    drop(group);
    assert!(!rig.registry.resource_delete::<UserRow>(APP, "u", &Precondition::None).await.unwrap());
}
