//! The device's identity at its hub.

use std::path::Path;

use serde::{Deserialize, Serialize};
use storage::state_file::{self, Access};

use super::IdentityFileError;
use crate::kept;

/// Who this device is: the outcome of provisioning.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceIdentity {
    /// The hub's name: in user names and tokens, and what is connected to.
    pub hub_host: String,
    /// This device's id.
    pub device_id: String,
    /// Its key, base64.
    pub key: String,
    /// What the configuration said when this was obtained: another text makes the record void.
    pub source: String,
}

impl std::fmt::Debug for DeviceIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceIdentity")
            .field("hub_host", &self.hub_host)
            .field("device_id", &self.device_id)
            .finish_non_exhaustive()
    }
}

impl DeviceIdentity {
    /// The identity kept on disk, if it was obtained from the same source.
    pub fn read(path: &Path, source: &str) -> Result<Option<Self>, IdentityFileError> {
        Ok(kept::read(path)?.filter(|kept: &Self| kept.source == source))
    }

    /// Keeps the identity.
    pub fn write(&self, path: &Path) -> Result<(), IdentityFileError> {
        let bytes = serde_json::to_vec(self).expect("an identity is plain text");
        Ok(state_file::replace(path, &bytes, Access::Private)?)
    }

    /// The audience of the device's own tokens.
    pub fn audience(&self) -> String {
        format!("{}/devices/{}", self.hub_host, self.device_id)
    }
}
