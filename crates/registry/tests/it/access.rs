//! What lets somebody in: every change of it is noted, and keys go with what they are of.

use registry::{
    AdmittingGroup, ApiTokenRow, AttestationRow, ChangedAccess, DeviceCertificates, DeviceProof, EnrollmentGroupRow,
    Ground, GroupProof, ManifestRow, ModuleAuthentication, ModuleChange, NewDevice, Precondition, RelationshipRow,
    ScopePage, ScopedDevice, SecretHash, SigningCertificate, SigningCertificates, StoreError, UserRow,
};

use crate::rig::{APP, Rig, change, keys, on_both_engines, put};

on_both_engines!(
    every_change_of_who_may_come_in_is_noted_under_its_ground,
    what_lets_nobody_in_is_not_noted,
    an_attestation_is_the_devices_before_it_was_ever_provisioned,
    keys_of_a_group_go_with_the_keys_they_were_derived_from,
    provisioning_does_not_outlive_what_the_keys_are_of,
    a_scope_is_read_in_pages_of_whole_devices,
    certificates_are_read_with_what_they_let_in,
);

/// The grounds of what was done since the last call.
fn noted(rig: &Rig, mark: &mut registry::AccessMark) -> Vec<Ground> {
    let since = std::mem::replace(mark, rig.registry.access_mark());
    match rig.registry.access_changed_since(since) {
        ChangedAccess::Grounds(grounds) => grounds,
        ChangedAccess::Anything => panic!("there was not that much"),
    }
}

async fn every_change_of_who_may_come_in_is_noted_under_its_ground(rig: Rig) {
    let registry = &rig.registry;
    let (d, child) = (Ground::device(APP, "d"), Ground::device(APP, "child"));
    let mut mark = registry.access_mark();
    let row = rig.device("d").await;
    rig.device("child").await;
    assert_eq!(noted(&rig, &mut mark), [d.clone(), child.clone()]);
    registry.access_changed().await;

    let mut disabled = change(&row);
    disabled.enabled = false;
    registry.device_update(APP, "d", disabled, None).await.unwrap();
    registry
        .attestation_put(APP, "d", &AttestationRow { proof: DeviceProof::Keys(keys("own")), updated_ms: 7 })
        .await
        .unwrap();
    registry.attestation_delete(APP, "d", 8).await.unwrap();
    registry.device_mark_provisioned(APP, "d", None, None, 8).await.unwrap();
    let sas = ModuleChange { authentication: Some(ModuleAuthentication::Sas(keys("m"))), ..ModuleChange::default() };
    registry.module_put(APP, "d", "m", sas, 9).await.unwrap();
    registry.module_delete(APP, "d", "m", 9).await.unwrap();
    assert_eq!(noted(&rig, &mut mark), vec![d.clone(); 6]);

    let relationship = RelationshipRow { id: "r".into(), source: "d".into(), target: "child".into() };
    registry.relationship_put(APP, &relationship, 9).await.unwrap();
    registry.relationship_delete(APP, &relationship, 9).await.unwrap();
    registry.device_delete(APP, "d", 9).await.unwrap();
    assert_eq!(noted(&rig, &mut mark), [child.clone(), child, d]);

    rig.group("g").await;
    registry.resource_delete::<EnrollmentGroupRow>(APP, "g", &Precondition::None).await.unwrap();
    let (g, t, u) = (Ground::group(APP, "g"), Ground::token(APP, "t"), Ground::user(APP, "u"));
    assert_eq!(noted(&rig, &mut mark), [g.clone(), g]);
    let token = ApiTokenRow { id: "t".into(), roles: "[]".into(), expires_ms: i64::MAX, created_ms: 1 };
    put(&rig, APP, &token).await.unwrap();
    registry.resource_delete::<ApiTokenRow>(APP, "t", &Precondition::None).await.unwrap();
    assert_eq!(noted(&rig, &mut mark), [t.clone(), t]);
    let user = UserRow { id: "u".into(), email: "u@x".into(), roles: "[]".into(), created_ms: 1, updated_ms: 1 };
    put(&rig, APP, &user).await.unwrap();
    let session = SecretHash::of("session");
    registry.web_session_create(APP, &session, "u", 1, 100).await.unwrap();
    registry.web_session_delete(APP, &session).await.unwrap();
    registry.resource_delete::<UserRow>(APP, "u", &Precondition::None).await.unwrap();
    assert_eq!(noted(&rig, &mut mark), [u.clone(), u.clone(), u]);
}

async fn what_lets_nobody_in_is_not_noted(rig: Rig) {
    let mut mark = rig.registry.access_mark();
    let manifest = ManifestRow {
        id: "m".to_owned(),
        etag: String::new(),
        display_name: "m".to_owned(),
        organization: None,
        data: "{}".to_owned(),
        created_ms: 1,
        updated_ms: 1,
    };
    put(&rig, APP, &manifest).await.unwrap();
    let refused = rig.registry.device_mark_provisioned(APP, "none", None, None, 1).await;
    assert!(matches!(refused, Err(StoreError::Missing(..))));
    assert!(!rig.registry.resource_delete::<UserRow>(APP, "none", &Precondition::None).await.unwrap());
    assert_eq!(noted(&rig, &mut mark), []);
}

async fn an_attestation_is_the_devices_before_it_was_ever_provisioned(rig: Rig) {
    let made = NewDevice {
        id: "d".into(),
        enabled: true,
        keys: Some(keys("derived")),
        enrollment_group: Some("g".into()),
        ..NewDevice::default()
    };
    let made = rig.registry.device_create(APP, made).await.unwrap();
    assert_eq!(made.enrollment_group.as_deref(), Some("g"));
    rig.registry
        .attestation_put(APP, "d", &AttestationRow { proof: DeviceProof::Keys(keys("own")), updated_ms: 7 })
        .await
        .unwrap();
    let row = rig.registry.device_get(APP, "d").await.unwrap().unwrap();
    assert_eq!((row.primary_key.as_deref(), row.secondary_key.as_deref()), (Some("own-1"), Some("own-2")));
    assert_eq!((row.enrollment_group, row.provisioned), (None, false));
}

async fn keys_of_a_group_go_with_the_keys_they_were_derived_from(rig: Rig) {
    let registry = &rig.registry;
    let group = rig.group("g").await;
    let other = rig.group("other").await;
    for (id, group) in [("d", &group), ("e", &other)] {
        rig.device(id).await;
        registry.device_mark_provisioned(APP, id, Some(&keys(id)), Some(group), 6).await.unwrap();
    }
    let known = async |id: &str| {
        let admitted = registry.device_admitted(APP, id).await.unwrap().unwrap();
        (admitted.device.primary_key, admitted.device.secondary_key, admitted.group)
    };
    let of = |group: &EnrollmentGroupRow| {
        Some(AdmittingGroup { enabled: group.enabled, proof: GroupProof::Keys(group.keys.clone()) })
    };
    let disabled = EnrollmentGroupRow { enabled: false, ..group.clone() };
    put(&rig, APP, &disabled).await.unwrap();
    assert_eq!(known("d").await, (Some("d-1".to_owned()), Some("d-2".to_owned()), of(&disabled)));
    let mut rolled = group.clone();
    rolled.keys.secondary = "new".to_owned();
    put(&rig, APP, &rolled).await.unwrap();
    assert_eq!(known("d").await, (Some("d-1".to_owned()), None, of(&rolled)));
    rolled.keys.primary = "new too".to_owned();
    put(&rig, APP, &rolled).await.unwrap();
    assert_eq!(known("d").await, (None, None, of(&rolled)));
    registry.resource_delete::<EnrollmentGroupRow>(APP, "other", &Precondition::None).await.unwrap();
    assert_eq!(known("e").await, (None, None, None));
    assert_eq!(registry.device_admitted(APP, "none").await.unwrap(), None);
    let mut together = registry.devices_admitted(APP, &["e", "none", "d"]).await.unwrap();
    together.sort_by(|a, b| a.device.id.cmp(&b.device.id));
    let alone = [registry.device_admitted(APP, "d").await.unwrap(), registry.device_admitted(APP, "e").await.unwrap()];
    assert_eq!(together, alone.map(Option::unwrap));
    assert_eq!(registry.devices_admitted("other", &["d"]).await.unwrap(), []);
}

async fn a_scope_is_read_in_pages_of_whole_devices(rig: Rig) {
    let registry = &rig.registry;
    for id in ["edge", "c1", "c2", "c3", "stranger"] {
        rig.device(id).await;
    }
    for id in ["c1", "c2", "c3"] {
        let relationship = RelationshipRow { id: id.into(), source: "edge".into(), target: id.into() };
        registry.relationship_put(APP, &relationship, 9).await.unwrap();
    }
    for (device, module) in [("c1", "a"), ("c1", "b"), ("c2", "a"), ("stranger", "a")] {
        registry.module_put(APP, device, module, ModuleChange::default(), 9).await.unwrap();
    }
    let page = async |after: Option<&str>, devices: usize, rows: usize| {
        let (scoped, is_more) = registry.scope_page(APP, "edge", ScopePage { after, devices, rows }).await.unwrap();
        let named = |scoped: &ScopedDevice| {
            let modules: Vec<_> = scoped.modules.iter().map(|module| module.id.as_str()).collect();
            format!("{}:{}", scoped.admitted.device.id, modules.concat())
        };
        (scoped.iter().map(named).collect::<Vec<_>>().join(" "), is_more)
    };
    assert_eq!(page(None, 9, 99).await, ("c1:ab c2:a c3: edge:".to_owned(), false));
    assert_eq!(page(None, 4, 5).await, ("c1:ab c2:a c3: edge:".to_owned(), false), "just at both limits");
    assert_eq!(page(None, 3, 99).await, ("c1:ab c2:a c3:".to_owned(), true));
    assert_eq!(page(Some("c3"), 3, 99).await, ("edge:".to_owned(), false));
    assert_eq!(page(None, 9, 3).await, ("c1:ab c2:a".to_owned(), true));
    assert_eq!(page(None, 9, 2).await, ("c1:ab".to_owned(), true));
    assert_eq!(page(Some("edge"), 9, 99).await, (String::new(), false));
    let (scoped, _) = registry.scope_page(APP, "edge", ScopePage { after: None, devices: 9, rows: 99 }).await.unwrap();
    let edge = registry.device_get(APP, "edge").await.unwrap().unwrap();
    assert_eq!(scoped[0].gateway_generation.as_deref(), Some(edge.generation_id.as_str()));
    assert_eq!(scoped[0].modules, registry.modules_list(APP, "c1").await.unwrap());
    assert_eq!((&scoped[3].admitted.device, &scoped[3].gateway_generation), (&edge, &None));
}

async fn certificates_are_read_with_what_they_let_in(rig: Rig) {
    let registry = &rig.registry;
    rig.device("d").await;
    let group = rig.group("g").await;
    let signing = SigningCertificates {
        primary: Some(SigningCertificate {
            code: Some("CODE".into()),
            ..SigningCertificate::new("UA==".into(), false)
        }),
        secondary: Some(SigningCertificate::new("Uw==".into(), true)),
    };
    assert_eq!(signing.verified().collect::<Vec<_>>(), ["Uw=="]);
    let certified = EnrollmentGroupRow { certificates: Some(signing.clone()), ..group.clone() };
    let stored = put(&rig, APP, &certified).await.unwrap();
    assert_eq!(stored.certificates.as_ref(), Some(&signing));
    registry.device_mark_provisioned(APP, "d", None, Some(&stored), 6).await.unwrap();
    let admitted = async || registry.device_admitted(APP, "d").await.unwrap().unwrap();
    let proof = async || admitted().await.group.unwrap().proof;
    assert_eq!(proof().await, GroupProof::Certificates(signing));
    let none = EnrollmentGroupRow { certificates: Some(SigningCertificates::default()), ..group.clone() };
    put(&rig, APP, &none).await.unwrap();
    assert_eq!(proof().await, GroupProof::Certificates(SigningCertificates::default()));
    put(&rig, APP, &group).await.unwrap();
    assert_eq!(proof().await, GroupProof::Keys(group.keys.clone()));

    // Its own win, on every way to the device.
    let own = DeviceCertificates { primary: "UA==".into(), secondary: None };
    let attestation = AttestationRow { proof: DeviceProof::Certificates(own.clone()), updated_ms: 7 };
    registry.attestation_put(APP, "d", &attestation).await.unwrap();
    assert_eq!(registry.attestation_get(APP, "d").await.unwrap(), Some(attestation));
    let of_own = admitted().await;
    assert_eq!((of_own.certificates, of_own.group), (Some(own.clone()), None));
    rig.device("edge").await;
    let relationship = RelationshipRow { id: "d".into(), source: "edge".into(), target: "d".into() };
    registry.relationship_put(APP, &relationship, 9).await.unwrap();
    let page = ScopePage { after: None, devices: 9, rows: 99 };
    let self_signed = ModuleAuthentication::SelfSigned { primary: None, secondary: Some("AB".into()) };
    for authentication in [self_signed, ModuleAuthentication::CertificateAuthority, ModuleAuthentication::None] {
        let change = ModuleChange { authentication: Some(authentication.clone()), ..ModuleChange::default() };
        let module = registry.module_put(APP, "d", "m", change, 9).await.unwrap();
        assert_eq!(module.authentication, authentication);
        let unchanged = registry.module_put(APP, "d", "m", ModuleChange::default(), 9).await.unwrap();
        assert_eq!(unchanged.authentication, authentication);
        let (scoped, _) = registry.scope_page(APP, "edge", page).await.unwrap();
        assert_eq!(
            (scoped[0].modules[0].authentication.clone(), &scoped[0].admitted.certificates),
            (authentication, &Some(own.clone()))
        );
    }
}

async fn provisioning_does_not_outlive_what_the_keys_are_of(rig: Rig) {
    let registry = &rig.registry;
    rig.device("d").await;
    let group = rig.group("g").await;
    let (ours, own) = (keys("ours"), keys("own"));
    let mark = async |group| registry.device_mark_provisioned(APP, "d", Some(&ours), group, 6).await;
    let refused = |done| assert!(matches!(done, Err(StoreError::Missing(..))), "{done:?}");
    refused(mark(None).await);
    put(&rig, APP, &EnrollmentGroupRow { enabled: false, ..group.clone() }).await.unwrap();
    refused(mark(Some(&group)).await);
    put(&rig, APP, &EnrollmentGroupRow { keys: own.clone(), ..group.clone() }).await.unwrap();
    refused(mark(Some(&group)).await);
    registry.resource_delete::<EnrollmentGroupRow>(APP, "g", &Precondition::None).await.unwrap();
    refused(mark(Some(&group)).await);
    registry.attestation_put(APP, "d", &AttestationRow { proof: DeviceProof::Keys(own), updated_ms: 7 }).await.unwrap();
    refused(mark(None).await);
    registry
        .attestation_put(APP, "d", &AttestationRow { proof: DeviceProof::Keys(ours.clone()), updated_ms: 7 })
        .await
        .unwrap();
    mark(None).await.unwrap();
}
