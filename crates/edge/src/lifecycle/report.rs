//! The reported properties of `$edgeAgent`, and the module list of the unix APIs: two views of the same state.
//!
//! Registry passwords of the deployment are not reported, other than by the runtime we replace.

use std::collections::BTreeMap;

use model::manifest::agent::Runtime;
use model::manifest::agent::{AgentDesired, Module, STARTUP_ORDER_LAST};
use model::module_name::ModuleName;
use model::twin::format_time;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::plan::{ModuleHistory, PresentModule, WantedModule, status};
use crate::runtime::RunState;

/// Characters of a create option part when it is reported.
const CREATE_OPTIONS_PART_CHARS: usize = 512;
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What came of the last desired section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredOutcome {
    /// Its version.
    pub version: u64,
    /// 200, 400, 406, 412, 417 or 500.
    pub code: u16,
    /// Empty when fine.
    pub description: String,
}

/// Everything the report is made of.
pub struct ReportInput<'a> {
    /// The deployment in force, if there is one.
    pub desired: Option<&'a AgentDesired>,
    /// What came of the last section.
    pub outcome: &'a DesiredOutcome,
    /// Modules the planner works on.
    pub wanted: &'a BTreeMap<ModuleName, WantedModule>,
    /// Modules that are there.
    pub present: &'a BTreeMap<ModuleName, PresentModule>,
    /// What happened to them.
    pub history: &'a BTreeMap<String, ModuleHistory>,
    /// Modules without identity, and why.
    pub without_identity: &'a BTreeMap<String, String>,
    /// Modules whose image is being pulled, and how far that is.
    pub pulling: &'a BTreeMap<ModuleName, String>,
    /// When this daemon started.
    pub daemon_started_at: OffsetDateTime,
}

/// The whole reported section.
pub fn reported(input: &ReportInput<'_>) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let mut modules = Map::new();
    let mut system = Map::new();
    let started = time_text(Some(input.daemon_started_at));
    let built_in = |module: Option<&Module>| {
        let mut entry = module.map_or_else(|| json!({ "type": "docker" }), |module| described(module, false));
        merge(
            &mut entry,
            json!({
                "runtimeStatus": "running", "exitCode": 0, "lastStartTimeUtc": started, "lastExitTimeUtc": NEVER,
                "statusDescription": "built in",
            }),
        );
        entry
    };
    let desired = input.desired;
    system.insert("edgeAgent".into(), built_in(desired.and_then(|desired| desired.edge_agent.as_ref())));
    let mut hub = built_in(desired.and_then(|desired| desired.edge_hub.as_ref()));
    merge(
        &mut hub,
        json!({
            "status": "running", "restartPolicy": "always", "restartCount": 0, "lastRestartTimeUtc": NEVER,
        }),
    );
    system.insert("edgeHub".into(), hub);
    for (name, module) in desired.map(|desired| &desired.modules).into_iter().flatten() {
        modules.insert(name.to_string(), reported_module(name, module, input));
    }
    json!({
        "schemaVersion": "1.0",
        "version": { "version": version, "build": "", "commit": "" },
        "lastDesiredVersion": input.outcome.version,
        "lastDesiredStatus": { "code": input.outcome.code, "description": input.outcome.description },
        "runtime": {
            "type": "docker",
            "settings": desired.map_or_else(|| json!({}), |desired| runtime_settings(&desired.runtime)),
            "platform": { "os": std::env::consts::OS, "architecture": std::env::consts::ARCH, "version": version },
        },
        "systemModules": system,
        "modules": modules,
    })
}

/// Credentials are left out altogether: not even an address is anybody's business.
fn runtime_settings(runtime: &Runtime) -> Value {
    json!({ "minDockerVersion": runtime.min_docker_version, "loggingOptions": runtime.logging_options })
}

fn reported_module(name: &str, module: &Module, input: &ReportInput<'_>) -> Value {
    let mut entry = described(module, true);
    let view = ModuleView::of(name, input);
    merge(
        &mut entry,
        json!({
            "status": module.status.as_str(),
            "restartPolicy": module.restart_policy.as_str(),
            "version": module.version,
            "runtimeStatus": view.word,
            "statusDescription": view.description,
            "exitCode": view.exit_code,
            "lastStartTimeUtc": time_text(view.started_at),
            "lastExitTimeUtc": time_text(view.exited_at),
            "restartCount": view.history.restarts,
            "lastRestartTimeUtc": time_text(view.history.last_restart),
        }),
    );
    entry
}

/// How one module is doing.
struct ModuleView {
    word: &'static str,
    description: String,
    exit_code: i32,
    started_at: Option<OffsetDateTime>,
    exited_at: Option<OffsetDateTime>,
    history: ModuleHistory,
}

impl ModuleView {
    fn of(name: &str, input: &ReportInput<'_>) -> Self {
        let present = input.present.get(name);
        let (exit_code, exited_at) = match present.map(|present| &present.run) {
            Some(RunState::Exited { code, at }) => (*code, Some(*at)),
            _ => (0, None),
        };
        let (word, description) = match (input.wanted.get(name), input.without_identity.get(name)) {
            (Some(wanted), _) => {
                let status = status(wanted, present, input.history.get(name));
                (status.word, input.pulling.get(name).cloned().unwrap_or(status.description))
            }
            (None, Some(reason)) => ("unknown", reason.clone()),
            (None, None) => ("unknown", "waiting for its identity".to_owned()),
        };
        Self {
            word,
            description,
            exit_code,
            started_at: present.and_then(|present| present.started_at),
            exited_at,
            history: input.history.get(name).cloned().unwrap_or_default(),
        }
    }
}

/// What the deployment says of a module, as it is reported.
fn described(module: &Module, user: bool) -> Value {
    let mut settings = create_options_parts(&module.create_options);
    settings.insert("image".into(), module.image.as_str().into());
    if let Some(digest) = &module.digest {
        settings.insert("digest".into(), digest.clone().into());
    }
    let env: Map<_, _> = module.env.iter().map(|(name, value)| (name.clone(), json!({ "value": value }))).collect();
    let mut entry = json!({
        "type": "docker",
        "imagePullPolicy": module.image_pull_policy.as_str(),
        "settings": settings,
        "env": env,
    });
    if user && module.startup_order != STARTUP_ORDER_LAST {
        entry["startupOrder"] = module.startup_order.into();
    }
    entry
}

/// `createOptions`, `createOptions01`, …
fn create_options_parts(create_options: &Map<String, Value>) -> Map<String, Value> {
    let text = Value::Object(create_options.clone()).to_string();
    let characters: Vec<char> = text.chars().collect();
    let parts = characters.chunks(CREATE_OPTIONS_PART_CHARS).enumerate();
    parts
        .map(|(number, part)| {
            let name = if number == 0 { "createOptions".to_owned() } else { format!("createOptions{number:02}") };
            (name, Value::String(part.iter().collect()))
        })
        .collect()
}

fn merge(target: &mut Value, members: Value) {
    if let (Some(target), Value::Object(members)) = (target.as_object_mut(), members) {
        target.extend(members);
    }
}

fn time_text(time: Option<OffsetDateTime>) -> String {
    time.map_or_else(|| NEVER.to_owned(), format_time)
}

/// The modules in the form of the management API.
pub fn management_list(input: &ReportInput<'_>) -> Value {
    let started = time_text(Some(input.daemon_started_at));
    let built_in = ["edgeAgent", "edgeHub"].map(|name| {
        json!({
            "id": name, "name": name, "type": "docker",
            "config": { "settings": { "image": "built in" }, "env": [] },
            "status": { "startTime": started, "runtimeStatus": { "status": "running" } },
        })
    });
    let modules = input.desired.map(|desired| &desired.modules).into_iter().flatten();
    let users = modules.map(|(name, module)| {
        let view = ModuleView::of(name, input);
        let mut status = json!({ "runtimeStatus": { "status": view.word, "description": view.description } });
        if view.started_at.is_some() {
            status["startTime"] = time_text(view.started_at).into();
        }
        if view.exited_at.is_some() {
            let exit_time = time_text(view.exited_at);
            status["exitStatus"] = json!({ "exitTime": exit_time, "statusCode": view.exit_code.to_string() });
        }
        let env: Vec<_> = module.env.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        json!({
            "id": name.as_str(), "name": name.as_str(), "type": "docker",
            "config": { "settings": { "image": module.image.as_str() }, "env": env },
            "status": status,
            "restartCount": view.history.restarts,
        })
    });
    built_in.into_iter().chain(users).collect()
}

#[cfg(test)]
mod tests;
