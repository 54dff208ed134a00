//! The device's identity at its hub.

use std::path::Path;

use serde::{Deserialize, Serialize};
use storage::state_file::{self, Access};

use super::IdentityFileError;
use super::key::SharedAccessKey;
use crate::kept;

/// Who this device is at its hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The hub's name: in user names and tokens, and what is connected to.
    pub hub_host: String,
    /// This device's id.
    pub device_id: String,
}

impl Device {
    /// The audience of the device's own tokens.
    pub fn audience(&self) -> String {
        format!("{}/devices/{}", self.hub_host, self.device_id)
    }
}

/// The outcome of provisioning: who this device is, and the key that proves it, which nobody outside can read.
#[derive(PartialEq, Eq)]
pub struct Provisioned {
    pub(super) device: Device,
    pub(super) key: SharedAccessKey,
    /// What the configuration said when this was obtained: another text makes the record void.
    pub(super) source: String,
}

/// `provisioned.json`.
#[derive(Serialize, Deserialize)]
struct Stored {
    hub_host: String,
    device_id: String,
    key: String,
    source: String,
}

impl Provisioned {
    /// Who this device is.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What is on disk, if it was obtained from the same source.
    pub(super) fn read(path: &Path, source: &str) -> Result<Option<Self>, IdentityFileError> {
        let stored: Option<Stored> = kept::read(path)?;
        Ok(stored.filter(|stored| stored.source == source).map(|stored| Self {
            device: Device { hub_host: stored.hub_host, device_id: stored.device_id },
            key: SharedAccessKey::new(stored.key),
            source: stored.source,
        }))
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), IdentityFileError> {
        let stored = Stored {
            hub_host: self.device.hub_host.clone(),
            device_id: self.device.device_id.clone(),
            key: self.key.text().to_owned(),
            source: self.source.clone(),
        };
        let bytes = serde_json::to_vec(&stored).expect("an identity is plain text");
        Ok(state_file::replace(path, &bytes, Access::Private)?)
    }
}
