//! Devices that know only a key: both transports, groups, individuals, refusals, registering again.

use events::clock::now_ms;
use model::identity::Identity;
use protocol::auth::sas;
use protocol::dps::AssignmentStatus;
use registry::{
    AttestationRow, CountMax, DeviceProof, EnrollmentGroupRow, NewDevice, Precondition, new_symmetric_keys,
};
use serde_json::json;
use transport::client::dps::{self, ProvisionError};
use transport::client::{SharedKey, Way};

use crate::central::{TestCentral, data, on_both_databases};
use central::database::Database;

on_both_databases!(
    registering_again_keeps_the_device_and_its_data,
    blocked_devices_closed_groups_and_wrong_keys_are_told_apart
);

async fn over_https(
    central: &TestCentral,
    id: &str,
    key: &str,
) -> Result<protocol::dps::RegistrationState, ProvisionError> {
    let url = format!("https://localhost:{}", central.https_port());
    dps::register_https(&url, central.id_scope(), id, &SharedKey::new(key), None, central.tls()).await
}

#[tokio::test]
async fn a_group_key_registers_an_unknown_device_over_mqtt() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let group = central.group("SAS-IoT-Devices").await;
    let key = sas::derive_device_key(&group.keys.secondary, "Dev-1").unwrap();
    let tokens = SharedKey::new(&key).with_policy("registration");
    let (scope, port) = (central.id_scope(), central.mqtts_port());
    let state = dps::register_mqtt("localhost", port, scope, "Dev-1", &tokens, None, central.tls(), &Way::default())
        .await
        .unwrap();

    assert_eq!((state.assigned_hub.as_deref(), state.device_id.as_deref()), (Some("localhost"), Some("Dev-1")));
    assert_eq!(state.status, AssignmentStatus::Assigned);
    assert_eq!(state.symmetric_key.unwrap().enrollment_group_id.as_deref(), Some("SAS-IoT-Devices"));
    assert!(state.created_date_time_utc.is_some() && state.etag.is_some());
    let device = central.running.core.registry.device_get(central.app(), "Dev-1").await.unwrap().unwrap();
    assert!(device.provisioned && device.enabled && !device.is_edge);
    // Both keys are stored: the device connected with one, and may change over to the other.
    assert_eq!(device.secondary_key.as_deref(), Some(&*key));
    assert_eq!(device.primary_key, Some(sas::derive_device_key(&group.keys.primary, "Dev-1").unwrap()));
    central.stop().await;
}

#[tokio::test]
async fn the_edge_group_makes_edge_devices_and_a_payload_ties_children_to_them() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    central.provision_in("SAS-IoT-Edge-Devices", "gw", None).await;
    central.provision_in("SAS-IoT-Devices", "child", Some(json!({ "iotcGateway": { "iotcGatewayId": "gw" } }))).await;
    let registry = &central.running.core.registry;
    assert!(registry.device_get(central.app(), "gw").await.unwrap().unwrap().is_edge);
    let child = registry.device_get(central.app(), "child").await.unwrap().unwrap();
    assert_eq!(child.gateway.as_deref(), Some("gw"));
    central.stop().await;
}

async fn registering_again_keeps_the_device_and_its_data(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let device = central.provision("d1").await;
    let before = central.running.core.registry.device_get(central.app(), "d1").await.unwrap().unwrap();
    let identity = Identity::device("d1");
    central.running.core.twins.patch_desired(central.app(), &identity, json!({ "a": 1 })).await.unwrap();

    // Another spelling of the same registration, with a key derived from the lower-cased id.
    over_https(&central, "D1", &device.key).await.unwrap();
    let after = central.running.core.registry.device_get(central.app(), "d1").await.unwrap().unwrap();
    assert_eq!((before.generation_id, before.primary_key), (after.generation_id, after.primary_key));
    assert_eq!(central.running.core.registry.device_get(central.app(), "D1").await.unwrap(), None);
    let twin = central.running.core.twins.get(central.app(), &identity).await.unwrap();
    assert_eq!(twin.desired.properties["a"], 1);
    central.stop().await;
}

#[tokio::test]
async fn an_individual_key_wins_over_the_group() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let registry = &central.running.core.registry;
    let device = NewDevice { id: "solo".into(), enabled: true, created_ms: now_ms(), ..NewDevice::default() };
    registry.device_create(central.app(), device).await.unwrap();
    let keys = new_symmetric_keys();
    let attestation = AttestationRow { proof: DeviceProof::Keys(keys.clone()), updated_ms: now_ms() };
    registry.attestation_put(central.app(), "solo", &attestation).await.unwrap();

    let group = central.group("SAS-IoT-Devices").await;
    let derived = sas::derive_device_key(&group.keys.primary, "solo").unwrap();
    let refused = over_https(&central, "solo", &derived).await.unwrap_err();
    assert!(matches!(&refused, ProvisionError::Refused(error) if error.code == 401_002), "{refused:?}");
    let state = over_https(&central, "solo", &keys.secondary).await.unwrap();
    assert_eq!(state.symmetric_key.unwrap().enrollment_group_id, None);
    central.stop().await;
}

async fn blocked_devices_closed_groups_and_wrong_keys_are_told_apart(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let registry = &central.running.core.registry;
    let blocked = NewDevice { id: "blocked".into(), enabled: false, created_ms: now_ms(), ..NewDevice::default() };
    registry.device_create(central.app(), blocked).await.unwrap();
    let group = central.group("SAS-IoT-Devices").await;
    let derive = |id: &str| sas::derive_device_key(&group.keys.primary, id).unwrap();

    let state = not_assigned(over_https(&central, "blocked", &derive("blocked")).await);
    assert_eq!((state.status, state.error_code), (AssignmentStatus::Disabled, Some(400_209)));

    let waiting = EnrollmentGroupRow { auto_approve: false, etag: String::new(), ..group.clone() };
    registry.resource_put(central.app(), &waiting, &Precondition::None, CountMax(9)).await.unwrap();
    let state = not_assigned(over_https(&central, "newcomer", &derive("newcomer")).await);
    assert_eq!((state.status, state.error_code), (AssignmentStatus::Failed, Some(400_209)));
    assert!(registry.device_get(central.app(), "newcomer").await.unwrap().unwrap().awaiting_approval);

    let closed = EnrollmentGroupRow { enabled: false, etag: String::new(), ..group.clone() };
    registry.resource_put(central.app(), &closed, &Precondition::None, CountMax(9)).await.unwrap();
    let state = not_assigned(over_https(&central, "late", &derive("late")).await);
    assert_eq!(state.status, AssignmentStatus::Disabled);
    assert_eq!(registry.device_get(central.app(), "late").await.unwrap(), None);

    let refused = over_https(&central, "d1", &derive("d2")).await.unwrap_err();
    assert!(matches!(&refused, ProvisionError::Refused(error) if error.status == 401), "{refused:?}");
    central.stop().await;
}

fn not_assigned(answer: Result<protocol::dps::RegistrationState, ProvisionError>) -> protocol::dps::RegistrationState {
    match answer {
        Err(ProvisionError::NotAssigned(state)) => *state,
        other => panic!("a refused registration was expected, got {other:?}"),
    }
}
