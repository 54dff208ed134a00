//! Reading the groups again, and not.
#![allow(clippy::unwrap_used)]

use protocol::auth::sas;
use registry::{ApplicationRow, CountMax, Precondition, SigningCertificate, SigningCertificates, new_symmetric_keys};
use tempfile::TempDir;
use testkit::certificates::TestCertificate;

use super::*;

const APP: &str = "a";

async fn groups() -> (TempDir, Groups) {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(&dir.path().join("r.db")).await.unwrap();
    for n in 0..2 {
        let id = if n == 0 { APP.to_owned() } else { format!("a{n}") };
        let row = ApplicationRow { name: id.clone(), id_scope: format!("0ne{id}"), id, created_ms: 0 };
        registry.application_create(&row, &[]).await.unwrap();
    }
    (dir, Groups::new(registry))
}

async fn put(groups: &Groups, app: &str, id: &str) -> EnrollmentGroupRow {
    let row = EnrollmentGroupRow {
        id: id.to_owned(),
        etag: String::new(),
        display_name: id.to_owned(),
        enabled: true,
        is_edge: false,
        auto_approve: true,
        keys: new_symmetric_keys(),
        certificates: None,
        created_ms: 0,
        updated_ms: 0,
    };
    let most = CountMax(u32::try_from(2 * GROUPS_KEPT_MAX).unwrap());
    groups.registry.resource_put(app, &row, &Precondition::None, most).await.unwrap()
}

fn token(group_key: &str, registration_id: &str) -> SasToken {
    let key = sas::derive_device_key(group_key, registration_id).unwrap();
    SasToken::parse(&sas::sign("0ne/registrations/x", &key, 4_000_000_000, Some("registration")).unwrap()).unwrap()
}

async fn found(groups: &Groups, key: &str, derived_for: &str, registration_id: &str) -> Option<(String, String)> {
    let found = groups.find(APP, registration_id, &token(key, derived_for)).await.unwrap();
    found.map(|(group, text)| (group.id, text))
}

#[tokio::test]
async fn a_group_is_found_by_either_key_and_either_spelling() {
    let (_dir, groups) = groups().await;
    // More than are tried at once.
    for n in 0..GROUPS_AT_ONCE_MAX {
        put(&groups, APP, &format!("g{n}")).await;
    }
    let last = put(&groups, APP, "z").await;
    for key in [&last.keys.primary, &last.keys.secondary] {
        assert_eq!(found(&groups, key, "D1", "D1").await, Some(("z".into(), "D1".into())));
        assert_eq!(found(&groups, key, "d1", "D1").await, Some(("z".into(), "d1".into())));
        assert_eq!(found(&groups, key, "d2", "d1").await, None);
    }
}

#[tokio::test]
async fn groups_are_read_again_when_one_changed_and_not_for_each_attempt() {
    let (_dir, groups) = groups().await;
    let old = put(&groups, APP, "g").await;
    let before = groups.groups(APP).await.unwrap();
    assert!(found(&groups, &old.keys.primary, "d", "d").await.is_some());
    let kept = |ago: std::time::Duration| {
        let groups = vec![Group::new(before.groups[0].row.clone())];
        Arc::new(Kept { version: before.version, read: Instant::now() - ago, groups })
    };
    for (kept, is_still) in [(kept(std::time::Duration::ZERO), true), (kept(GROUPS_KEPT_FOR), false)] {
        groups.lock().insert(APP.to_owned(), Arc::clone(&kept));
        let now = groups.groups(APP).await.unwrap();
        assert_eq!(Arc::ptr_eq(&kept, &now), is_still, "somebody else may have changed it");
    }
    let new = put(&groups, APP, "g").await;
    assert_eq!(found(&groups, &old.keys.primary, "d", "d").await, None);
    assert!(found(&groups, &new.keys.primary, "d", "d").await.is_some());
    groups.registry.resource_delete::<EnrollmentGroupRow>(APP, "g", &Precondition::None).await.unwrap();
    assert_eq!(found(&groups, &new.keys.primary, "d", "d").await, None);
}

#[tokio::test]
async fn so_many_groups_are_kept() {
    let (_dir, groups) = groups().await;
    put(&groups, APP, "g").await;
    put(&groups, "a1", "g").await;
    let kept = groups.groups(APP).await.unwrap();
    let many: Vec<Group> = (1..GROUPS_KEPT_MAX).map(|_| Group::new(kept.groups[0].row.clone())).collect();
    let filled = Kept { version: kept.version, read: kept.read, groups: many };
    groups.lock().insert(APP.to_owned(), Arc::new(filled));
    groups.groups("a1").await.unwrap();
    assert_eq!(groups.lock().len(), 2, "just as many");
    groups.lock().remove("a1");
    let one_more = Kept { version: kept.version, read: kept.read, groups: Vec::new() };
    groups.lock().insert("b".to_owned(), Arc::new(one_more));
    put(&groups, "a1", "h").await;
    groups.groups("a1").await.unwrap();
    assert_eq!(groups.lock().len(), 1, "one too many");
}

#[tokio::test]
async fn searches_take_turns() {
    let (_dir, groups) = groups().await;
    let turn = groups.turns.acquire_many(GROUP_SEARCHES_MAX as u32).await.unwrap();
    let token = token("a2V5", "d");
    let mut search = Box::pin(groups.find(APP, "d", &token));
    assert!(futures_util::poll!(&mut search).is_pending());
    drop(turn);
    assert_eq!(search.await.unwrap().map(drop), None);
}

#[tokio::test]
async fn a_certificate_is_of_the_group_whose_verified_authority_signed_it_and_of_the_nearer_one() {
    let (_dir, groups) = groups().await;
    for n in 0..GROUPS_AT_ONCE_MAX {
        put(&groups, APP, &format!("g{n}")).await;
    }
    let root = TestCertificate::root("root");
    let middle = root.authority("middle");
    let certified = async |id: &str, primary: Option<&TestCertificate>, verified| {
        let certificate = |made: &TestCertificate| {
            let text = Authority::read(made.der()).unwrap().to_text();
            SigningCertificate::new(text, verified)
        };
        let row = put(&groups, APP, id).await;
        let certificates = SigningCertificates { primary: None, secondary: primary.map(certificate) };
        let row = EnrollmentGroupRow { certificates: Some(certificates), ..row };
        groups.registry.resource_put(APP, &row, &Precondition::None, CountMax(9_999)).await.unwrap();
    };
    let found = async |certificate: &TestCertificate| {
        let certificate = ClientCertificate::read(certificate.chain()).unwrap();
        let found = groups.find_signer(APP, &certificate, events::clock::now_secs()).await.unwrap();
        found.map(|(group, _)| group.id)
    };
    let (near, deep) = (root.leaf("d"), middle.leaf("d"));
    certified("of-root", Some(&root), false).await;
    assert_eq!(found(&near).await, None, "nobody has verified it");
    certified("of-root", Some(&root), true).await;
    assert_eq!((found(&near).await, found(&deep).await), (Some("of-root".into()), Some("of-root".into())));
    certified("z-middle", Some(&middle), true).await;
    assert_eq!((found(&near).await, found(&deep).await), (Some("of-root".into()), Some("z-middle".into())));
    assert_eq!(found(&TestCertificate::root("root").leaf("d")).await, None);
    // The keys of a group with certificates are nobody's.
    let row: EnrollmentGroupRow = groups.registry.resource_get(APP, "of-root").await.unwrap().unwrap();
    assert_eq!(self::found(&groups, &row.keys.primary, "d", "d").await, None);
}
