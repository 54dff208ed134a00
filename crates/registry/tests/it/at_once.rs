//! Two at once, through two handles as two processes would have: nothing is lost, doubled or half done.

use std::sync::Arc;

use model::identity::Identity;
use registry::{
    CountMax, LastSeenRow, ModuleAuthentication, ModuleChange, NewDevice, Precondition, Registry, RelationshipRow,
    SecretHash, StoreError, UserRow,
};
use testkit::postgres::PostgresServer;
use tokio::task::JoinSet;

use crate::devices::{of, run, target};
use crate::rig::{APP, Place, Rig, change, keys, list_all, on_both_engines, put};

/// Tasks at the same time.
const TASKS: u64 = 12;

on_both_engines!(
    one_of_many_wins_an_etag,
    no_change_of_a_twin_is_lost,
    cloud_properties_are_those_of_one_writer,
    the_limit_of_command_runs_holds,
    a_relationship_id_is_taken_once,
    a_sign_in_code_is_taken_once,
    the_last_free_place_is_taken_once,
    one_of_many_makes_what_is_absent,
    a_device_deleted_meanwhile_takes_everything_along,
    a_deleted_gateway_gets_no_children,
    events_are_numbered_in_the_order_of_commits,
    first_starts_make_the_schema_once,
);

/// Runs `work` in many tasks, on two handles in turn, and answers what each came to.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    rig: &Rig,
    work: impl Fn(Registry, u64) -> F,
) -> Vec<T> {
    let second = rig.place.open().await.unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..TASKS {
        let registry = if n % 2 == 0 { rig.registry.clone() } else { second.clone() };
        tasks.spawn(work(registry, n));
    }
    let results = tasks.join_all().await;
    second.close().await;
    results
}

async fn one_of_many_wins_an_etag(rig: Rig) {
    let row = Arc::new(rig.device("d").await);
    let results = at_once(&rig, |registry, n| {
        let row = Arc::clone(&row);
        async move {
            let mut change = change(&row);
            change.display_name = format!("name {n}");
            registry.device_update(APP, "d", change, Some(&row.etag)).await
        }
    })
    .await;
    let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(won.len(), 1);
    let lost = results.iter().filter(|result| matches!(result, Err(StoreError::EtagMismatch(..)))).count();
    assert_eq!(lost as u64, TASKS - 1);
    assert_eq!(rig.registry.device_get(APP, "d").await.unwrap().as_ref(), Some(&won[0].after));
}

async fn no_change_of_a_twin_is_lost(rig: Rig) {
    for id in ["a", "b"] {
        rig.device(id).await;
    }
    // In opposite orders, which would be a deadlock if locks were taken one by one. The first one makes the row.
    at_once(&rig, |registry, n| async move {
        let devices = if n % 3 == 0 { ["a", "b"] } else { ["b", "a"] };
        for _ in 0..5 {
            let mut group = registry.twin_transaction(devices.map(|device| (APP, device))).await.unwrap();
            for device in devices {
                let identity = Identity::device(device);
                let mut twin = group.get(APP, &identity).await.unwrap().unwrap().twin;
                twin.reported.version += 1;
                group.put(APP, &identity, &twin, 7).await.unwrap();
            }
            group.commit().await.unwrap();
        }
    })
    .await;
    for device in ["a", "b"] {
        let twin = rig.registry.twin_get(APP, &Identity::device(device)).await.unwrap().unwrap();
        assert_eq!(twin.reported.version, 1 + 5 * TASKS);
    }
}

async fn cloud_properties_are_those_of_one_writer(rig: Rig) {
    rig.device("d").await;
    at_once(&rig, |registry, n| async move {
        let values: Vec<_> = (0..3).map(|name| (format!("{n}-{name}"), Some("1".to_owned()))).collect();
        registry.cloud_properties_write(APP, "d", &values, true, 7).await.unwrap();
    })
    .await;
    let rows = rig.registry.cloud_properties(APP, "d").await.unwrap();
    let writer = rows[0].name.split('-').next().unwrap().to_owned();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows.iter().all(|row| row.name.starts_with(&format!("{writer}-"))), "{rows:?}");
}

async fn the_limit_of_command_runs_holds(rig: Rig) {
    rig.device("d").await;
    at_once(&rig, |registry, n| async move {
        for m in 0..4_u64 {
            let requested_ms = i64::try_from(10 * m + n).unwrap();
            registry.commands_add(&[of(target("d"), run(format!("{n}-{m}"), requested_ms))], 5).await.unwrap();
        }
    })
    .await;
    let kept = rig.registry.command_history(APP, &target("d")).await.unwrap();
    assert_eq!(kept.len(), 5);
    assert_eq!(kept[0].requested_ms, 30 + i64::try_from(TASKS).unwrap() - 1);
}

async fn a_relationship_id_is_taken_once(rig: Rig) {
    rig.device("edge").await;
    for n in 0..TASKS {
        rig.device(&format!("leaf-{n}")).await;
    }
    let results = at_once(&rig, |registry, n| async move {
        let link = RelationshipRow { id: "one".into(), source: "edge".into(), target: format!("leaf-{n}") };
        registry.relationship_put(APP, &link, 7).await
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().all(|result| matches!(result, Ok(()) | Err(StoreError::Duplicate(..)))), "{results:?}");
    assert_eq!(rig.registry.devices_children(APP, "edge").await.unwrap().len(), 1);
}

async fn a_sign_in_code_is_taken_once(rig: Rig) {
    let user = UserRow { id: "u".into(), email: "u@x".into(), roles: "[]".into(), created_ms: 1, updated_ms: 1 };
    put(&rig, APP, &user).await.unwrap();
    rig.registry.sign_in_code_create(APP, &SecretHash::of("secret"), "u", 10, 20).await.unwrap();
    let results = at_once(&rig, |registry, _| async move {
        registry.sign_in_code_take(APP, &SecretHash::of("secret"), 11).await.unwrap()
    })
    .await;
    assert_eq!(results.into_iter().flatten().count(), 1);
}

fn is_fine(result: Result<(), StoreError>) {
    assert!(matches!(result, Ok(()) | Err(StoreError::Missing(..))), "{result:?}");
}

async fn a_device_deleted_meanwhile_takes_everything_along(rig: Rig) {
    rig.device("d").await;
    at_once(&rig, |registry, n| async move {
        match n % 4 {
            0 => {
                let sas =
                    ModuleChange { authentication: Some(ModuleAuthentication::Sas(keys("m"))), ..Default::default() };
                is_fine(registry.module_put(APP, "d", "m", sas, 7).await.map(drop));
            }
            1 => {
                let mut group = registry.twin_transaction([(APP, "d")]).await.unwrap();
                is_fine(group.put(APP, &Identity::module("d", "m"), &Default::default(), 7).await);
                group.commit().await.unwrap();
            }
            2 => {
                let seen = LastSeenRow { application: APP.into(), device: "d".into(), module: None, last_seen_ms: 1 };
                registry.last_seen_commit(&[seen], "last-seen", n).await.unwrap();
            }
            _ => drop(registry.device_delete(APP, "d", 9).await.unwrap()),
        }
    })
    .await;
    assert_eq!(rig.registry.device_get(APP, "d").await.unwrap(), None);
    assert!(rig.registry.modules_list(APP, "d").await.unwrap().is_empty());
    assert_eq!(rig.registry.twin_get(APP, &Identity::module("d", "m")).await.unwrap(), None);
    assert!(rig.registry.last_seen_list().await.unwrap().is_empty());
}

async fn a_deleted_gateway_gets_no_children(rig: Rig) {
    rig.device("edge").await;
    for n in 0..TASKS {
        rig.device(&format!("leaf-{n}")).await;
    }
    at_once(&rig, |registry, n| async move {
        if n == TASKS / 2 {
            assert!(registry.device_delete(APP, "edge", 9).await.unwrap());
        } else {
            let leaf = format!("leaf-{n}");
            let link = RelationshipRow { id: leaf.clone(), source: "edge".into(), target: leaf };
            let put = registry.relationship_put(APP, &link, 7).await;
            assert!(matches!(put, Ok(()) | Err(StoreError::Missing(..))), "{put:?}");
        }
    })
    .await;
    assert!(rig.registry.devices_children(APP, "edge").await.unwrap().is_empty());
}

async fn events_are_numbered_in_the_order_of_commits(rig: Rig) {
    let relay = rig.registry.clone();
    at_once(&rig, move |registry, n| {
        let relay = relay.clone();
        async move {
            for m in 0..4 {
                let device = NewDevice { id: format!("d{n}-{m}"), ..NewDevice::default() };
                registry.device_create(APP, device).await.unwrap();
                // A reader never sees a number before all that come before it.
                let seen: Vec<u64> = relay.outbox_read(1_000).await.unwrap().iter().map(|row| row.sequence).collect();
                assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>());
                if m == 2 {
                    relay.outbox_remove().await.unwrap();
                }
            }
        }
    })
    .await;
    assert_eq!(rig.registry.outbox_read(1_000).await.unwrap().len() as u64, 4 * TASKS);
}

async fn first_starts_make_the_schema_once(rig: Rig) {
    let fresh = match &rig.place {
        Place::File(_) => Place::File(tempfile::tempdir().unwrap()),
        Place::Database(_) => Place::Database(PostgresServer::shared().database()),
    };
    let (one, two, three) = tokio::join!(fresh.open(), fresh.open(), fresh.open());
    for registry in [one, two, three].map(Result::unwrap) {
        assert!(registry.application_list().await.unwrap().is_empty());
        registry.close().await;
    }
}

fn numbered(n: u64) -> UserRow {
    UserRow { id: format!("u{n}"), email: format!("u{n}@x"), roles: "[]".into(), created_ms: 1, updated_ms: 1 }
}

async fn the_last_free_place_is_taken_once(rig: Rig) {
    put(&rig, APP, &numbered(100)).await.unwrap();
    let results = at_once(&rig, |registry, n| async move {
        registry.resource_put(APP, &numbered(n), &Precondition::None, CountMax(2)).await
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(StoreError::LimitReached(..)))), "{results:?}");
    assert_eq!(list_all::<UserRow>(&rig, APP).await.unwrap().len(), 2);
    let changed = UserRow { updated_ms: 9, ..numbered(100) };
    let changed = rig.registry.resource_put(APP, &changed, &Precondition::Present, CountMax(2)).await.unwrap();
    assert_eq!(changed.updated_ms, 9, "what is there may change at the limit");
}

async fn one_of_many_makes_what_is_absent(rig: Rig) {
    let results = at_once(&rig, |registry, _| async move {
        registry.resource_put(APP, &numbered(1), &Precondition::Absent, CountMax(9)).await
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(StoreError::EtagMismatch(..)))), "{results:?}");
    let missing = rig.registry.resource_put(APP, &numbered(2), &Precondition::Present, CountMax(9)).await;
    assert!(matches!(missing, Err(StoreError::EtagMismatch(..))));
}
