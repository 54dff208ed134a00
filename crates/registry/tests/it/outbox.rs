//! Events are as durable as their change, in order, and never lost for want of room.

use model::identity::Identity;
use model::twin::Twin;
use serde_json::{Value, json};

use registry::limits::{OUTBOX_EVENTS_MAX, OUTBOX_EVENTS_PER_STATEMENT_MAX};
use registry::{DeviceChange, DeviceRow, ModuleChange, NewDevice, OutboxEvent, OutboxKind, Registry, StoreError};

use crate::rig::{APP, Rig, on_both_engines};

on_both_engines!(
    the_life_of_a_device_is_told_in_order_and_without_keys,
    events_survive_a_restart_until_they_are_removed_and_numbers_go_on,
    at_the_limit_changes_are_refused_and_made_again_once_there_is_room,
    a_twin_knows_its_identity_and_an_unknown_device_has_none
);

async fn create(registry: &Registry, id: &str) -> DeviceRow {
    let device = NewDevice { id: id.into(), enabled: true, organization: Some("north".into()), ..NewDevice::default() };
    registry.device_create(APP, device).await.unwrap()
}

async fn bodies(registry: &Registry) -> Vec<Value> {
    let rows = registry.outbox_read(100).await.unwrap();
    rows.iter().map(|row| serde_json::from_str(&row.event.body).unwrap()).collect()
}

fn twin_event(device: &str) -> OutboxEvent {
    OutboxEvent {
        kind: OutboxKind::ReportedProperties,
        application: APP.into(),
        device: device.into(),
        module: None,
        generation: "g".into(),
        organization: None,
        at_ms: 7,
        body: json!({ "version": 2, "patch": {} }).to_string(),
    }
}

async fn the_life_of_a_device_is_told_in_order_and_without_keys(rig: Rig) {
    let registry = &rig.registry;
    let made = create(registry, "d").await;
    let change = DeviceChange {
        display_name: "pump".into(),
        template: Some("t".into()),
        enabled: false,
        organization: Some("south".into()),
        updated_ms: 9,
    };
    let changed = registry.device_update(APP, "d", change.clone(), Some(&made.etag)).await.unwrap().after;
    registry.device_update(APP, "d", change, None).await.unwrap();
    let group = rig.group("group").await;
    registry.device_mark_provisioned(APP, "d", None, Some(&group), 10).await.unwrap();
    registry.module_put(APP, "d", "m", ModuleChange::default(), 11).await.unwrap();
    registry.module_delete(APP, "d", "m", 12).await.unwrap();
    registry.device_delete(APP, "d", 13).await.unwrap();
    assert!(!registry.device_delete(APP, "d", 14).await.unwrap(), "what is not there has no event");

    let events = bodies(registry).await;
    let names: Vec<&str> = events.iter().map(|body| body["event"].as_str().unwrap()).collect();
    let expected =
        ["created", "templateChanged", "disabled", "updated", "provisioned", "created", "deleted", "deleted"];
    assert_eq!(names, expected);
    assert_eq!(events[3]["changed"], json!(["displayName", "organization"]));
    let rows = registry.outbox_read(100).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    assert_eq!(rows[0].event.organization.as_deref(), Some("north"));
    assert_eq!(rows[1].event.organization.as_deref(), Some("south"));
    assert_eq!(rows[6].event.module.as_deref(), Some("m"));
    assert!(rows.iter().all(|row| row.event.generation == changed.generation_id || row.event.module.is_some()));
}

async fn events_survive_a_restart_until_they_are_removed_and_numbers_go_on(rig: Rig) {
    let registry = &rig.registry;
    create(registry, "d1").await;
    create(registry, "d2").await;
    registry.outbox_relayed(1, 40);
    let rig = rig.restarted().await;
    // Killed before the removal: both are there, and the log is to be searched from where it stood.
    let registry = &rig.registry;
    assert_eq!(registry.outbox_log_offset(), 0);
    assert_eq!(registry.outbox_read(100).await.unwrap().len(), 2);
    registry.outbox_relayed(1, 40);
    // The next change removes what was relayed.
    create(registry, "d3").await;
    let rig = rig.restarted().await;
    let registry = &rig.registry;
    assert_eq!(registry.outbox_log_offset(), 40);
    let left: Vec<u64> = registry.outbox_read(100).await.unwrap().iter().map(|row| row.sequence).collect();
    assert_eq!(left, [2, 3]);
    // So does the relay when nothing changes any more.
    registry.outbox_relayed(3, 50);
    assert!(registry.outbox_has_relayed());
    registry.outbox_remove().await.unwrap();
    assert!(!registry.outbox_has_relayed());
    let rig = rig.restarted().await;
    let registry = &rig.registry;
    assert_eq!((registry.outbox_read(100).await.unwrap().len(), registry.outbox_log_offset()), (0, 50));
    create(registry, "d4").await;
    assert_eq!(registry.outbox_read(100).await.unwrap()[0].sequence, 4);
}

async fn at_the_limit_changes_are_refused_and_made_again_once_there_is_room(rig: Rig) {
    let registry = &rig.registry;
    create(registry, "d").await;
    let identity = Identity::device("d");
    assert!(OUTBOX_EVENTS_MAX > OUTBOX_EVENTS_PER_STATEMENT_MAX as u64, "more than one statement takes");
    let mut transaction = registry.twin_transaction([(APP, "d")]).await.unwrap();
    (1..OUTBOX_EVENTS_MAX).for_each(|_| transaction.note(twin_event("d")));
    transaction.commit().await.unwrap();

    let refused = registry.device_delete(APP, "d", 5).await;
    assert!(matches!(refused, Err(StoreError::OutboxFull)), "{refused:?}");
    assert!(registry.device_get(APP, "d").await.unwrap().is_some(), "a refused change is not made");
    let mut transaction = registry.twin_transaction([(APP, "d")]).await.unwrap();
    transaction.put(APP, &identity, &Twin::default(), 1).await.unwrap();
    transaction.note(twin_event("d"));
    assert!(matches!(transaction.commit().await, Err(StoreError::OutboxFull)));
    assert_eq!(registry.twin_get(APP, &identity).await.unwrap(), None);

    registry.outbox_relayed(1, 1);
    assert!(registry.device_delete(APP, "d", 5).await.unwrap());
    let last = registry.outbox_read(usize::try_from(OUTBOX_EVENTS_MAX).unwrap() + 1).await.unwrap().pop().unwrap();
    assert_eq!((last.sequence, last.event.kind), (OUTBOX_EVENTS_MAX + 1, OutboxKind::Lifecycle));
}

async fn a_twin_knows_its_identity_and_an_unknown_device_has_none(rig: Rig) {
    let registry = &rig.registry;
    let device = create(registry, "d").await;
    let module = registry.module_put(APP, "d", "m", ModuleChange::default(), 1).await.unwrap();
    let mut transaction = registry.twin_transaction([(APP, "d")]).await.unwrap();
    let cases = [
        (Identity::device("d"), Some(device.generation_id.as_str())),
        (Identity::module("d", "m"), Some(module.generation_id.as_str())),
        (Identity::module("d", "announced"), Some("")),
        (Identity::device("nobody"), None),
    ];
    for (identity, generation) in cases {
        let found = transaction.get(APP, &identity).await.unwrap();
        assert_eq!(found.as_ref().map(|twin| twin.generation.as_str()), generation, "{identity}");
        assert!(found.is_none_or(|twin| twin.organization.as_deref() == Some("north") && twin.twin == Twin::default()));
    }
}
