//! Desired properties of `$edgeAgent`: which modules shall run, and how.
//!
//! ```text
//! { "schemaVersion": "1.1",
//!   "runtime": { "type": "docker", "settings": { minDockerVersion, loggingOptions, registryCredentials } },
//!   "systemModules": { "edgeAgent": {…}, "edgeHub": {…} },
//!   "modules": { "<name>": { type, status, restartPolicy, imagePullPolicy, startupOrder, version, env, settings } } }
//! ```
//!
//! What a device makes of a section, and reports as `lastDesiredStatus.code`:
//!
//! | Case | Code |
//! |---|---|
//! | section empty | 417 |
//! | `schemaVersion` is there but no version, of another major, or above 1.1.0 | 412 |
//! | anything else that cannot be read | 400 |
//!
//! The version is looked at before the rest, because a document of another version cannot be judged by these rules. A
//! user module called `edgeAgent` or `edgeHub` does parse: it fails when planned (500), see
//! [`AgentDesired::reserved_module`].

mod create_options;
mod module;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

use super::image::ImageName;
use super::problem::{Level, ManifestErrorCode as Code, Problems};
use crate::module_name::ModuleName;
use crate::pointer::Pointer;

/// Startup order of a module that names none: after all others.
pub const STARTUP_ORDER_LAST: u32 = u32::MAX;
/// Name of the agent among the system modules.
pub const AGENT_MODULE: &str = "edgeAgent";
/// Name of the hub among the system modules.
pub const HUB_MODULE: &str = "edgeHub";

/// What a device shall run.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentDesired {
    /// Version of the section's format, as written: `1.0`, `1.1` or `1.1.0`.
    pub schema_version: String,
    /// Settings of the container engine.
    pub runtime: Runtime,
    /// The agent itself. Optional on a device.
    pub edge_agent: Option<Module>,
    /// The hub. Optional on a device.
    pub edge_hub: Option<Module>,
    /// User modules by name.
    pub modules: BTreeMap<ModuleName, Module>,
}

/// `runtime` with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runtime {
    /// Stored and reported, not enforced.
    pub min_docker_version: String,
    /// Stored and reported only. JSON in a text.
    pub logging_options: String,
    /// Credentials of private registries, by an id of the author's choice.
    pub registry_credentials: BTreeMap<String, RegistryCredential>,
}

/// How to sign in to one registry.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryCredential {
    /// Host and port; may be `$upstream:<port>`.
    pub address: String,
    /// User name.
    pub username: String,
    /// Password; kept out of `Debug` output.
    pub password: String,
}

impl std::fmt::Debug for RegistryCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryCredential")
            .field("address", &self.address)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// One module to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// Free text; part of the comparison that decides whether a module is created anew.
    pub version: String,
    /// Whether it shall run.
    pub status: DesiredStatus,
    /// When to start it again after it ended.
    pub restart_policy: RestartPolicy,
    /// When to pull the image.
    pub image_pull_policy: ImagePullPolicy,
    /// Smaller starts first. [`STARTUP_ORDER_LAST`] when not given.
    pub startup_order: u32,
    /// Environment variables; numbers and booleans are text here.
    pub env: BTreeMap<String, String>,
    /// The image, normalised.
    pub image: ImageName,
    /// The engine's container-create body, all parts joined. Unknown members survive.
    pub create_options: Map<String, Value>,
    /// Content-trust digest.
    pub digest: Option<String>,
    /// `configuration.id`, set by the service; not compared.
    pub configuration_id: Option<String>,
}

/// Whether a module shall run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DesiredStatus {
    /// `running`
    Running,
    /// `stopped`
    Stopped,
}

/// When a module is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// `never`
    Never,
    /// `on-failure`
    OnFailure,
    /// `on-unhealthy`
    OnUnhealthy,
    /// `always`
    Always,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImagePullPolicy {
    /// `on-create`
    OnCreate,
    /// `never`
    Never,
}

impl DesiredStatus {
    const ALL: &[(&str, Self)] = &[("running", Self::Running), ("stopped", Self::Stopped)];

    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        word_of(Self::ALL, &self)
    }
}

impl RestartPolicy {
    const ALL: &[(&str, Self)] = &[
        ("never", Self::Never),
        ("on-failure", Self::OnFailure),
        ("on-unhealthy", Self::OnUnhealthy),
        ("always", Self::Always),
    ];

    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        word_of(Self::ALL, &self)
    }
}

impl ImagePullPolicy {
    const ALL: &[(&str, Self)] = &[("on-create", Self::OnCreate), ("never", Self::Never)];

    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        word_of(Self::ALL, &self)
    }
}

fn word_of<T: PartialEq>(words: &'static [(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, candidate)| candidate == value).map_or("", |(word, _)| word)
}

/// Why a device cannot use a section, with the status code to report.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct AgentConfigError {
    /// 400, 412 or 417.
    pub code: u16,
    /// For the description of `lastDesiredStatus`.
    pub message: String,
}

impl AgentDesired {
    /// Reads the section as a device does: `$version` and unknown members are ignored, absent members get their
    /// defaults.
    ///
    /// # Errors
    /// With the code to report; the running configuration stays as it is.
    pub fn parse(section: &Value) -> Result<Self, AgentConfigError> {
        let failed = |code, message: String| AgentConfigError { code, message };
        let Some(members) = section.as_object() else {
            return Err(failed(400, "desired properties of $edgeAgent must be an object".to_owned()));
        };
        if members.keys().all(|name| name.starts_with('$')) {
            return Err(failed(417, "desired properties of $edgeAgent are empty".to_owned()));
        }
        let mut problems = Problems::new(Level::Device);
        let desired = read(members, &Pointer::root(""), &mut problems);
        let first = problems.into_errors().into_iter().next();
        match (desired, first) {
            (Some(desired), None) => Ok(desired),
            (_, Some(error)) if error.code == Code::BadSchemaVersion => Err(failed(412, error.message)),
            (_, Some(error)) => Err(failed(400, error.to_string())),
            (None, None) => Err(failed(400, "desired properties of $edgeAgent cannot be read".to_owned())),
        }
    }

    /// A user module with a system module's name, if there is one: such a deployment cannot be carried out.
    pub fn reserved_module(&self) -> Option<&str> {
        self.modules.keys().map(ModuleName::as_str).find(|name| is_reserved(name))
    }
}

fn is_reserved(name: &str) -> bool {
    name == AGENT_MODULE || name == HUB_MODULE
}

/// Reads the section at the level of `problems`. `None` only when the problems hold the reason.
pub(super) fn read(section: &Map<String, Value>, at: &Pointer<'_>, problems: &mut Problems) -> Option<AgentDesired> {
    problems.unknown_members(section, at, |name| {
        matches!(name, "schemaVersion" | "runtime" | "systemModules" | "modules" | "integrity")
    });
    let schema_version = problems.required_text(section, at, "schemaVersion");
    if let Some(version) = schema_version
        && let Err(reason) = check_schema_version(version)
    {
        problems.add(&at.key("schemaVersion"), Code::BadSchemaVersion, format!("schemaVersion {version:?} {reason}"));
        // Another version's document: what the rest means is not ours to say.
        return None;
    }
    let runtime = problems.required_object(section, at, "runtime");
    let runtime = runtime.and_then(|runtime| read_runtime(runtime, &at.key("runtime"), problems));
    let system = read_system_modules(section, at, problems);
    let modules = read_modules(section, at, problems);
    let (edge_agent, edge_hub) = system?;
    Some(AgentDesired { schema_version: schema_version?.to_owned(), runtime: runtime?, edge_agent, edge_hub, modules })
}

/// Two to four numeric parts, of major 1, not above 1.1.0.
fn check_schema_version(text: &str) -> Result<(), &'static str> {
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    let parts = parts.filter(|parts| (2..=4).contains(&parts.len()) && text.bytes().all(|b| b != b'+'));
    let Some(parts) = parts else { return Err("is no version: two to four numbers joined by dots") };
    if parts[0] != 1 || parts[1..] > [1, 0, 0][..parts.len() - 1] {
        return Err("is not supported: 1.0 to 1.1.0 are");
    }
    Ok(())
}

fn read_runtime(runtime: &Map<String, Value>, at: &Pointer<'_>, problems: &mut Problems) -> Option<Runtime> {
    problems.unknown_members(runtime, at, |name| matches!(name, "type" | "settings"));
    check_docker(runtime, at, problems);
    let settings = problems.required_object(runtime, at, "settings")?;
    let at = at.key("settings");
    problems.unknown_members(settings, &at, |name| {
        matches!(name, "minDockerVersion" | "loggingOptions" | "registryCredentials")
    });
    let mut registry_credentials = BTreeMap::new();
    if let Some(entries) = problems.optional_object(settings, &at, "registryCredentials") {
        let at = at.key("registryCredentials");
        for (id, entry) in entries {
            let at = at.key(id);
            if problems.is_service() && id.contains(['.', '$', '#', ' ']) {
                problems.add(&at, Code::BadName, "a registry id must not hold '.', '$', '#' or blanks");
            }
            if let Some(credential) = read_credential(entry, &at, problems) {
                registry_credentials.insert(id.clone(), credential);
            }
        }
    }
    Some(Runtime {
        min_docker_version: problems.optional_text(settings, &at, "minDockerVersion").to_owned(),
        logging_options: problems.optional_text(settings, &at, "loggingOptions").to_owned(),
        registry_credentials,
    })
}

fn read_credential(entry: &Value, at: &Pointer<'_>, problems: &mut Problems) -> Option<RegistryCredential> {
    let entry = problems.object(entry, at)?;
    problems.unknown_members(entry, at, |name| matches!(name, "address" | "username" | "password"));
    let mut part = |name: &str| {
        let text = problems.required_text(entry, at, name)?;
        if text.trim().is_empty() {
            problems.add(&at.key(name), Code::BadValue, format!("{name} must not be blank"));
            return None;
        }
        Some(text.to_owned())
    };
    let (address, username, password) = (part("address"), part("username"), part("password"));
    Some(RegistryCredential { address: address?, username: username?, password: password? })
}

/// `type` of the runtime and of every module.
fn check_docker(object: &Map<String, Value>, at: &Pointer<'_>, problems: &mut Problems) {
    if let Some(kind) = problems.required_text(object, at, "type")
        && kind != "docker"
    {
        problems.add(&at.key("type"), Code::BadValue, format!("type must be \"docker\", is {kind:?}"));
    }
}

fn read_system_modules(
    section: &Map<String, Value>,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<(Option<Module>, Option<Module>)> {
    let system = problems.required_object(section, at, "systemModules")?;
    let at = at.key("systemModules");
    problems.unknown_members(system, &at, is_reserved);
    let mut one = |name: &str, role: module::Role| {
        if problems.is_service() {
            problems.required(system, &at, name);
        }
        let value = system.get(name).filter(|value| !value.is_null())?;
        module::read(value, role, &at.key(name), problems)
    };
    Some((one(AGENT_MODULE, module::Role::Agent), one(HUB_MODULE, module::Role::Hub)))
}

fn read_modules(
    section: &Map<String, Value>,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> BTreeMap<ModuleName, Module> {
    let mut modules = BTreeMap::new();
    let Some(entries) = problems.optional_object(section, at, "modules") else { return modules };
    let at = at.key("modules");
    for (name, entry) in entries {
        let at = at.key(name);
        let parsed = ModuleName::parse(name);
        if problems.is_service() && (!super::is_module_name(name) || is_reserved(name)) {
            let message = if is_reserved(name) {
                format!("{name} is a system module's name")
            } else {
                "a module name has only letters, digits, '_' and '-', at most 128".to_owned()
            };
            problems.add(&at, Code::BadName, message);
        } else if !problems.is_service()
            && let Err(reason) = &parsed
        {
            // Files are called by it: one that leads elsewhere must not come this far.
            problems.add(&at, Code::BadName, reason.to_string());
        }
        if let Some(module) = module::read(entry, module::Role::User, &at, problems)
            && let Ok(name) = parsed
        {
            modules.insert(name, module);
        }
    }
    modules
}

#[cfg(test)]
mod tests;
