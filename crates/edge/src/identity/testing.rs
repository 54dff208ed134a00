//! Signers with keys of a test's choice.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::authority::Authority;
use super::device::{Device, Provisioned};
use super::file_signer::FileSigner;
use super::key::SharedAccessKey;
use super::master_key::MasterKey;
use super::modules::{ModuleIdentities, ModuleIdentity};

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
        key: base64_key("key of the device"),
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
