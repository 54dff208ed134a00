//! The registry against a real file.
#![allow(clippy::unwrap_used)]

use super::*;

const APP: &str = "a";

async fn registry() -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(&folder.path().join("registry.db")).await.unwrap();
    for id in [APP, "other"] {
        let application =
            ApplicationRow { id: id.to_owned(), name: id.to_owned(), id_scope: format!("0ne{id}"), created_ms: 1 };
        registry.application_create(&application, &[]).await.unwrap();
    }
    (folder, registry)
}

async fn device(registry: &Registry, id: &str) -> DeviceRow {
    registry
        .device_create(APP, NewDevice { id: id.to_owned(), enabled: true, created_ms: 5, ..NewDevice::default() })
        .await
        .unwrap()
}

fn change(row: &DeviceRow) -> DeviceChange {
    DeviceChange {
        display_name: row.display_name.clone(),
        template: row.template.clone(),
        enabled: row.enabled,
        organization: row.organization.clone(),
        updated_ms: 9,
    }
}

#[tokio::test]
async fn a_reopened_registry_has_what_was_written() {
    let (folder, registry) = registry().await;
    let made = device(&registry, "pump-07").await;
    registry.close().await;
    let again = Registry::open(&folder.path().join("registry.db")).await.unwrap();
    assert_eq!(again.device_get(APP, "pump-07").await.unwrap(), Some(made));
}

#[tokio::test]
async fn applications_do_not_see_each_other() {
    let (_folder, registry) = registry().await;
    device(&registry, "pump").await;
    assert_eq!(registry.device_get("other", "pump").await.unwrap(), None);
    assert!(!registry.device_delete("other", "pump", 6).await.unwrap());
    assert_eq!(registry.device_count("other", None).await.unwrap(), 0);
}

#[tokio::test]
async fn an_etag_protects_and_its_absence_overwrites() {
    let (_folder, registry) = registry().await;
    let first = device(&registry, "pump").await;
    let second = registry.device_update(APP, "pump", change(&first), Some(&first.etag)).await.unwrap();
    assert_ne!(first.etag, second.etag);
    let refused = registry.device_update(APP, "pump", change(&first), Some(&first.etag)).await;
    assert!(matches!(refused, Err(StoreError::EtagMismatch)));
    registry.device_update(APP, "pump", change(&first), None).await.unwrap();
    let missing = registry.device_update(APP, "none", change(&first), None).await;
    assert!(matches!(missing, Err(StoreError::Missing)));
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_double() {
    let (_folder, registry) = registry().await;
    for n in 0..7 {
        let row = device(&registry, &format!("d{n}")).await;
        let mut change = change(&row);
        change.display_name = format!("name {}", n % 3);
        registry.device_update(APP, &row.id, change, None).await.unwrap();
    }
    for descending in [false, true] {
        let mut seen = Vec::new();
        let mut page = DevicePage { by_display_name: true, descending, limit: 2, ..DevicePage::default() };
        loop {
            let rows = registry.device_list(APP, &page).await.unwrap();
            let Some(last) = rows.last() else { break };
            page.after = Some((last.display_name.clone(), last.id.clone()));
            seen.extend(rows.into_iter().map(|row| (row.display_name, row.id)));
        }
        let mut sorted = seen.clone();
        sorted.sort();
        if descending {
            sorted.reverse();
        }
        assert_eq!(seen, sorted);
        assert_eq!(seen.len(), 7);
    }
}

#[tokio::test]
async fn filters_become_conditions() {
    let (_folder, registry) = registry().await;
    let row = device(&registry, "a%b").await;
    device(&registry, "axb").await;
    registry.device_assign_template(APP, &row.id, "dtmi:t;1", 6).await.unwrap();
    let count = async |filter: DeviceFilter| registry.device_count(APP, Some(&filter)).await.unwrap();
    let text = |field, comparison, text: &str| DeviceFilter::Text(field, comparison, text.to_owned());
    assert_eq!(count(DeviceFilter::Contains(DeviceField::DisplayName, "A%".to_owned())).await, 1);
    assert_eq!(count(text(DeviceField::Template, Comparison::NotEqual, "dtmi:t;1")).await, 1);
    assert_eq!(count(text(DeviceField::Id, Comparison::Greater, "a%b")).await, 1);
    let both = DeviceFilter::And(
        Box::new(text(DeviceField::Template, Comparison::Equal, "dtmi:t;1")),
        Box::new(DeviceFilter::Flag(DeviceField::Enabled, false)),
    );
    assert_eq!(count(both.clone()).await, 0);
    let either = DeviceFilter::Or(Box::new(both), Box::new(DeviceFilter::Flag(DeviceField::Edge, false)));
    assert_eq!(count(either).await, 2);
}

#[tokio::test]
async fn a_child_has_one_parent_and_loses_it_with_the_parent() {
    let (_folder, registry) = registry().await;
    for id in ["edge-1", "edge-2", "leaf"] {
        device(&registry, id).await;
    }
    let link =
        |source: &str| RelationshipRow { id: "leaf".to_owned(), source: source.to_owned(), target: "leaf".to_owned() };
    registry.relationship_put(APP, &link("edge-1"), 7).await.unwrap();
    registry.relationship_put(APP, &link("edge-2"), 8).await.unwrap();
    assert!(registry.devices_children(APP, "edge-1").await.unwrap().is_empty());
    assert_eq!(registry.relationships_of(APP, "leaf").await.unwrap(), vec![link("edge-2")]);
    registry.device_delete(APP, "edge-2", 6).await.unwrap();
    assert!(registry.relationships_of(APP, "leaf").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_sign_in_code_works_once_and_in_time() {
    let (_folder, registry) = registry().await;
    let user = UserRow {
        id: "u".to_owned(),
        email: "u@example.com".to_owned(),
        roles: "[]".to_owned(),
        created_ms: 1,
        updated_ms: 1,
    };
    registry.user_put(APP, &user).await.unwrap();
    let code = SecretHash::of("secret");
    registry.sign_in_code_create(APP, &code, "u", 10, 20).await.unwrap();
    assert_eq!(registry.sign_in_code_take(APP, &code, 20).await.unwrap(), None);
    assert_eq!(registry.sign_in_code_take(APP, &code, 19).await.unwrap().as_deref(), Some("u"));
    assert_eq!(registry.sign_in_code_take(APP, &code, 19).await.unwrap(), None);
}

#[tokio::test]
async fn only_the_newest_runs_of_a_command_are_kept() {
    let (_folder, registry) = registry().await;
    device(&registry, "pump").await;
    let target = CommandTarget {
        device: "pump".to_owned(),
        module: String::new(),
        component: String::new(),
        name: "stop".to_owned(),
    };
    for n in 0..5 {
        let run = CommandRow {
            id: format!("run{n}"),
            request: None,
            response: None,
            response_code: Some(200),
            connection_timeout_secs: None,
            response_timeout_secs: None,
            requested_ms: n,
        };
        registry.command_add(APP, &target, &run, 2).await.unwrap();
    }
    let kept: Vec<_> = registry.command_history(APP, &target).await.unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(kept, ["run4", "run3"]);
}

#[test]
fn ids_have_the_form_of_a_uuid() {
    let id = new_id();
    let lengths: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert_eq!(id.as_bytes()[14], b'4');
    assert!(matches!(id.as_bytes()[19], b'8'..=b'b'));
}
