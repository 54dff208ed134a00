//! Provisioning over MQTT.

use protocol::auth::sas;
use protocol::dps::{self, AssignmentStatus, POLICY};
use protocol::mqtt::{Connect, Text, encode};
use serde_json::json;
use testkit::memory_hub::{HUB_HOST, ID_SCOPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use transport::client::dps::{ProvisionError, register_mqtt};
use transport::client::{SharedKey, Way};

use crate::rig::{KEY, OTHER_KEY, RecordedTokens, Rig};

async fn register(rig: &Rig, key: &str) -> Result<dps::RegistrationState, ProvisionError> {
    let tokens = RecordedTokens::new(SharedKey::new(key).with_policy(POLICY));
    let payload = Some(json!({"modelId": "dtmi:com:example:Thermostat;1"}));
    let tls = rig.authority.client();
    let registered =
        register_mqtt("localhost", rig.addr.port(), ID_SCOPE, "dev1", &tokens, payload, tls, &Way::default()).await;
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

/// Opens a connection to the provisioning service by hand: our client leaves once it is registered.
async fn enrolled(rig: &Rig) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(rig.addr).await.unwrap();
    let connector = TlsConnector::from(rig.authority.client());
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let token = sas::sign(&dps::audience(ID_SCOPE, "dev1"), KEY, u32::MAX.into(), Some(POLICY)).unwrap();
    let user = format!("{ID_SCOPE}/registrations/dev1/api-version={}", dps::API_VERSION);
    let text = |text: &str| Text::from(text);
    let mut packet = bytes::BytesMut::new();
    let connect = Connect {
        client_id: text("dev1"),
        user_name: Some(text(&user)),
        password: Some(token.into_bytes().into()),
        keep_alive_secs: 60,
        clean_session: true,
        will: None,
    };
    encode::connect(&connect, &mut packet).unwrap();
    stream.write_all(&packet).await.unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).await.unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    stream
}

#[tokio::test]
async fn a_provisioning_connection_whose_token_ends_is_dropped() {
    let rig = Rig::start().await;
    rig.hub.set_expires_at_secs(Some(1));
    let mut stream = enrolled(&rig).await;
    let mut rest = Vec::new();
    // However it ends: nothing more comes.
    stream.read_to_end(&mut rest).await.ok();
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let rig = Rig::start().await;
    assert!(matches!(register(&rig, OTHER_KEY).await, Err(ProvisionError::Closed(Some(_)))));
}
