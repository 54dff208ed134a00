//! What the deployment wants, in the words of the planner; and the last good deployment, kept on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::manifest::agent::{AgentDesired, DesiredStatus, Module};
use model::module_name::ModuleName;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::plan::WantedModule;
use crate::identity::modules::ModuleIdentity;
use crate::runtime::ModuleSpec;
use crate::state::{self, State, StateError, StateKind};
use crate::workload;

/// A desired section of `$edgeAgent` or `$edgeHub` with its version. Kept on disk when it is good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// `$version` of the section.
    pub version: u64,
    /// The section.
    pub section: Value,
}

impl Deployment {
    /// The last good one, if any.
    pub fn read(path: &Path) -> Result<Option<Self>, StateError> {
        state::open(path)
    }

    /// Keeps this one.
    pub fn write(&self, path: &Path) -> Result<(), StateError> {
        state::write(path, self)
    }
}

impl State for Deployment {
    const KIND: &'static StateKind = &state::DESIRED;
}

/// What every module is told about the gateway it runs on.
#[derive(Debug, Clone)]
pub struct GatewayInfo {
    /// The hub's name.
    pub hub_host: String,
    /// This device.
    pub device_id: String,
    /// Host name of this device, to which modules connect.
    pub hostname: String,
    /// The edge device above, if nested.
    pub parent_hostname: Option<String>,
    /// Port of the MQTT listener, told only when it is not the usual one.
    pub mqtts_port: u16,
    /// Folder of the workload sockets.
    pub sockets_dir: PathBuf,
}

/// The usual port of MQTT over TLS, which client libraries take for granted.
const MQTTS_PORT: u16 = 8883;

/// The modules of a deployment that have an identity, as the planner wants them.
pub fn wanted_modules(
    desired: &AgentDesired,
    gateway: &GatewayInfo,
    identity: impl Fn(&str) -> Option<ModuleIdentity>,
) -> BTreeMap<ModuleName, WantedModule> {
    let with_identity = desired.modules.iter().filter_map(|(name, module)| Some((name, module, identity(name)?)));
    with_identity
        .map(|(name, module, identity)| {
            let credentials = desired.runtime.registry_credentials.values();
            let spec = ModuleSpec {
                name: name.clone(),
                image: module.image.as_str().to_owned(),
                digest: module.digest.clone(),
                pull_policy: module.image_pull_policy,
                registry_credential: module.image.credential(credentials).cloned(),
                create_options: module.create_options.clone(),
                env: environment(name, module, &identity, gateway),
                restart_policy: module.restart_policy,
                startup_order: module.startup_order,
                version: module.version.clone(),
            };
            (name.clone(), WantedModule { spec, running: module.status == DesiredStatus::Running })
        })
        .collect()
}

/// `Env` of the create options, then the deployment's variables, then ours, which nobody may override: they say who the
/// module is.
fn environment(
    name: &ModuleName,
    module: &Module,
    identity: &ModuleIdentity,
    gateway: &GatewayInfo,
) -> BTreeMap<String, String> {
    let mut env = create_options_env(&module.create_options);
    env.extend(module.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    let socket = workload::socket_path(&gateway.sockets_dir, name);
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
    set("IOTEDGE_WORKLOADURI", &format!("unix://{}", socket.display()));
    set("IOTEDGE_AUTHSCHEME", "sasToken");
    set("IOTEDGE_APIVERSION", workload::API_VERSION);
    set("IOTEDGE_MODULEID", &identity.module_id);
    set("IOTEDGE_MODULEGENERATIONID", &identity.generation_id);
    set("IOTEDGE_DEVICEID", &gateway.device_id);
    set("IOTEDGE_IOTHUBHOSTNAME", &gateway.hub_host);
    set("IOTEDGE_GATEWAYHOSTNAME", &gateway.hostname);
    if let Some(parent) = &gateway.parent_hostname {
        set("IOTEDGE_PARENTHOSTNAME", parent);
    }
    if gateway.mqtts_port != MQTTS_PORT {
        set("TIDEGATE_GATEWAY_MQTTS_PORT", &gateway.mqtts_port.to_string());
    }
    env
}

fn create_options_env(create_options: &Map<String, Value>) -> BTreeMap<String, String> {
    let entries = create_options.get("Env").and_then(Value::as_array).into_iter().flatten();
    entries
        .filter_map(|entry| entry.as_str()?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests;
