//! Who speaks: a device, or a module of a device.
//!
//! Ids are case-sensitive and are never percent-decoded: `%`, `#`, `+` and `$` are legal in them.

use std::fmt;
use std::sync::Arc;

/// A device, or one module of it: the two kinds of identity a hub authenticates.
///
/// Cheap to clone: every message and session carries one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    device: Arc<str>,
    module: Option<Arc<str>>,
}

impl Identity {
    /// The device itself.
    pub fn device(device_id: &str) -> Self {
        Self { device: device_id.into(), module: None }
    }

    /// A module of a device.
    pub fn module(device_id: &str, module_id: &str) -> Self {
        Self { device: device_id.into(), module: Some(module_id.into()) }
    }

    /// The device's id.
    pub fn device_id(&self) -> &str {
        &self.device
    }

    /// The module's id, if this is a module.
    pub fn module_id(&self) -> Option<&str> {
        self.module.as_deref()
    }

    /// Reads `device` or `device/module`, the MQTT client id form.
    pub fn from_client_id(text: &str) -> Self {
        match text.split_once('/') {
            Some((device, module)) => Self::module(device, module),
            None => Self::device(text),
        }
    }
}

/// `device` or `device/module`, the MQTT client id form.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.module {
            Some(module) => write!(f, "{}/{module}", self.device),
            None => f.write_str(&self.device),
        }
    }
}
