//! The signer whose keys are in files of the identity folder.

use std::future::ready;
use std::sync::Arc;

use protocol::auth::sas::SasToken;

use super::authority::Authority;
use super::device::{Device, Provisioned};
use super::key::SharedAccessKey;
use super::master_key::MasterKey;
use super::modules::ModuleIdentities;
use super::secret;
use super::signer::{HubCertificate, KeyOf, ModuleCertificate, SecretOf, SignError, Signed, Signer};

/// Signs with the keys in the identity folder. Every answer is there at once.
pub struct FileSigner {
    provisioned: Provisioned,
    modules: Arc<ModuleIdentities>,
    master_key: Arc<MasterKey>,
    authority: Arc<Authority>,
}

impl FileSigner {
    pub(super) fn new(
        provisioned: Provisioned,
        modules: Arc<ModuleIdentities>,
        master_key: Arc<MasterKey>,
        authority: Arc<Authority>,
    ) -> Self {
        Self { provisioned, modules, master_key, authority }
    }

    /// The identities of this device's modules.
    pub fn modules(&self) -> &Arc<ModuleIdentities> {
        &self.modules
    }

    /// Whether it signs for this outcome of provisioning: the same device at the same hub with the same key.
    pub fn is_of(&self, provisioned: &Provisioned) -> bool {
        self.provisioned == *provisioned
    }

    fn primary_key(&self, key: KeyOf<'_>) -> Result<SharedAccessKey, SignError> {
        match key {
            KeyOf::Device => self.provisioned.key.clone().ok_or(SignError::NoDeviceKey),
            KeyOf::Module(module) => match self.modules.keys(module) {
                Some([primary, _]) => Ok(primary),
                None => Err(SignError::NoIdentity { module: module.to_owned() }),
            },
        }
    }
}

impl Signer for FileSigner {
    fn device(&self) -> &Device {
        &self.provisioned.device
    }

    fn shows_certificate(&self) -> bool {
        self.provisioned.key.is_none()
    }

    fn token<'a>(&'a self, key: KeyOf<'a>, audience: &'a str, expiry_secs: u64) -> Signed<'a, String> {
        Box::pin(ready(self.primary_key(key).and_then(|key| key.token(audience, expiry_secs))))
    }

    fn verifies(&self, key: KeyOf<'_>, token: &SasToken) -> bool {
        match key {
            KeyOf::Device => self.provisioned.key.as_ref().is_some_and(|key| key.verifies(token)),
            KeyOf::Module(module) => {
                self.modules.keys(module).is_some_and(|keys| keys.iter().any(|key| key.verifies(token)))
            }
        }
    }

    fn hmac<'a>(&'a self, module: &'a str, data: &'a [u8]) -> Signed<'a, [u8; 32]> {
        Box::pin(ready(self.primary_key(KeyOf::Module(module)).and_then(|key| key.hmac(data))))
    }

    fn encrypt<'a>(&'a self, secret: SecretOf<'a>, plaintext: Vec<u8>) -> Signed<'a, Vec<u8>> {
        Box::pin(ready(secret::seal(&self.master_key, secret, plaintext)))
    }

    fn decrypt<'a>(&'a self, secret: SecretOf<'a>, ciphertext: Vec<u8>) -> Signed<'a, Vec<u8>> {
        Box::pin(ready(secret::open(&self.master_key, secret, &ciphertext)))
    }

    fn hub_certificate<'a>(&'a self, hostname: &'a str) -> Signed<'a, HubCertificate> {
        Box::pin(ready(self.authority.issue_hub(hostname)))
    }

    fn server_certificate<'a>(&'a self, names: &'a [String]) -> Signed<'a, ModuleCertificate> {
        Box::pin(ready(self.authority.issue_server(names)))
    }

    fn identity_certificate<'a>(&'a self, module: &'a str) -> Signed<'a, ModuleCertificate> {
        let Device { hub_host, device_id } = &self.provisioned.device;
        let uri = format!("azureiot://{hub_host}/devices/{device_id}/modules/{module}");
        Box::pin(ready(self.authority.issue_identity(module, &uri)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::identity::testing;

    const EXPIRY: u64 = 1_700_000_000;

    fn parse(token: &str) -> SasToken {
        SasToken::parse(token).unwrap()
    }

    #[tokio::test]
    async fn who_signed_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let signer = testing::signer(dir.path(), "edge", &[("a", "key of a"), ("b", "key of b")]);
        let device = parse(&signer.token(KeyOf::Device, "hub.test/devices/edge", EXPIRY).await.unwrap());
        let a = parse(&signer.token(KeyOf::Module("a"), "hub.test/devices/edge/modules/a", EXPIRY).await.unwrap());
        for (key, by_device, by_a) in [
            (KeyOf::Device, true, false),
            (KeyOf::Module("a"), false, true),
            (KeyOf::Module("b"), false, false),
            (KeyOf::Module("absent"), false, false),
        ] {
            assert_eq!((signer.verifies(key, &device), signer.verifies(key, &a)), (by_device, by_a), "{key:?}");
        }
        assert_eq!(a.expiry_secs(), EXPIRY);
        let missing = signer.token(KeyOf::Module("absent"), "x", EXPIRY).await.unwrap_err();
        assert_eq!(missing.to_string(), "module absent has no identity yet");
    }

    #[tokio::test]
    async fn a_module_may_sign_with_its_secondary_key() {
        let dir = tempfile::tempdir().unwrap();
        let signer = testing::signer(dir.path(), "edge", &[("a", "key of a")]);
        let token = parse(&testing::secondary_key("a").token("hub.test/devices/edge/modules/a", EXPIRY).unwrap());
        assert!(signer.verifies(KeyOf::Module("a"), &token));
        assert!(!signer.verifies(KeyOf::Device, &token));
    }
}
