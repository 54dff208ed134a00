//! Lists of a large fleet are read from an index, in its order: nothing is walked or sorted.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::ApplicationRow;
use crate::limits::LIST_TEXTS_MAX;

/// How SQLite would run a list.
async fn plan(registry: &Registry, columns: &str, page: &DevicePage) -> String {
    let mut condition = Condition::new(&registry.engine, page.filter.as_ref());
    let order = condition.page(page, true);
    let sql = format!("EXPLAIN QUERY PLAN SELECT {columns} FROM devices WHERE {{rows}} {order}");
    let statement = condition.statement("explain a list", TABLE, &sql, "a");
    let steps: Vec<(i64, i64, i64, String)> = registry.engine.fetch_all(statement).await.unwrap();
    steps.into_iter().map(|(.., step)| step).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn a_page_by_name_is_found_in_an_index_whatever_the_filter() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(&folder.path().join("registry.db")).await.unwrap();
    let application = ApplicationRow { id: "a".into(), name: "a".into(), id_scope: "0ne1".into(), created_ms: 0 };
    registry.application_create(&application, &[]).await.unwrap();
    let template = DeviceFilter::Text(DeviceField::Template, Comparison::Equal, "t".into());
    let enabled = |value| DeviceFilter::Flag(DeviceField::Enabled, value);
    let cases = [
        (None, "devices_by_name"),
        (Some(enabled(false)), "devices_enabled_by_name"),
        (Some(enabled(true)), "devices_enabled_by_name"),
        (Some(DeviceFilter::Flag(DeviceField::Edge, true)), "devices_edge_by_name"),
        (Some(template), "devices_template_by_name"),
        (Some(DeviceFilter::Absent(DeviceField::Template)), "devices_template_by_name"),
    ];
    for (filter, index) in cases {
        for after in [None, Some(("n".to_owned(), "d".to_owned()))] {
            let page = DevicePage {
                filter: filter.clone(),
                by_display_name: true,
                after: after.clone(),
                limit: 10,
                ..DevicePage::default()
            };
            let plan = plan(&registry, COLUMNS, &page).await;
            assert!(plan.contains(index), "{filter:?}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
            assert!(after.is_none() || plan.contains("(display_name,id)>"), "{filter:?}: {plan}");
        }
    }
    let ids = (0..LIST_TEXTS_MAX).map(|n| format!("d{n}")).collect();
    let named = DeviceFilter::And(Box::new(DeviceFilter::OneOf(DeviceField::Id, ids)), Box::new(enabled(true)));
    let named = DevicePage { filter: Some(named), limit: 10, ..DevicePage::default() };
    let plan_of = plan(&registry, COLUMNS, &named).await;
    assert!(plan_of.contains("sqlite_autoindex_devices_1 (application=? AND id=?)"), "{plan_of}");
    let heads = DevicePage { filter: Some(enabled(true)), by_display_name: true, limit: 10, ..DevicePage::default() };
    let plan = plan(&registry, HEAD_COLUMNS, &heads).await;
    assert!(plan.contains("COVERING INDEX devices_enabled_by_name"), "{plan}");
}
