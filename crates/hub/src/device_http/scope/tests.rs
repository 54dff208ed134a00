//! How much of a scope one answer holds.
#![allow(clippy::unwrap_used)]

use registry::{AdmittedDevice, GroupProof, ModuleAuthentication, ModuleRow, SymmetricKeys};

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
    assert_eq!(device_json(&scoped)["authentication"]["type"], "none");
    assert_eq!(device_json(&scoped)["status"], "disabled", "its group is gone");
    let keys = SymmetricKeys { primary: "cHJpbWFyeQ==".into(), secondary: "c2Vjb25kYXJ5".into() };
    scoped.admitted.group = Some(registry::AdmittingGroup { enabled: true, proof: GroupProof::Keys(keys.clone()) });
    scoped.admitted.device.primary_key = None;
    let shown = device_json(&scoped);
    let derived = protocol::auth::sas::derive_device_key(&keys.primary, "d").unwrap();
    let shown_keys = &shown["authentication"]["symmetricKey"];
    assert_eq!(shown_keys["primaryKey"], derived);
    assert_eq!(shown_keys["secondaryKey"], "k".repeat(88));
    assert_eq!(shown["status"], "enabled");
    scoped.admitted.group = Some(registry::AdmittingGroup { enabled: false, proof: GroupProof::Keys(keys) });
    assert_eq!(device_json(&scoped)["status"], "disabled");
}
