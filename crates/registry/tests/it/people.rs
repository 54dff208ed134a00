//! Users, their sessions, API tokens and enrollment groups.

use registry::{ApiTokenRow, ApplicationRow, EnrollmentGroupRow, Precondition, SecretHash, StoreError, UserRow};

use crate::rig::{APP, MANY, OTHER, Rig, keys, list_all, on_both_engines, put};

on_both_engines!(
    an_address_belongs_to_one_user,
    a_sign_in_code_works_once_and_in_time,
    a_session_ends_in_time_and_when_told,
    an_api_token_is_there_until_it_is_deleted,
    an_application_comes_with_its_groups_or_not_at_all,
    enrollment_groups_are_protected_by_their_etag,
);

fn user(id: &str, email: &str) -> UserRow {
    UserRow { id: id.to_owned(), email: email.to_owned(), roles: "[]".to_owned(), created_ms: 1, updated_ms: 1 }
}

async fn an_address_belongs_to_one_user(rig: Rig) {
    put(&rig, APP, &user("u", "u@example.com")).await.unwrap();
    let taken = put(&rig, APP, &user("v", "u@example.com")).await;
    assert!(matches!(taken, Err(StoreError::Duplicate(..))), "{taken:?}");
    put(&rig, OTHER, &user("u", "u@example.com")).await.unwrap();
    let moved = UserRow { updated_ms: 5, ..user("u", "new@example.com") };
    put(&rig, APP, &moved).await.unwrap();
    assert_eq!(rig.registry.resource_get::<UserRow>(APP, "u").await.unwrap(), Some(moved.clone()));
    assert_eq!(rig.registry.user_by_email(APP, "new@example.com").await.unwrap(), Some(moved.clone()));
    assert_eq!(rig.registry.user_by_email(APP, "u@example.com").await.unwrap(), None);
    put(&rig, APP, &user("a", "a@example.com")).await.unwrap();
    assert_eq!(list_all::<UserRow>(&rig, APP).await.unwrap(), [user("a", "a@example.com"), moved]);
    assert!(rig.registry.resource_delete::<UserRow>(APP, "a", &Precondition::None).await.unwrap());
    assert!(!rig.registry.resource_delete::<UserRow>(APP, "a", &Precondition::None).await.unwrap());
}

async fn a_sign_in_code_works_once_and_in_time(rig: Rig) {
    put(&rig, APP, &user("u", "u@example.com")).await.unwrap();
    let code = SecretHash::of("secret");
    rig.registry.sign_in_code_create(APP, &code, "u", 10, 20).await.unwrap();
    assert_eq!(rig.registry.sign_in_code_take(APP, &code, 20).await.unwrap(), None);
    assert_eq!(rig.registry.sign_in_code_take(OTHER, &code, 19).await.unwrap(), None);
    assert_eq!(rig.registry.sign_in_code_take(APP, &code, 19).await.unwrap().as_deref(), Some("u"));
    assert_eq!(rig.registry.sign_in_code_take(APP, &code, 19).await.unwrap(), None);
    let old = SecretHash::of("old");
    rig.registry.sign_in_code_create(APP, &old, "u", 10, 20).await.unwrap();
    rig.registry.sign_in_code_create(APP, &code, "u", 20, 30).await.unwrap();
    assert_eq!(rig.registry.sign_in_code_take(APP, &old, 19).await.unwrap(), None, "expired codes are dropped");
    let missing = rig.registry.sign_in_code_create(APP, &old, "none", 10, 20).await;
    assert!(matches!(missing, Err(StoreError::Missing(..))));
}

async fn a_session_ends_in_time_and_when_told(rig: Rig) {
    put(&rig, APP, &user("u", "u@example.com")).await.unwrap();
    let session = SecretHash::of("secret");
    rig.registry.web_session_create(APP, &session, "u", 10, 20).await.unwrap();
    let of = async |now_ms| rig.registry.web_session_user(APP, &session, now_ms).await.unwrap();
    assert_eq!(of(19).await, Some(("u".to_owned(), 10, 20)));
    assert_eq!(of(20).await, None);
    rig.registry.web_session_extend(APP, &session, 40).await.unwrap();
    assert_eq!(of(39).await, Some(("u".to_owned(), 10, 40)));
    rig.registry.web_session_create(APP, &SecretHash::of("next"), "u", 40, 50).await.unwrap();
    assert_eq!(of(39).await, None, "expired sessions are dropped");
    rig.registry.web_session_create(APP, &session, "u", 10, 20).await.unwrap();
    rig.registry.web_session_delete(APP, &session).await.unwrap();
    assert_eq!(of(19).await, None);
    rig.registry.web_session_create(APP, &session, "u", 10, 20).await.unwrap();
    rig.registry.resource_delete::<UserRow>(APP, "u", &Precondition::None).await.unwrap();
    assert_eq!(of(19).await, None, "a user's sessions go with the user");
}

async fn an_api_token_is_there_until_it_is_deleted(rig: Rig) {
    let token = |id: &str| ApiTokenRow { id: id.to_owned(), roles: "[]".to_owned(), expires_ms: 9, created_ms: 1 };
    for id in ["b", "a"] {
        put(&rig, APP, &token(id)).await.unwrap();
    }
    let taken = rig.registry.resource_put(APP, &token("a"), &Precondition::Absent, MANY).await;
    assert!(matches!(taken, Err(StoreError::EtagMismatch(..))));
    assert_eq!(list_all::<ApiTokenRow>(&rig, APP).await.unwrap(), [token("a"), token("b")]);
    assert_eq!(rig.registry.resource_get::<ApiTokenRow>(APP, "a").await.unwrap(), Some(token("a")));
    assert!(rig.registry.resource_delete::<ApiTokenRow>(APP, "a", &Precondition::None).await.unwrap());
    assert!(!rig.registry.resource_delete::<ApiTokenRow>(APP, "a", &Precondition::None).await.unwrap());
    assert_eq!(rig.registry.resource_get::<ApiTokenRow>(APP, "a").await.unwrap(), None);
}

fn group(id: &str) -> EnrollmentGroupRow {
    EnrollmentGroupRow {
        id: id.to_owned(),
        etag: String::new(),
        display_name: id.to_owned(),
        enabled: true,
        is_edge: false,
        auto_approve: true,
        keys: keys(id),
        certificates: None,
        created_ms: 1,
        updated_ms: 1,
    }
}

async fn an_application_comes_with_its_groups_or_not_at_all(rig: Rig) {
    let application =
        |scope: &str| ApplicationRow { id: "new".into(), name: "New".into(), id_scope: scope.into(), created_ms: 2 };
    let taken = rig.registry.application_create(&application("0nea"), &[group("g")]).await;
    assert!(matches!(taken, Err(StoreError::Duplicate(..))), "{taken:?}");
    assert!(rig.registry.enrollment_groups_list("new").await.unwrap().is_empty());
    rig.registry.application_create(&application("0nenew"), &[group("h"), group("g")]).await.unwrap();
    let groups = rig.registry.enrollment_groups_list("new").await.unwrap();
    assert_eq!(groups.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["g", "h"]);
    assert_eq!(rig.registry.application_list().await.unwrap().pop(), Some(application("0nenew")));
}

async fn enrollment_groups_are_protected_by_their_etag(rig: Rig) {
    let first = put(&rig, APP, &group("g")).await.unwrap();
    assert_eq!(first, EnrollmentGroupRow { etag: first.etag.clone(), ..group("g") });
    let changed = EnrollmentGroupRow { enabled: false, is_edge: true, auto_approve: false, ..first.clone() };
    let second = put(&rig, APP, &changed).await.unwrap();
    let refused = rig.registry.resource_put(APP, &first, &Precondition::Etag(first.etag.clone()), MANY).await;
    assert!(matches!(refused, Err(StoreError::EtagMismatch(..))));
    assert_eq!(rig.registry.resource_get::<EnrollmentGroupRow>(APP, "g").await.unwrap(), Some(second));
    assert!(rig.registry.resource_delete::<EnrollmentGroupRow>(APP, "g", &Precondition::None).await.unwrap());
    assert!(!rig.registry.resource_delete::<EnrollmentGroupRow>(APP, "g", &Precondition::None).await.unwrap());
}
