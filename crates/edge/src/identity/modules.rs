//! Identities of this device's modules: created at the hub, kept on disk for starts without network.
//!
//! ```text
//! GET  /devices/{d}/modules/{m}                 is it there?
//! PUT  … {moduleId, managedBy, deviceId}        if not; the answer holds the generation id
//! derive primary and secondary key from {m}:{generation}:{which}
//! PUT  … {authentication: sas with those keys}  If-Match: *
//! ```
//! The generation id changes when an identity is deleted and made again; keys derived from it change with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::state_file::{self, Access};

use super::IdentityFileError;
use super::hub_api::{HubApi, HubApiError};
use super::master_key::MasterKey;
use crate::kept;

const MANAGED_BY: &str = "IotEdge";

/// A module's identity.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleIdentity {
    /// Its id at the hub: `$edgeAgent`, `$edgeHub`, or the module's name.
    pub module_id: String,
    /// Which life of that id this is.
    pub generation_id: String,
    /// Base64.
    pub primary_key: String,
    /// Base64.
    pub secondary_key: String,
    /// Who made it at the hub.
    #[serde(default)]
    pub managed_by: Option<String>,
}

/// Keys stay out of logs.
impl std::fmt::Debug for ModuleIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModuleIdentity")
            .field("module_id", &self.module_id)
            .field("generation_id", &self.generation_id)
            .finish_non_exhaustive()
    }
}

/// An identity could not be had.
#[derive(Debug, thiserror::Error)]
pub enum EnsureIdentityError {
    /// The hub did not play along.
    #[error("no identity for module {module}")]
    Hub {
        /// The module.
        module: String,
        /// Why.
        #[source]
        source: HubApiError,
    },
    /// It was made but cannot be kept.
    #[error(transparent)]
    File(#[from] IdentityFileError),
}

/// All module identities of this device.
pub struct ModuleIdentities {
    master_key: MasterKey,
    device_id: String,
    path: PathBuf,
    known: Mutex<BTreeMap<String, ModuleIdentity>>,
}

/// What is on disk: void when the device is another one.
#[derive(Serialize, Deserialize)]
struct Kept {
    device_id: String,
    modules: Vec<ModuleIdentity>,
}

impl ModuleIdentities {
    /// Reads what is known from `path`.
    pub fn open(path: &Path, device_id: &str, master_key: MasterKey) -> Result<Arc<Self>, IdentityFileError> {
        let kept: Option<Kept> = kept::read_or_set_aside(path)?;
        let modules = kept.filter(|kept| kept.device_id == device_id).map(|kept| kept.modules).unwrap_or_default();
        let known = modules.into_iter().map(|module| (module.module_id.clone(), module)).collect();
        Ok(Arc::new(Self {
            master_key,
            device_id: device_id.to_owned(),
            path: path.to_owned(),
            known: Mutex::new(known),
        }))
    }

    /// An identity as last seen; needs no network.
    pub fn known(&self, module_id: &str) -> Option<ModuleIdentity> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(module_id).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<ModuleIdentity> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Makes sure that the hub knows the identity with our keys.
    pub async fn ensure(&self, api: &HubApi, module_id: &str) -> Result<ModuleIdentity, EnsureIdentityError> {
        let failed = |source| EnsureIdentityError::Hub { module: module_id.to_owned(), source };
        let found = match api.module(module_id).await.map_err(failed)? {
            Some(found) => found,
            None => {
                let body = json!({ "moduleId": module_id, "managedBy": MANAGED_BY, "deviceId": self.device_id });
                api.put_module(module_id, &body, false).await.map_err(failed)?
            }
        };
        let identity = self
            .derive(module_id, &found)
            .ok_or_else(|| failed(HubApiError::Answer { act: "reading a module identity" }))?;
        let key_at_hub = found.pointer("/authentication/symmetricKey/primaryKey").and_then(Value::as_str);
        if key_at_hub != Some(&identity.primary_key) {
            let body = json!({
                "moduleId": module_id,
                "managedBy": identity.managed_by.as_deref().unwrap_or(MANAGED_BY),
                "deviceId": self.device_id,
                "authentication": {
                    "type": "sas",
                    "symmetricKey": { "primaryKey": identity.primary_key, "secondaryKey": identity.secondary_key },
                },
            });
            api.put_module(module_id, &body, true).await.map_err(failed)?;
        }
        self.keep(|known| {
            known.insert(module_id.to_owned(), identity.clone());
        })?;
        Ok(identity)
    }

    /// Deletes the identity of a module that left, if it was made for this device.
    pub async fn remove(&self, api: &HubApi, module_id: &str) -> Result<(), EnsureIdentityError> {
        let Some(identity) = self.known(module_id) else { return Ok(()) };
        if identity.managed_by.as_deref().is_some_and(|by| by.eq_ignore_ascii_case(MANAGED_BY)) {
            let failed = |source| EnsureIdentityError::Hub { module: module_id.to_owned(), source };
            api.delete_module(module_id).await.map_err(failed)?;
        }
        self.keep(|known| {
            known.remove(module_id);
        })?;
        Ok(())
    }

    fn derive(&self, module_id: &str, found: &Value) -> Option<ModuleIdentity> {
        let generation_id = found.get("generationId")?.as_str()?.to_owned();
        let key = |which: &str| self.master_key.derive(&format!("{module_id}:{generation_id}:{which}"));
        Some(ModuleIdentity {
            module_id: module_id.to_owned(),
            primary_key: key("primary"),
            secondary_key: key("secondary"),
            managed_by: found.get("managedBy").and_then(Value::as_str).map(str::to_owned),
            generation_id,
        })
    }

    fn keep(&self, change: impl FnOnce(&mut BTreeMap<String, ModuleIdentity>)) -> Result<(), IdentityFileError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.clone();
        change(&mut known);
        if *known == before {
            return Ok(());
        }
        let kept = Kept { device_id: self.device_id.clone(), modules: known.values().cloned().collect() };
        let bytes = serde_json::to_vec(&kept).expect("identities are plain text");
        Ok(state_file::replace(&self.path, &bytes, Access::Private)?)
    }

    /// Puts an identity in place without a hub, for tests.
    pub fn insert(&self, identity: ModuleIdentity) -> Result<(), IdentityFileError> {
        self.keep(|known| {
            known.insert(identity.module_id.clone(), identity);
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn identity(module_id: &str) -> ModuleIdentity {
        ModuleIdentity {
            module_id: module_id.into(),
            generation_id: "1".into(),
            primary_key: "AAAA".into(),
            secondary_key: "BBBB".into(),
            managed_by: None,
        }
    }

    #[test]
    fn identities_survive_a_restart_but_not_another_device() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("modules.json");
        let open = |device: &str| ModuleIdentities::open(&path, device, MasterKey::from_bytes([7; 32])).unwrap();
        open("edge").insert(identity("m")).unwrap();
        assert_eq!(open("edge").known("m"), Some(identity("m")));
        assert_eq!(open("other").known("m"), None);
    }

    #[test]
    fn keys_follow_the_generation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("modules.json");
        let modules = ModuleIdentities::open(&path, "edge", MasterKey::from_bytes([7; 32])).unwrap();
        let derive = |generation: &str| modules.derive("m", &json!({ "generationId": generation })).unwrap();
        assert_eq!(derive("1"), derive("1"));
        assert_ne!(derive("1").primary_key, derive("2").primary_key);
        assert_ne!(derive("1").primary_key, derive("1").secondary_key);
        assert_eq!(modules.derive("m", &json!({})), None);
    }
}
