//! Signers with keys of a test's choice.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::auth::sas::SasToken;
use tokio::sync::watch;

use super::authority::Authority;
use super::device::{Device, Provisioned};
use super::file_signer::FileSigner;
use super::key::SharedAccessKey;
use super::master_key::MasterKey;
use super::modules::{ModuleIdentities, ModuleIdentity};
use super::signer::{HubCertificate, KeyOf, ModuleCertificate, SecretOf, Signed, Signer};

pub(crate) const HUB_HOST: &str = "hub.test";

/// A signer of a device at [`HUB_HOST`] with the key `key of the device`, and of modules with these primary keys; texts, not
/// base64. Everything is kept in `dir`.
pub(crate) fn signer(dir: &Path, device_id: &str, modules: &[(&str, &str)]) -> Arc<FileSigner> {
    let master_key = Arc::new(MasterKey::from_bytes([7; 32]));
    let identities = ModuleIdentities::open(&dir.join("modules.json"), device_id, Arc::clone(&master_key)).unwrap();
    for (module, key) in modules {
        let identity = identity(module);
        identities.insert(identity, [base64_key(key), secondary_key(module)]).unwrap();
    }
    let provisioned = Provisioned {
        device: Device { hub_host: HUB_HOST.to_owned(), device_id: device_id.to_owned() },
        key: Some(base64_key("key of the device")),
        source: String::new(),
    };
    let authority = Arc::new(Authority::open(dir).unwrap());
    Arc::new(FileSigner::new(provisioned, identities, master_key, authority))
}

/// The identity a test's module has.
pub(crate) fn identity(module: &str) -> ModuleIdentity {
    ModuleIdentity { module_id: module.to_owned(), generation_id: "1".to_owned(), managed_by: None }
}

pub(super) fn secondary_key(module: &str) -> SharedAccessKey {
    base64_key(&format!("second key of {module}"))
}

fn base64_key(text: &str) -> SharedAccessKey {
    SharedAccessKey::new(STANDARD.encode(text))
}

/// Signs as another does, and keeps what it was asked for: when tokens end, and how many certificates for the listener.
pub(crate) struct Recorded {
    signer: Arc<FileSigner>,
    pub(crate) token_ends_secs: Mutex<Vec<u64>>,
    /// Certificates for the listener asked for.
    pub(crate) certificates: watch::Sender<usize>,
}

impl Recorded {
    pub(crate) fn new(signer: Arc<FileSigner>) -> Arc<Self> {
        Arc::new(Self { signer, token_ends_secs: Mutex::default(), certificates: watch::Sender::default() })
    }
}

impl Signer for Recorded {
    fn device(&self) -> &Device {
        self.signer.device()
    }

    fn shows_certificate(&self) -> bool {
        self.signer.shows_certificate()
    }

    fn token<'a>(&'a self, key: KeyOf<'a>, audience: &'a str, expiry_secs: u64) -> Signed<'a, String> {
        self.token_ends_secs.lock().unwrap().push(expiry_secs);
        self.signer.token(key, audience, expiry_secs)
    }

    fn verifies(&self, key: KeyOf<'_>, token: &SasToken) -> bool {
        self.signer.verifies(key, token)
    }

    fn hmac<'a>(&'a self, module: &'a str, data: &'a [u8]) -> Signed<'a, [u8; 32]> {
        self.signer.hmac(module, data)
    }

    fn encrypt<'a>(&'a self, secret: SecretOf<'a>, plaintext: Vec<u8>) -> Signed<'a, Vec<u8>> {
        self.signer.encrypt(secret, plaintext)
    }

    fn decrypt<'a>(&'a self, secret: SecretOf<'a>, ciphertext: Vec<u8>) -> Signed<'a, Vec<u8>> {
        self.signer.decrypt(secret, ciphertext)
    }

    fn hub_certificate<'a>(&'a self, hostname: &'a str) -> Signed<'a, HubCertificate> {
        self.certificates.send_modify(|count| *count += 1);
        self.signer.hub_certificate(hostname)
    }

    fn server_certificate<'a>(&'a self, names: &'a [String]) -> Signed<'a, ModuleCertificate> {
        self.signer.server_certificate(names)
    }

    fn identity_certificate<'a>(&'a self, module: &'a str) -> Signed<'a, ModuleCertificate> {
        self.signer.identity_certificate(module)
    }
}
