//! Who this device is, and the keys that prove it.
//!
//! Private keys are made, kept and used here; other parts ask for a signature, a certificate or a token. The one exception
//! is the hub's server key, which the TLS listener must hold: it is short-lived and replaced without closing connections.
//!
//! ```text
//! <data>/identity/          0700
//!   provisioned.json        what the provisioning service answered, for starts without network
//!   master.key              32 random bytes; module keys and the secrets of modules derive from it
//!   modules.json            generation ids and keys of module identities
//!   ca.pem, ca.key          the authority that signs certificates for modules and the hub's listener
//! ```
//! Every file in it is readable by the owner only.

pub mod authority;
pub mod device;
pub mod hub_api;
pub mod master_key;
pub mod modules;

use std::path::PathBuf;

/// A file of the identity folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFileError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] storage::state_file::ReadFileError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] storage::state_file::ReplaceFileError),
    /// It is not what was written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The system gave no randomness.
    #[error("no randomness from the operating system: {0}")]
    Random(getrandom::Error),
}
