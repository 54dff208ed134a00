//! The device's identity at its hub.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::key::SharedAccessKey;
use crate::state::{self, State, StateError, StateKind};

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

/// The outcome of provisioning: who this device is, and the key that proves it, which nobody outside can read. A device with a
/// certificate has none.
#[derive(PartialEq, Eq)]
pub struct Provisioned {
    pub(super) device: Device,
    pub(super) key: Option<SharedAccessKey>,
    /// What the configuration said when this was obtained: another text makes the record void.
    pub(super) source: String,
}

/// `provisioned.json`.
#[derive(Serialize, Deserialize)]
struct Stored {
    hub_host: String,
    device_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    source: String,
}

impl State for Stored {
    const KIND: &'static StateKind = &state::PROVISIONED;
}

impl Provisioned {
    /// Who this device is.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What is on disk, if it was obtained from the same source. Changes nothing.
    pub(super) fn read(path: &Path, source: &str) -> Result<Option<Self>, StateError> {
        Ok(state::read(path)?.and_then(|stored| Self::from_stored(stored, source)))
    }

    /// What is on disk, if it was obtained from the same source.
    pub(super) fn open(path: &Path, source: &str) -> Result<Option<Self>, StateError> {
        Ok(state::open(path)?.and_then(|stored| Self::from_stored(stored, source)))
    }

    fn from_stored(stored: Stored, source: &str) -> Option<Self> {
        let Stored { hub_host, device_id, key, source: obtained_from } = stored;
        let device = Device { hub_host, device_id };
        let key = key.map(SharedAccessKey::new);
        (obtained_from == source).then_some(Self { device, key, source: obtained_from })
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), StateError> {
        let stored = Stored {
            hub_host: self.device.hub_host.clone(),
            device_id: self.device.device_id.clone(),
            key: self.key.as_ref().map(|key| key.text().to_owned()),
            source: self.source.clone(),
        };
        state::write(path, &stored)
    }
}
