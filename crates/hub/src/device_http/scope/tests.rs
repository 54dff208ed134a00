//! How much of a scope one answer holds.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry::{
    AdmittedDevice, GroupProof, ModuleAuthentication, ModuleRow, SigningCertificate, SigningCertificates, SymmetricKeys,
};
use testkit::certificates::TestCertificate;

use super::*;
use crate::limits::MODULES_PER_DEVICE_MAX;

fn scoped(id: &str, modules: usize) -> ScopedDevice {
    let key = "k".repeat(88);
    let device = DeviceRow {
        id: id.to_owned(),
        generation_id: "g".into(),
        etag: "\"e\"".into(),
        display_name: id.to_owned(),
        template: None,
        enabled: true,
        provisioned: true,
        awaiting_approval: false,
        simulated: false,
        is_edge: false,
        organization: None,
        primary_key: Some(key.clone()),
        secondary_key: Some(key.clone()),
        enrollment_group: None,
        gateway: Some("edge".into()),
        gateway_relationship: Some(id.to_owned()),
        created_ms: 0,
        updated_ms: 0,
        subscriptions: 0,
    };
    let module = |n: usize| ModuleRow {
        device: id.to_owned(),
        id: format!("{n:0128}"),
        generation_id: "g".into(),
        etag: "\"e\"".into(),
        managed_by: Some("IotEdge".into()),
        authentication: ModuleAuthentication::Sas(SymmetricKeys { primary: key.clone(), secondary: key.clone() }),
        created_ms: 0,
        updated_ms: 0,
        subscriptions: 0,
    };
    ScopedDevice {
        admitted: AdmittedDevice { device, group: None, certificates: None },
        gateway_generation: Some("1".into()),
        modules: (0..modules).map(module).collect(),
    }
}

fn shown(scoped: &ScopedDevice) -> Value {
    device_json(scoped, &device_authentication(&scoped.admitted))
}

async fn json_of(body: ScopeBody) -> (usize, Value) {
    let bytes = axum::body::to_bytes(body.answer(Some("next")).into_body(), usize::MAX).await.unwrap();
    (bytes.len(), serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn authorities_stand_once_in_an_answer_which_has_as_many_bytes_as_it_may() {
    let of = |n: usize, modules: usize, [primary, secondary]: [&TestCertificate; 2]| {
        let mut scoped = scoped(&format!("{n:0128}"), modules);
        let signing = |certificate: &TestCertificate, verified| {
            Some(SigningCertificate {
                certificate: STANDARD.encode(certificate.der()),
                verified,
                code: None,
                etag: "e".into(),
            })
        };
        let certificates =
            SigningCertificates { primary: signing(primary, true), secondary: signing(secondary, n > 0) };
        scoped.admitted.device.enrollment_group = Some("g".into());
        let proof = GroupProof::Certificates(certificates);
        scoped.admitted.group = Some(registry::AdmittingGroup { enabled: true, proof });
        scoped
    };
    let (first, second) = (TestCertificate::root("first"), TestCertificate::root("second"));
    let mut body = ScopeBody::default();
    assert!(body.add(&of(0, 0, [&first, &second])));
    assert_eq!(body.authorities.len(), 1, "one that nobody verified is none");
    for n in 1..10 {
        assert!(body.add(&of(n, 0, [&first, &second])));
    }
    let (_, answer) = json_of(body).await;
    let sent: BTreeSet<&str> =
        answer[AUTHORITIES].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let (der_of_first, der_of_second) = (STANDARD.encode(first.der()), STANDARD.encode(second.der()));
    assert_eq!(sent, BTreeSet::from([der_of_first.as_str(), der_of_second.as_str()]));
    let authentication = &answer["devices"][0]["authentication"];
    let named = json!([Thumbprint::sha256_of(first.der()).to_string()]);
    assert_eq!((&authentication["type"], &authentication[AUTHORITIES]), (&json!("certificateAuthority"), &named));

    let mut body = ScopeBody::default();
    let largest = |n: usize| {
        let both = ["primary", "secondary"].map(TestCertificate::large_root);
        of(n, MODULES_PER_DEVICE_MAX, [&both[0], &both[1]])
    };
    let taken = (1..).take_while(|n| body.add(&largest(*n))).count();
    assert!(taken > 1);
    let (bytes, answer) = json_of(body).await;
    assert!((SCOPE_PAGE_BYTES_MAX - 100 * 1024..SCOPE_PAGE_BYTES_MAX + 256).contains(&bytes), "{bytes}");
    assert_eq!(answer[AUTHORITIES].as_array().unwrap().len(), 2 * taken);
}

#[tokio::test]
async fn an_answer_has_as_many_bytes_as_it_may_and_one_device_always() {
    let mut body = ScopeBody::default();
    let largest = |n: usize| scoped(&format!("{n:0128}"), MODULES_PER_DEVICE_MAX);
    let taken = (0..).take_while(|n| body.add(&largest(*n))).count();
    assert!(taken > 1);
    let answer = body.answer(Some("next"));
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    assert!((SCOPE_PAGE_BYTES_MAX - 64 * 1024..SCOPE_PAGE_BYTES_MAX + 256).contains(&bytes.len()), "{}", bytes.len());
    let answer: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(answer["devices"].as_array().unwrap().len(), taken);
    assert_eq!(answer["modules"].as_array().unwrap().len(), taken * MODULES_PER_DEVICE_MAX);
    // A device with all its modules is one page of rows, and one of bytes.
    assert!(SCOPE_PAGE_ROWS_MAX > MODULES_PER_DEVICE_MAX && ScopeBody::default().add(&largest(0)));
}

#[test]
fn keys_of_a_group_that_got_others_are_derived_and_those_of_a_closed_group_are_none() {
    let mut scoped = scoped("d", 0);
    scoped.admitted.device.enrollment_group = Some("g".into());
    assert_eq!(shown(&scoped)["authentication"]["type"], "none");
    assert_eq!(shown(&scoped)["status"], "disabled", "its group is gone");
    let keys = SymmetricKeys { primary: "cHJpbWFyeQ==".into(), secondary: "c2Vjb25kYXJ5".into() };
    scoped.admitted.group = Some(registry::AdmittingGroup { enabled: true, proof: GroupProof::Keys(keys.clone()) });
    scoped.admitted.device.primary_key = None;
    let with_derived = shown(&scoped);
    let derived = protocol::auth::sas::derive_device_key(&keys.primary, "d").unwrap();
    let shown_keys = &with_derived["authentication"]["symmetricKey"];
    assert_eq!(shown_keys["primaryKey"], derived);
    assert_eq!(shown_keys["secondaryKey"], "k".repeat(88));
    assert_eq!(with_derived["status"], "enabled");
    scoped.admitted.group = Some(registry::AdmittingGroup { enabled: false, proof: GroupProof::Keys(keys) });
    assert_eq!(shown(&scoped)["status"], "disabled");
}
