//! Host names as clients write them.
#![allow(clippy::unwrap_used)]

use super::*;

fn row(id: &str, name: &str) -> ApplicationRow {
    ApplicationRow { id: id.into(), name: name.into(), id_scope: format!("0ne{id}"), created_ms: 0 }
}

async fn applications(names: &[&str]) -> (tempfile::TempDir, Applications) {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(&dir.path().join("registry.db")).await.unwrap();
    registry.application_create(&row("first", "Tidegate"), &[]).await.unwrap();
    for name in names {
        registry.application_create(&row(name, name), &[]).await.unwrap();
    }
    (dir, Applications::new(registry, "IoT.example.test", row("first", "Tidegate")))
}

#[tokio::test]
async fn a_host_leads_to_one_application_or_none() {
    let (_dir, applications) = applications(&["plant"]).await;
    let cases = [
        ("iot.example.test", Some("first")),
        ("IOT.Example.Test.", Some("first")),
        ("localhost", Some("first")),
        ("127.0.0.1", Some("first")),
        ("[::1]", Some("first")),
        ("::1", Some("first")),
        ("192.0.2.7", Some("first")),
        ("plant.iot.example.test", Some("plant")),
        ("Plant.IoT.example.test", Some("plant")),
        ("plant.localhost", Some("plant")),
        ("tidegate.iot.example.test", None),
        ("other.iot.example.test", None),
        ("a.plant.iot.example.test", None),
        ("plant.example.test", None),
        ("xiot.example.test", None),
        (".iot.example.test", None),
        ("", None),
    ];
    for (host, expected) in cases {
        let found = applications.by_host(host).await.unwrap();
        assert_eq!(found.as_ref().map(|row| row.id.as_str()), expected, "{host}");
    }
    let plant = applications.by_host("plant.localhost").await.unwrap().unwrap();
    assert_eq!(applications.host_of(&plant), "plant.iot.example.test");
    assert_eq!(applications.host_of(applications.first()), "iot.example.test");
}

#[tokio::test]
async fn more_applications_than_are_remembered_are_all_found() {
    let names: Vec<String> = (0..=APPLICATIONS_REMEMBERED_MAX).map(|n| format!("a{n}")).collect();
    let (_dir, applications) = applications(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for name in names.iter().chain(names.first()) {
        let found = applications.by_host(&format!("{name}.localhost")).await.unwrap();
        assert_eq!(found.map(|row| row.name.clone()).as_ref(), Some(name));
    }
    assert!(applications.known().len() <= APPLICATIONS_REMEMBERED_MAX);
}

#[test]
fn names_are_labels() {
    for (name, allowed) in [("a", true), ("plant-7", true), ("", false), ("A", false), ("a.b", false), ("-a", false)] {
        assert_eq!(is_application_name(name), allowed, "{name}");
    }
    assert!(is_application_name(&"a".repeat(63)) && !is_application_name(&"a".repeat(64)));
}
