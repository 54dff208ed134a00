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

use super::hub_api::{HubApi, HubApiError};
use super::key::SharedAccessKey;
use super::master_key::MasterKey;
use crate::state::{self, State, StateError, StateKind};

const MANAGED_BY: &str = "IotEdge";

/// A module's identity at the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleIdentity {
    /// Its id at the hub: `$edgeAgent`, `$edgeHub`, or the module's name.
    pub module_id: String,
    /// Which life of that id this is.
    pub generation_id: String,
    /// Who made it at the hub.
    pub managed_by: Option<String>,
}

/// An identity with its keys, primary first.
#[derive(Clone, PartialEq, Eq)]
struct KeyedIdentity {
    identity: ModuleIdentity,
    keys: [SharedAccessKey; 2],
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
    File(#[from] StateError),
}

/// All module identities of this device.
pub struct ModuleIdentities {
    master_key: Arc<MasterKey>,
    device_id: String,
    path: PathBuf,
    known: Mutex<BTreeMap<String, KeyedIdentity>>,
}

/// What is on disk: void when the device is another one.
#[derive(Serialize, Deserialize)]
struct Stored {
    device_id: String,
    modules: Vec<StoredModule>,
}

impl State for Stored {
    const KIND: &'static StateKind = &state::MODULES;
}

#[derive(Serialize, Deserialize)]
struct StoredModule {
    module_id: String,
    generation_id: String,
    primary_key: String,
    secondary_key: String,
    #[serde(default)]
    managed_by: Option<String>,
}

impl From<StoredModule> for KeyedIdentity {
    fn from(stored: StoredModule) -> Self {
        let StoredModule { module_id, generation_id, primary_key, secondary_key, managed_by } = stored;
        Self {
            identity: ModuleIdentity { module_id, generation_id, managed_by },
            keys: [primary_key, secondary_key].map(SharedAccessKey::new),
        }
    }
}

impl From<&KeyedIdentity> for StoredModule {
    fn from(keyed: &KeyedIdentity) -> Self {
        let ModuleIdentity { module_id, generation_id, managed_by } = keyed.identity.clone();
        let [primary_key, secondary_key] = keyed.keys.each_ref().map(|key| key.text().to_owned());
        Self { module_id, generation_id, primary_key, secondary_key, managed_by }
    }
}

impl ModuleIdentities {
    /// Reads what is known from `path`.
    pub(super) fn open(path: &Path, device_id: &str, master_key: Arc<MasterKey>) -> Result<Arc<Self>, StateError> {
        let stored: Option<Stored> = state::open(path)?;
        let modules = stored.filter(|stored| stored.device_id == device_id).map(|stored| stored.modules);
        let keyed = modules.unwrap_or_default().into_iter().map(KeyedIdentity::from);
        let known = keyed.map(|keyed| (keyed.identity.module_id.clone(), keyed)).collect();
        Ok(Arc::new(Self {
            master_key,
            device_id: device_id.to_owned(),
            path: path.to_owned(),
            known: Mutex::new(known),
        }))
    }

    fn with<T>(&self, look: impl FnOnce(&BTreeMap<String, KeyedIdentity>) -> T) -> T {
        look(&self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The keys of a module, primary first.
    pub(super) fn keys(&self, module_id: &str) -> Option<[SharedAccessKey; 2]> {
        self.with(|known| known.get(module_id).map(|keyed| keyed.keys.clone()))
    }

    /// An identity as last seen; needs no network.
    pub fn known(&self, module_id: &str) -> Option<ModuleIdentity> {
        self.with(|known| known.get(module_id).map(|keyed| keyed.identity.clone()))
    }

    /// All of them.
    pub fn all(&self) -> Vec<ModuleIdentity> {
        self.with(|known| known.values().map(|keyed| keyed.identity.clone()).collect())
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
        let keyed = self
            .derive(module_id, &found)
            .ok_or_else(|| failed(HubApiError::Answer { act: "reading a module identity" }))?;
        let key_at_hub = found.pointer("/authentication/symmetricKey/primaryKey").and_then(Value::as_str);
        let [primary, secondary] = keyed.keys.each_ref().map(SharedAccessKey::text);
        if key_at_hub != Some(primary) {
            let body = json!({
                "moduleId": module_id,
                "managedBy": keyed.identity.managed_by.as_deref().unwrap_or(MANAGED_BY),
                "deviceId": self.device_id,
                "authentication": {
                    "type": "sas",
                    "symmetricKey": { "primaryKey": primary, "secondaryKey": secondary },
                },
            });
            api.put_module(module_id, &body, true).await.map_err(failed)?;
        }
        self.keep(|known| {
            known.insert(module_id.to_owned(), keyed.clone());
        })?;
        Ok(keyed.identity)
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

    fn derive(&self, module_id: &str, found: &Value) -> Option<KeyedIdentity> {
        let generation_id = found.get("generationId")?.as_str()?.to_owned();
        let key =
            |which: &str| SharedAccessKey::new(self.master_key.derive(&format!("{module_id}:{generation_id}:{which}")));
        let keys = [key("primary"), key("secondary")];
        let managed_by = found.get("managedBy").and_then(Value::as_str).map(str::to_owned);
        let identity = ModuleIdentity { module_id: module_id.to_owned(), generation_id, managed_by };
        Some(KeyedIdentity { identity, keys })
    }

    fn keep(&self, change: impl FnOnce(&mut BTreeMap<String, KeyedIdentity>)) -> Result<(), StateError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.clone();
        change(&mut known);
        if *known == before {
            return Ok(());
        }
        let modules = known.values().map(StoredModule::from).collect();
        let stored = Stored { device_id: self.device_id.clone(), modules };
        state::write(&self.path, &stored)
    }

    /// Puts an identity in place without a hub.
    #[cfg(test)]
    pub(super) fn insert(&self, identity: ModuleIdentity, keys: [SharedAccessKey; 2]) -> Result<(), StateError> {
        self.keep(|known| {
            known.insert(identity.module_id.clone(), KeyedIdentity { identity, keys });
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::identity::testing::identity;

    fn open(dir: &Path, device: &str) -> Arc<ModuleIdentities> {
        let master_key = Arc::new(MasterKey::from_bytes([7; 32]));
        ModuleIdentities::open(&dir.join("modules.json"), device, master_key).unwrap()
    }

    #[test]
    fn identities_survive_a_restart_but_not_another_device() {
        let dir = tempfile::tempdir().unwrap();
        let keys = || ["AAAA", "BBBB"].map(SharedAccessKey::new);
        open(dir.path(), "edge").insert(identity("m"), keys()).unwrap();
        let again = open(dir.path(), "edge");
        assert_eq!(again.known("m"), Some(identity("m")));
        assert!(again.keys("m") == Some(keys()));
        assert_eq!(open(dir.path(), "other").known("m"), None);
    }

    #[test]
    fn keys_follow_the_generation() {
        let dir = tempfile::tempdir().unwrap();
        let modules = open(dir.path(), "edge");
        let derive = |generation: &str| modules.derive("m", &json!({ "generationId": generation })).unwrap();
        assert!(derive("1") == derive("1"));
        assert!(derive("1").keys[0] != derive("2").keys[0]);
        assert!(derive("1").keys[0] != derive("1").keys[1]);
        assert!(modules.derive("m", &json!({})).is_none());
    }
}
