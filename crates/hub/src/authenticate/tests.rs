//! What was read of many devices together is not asked for again.
#![allow(clippy::unwrap_used)]

use registry::{ApplicationRow, NewDevice, SymmetricKeys, new_symmetric_keys};

use super::*;

const HOST: &str = "hub.test";
const NOW_SECS: u64 = 1_000;

async fn authenticate(authenticator: &Authenticator, id: &str, key: &str) -> Result<Principal, AuthenticateError> {
    let identity = Identity::device(id);
    let token = sas::sign(&sas::audience(HOST, &identity), key, NOW_SECS + 60, None).unwrap();
    let claim =
        Claim { identity: &identity, hosts: &[HOST], credential: judge::Credential::Sas(&token), auth_chain: None };
    authenticator.authenticate("a", claim, NOW_SECS).await
}

#[tokio::test]
async fn known_devices_are_judged_without_a_read() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(&dir.path().join("registry.db")).await.unwrap();
    let application = ApplicationRow { id: "a".into(), name: "a".into(), id_scope: "0ne1".into(), created_ms: 0 };
    registry.application_create(&application, &[]).await.unwrap();
    let keys = new_symmetric_keys();
    let ids: Vec<String> = (0..=LIST_TEXTS_MAX).map(|n| format!("d{n}")).collect();
    for id in ["d0", "d1000", "unread"] {
        let keys = Some(SymmetricKeys { primary: keys.primary.clone(), secondary: keys.secondary.clone() });
        let device = NewDevice { id: id.into(), enabled: true, keys, ..NewDevice::default() };
        registry.device_create("a", device).await.unwrap();
    }
    let grounds: Vec<Ground> = ids
        .iter()
        .map(|id| Ground::device("a", id))
        .chain([Ground::token("a", "t"), Ground::group("a", "g")])
        .collect();
    let known = Arc::new(KnownDevices::read(&registry, grounds.iter()).await.unwrap());
    registry.close().await;
    let authenticator = Authenticator::new(registry).knowing(&known);
    for id in ["d0", "d1000"] {
        assert_eq!(authenticate(&authenticator, id, &keys.primary).await.unwrap().device.id, id);
        let wrong = authenticate(&authenticator, id, &new_symmetric_keys().primary).await.unwrap_err();
        assert!(matches!(wrong, AuthenticateError::Denied(Denied::Signature(_))), "{wrong:?}");
    }
    let missing = authenticate(&authenticator, "d5", &keys.primary).await.unwrap_err();
    assert!(matches!(missing, AuthenticateError::Denied(Denied::Unknown(_))), "{missing:?}");
    let unread = authenticate(&authenticator, "unread", &keys.primary).await.unwrap_err();
    assert!(matches!(unread, AuthenticateError::Store(_)), "{unread:?}");
}
