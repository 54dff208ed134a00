//! The key all other local secrets derive from.
//!
//! Deriving instead of storing means that a module's keys are the same whenever they are asked for, offline included, as
//! long as its generation id is the same.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use storage::state_file::{self, Access};

use super::OpenKeyError;
use crate::state::StateError;

const KEY_BYTES: usize = 32;

/// 32 random bytes that never leave this device.
pub(super) struct MasterKey([u8; KEY_BYTES]);

impl MasterKey {
    /// Reads the key, or makes one.
    pub(super) fn open(path: &Path) -> Result<Self, OpenKeyError> {
        if let Some(bytes) = state_file::read(path, KEY_BYTES as u64).map_err(StateError::from)? {
            let found = bytes.len();
            let what = format!("{found} bytes instead of {KEY_BYTES}");
            let damaged = |_| StateError::Damaged { path: path.to_owned(), what }.into();
            return bytes.try_into().map(Self).map_err(damaged);
        }
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(OpenKeyError::Random)?;
        state_file::replace(path, &key, Access::Private).map_err(StateError::from)?;
        Ok(Self(key))
    }

    /// A key of given bytes.
    #[cfg(test)]
    pub(super) fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key with this name, base64. Different names give unrelated keys.
    pub(super) fn derive(&self, name: &str) -> String {
        STANDARD.encode(self.derive_bytes(name))
    }

    /// The key with this name.
    pub(super) fn derive_bytes(&self, name: &str) -> [u8; KEY_BYTES] {
        hmac_sha256(&self.0, name.as_bytes())
    }
}

/// HMAC-SHA256 with a raw key.
pub(super) fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_key_is_made_once_private_and_stable() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let first = MasterKey::open(&path).unwrap().derive("m:1:primary");
        assert_eq!(MasterKey::open(&path).unwrap().derive("m:1:primary"), first);
        assert_ne!(MasterKey::open(&path).unwrap().derive("m:1:secondary"), first);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_refused_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        std::fs::write(&path, b"short").unwrap();
        assert!(matches!(MasterKey::open(&path), Err(OpenKeyError::File(StateError::Damaged { .. }))));
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }
}
