//! What a module is made from.

use std::collections::BTreeMap;

use model::manifest::agent::{ImagePullPolicy, RegistryCredential, RestartPolicy};
use model::module_name::ModuleName;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Everything a runtime needs to make a module, of processes or of containers.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleSpec {
    /// Name in the deployment.
    pub name: ModuleName,
    /// Image, with tag or digest, as the deployment names it: `$upstream` is not resolved.
    pub image: String,
    /// Content-trust digest.
    pub digest: Option<String>,
    /// When to pull the image.
    pub pull_policy: ImagePullPolicy,
    /// What to sign in to the image's registry with.
    pub registry_credential: Option<RegistryCredential>,
    /// The engine's container-create body, whole: all parts of the deployment joined. `Env` in it is overridden by
    /// [`env`](Self::env), which holds it.
    pub create_options: Map<String, Value>,
    /// Environment, complete: that of the create options, the deployment's and ours.
    pub env: BTreeMap<String, String>,
    /// When the lifecycle starts it again; a runtime never does by itself.
    pub restart_policy: RestartPolicy,
    /// Smaller starts first; the lifecycle sees to it.
    pub startup_order: u32,
    /// The deployment's free text.
    pub version: String,
}

/// Says which settings a module was made from: modules with the same hash need not be made again.
///
/// ```text
/// SHA-256, as 64 hexadecimal digits, of {"hash":1,"image":…,"digest":…,"createOptions":…,"env":…,"version":…}
/// ```
/// A runtime whose modules outlive the daemon keeps it with them, so the form does not change without a new number. What only
/// says when to pull and when to start is left out: a change of it does not disturb a running module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SettingsHash(String);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hashed<'a> {
    hash: u8,
    image: &'a str,
    digest: Option<&'a str>,
    create_options: &'a Map<String, Value>,
    env: &'a BTreeMap<String, String>,
    version: &'a str,
}

impl ModuleSpec {
    /// The hash of the settings that make the module what it is.
    pub fn settings_hash(&self) -> SettingsHash {
        let hashed = Hashed {
            hash: 1,
            image: &self.image,
            digest: self.digest.as_deref(),
            create_options: &self.create_options,
            env: &self.env,
            version: &self.version,
        };
        let text = serde_json::to_vec(&hashed).expect("settings are plain data");
        SettingsHash(Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A module with this name and image, no options, and the defaults of a deployment.
    #[cfg(test)]
    pub(crate) fn plain(name: &str, image: &str) -> Self {
        Self {
            name: named(name),
            image: image.to_owned(),
            digest: None,
            pull_policy: ImagePullPolicy::OnCreate,
            registry_credential: None,
            create_options: Map::new(),
            env: BTreeMap::new(),
            restart_policy: RestartPolicy::Always,
            startup_order: model::manifest::agent::STARTUP_ORDER_LAST,
            version: String::new(),
        }
    }
}

/// A name a test is sure of.
#[cfg(test)]
pub(crate) fn named(text: &str) -> ModuleName {
    ModuleName::parse(text).expect("a test names modules as they can be called")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_makes_the_module_is_hashed_and_nothing_else() {
        let plain = ModuleSpec::plain("m", "image:1");
        let options = json!({ "HostConfig": {} }).as_object().unwrap().clone();
        let others = [
            ModuleSpec { image: "image:2".into(), ..plain.clone() },
            ModuleSpec { digest: Some("sha256:00".into()), ..plain.clone() },
            ModuleSpec { create_options: options, ..plain.clone() },
            ModuleSpec { env: BTreeMap::from([("A".into(), "1".into())]), ..plain.clone() },
            ModuleSpec { version: "2".into(), ..plain.clone() },
        ];
        let mut hashes: Vec<_> = others.iter().map(ModuleSpec::settings_hash).collect();
        hashes.push(plain.settings_hash());
        assert_eq!(hashes.iter().collect::<std::collections::HashSet<_>>().len(), others.len() + 1);
        let same = ModuleSpec {
            restart_policy: RestartPolicy::Never,
            startup_order: 1,
            pull_policy: ImagePullPolicy::Never,
            ..plain.clone()
        };
        assert_eq!(same.settings_hash(), plain.settings_hash());
    }

    /// A runtime may find modules an earlier version made: the form stays.
    #[test]
    fn the_hash_is_the_documented_one() {
        // sha256 of {"hash":1,"image":"image:1","digest":null,"createOptions":{},"env":{},"version":""}
        let expected = SettingsHash("18839e916f5dd7a88c8444a2806bb92d47992c16664aaad91faeb9e86f87c763".to_owned());
        assert_eq!(ModuleSpec::plain("m", "image:1").settings_hash(), expected);
    }
}
