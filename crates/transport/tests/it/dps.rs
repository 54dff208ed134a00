//! Provisioning over MQTT.

use protocol::dps::{AssignmentStatus, POLICY};
use serde_json::json;
use testkit::memory_hub::{HUB_HOST, ID_SCOPE};
use transport::client::SharedKey;
use transport::client::dps::{ProvisionError, register_mqtt};

use crate::rig::{KEY, OTHER_KEY, RecordedTokens, Rig};

async fn register(rig: &Rig, key: &str) -> Result<protocol::dps::RegistrationState, ProvisionError> {
    let tokens = RecordedTokens::new(SharedKey::new(key).with_policy(POLICY));
    let payload = Some(json!({"modelId": "dtmi:com:example:Thermostat;1"}));
    let tls = rig.authority.client();
    let registered = register_mqtt("localhost", rig.addr.port(), ID_SCOPE, "dev1", &tokens, payload, tls).await;
    tokens.assert_lives(1);
    registered
}

#[tokio::test]
async fn a_registration_ends_with_the_assigned_hub() {
    let rig = Rig::start().await;
    let state = register(&rig, KEY).await.unwrap();
    assert_eq!(state.status, AssignmentStatus::Assigned);
    assert_eq!(state.assigned_hub.as_deref(), Some(HUB_HOST));
    assert_eq!(state.device_id.as_deref(), Some("dev1"));
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let rig = Rig::start().await;
    assert!(matches!(register(&rig, OTHER_KEY).await, Err(ProvisionError::Closed(Some(_)))));
}
