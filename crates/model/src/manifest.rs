//! Deployment manifests: what an edge device shall run, and how its messages flow.
//!
//! ```text
//! { "modulesContent": {                              also wrapped once more: { "content": { "modulesContent": … } }
//!     "$edgeAgent": { "properties.desired": { schemaVersion, runtime, systemModules, modules } },
//!     "$edgeHub":   { "properties.desired": { schemaVersion, routes, storeAndForwardConfiguration } },
//!     "<module>":   { "properties.desired": { any twin content } } } }
//! ```
//! An empty block, `"<module>": {}`, says nothing of that module's twin, which stays as it is.
//!
//! Each inner block becomes the desired properties of that module's twin; the device never sees the manifest as one
//! document. So the same two sections are read twice, by one reader at two levels of strictness:
//!
//! - [`Manifest::parse`] judges a document a person hands to the service. It reports *every* problem with its place,
//!   and refuses what the device would forgive (unknown members, missing restart policies, create options that are an
//!   object).
//! - [`agent::AgentDesired::parse`] and [`hub::HubDesired::parse`] judge what reached the device. They forgive what the
//!   field's runtime forgives, fill in its defaults, and answer with the status code to report.

pub mod agent;
pub mod broker;
pub mod hub;
pub mod image;
mod problem;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::limits::{MANIFEST_MODULES_MAX, MODULE_NAME_CHARS_MAX};
use crate::module_name::ModuleName;
use crate::pointer::Pointer;
use crate::twin;

use problem::{Level, Problems};
pub use problem::{ManifestError, ManifestErrorCode};

/// Name of the agent's identity and of its block in a manifest.
pub const EDGE_AGENT: &str = "$edgeAgent";
/// Name of the hub's identity and of its block in a manifest.
pub const EDGE_HUB: &str = "$edgeHub";

/// A manifest that passed the service's checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Desired properties of `$edgeAgent`, understood.
    pub agent: agent::AgentDesired,
    /// Desired properties of `$edgeHub`, understood.
    pub hub: hub::HubDesired,
    /// Desired properties of every module that has a block, by module name, as written: `$edgeAgent` and `$edgeHub`
    /// too. Applying a manifest replaces the desired properties of exactly these twins.
    pub desired: BTreeMap<String, Map<String, Value>>,
}

impl Manifest {
    /// Reads a manifest in either of its wrapped forms.
    ///
    /// # Errors
    /// Every problem found, up to [`crate::limits::PROBLEMS_MAX`], with its place in `document`.
    pub fn parse(document: &Value) -> Result<Self, Vec<ManifestError>> {
        let mut problems = Problems::new(Level::Service);
        let manifest = read(document, &mut problems);
        match (manifest, problems.into_errors()) {
            (Some(manifest), errors) if errors.is_empty() => Ok(manifest),
            (_, errors) => Err(errors),
        }
    }

    /// Names of the user modules, system modules left out.
    pub fn module_names(&self) -> impl Iterator<Item = &str> {
        self.agent.modules.keys().map(ModuleName::as_str)
    }

    /// Desired properties of a user module, where the manifest has some.
    pub fn module_desired(&self, module: &str) -> Option<&Map<String, Value>> {
        if module == EDGE_AGENT || module == EDGE_HUB { None } else { self.desired.get(module) }
    }
}

/// Whether a name may be a user module's: `[A-Za-z0-9_-]`, 1 to 128 characters.
pub fn is_module_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= MODULE_NAME_CHARS_MAX && name.chars().all(allowed)
}

/// Members a configuration carries around its content; a manifest file may have them too.
const CONFIGURATION_MEMBERS: &[&str] = &[
    "id",
    "schemaVersion",
    "labels",
    "priority",
    "targetCondition",
    "metrics",
    "systemMetrics",
    "createdTimeUtc",
    "lastUpdatedTimeUtc",
    "etag",
];

fn read(document: &Value, problems: &mut Problems) -> Option<Manifest> {
    let root = Pointer::root("");
    let outer = problems.object(document, &root)?;
    let content_at = root.key("content");
    let (content, at) = match outer.get("content") {
        Some(content) => {
            problems.unknown_members(outer, &root, |name| {
                name == "content" || name.starts_with("$schema") || CONFIGURATION_MEMBERS.contains(&name)
            });
            (problems.object(content, &content_at)?, &content_at)
        }
        None => (outer, &root),
    };
    problems.unknown_members(content, at, |name| name == "modulesContent" || name.starts_with("$schema"));
    let blocks = problems.required_object(content, at, "modulesContent")?;
    let at = at.key("modulesContent");

    let mut desired = BTreeMap::new();
    for (name, block) in blocks {
        let at = at.key(name);
        if name != EDGE_AGENT && name != EDGE_HUB && !is_module_name(name) {
            problems.add(&at, ManifestErrorCode::BadName, "a module name has only letters, digits, '_' and '-'");
        }
        let says_nothing = block.as_object().is_some_and(Map::is_empty);
        if says_nothing && name != EDGE_AGENT && name != EDGE_HUB {
            continue;
        }
        if let Some(properties) = read_block(block, &at, problems) {
            desired.insert(name.clone(), properties.clone());
        }
    }
    let agent = system_block(&desired, EDGE_AGENT, &at, problems, agent::read);
    let hub = system_block(&desired, EDGE_HUB, &at, problems, hub::read);
    let agent = agent?;
    if agent.modules.len() > MANIFEST_MODULES_MAX {
        let message = format!("{} modules, a deployment holds at most {MANIFEST_MODULES_MAX}", agent.modules.len());
        problems.add(&at.key(EDGE_AGENT), ManifestErrorCode::BadValue, message);
    }
    Some(Manifest { agent, hub: hub?, desired })
}

/// Reads one block: exactly `properties.desired`, obeying the twin's rules.
fn read_block<'v>(block: &'v Value, at: &Pointer<'_>, problems: &mut Problems) -> Option<&'v Map<String, Value>> {
    let block = problems.object(block, at)?;
    problems.unknown_members(block, at, |name| name.starts_with("properties.desired"));
    if let Some(name) = block.keys().find(|name| name.starts_with("properties.desired.")) {
        let message = "paths below properties.desired belong to layered deployments, which this is not";
        problems.add(&at.key(name), ManifestErrorCode::Layered, message);
        return None;
    }
    let section = problems.required(block, at, "properties.desired")?;
    let at = at.key("properties.desired");
    let members = problems.object(section, &at)?;
    if let Err(error) = twin::validate_patch(section) {
        let place = format!("{at}{}", error.path);
        problems.add(&Pointer::root(&place), ManifestErrorCode::TwinLimit, error.kind.to_string());
    }
    Some(members)
}

/// Finds the block of a system module and reads it; it is an error of the manifest when there is none.
fn system_block<T>(
    desired: &BTreeMap<String, Map<String, Value>>,
    name: &str,
    at: &Pointer<'_>,
    problems: &mut Problems,
    read: impl FnOnce(&Map<String, Value>, &Pointer<'_>, &mut Problems) -> Option<T>,
) -> Option<T> {
    let Some(section) = desired.get(name) else {
        if !problems.any() {
            problems.add(at, ManifestErrorCode::MissingMember, format!("{name} is required"));
        }
        return None;
    };
    read(section, &at.key(name).key("properties.desired"), problems)
}

#[cfg(test)]
mod tests;
