//! Devices, what belongs to them, templates and manifests.

use registry::limits::LIST_TEXTS_MAX;
use registry::{
    AttestationRow, CommandRow, CommandTarget, Comparison, DeviceField, DeviceFilter, DeviceManifestRow, DevicePage,
    DeviceProof, ManifestRow, NewCommand, NewDevice, Precondition, RelationshipRow, StoreError, TemplateRow, new_id,
};

use crate::rig::{APP, MANY, OTHER, Rig, change, keys, list_all, on_both_engines, put};

on_both_engines!(
    which_devices_may_connect_is_read_at_once,
    a_device_is_what_was_written_also_after_a_restart,
    applications_do_not_see_each_other,
    an_etag_protects_and_its_absence_overwrites,
    a_template_is_assigned_once_and_provisioning_gives_keys,
    pages_follow_each_other_in_the_order_of_bytes,
    filters_become_conditions,
    a_query_is_told_the_devices_it_may_answer_with,
    a_search_ignores_the_case_of_ascii_letters_only,
    cloud_properties_are_set_cleared_and_replaced,
    a_child_has_one_parent_and_loses_it_with_the_parent,
    an_attestation_wins_and_takes_its_keys_along,
    templates_are_stored_found_and_protected,
    manifests_are_stored_and_copied_to_devices,
    a_run_of_a_device_that_is_gone_takes_no_other_with_it,
    only_the_newest_runs_of_a_command_are_kept,
    what_belongs_to_a_device_goes_with_it,
);

async fn a_device_is_what_was_written_also_after_a_restart(rig: Rig) {
    let device = NewDevice {
        id: "pump-07".to_owned(),
        display_name: "Pump № 7".to_owned(),
        template: Some("dtmi:t;1".to_owned()),
        enabled: true,
        awaiting_approval: false,
        simulated: true,
        is_edge: false,
        organization: Some("north".to_owned()),
        keys: Some(keys("k")),
        enrollment_group: None,
        created_ms: i64::MAX,
    };
    let made = rig.registry.device_create(APP, device.clone()).await.unwrap();
    assert_eq!((made.display_name.as_str(), made.created_ms, made.updated_ms), ("Pump № 7", i64::MAX, i64::MAX));
    assert!(made.enabled && made.simulated && !made.is_edge && !made.provisioned && !made.awaiting_approval);
    assert_eq!((made.primary_key.as_deref(), made.secondary_key.as_deref()), (Some("k-1"), Some("k-2")));
    assert_eq!((made.enrollment_group.as_deref(), made.gateway.as_deref()), (None, None));
    let taken = rig.registry.device_create(APP, device).await;
    assert!(matches!(taken, Err(StoreError::Duplicate(..))), "{taken:?}");
    let rig = rig.restarted().await;
    assert_eq!(rig.registry.device_get(APP, "pump-07").await.unwrap(), Some(made));
    rig.registry.probe().await.unwrap();
}

async fn applications_do_not_see_each_other(rig: Rig) {
    let made = rig.device("pump").await;
    assert_eq!(made.display_name, "pump");
    assert_eq!(rig.registry.device_get(OTHER, "pump").await.unwrap(), None);
    assert!(!rig.registry.device_delete(OTHER, "pump", 9).await.unwrap());
    let all = DevicePage { limit: 10, ..DevicePage::default() };
    assert!(rig.registry.device_list(OTHER, &all).await.unwrap().is_empty());
    let listed: Vec<_> = rig.registry.application_list().await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(listed, [APP, OTHER]);
    let found = rig.registry.application_by_scope("0neother").await.unwrap().unwrap();
    assert_eq!(found.id, OTHER);
    assert_eq!(rig.registry.application_by_scope("0nenone").await.unwrap(), None);
}

async fn an_etag_protects_and_its_absence_overwrites(rig: Rig) {
    let first = rig.device("pump").await;
    let second = rig.registry.device_update(APP, "pump", change(&first), Some(&first.etag)).await.unwrap().after;
    assert_ne!(first.etag, second.etag);
    let refused = rig.registry.device_update(APP, "pump", change(&first), Some(&first.etag)).await;
    assert!(matches!(refused, Err(StoreError::EtagMismatch(..))));
    rig.registry.device_update(APP, "pump", change(&first), None).await.unwrap();
    let missing = rig.registry.device_update(APP, "none", change(&first), None).await;
    assert!(matches!(missing, Err(StoreError::Missing(..))));
}

async fn a_template_is_assigned_once_and_provisioning_gives_keys(rig: Rig) {
    let waiting = NewDevice { id: "w".to_owned(), awaiting_approval: true, created_ms: 5, ..NewDevice::default() };
    let row = rig.registry.device_create(APP, waiting).await.unwrap();
    assert!(row.awaiting_approval && !row.enabled);
    let mut approve = change(&row);
    let still = rig.registry.device_update(APP, "w", approve.clone(), None).await.unwrap().after;
    assert!(still.awaiting_approval);
    approve.enabled = true;
    let approved = rig.registry.device_update(APP, "w", approve, None).await.unwrap();
    assert!(!approved.before.enabled && !approved.after.awaiting_approval && approved.after.enabled);

    assert!(rig.registry.device_assign_template(APP, "w", "dtmi:t;1", 6).await.unwrap());
    assert!(!rig.registry.device_assign_template(APP, "w", "dtmi:t;2", 7).await.unwrap());
    assert!(rig.registry.template_in_use(APP, "dtmi:t;1").await.unwrap());
    assert!(!rig.registry.template_in_use(APP, "dtmi:t;2").await.unwrap());
    let keys = keys("hub");
    let group = rig.group("group").await;
    let row = rig.registry.device_mark_provisioned(APP, "w", Some(&keys), Some(&group), 8).await.unwrap();
    assert!(row.provisioned);
    assert_eq!((row.primary_key.as_deref(), row.enrollment_group.as_deref()), (Some("hub-1"), Some("group")));
    let missing = rig.registry.device_mark_provisioned(APP, "none", None, None, 8).await;
    assert!(matches!(missing, Err(StoreError::Missing(..))));

    rig.device("PUMP-a").await;
    rig.device("pump-A").await;
    let found = async |id: &str| rig.registry.device_id_of_registration(APP, id).await.unwrap();
    assert_eq!(found("pump-A").await.as_deref(), Some("pump-A"));
    assert_eq!(found("pump-a").await.as_deref(), Some("PUMP-a"));
    assert_eq!(found("pump-b").await, None);
}

async fn pages_follow_each_other_in_the_order_of_bytes(rig: Rig) {
    let names = ["zebra", "Zebra", "_x", "äpfel", "Apfel", "apfel", "~", "Apfel", "apfel-2"];
    for (n, name) in names.iter().enumerate() {
        let row = rig.device(&format!("{}{n}", ["d", "D", "é"][n % 3])).await;
        let mut change = change(&row);
        change.display_name = (*name).to_owned();
        rig.registry.device_update(APP, &row.id, change, None).await.unwrap();
    }
    for (by_display_name, descending) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut seen = Vec::new();
        let mut page = DevicePage { by_display_name, descending, limit: 2, ..DevicePage::default() };
        loop {
            let rows = rig.registry.device_list(APP, &page).await.unwrap();
            let Some(last) = rows.last() else { break };
            page.after = Some((last.display_name.clone(), last.id.clone()));
            seen.extend(rows.into_iter().map(|row| (row.display_name, row.id)));
        }
        let mut sorted = seen.clone();
        sorted.sort_by(|left, right| if by_display_name { left.cmp(right) } else { left.1.cmp(&right.1) });
        if descending {
            sorted.reverse();
        }
        assert_eq!(seen, sorted);
        assert_eq!(seen.len(), names.len());
    }
}

fn text(field: DeviceField, comparison: Comparison, text: &str) -> DeviceFilter {
    DeviceFilter::Text(field, comparison, text.to_owned())
}

/// How many devices a filter lets pass.
async fn count(rig: &Rig, filter: DeviceFilter) -> usize {
    let page = DevicePage { filter: Some(filter), limit: 100, ..DevicePage::default() };
    rig.registry.device_list(APP, &page).await.unwrap().len()
}

async fn filters_become_conditions(rig: Rig) {
    let row = rig.device("a%b").await;
    rig.device("axb").await;
    rig.registry.device_assign_template(APP, &row.id, "dtmi:t;1", 6).await.unwrap();
    let count = async |filter: DeviceFilter| count(&rig, filter).await;
    assert_eq!(count(DeviceFilter::Contains(DeviceField::DisplayName, "A%".to_owned())).await, 1);
    assert_eq!(count(text(DeviceField::Template, Comparison::NotEqual, "dtmi:t;1")).await, 1);
    assert_eq!(count(DeviceFilter::Absent(DeviceField::Organization)).await, 2);
    let compared = [
        (Comparison::Equal, 1),
        (Comparison::Less, 0),
        (Comparison::LessOrEqual, 1),
        (Comparison::Greater, 1),
        (Comparison::GreaterOrEqual, 2),
    ];
    for (comparison, expected) in compared {
        assert_eq!(count(text(DeviceField::Id, comparison, "a%b")).await, expected, "{comparison:?}");
    }
    let both = DeviceFilter::And(
        Box::new(text(DeviceField::Template, Comparison::Equal, "dtmi:t;1")),
        Box::new(DeviceFilter::Flag(DeviceField::Enabled, false)),
    );
    assert_eq!(count(both.clone()).await, 0);
    let either = DeviceFilter::Or(Box::new(both), Box::new(DeviceFilter::Flag(DeviceField::Edge, false)));
    assert_eq!(count(either).await, 2);
    let one_of = |ids: &[&str]| DeviceFilter::OneOf(DeviceField::Id, ids.iter().map(|id| id.to_string()).collect());
    assert_eq!((count(one_of(&["axb", "none"])).await, count(one_of(&[])).await), (1, 0));
    let most: Vec<_> = (0..LIST_TEXTS_MAX).map(|n| if n == 0 { "axb".to_owned() } else { format!("d{n}") }).collect();
    assert_eq!(count(DeviceFilter::OneOf(DeviceField::Id, most)).await, 1);
    for field in [DeviceField::Provisioned, DeviceField::Simulated, DeviceField::AwaitingApproval] {
        assert_eq!(count(DeviceFilter::Flag(field, true)).await, 0);
    }
}

async fn a_query_is_told_the_devices_it_may_answer_with(rig: Rig) {
    for id in ["a", "b", "c"] {
        rig.device(id).await;
    }
    for id in ["a", "b"] {
        rig.registry.device_assign_template(APP, id, "dtmi:t;1", 6).await.unwrap();
    }
    let queried = async |named: Option<&[&str]>| {
        let named = named.map(|ids| ids.iter().map(|id| id.to_string()).collect());
        let rows = rig.registry.devices_queried(APP, "dtmi:t;1", named).await.unwrap();
        let mut ids: Vec<_> = rows.into_iter().map(|row| row.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(queried(None).await, ["a", "b"]);
    assert_eq!(queried(Some(&["b", "c", "none"])).await, ["b"]);
    assert!(queried(Some(&[])).await.is_empty());
}

async fn a_search_ignores_the_case_of_ascii_letters_only(rig: Rig) {
    let row = rig.device("d").await;
    let mut change = change(&row);
    change.display_name = r"Große ÄPFEL 100%_\ Zürich".to_owned();
    rig.registry.device_update(APP, "d", change, None).await.unwrap();
    for (part, found) in [
        ("gROSSE", 0),
        ("gROßE", 1),
        ("ÄpFeL", 1),
        ("äpfel", 0),
        ("zÜRICH", 0),
        ("ZüRICH", 1),
        (r"100%_\", 1),
        ("100_", 0),
    ] {
        let filter = DeviceFilter::Contains(DeviceField::DisplayName, part.to_owned());
        assert_eq!(count(&rig, filter).await, found, "{part}");
    }
}

async fn cloud_properties_are_set_cleared_and_replaced(rig: Rig) {
    rig.device("d").await;
    let write = async |values: &[(&str, Option<&str>)], replace| {
        let values: Vec<_> =
            values.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
        rig.registry.cloud_properties_write(APP, "d", &values, replace, 7).await
    };
    let read = async || {
        let rows = rig.registry.cloud_properties(APP, "d").await.unwrap();
        rows.into_iter().map(|row| (row.name, row.value)).collect::<Vec<_>>()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    write(&[("b", Some("1")), ("a", Some(r#""x""#))], false).await.unwrap();
    write(&[("b", Some("2")), ("none", None)], false).await.unwrap();
    assert_eq!(read().await, [pair("a", r#""x""#), pair("b", "2")]);
    write(&[("c", Some("3")), ("a", None)], true).await.unwrap();
    assert_eq!(read().await, [pair("c", "3")]);
    write(&[], true).await.unwrap();
    assert!(read().await.is_empty());
    let missing = rig.registry.cloud_properties_write(APP, "none", &[pair_some("a")], false, 7).await;
    assert!(matches!(missing, Err(StoreError::Missing(..))), "{missing:?}");
}

fn pair_some(name: &str) -> (String, Option<String>) {
    (name.to_owned(), Some("1".to_owned()))
}

async fn a_child_has_one_parent_and_loses_it_with_the_parent(rig: Rig) {
    for id in ["edge-1", "edge-2", "leaf", "leaf-2"] {
        rig.device(id).await;
    }
    let link = |id: &str, source: &str, target: &str| RelationshipRow {
        id: id.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
    };
    let put = async |link: &RelationshipRow| rig.registry.relationship_put(APP, link, 7).await;
    put(&link("leaf", "edge-1", "leaf")).await.unwrap();
    put(&link("leaf", "edge-2", "leaf")).await.unwrap();
    assert!(rig.registry.devices_children(APP, "edge-1").await.unwrap().is_empty());
    assert_eq!(rig.registry.relationships_of(APP, "leaf").await.unwrap(), vec![link("leaf", "edge-2", "leaf")]);
    let taken = put(&link("leaf", "edge-2", "leaf-2")).await;
    assert!(matches!(taken, Err(StoreError::Duplicate(..))), "{taken:?}");
    for missing in [link("x", "edge-2", "none"), link("x", "none", "leaf")] {
        let missing = put(&missing).await;
        assert!(matches!(missing, Err(StoreError::Missing(..))), "{missing:?}");
    }
    put(&link("second", "edge-2", "leaf-2")).await.unwrap();
    let children = rig.registry.devices_children(APP, "edge-2").await.unwrap();
    assert_eq!(children.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["leaf", "leaf-2"]);
    assert!(!rig.registry.relationship_delete(APP, &link("second", "edge-1", "leaf-2"), 8).await.unwrap());
    assert!(rig.registry.relationship_delete(APP, &link("second", "edge-2", "leaf-2"), 8).await.unwrap());
    assert!(rig.registry.device_delete(APP, "edge-2", 9).await.unwrap());
    assert!(rig.registry.relationships_of(APP, "leaf").await.unwrap().is_empty());
}

async fn an_attestation_wins_and_takes_its_keys_along(rig: Rig) {
    rig.device("d").await;
    assert_eq!(rig.registry.attestation_get(APP, "d").await.unwrap(), None);
    assert!(!rig.registry.attestation_delete(APP, "d", 9).await.unwrap());
    let group = rig.group("g").await;
    rig.registry.device_mark_provisioned(APP, "d", Some(&keys("group")), Some(&group), 6).await.unwrap();
    let attestation = AttestationRow { proof: DeviceProof::Keys(keys("own")), updated_ms: 7 };
    rig.registry.attestation_put(APP, "d", &attestation).await.unwrap();
    assert_eq!(rig.registry.attestation_get(APP, "d").await.unwrap(), Some(attestation));
    let row = rig.registry.device_get(APP, "d").await.unwrap().unwrap();
    assert_eq!((row.primary_key.as_deref(), row.enrollment_group), (Some("own-1"), None));
    assert!(rig.registry.attestation_delete(APP, "d", 9).await.unwrap());
    let row = rig.registry.device_get(APP, "d").await.unwrap().unwrap();
    assert_eq!((row.primary_key, row.provisioned), (None, false));
    let missing = rig
        .registry
        .attestation_put(APP, "none", &AttestationRow { proof: DeviceProof::Keys(keys("x")), updated_ms: 7 })
        .await;
    assert!(matches!(missing, Err(StoreError::Missing(..))));
}

async fn templates_are_stored_found_and_protected(rig: Rig) {
    let template = |id: &str, model: &str, created_ms| TemplateRow {
        id: id.to_owned(),
        etag: String::new(),
        display_name: id.to_owned(),
        capability_model_id: model.to_owned(),
        document: r#"{"a":"ü"}"#.to_owned(),
        created_ms,
        updated_ms: created_ms,
    };
    let first = put(&rig, APP, &template("t1", "m", 1)).await.unwrap();
    assert!(!first.etag.is_empty());
    let second = put(&rig, APP, &TemplateRow { updated_ms: 5, ..first.clone() }).await.unwrap();
    assert_eq!((second.created_ms, second.updated_ms), (1, 5));
    let refused = rig.registry.resource_put(APP, &first, &Precondition::Etag(first.etag.clone()), MANY).await;
    assert!(matches!(refused, Err(StoreError::EtagMismatch(..))));
    put(&rig, APP, &template("t0", "m", 3)).await.unwrap();
    assert_eq!(rig.registry.template_by_model(APP, "m").await.unwrap().unwrap().id, "t0");
    assert_eq!(rig.registry.template_by_model(APP, "n").await.unwrap(), None);
    let listed: Vec<_> = list_all::<TemplateRow>(&rig, APP).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(listed, ["t0", "t1"]);
    assert_eq!(rig.registry.resource_get::<TemplateRow>(APP, "t1").await.unwrap(), Some(second));
    assert!(rig.registry.resource_delete::<TemplateRow>(APP, "t1", &Precondition::None).await.unwrap());
    assert!(!rig.registry.resource_delete::<TemplateRow>(APP, "t1", &Precondition::None).await.unwrap());
}

async fn manifests_are_stored_and_copied_to_devices(rig: Rig) {
    rig.device("edge").await;
    let manifest = ManifestRow {
        id: "m".to_owned(),
        etag: String::new(),
        display_name: "Line 1".to_owned(),
        organization: None,
        data: "{}".to_owned(),
        created_ms: 1,
        updated_ms: 2,
    };
    let stored = put(&rig, APP, &manifest).await.unwrap();
    let changed = ManifestRow { organization: Some("north".to_owned()), ..stored.clone() };
    let changed = put(&rig, APP, &changed).await.unwrap();
    let stale = Precondition::Etag(stored.etag.clone());
    let refused = rig.registry.resource_put(APP, &stored, &stale, MANY).await;
    assert!(matches!(refused, Err(StoreError::EtagMismatch(..))));
    assert_eq!(rig.registry.resource_get::<ManifestRow>(APP, "m").await.unwrap(), Some(changed.clone()));
    assert_eq!(list_all::<ManifestRow>(&rig, APP).await.unwrap(), [changed]);
    let copy = DeviceManifestRow {
        id: "copy".to_owned(),
        etag: "e".to_owned(),
        display_name: "Line 1".to_owned(),
        data: "{}".to_owned(),
        applied_ms: 3,
    };
    put_manifest(&rig, &copy).await;
    let newer = DeviceManifestRow { data: "[]".to_owned(), ..copy };
    put_manifest(&rig, &newer).await;
    assert!(rig.registry.resource_delete::<ManifestRow>(APP, "m", &Precondition::None).await.unwrap());
    assert!(!rig.registry.resource_delete::<ManifestRow>(APP, "m", &Precondition::None).await.unwrap());
    assert_eq!(rig.registry.device_manifest_get(APP, "edge").await.unwrap(), Some(newer.clone()));
    assert_eq!(rig.registry.device_manifest_get(APP, "none").await.unwrap(), None);
}

async fn put_manifest(rig: &Rig, manifest: &DeviceManifestRow) {
    let mut transaction = rig.registry.twin_transaction([(APP, "edge")]).await.unwrap();
    transaction.put_manifest(APP, "edge", manifest).await.unwrap();
    transaction.commit().await.unwrap();
}

pub fn target(device: &str) -> CommandTarget {
    CommandTarget {
        device: device.to_owned(),
        module: String::new(),
        component: String::new(),
        name: "stop".to_owned(),
    }
}

pub fn run(id: String, requested_ms: i64) -> CommandRow {
    CommandRow {
        id,
        request: None,
        response: Some("true".to_owned()),
        response_code: Some(200),
        connection_timeout_secs: None,
        response_timeout_secs: Some(30),
        requested_ms,
    }
}

pub(super) fn of(target: CommandTarget, run: CommandRow) -> NewCommand {
    NewCommand { application: APP.to_owned(), target, run }
}

async fn a_run_of_a_device_that_is_gone_takes_no_other_with_it(rig: Rig) {
    rig.device("pump").await;
    let runs = ["pump", "gone", "pump"].map(|device| of(target(device), run(new_id(), 1)));
    rig.registry.commands_add(&runs, 2).await.unwrap();
    assert_eq!(rig.registry.command_history(APP, &target("pump")).await.unwrap().len(), 2);
    assert_eq!(rig.registry.command_history(APP, &target("gone")).await.unwrap(), []);
}

async fn only_the_newest_runs_of_a_command_are_kept(rig: Rig) {
    rig.device("pump").await;
    for n in 0..5 {
        rig.registry.commands_add(&[of(target("pump"), run(format!("run{n}"), n))], 2).await.unwrap();
    }
    let other = CommandTarget { module: "m".to_owned(), ..target("pump") };
    rig.registry.commands_add(&[of(other, run("other".to_owned(), 9))], 2).await.unwrap();
    let kept = rig.registry.command_history(APP, &target("pump")).await.unwrap();
    assert_eq!(kept, [run("run4".to_owned(), 4), run("run3".to_owned(), 3)]);
}

async fn what_belongs_to_a_device_goes_with_it(rig: Rig) {
    rig.device("d").await;
    rig.registry.commands_add(&[of(target("d"), run("r".to_owned(), 1))], 2).await.unwrap();
    rig.registry.cloud_properties_write(APP, "d", &[pair_some("a")], false, 7).await.unwrap();
    rig.registry
        .attestation_put(APP, "d", &AttestationRow { proof: DeviceProof::Keys(keys("x")), updated_ms: 7 })
        .await
        .unwrap();
    assert!(rig.registry.device_delete(APP, "d", 9).await.unwrap());
    assert!(!rig.registry.device_delete(APP, "d", 9).await.unwrap());
    rig.device("d").await;
    assert!(rig.registry.command_history(APP, &target("d")).await.unwrap().is_empty());
    assert!(rig.registry.cloud_properties(APP, "d").await.unwrap().is_empty());
    assert_eq!(rig.registry.attestation_get(APP, "d").await.unwrap(), None);
}

async fn which_devices_may_connect_is_read_at_once(rig: Rig) {
    assert!(rig.registry.devices_enabled().await.unwrap().is_empty());
    for (id, enabled) in [("a", true), ("b", false), ("c", true)] {
        let device = NewDevice { id: id.to_owned(), enabled, ..NewDevice::default() };
        rig.registry.device_create(APP, device).await.unwrap();
    }
    let mut enabled = rig.registry.devices_enabled().await.unwrap();
    enabled.sort();
    assert_eq!(enabled, [("a", true), ("b", false), ("c", true)].map(|(id, is)| (APP.into(), id.into(), is)));
}
