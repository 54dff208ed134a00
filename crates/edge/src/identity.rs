//! Who this device is, and the keys that prove it.
//!
//! Private keys are made, kept and used here; other parts hold a [`Signer`] and ask it for a token, a signature, a secret or
//! a certificate. The types that hold a key are visible in this room only, so that the compiler refuses everything else.
//! Two keys leave it, each made for who gets it: the hub's server key, which the TLS listener must hold and which is
//! short-lived, and the key of a certificate a module asked for.
//!
//! ```text
//! <data>/identity/          0700
//!   provisioned.json        what the provisioning service answered, for starts without network
//!   master.key              32 random bytes; module keys and the secrets of modules derive from it
//!   modules.json            generation ids and keys of module identities
//!   ca.pem, ca.key          the authority that signs certificates for modules and the hub's listener, unless [edge_ca]
//!                           names another
//! ```
//! Every file in it is readable by the owner only.

mod authority;
mod device;
mod file_signer;
pub mod hub_api;
mod key;
mod master_key;
pub mod modules;
mod provisioning;
mod secret;
mod signer;
#[cfg(test)]
pub(crate) mod testing;
mod upstream_tls;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use authority::{OpenIdentityError, is_certificate_name};
pub use device::{Device, Provisioned};
pub use file_signer::FileSigner;
pub use provisioning::ProvisionDeviceError;
pub use signer::{HubCertificate, KeyOf, ModuleCertificate, ModuleTokens, SecretOf, SignError, Signer};
pub use upstream_tls::{UpstreamTlsError, check_identity, upstream_tls};

use transport::client::Proxies;

use crate::config::{EdgeCa, Provisioning};
use crate::state::StateError;
use authority::Authority;
use master_key::MasterKey;
use modules::ModuleIdentities;

/// The identity folder: what stays when the device gets another identity.
pub struct IdentityFolder {
    dir: PathBuf,
    master_key: Arc<MasterKey>,
    authority: Arc<Authority>,
}

impl IdentityFolder {
    /// Reads the master key and the authority in `dir`, or makes them. An authority of the operator's own takes the place of ours.
    pub fn open(dir: &Path, edge_ca: Option<&EdgeCa>) -> Result<Self, OpenIdentityError> {
        let master_key = Arc::new(MasterKey::open(&dir.join("master.key"))?);
        let authority = match edge_ca {
            Some(edge_ca) => Authority::of_operator(edge_ca)?,
            None => Authority::open(dir)?,
        };
        Ok(Self { dir: dir.to_owned(), master_key, authority: Arc::new(authority) })
    }

    /// The certificate of this device's authority, which modules and downstream devices must trust, PEM.
    pub fn authority_pem(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// The identity an earlier start obtained, if it still belongs to this configuration.
    pub fn provisioned_earlier(&self, provisioning: &Provisioning) -> Result<Option<Provisioned>, StateError> {
        provisioning::open_earlier(provisioning, &provisioned_path(&self.dir))
    }

    /// Obtains the identity from the configuration or the provisioning service, and keeps it.
    pub async fn provision(
        &self,
        provisioning: &Provisioning,
        tls: Arc<rustls::ClientConfig>,
        proxies: &Proxies,
    ) -> Result<Provisioned, ProvisionDeviceError> {
        provisioning::provision(provisioning, &provisioned_path(&self.dir), tls, proxies).await
    }

    /// The signer of this device, with the identities of its modules.
    pub fn signer(&self, provisioned: Provisioned) -> Result<Arc<FileSigner>, StateError> {
        let device_id = &provisioned.device().device_id;
        let master_key = Arc::clone(&self.master_key);
        let modules = ModuleIdentities::open(&self.dir.join("modules.json"), device_id, Arc::clone(&master_key))?;
        Ok(Arc::new(FileSigner::new(provisioned, modules, master_key, Arc::clone(&self.authority))))
    }
}

/// Which device an earlier start of the daemon was, as far as that can be read; changes nothing, for `check`.
pub fn device_of_earlier_start(dir: &Path, provisioning: &Provisioning) -> Option<Device> {
    let earlier = provisioning::read_earlier(provisioning, &provisioned_path(dir)).ok().flatten();
    earlier.map(|provisioned| provisioned.device().clone())
}

fn provisioned_path(dir: &Path) -> PathBuf {
    dir.join("provisioned.json")
}

/// A key cannot be read, made or kept.
#[derive(Debug, thiserror::Error)]
pub enum OpenKeyError {
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] StateError),
    /// The system gave no randomness.
    #[error("no randomness from the operating system: {0}")]
    Random(getrandom::Error),
}
