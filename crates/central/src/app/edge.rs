//! An edge device: what it was told to run, and what its agent and hub say of it.

use std::collections::BTreeMap;

use api::edge::{AppliedStatus, EdgeClient, EdgeModule, EdgeView};
use model::identity::Identity;
use model::manifest::{EDGE_AGENT, EDGE_HUB};
use model::twin::Twin;
use registry::StoreError;
use serde_json::{Map, Value, json};

use super::{Access, App, AppError};

fn text(section: &Value, name: &str) -> Option<String> {
    section.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn number(section: &Value, name: &str) -> Option<i64> {
    section.get(name).and_then(Value::as_i64)
}

/// A time an agent reported; what was never is left out.
fn moment(section: &Value, name: &str) -> Option<String> {
    text(section, name).filter(|time| !time.starts_with("0001-01-01"))
}

/// The members of a section of a twin, by name.
fn members<'v>(section: &'v Map<String, Value>, name: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    section.get(name).and_then(Value::as_object).into_iter().flatten()
}

/// The modules both sections of the agent's twin speak of, system modules first.
fn modules(agent: &Twin, clients: &BTreeMap<String, EdgeClient>, device: &str) -> Vec<EdgeModule> {
    let mut modules: BTreeMap<(bool, String), EdgeModule> = BTreeMap::new();
    for (group, is_system) in [("systemModules", true), ("modules", false)] {
        let id_of = |name: &String| match name.as_str() {
            "edgeAgent" if is_system => EDGE_AGENT.to_owned(),
            "edgeHub" if is_system => EDGE_HUB.to_owned(),
            name => name.to_owned(),
        };
        for (name, desired) in members(&agent.desired.properties, group) {
            let id = id_of(name);
            let module = modules.entry((!is_system, id.clone())).or_default();
            *module = EdgeModule { id, is_system, ..EdgeModule::default() };
            module.image = desired.get("settings").and_then(|settings| text(settings, "image"));
            module.status = text(desired, "status").or_else(|| Some("running".to_owned()));
        }
        for (name, reported) in members(&agent.reported.properties, group) {
            let id = id_of(name);
            let module = modules.entry((!is_system, id.clone())).or_default();
            module.id = id;
            module.is_system = is_system;
            module.image =
                module.image.take().or_else(|| reported.get("settings").and_then(|settings| text(settings, "image")));
            module.runtime_status = text(reported, "runtimeStatus");
            module.exit_code = number(reported, "exitCode");
            module.restart_count = number(reported, "restartCount");
            module.status_description = text(reported, "statusDescription").filter(|text| !text.is_empty());
            module.last_start = moment(reported, "lastStartTimeUtc");
            module.last_exit = moment(reported, "lastExitTimeUtc");
            module.last_restart = moment(reported, "lastRestartTimeUtc");
        }
    }
    for module in modules.values_mut() {
        let client = clients.get(&format!("{device}/{}", module.id));
        module.connection = client.map(|client| client.status.clone());
    }
    modules.into_values().collect()
}

/// The clients the hub reported, by id.
fn clients(hub: &Twin) -> BTreeMap<String, EdgeClient> {
    let clients = members(&hub.reported.properties, "clients").map(|(id, client)| {
        // Names in a twin cannot hold a dot, so the hub writes it percent-encoded.
        let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy().into_owned();
        let client = EdgeClient {
            id: id.clone(),
            status: text(client, "status").unwrap_or_default().to_lowercase(),
            last_connected: moment(client, "lastConnectedTimeUtc"),
            last_disconnected: moment(client, "lastDisconnectedTimeUtc"),
        };
        (id, client)
    });
    clients.collect()
}

impl App {
    async fn edge_twins(&self, access: &Access, device: &str) -> Result<(Twin, Twin), AppError> {
        let row = self.device_row(access, device).await?;
        if !row.is_edge {
            return Err(AppError::BadRequest(format!("The device '{device}' is not an edge device.")));
        }
        let application = access.application();
        let agent = self.twins().get(application, &Identity::module(device, EDGE_AGENT)).await?;
        let hub = self.twins().get(application, &Identity::module(device, EDGE_HUB)).await?;
        Ok((agent, hub))
    }

    /// What an edge device should run and runs.
    pub async fn edge_view(&self, access: &Access, device: &str) -> Result<EdgeView, AppError> {
        let (agent, hub) = self.edge_twins(access, device).await?;
        let application = access.application();
        let manifest = self.registry().device_manifest_get(application, device).await?;
        let manifest = manifest.map(|manifest| serde_json::from_str(&manifest.data)).transpose();
        let manifest = manifest.map_err(|source| StoreError::Corrupt { what: "deployment manifest", source })?;
        let status = agent.reported.properties.get("lastDesiredStatus").map(|status| AppliedStatus {
            code: number(status, "code").unwrap_or_default(),
            description: text(status, "description").unwrap_or_default(),
        });
        let clients = clients(&hub);
        Ok(EdgeView {
            manifest,
            last_report: agent.reported.metadata.get("$lastUpdated").and_then(Value::as_str).map(str::to_owned),
            desired_version: agent.desired.version,
            applied_version: agent.reported.properties.get("lastDesiredVersion").and_then(Value::as_u64),
            applied_status: status,
            connected: self.sessions().status(application, &Identity::module(device, EDGE_AGENT)).connected,
            modules: modules(&agent, &clients, device),
            clients: clients.into_values().collect(),
        })
    }

    /// What runs on an edge device, in the form the command line extension reads.
    pub async fn edge_modules(&self, access: &Access, device: &str) -> Result<Value, AppError> {
        let (agent, hub) = self.edge_twins(access, device).await?;
        let connections = clients(&hub);
        let mut listed = Vec::new();
        for module in modules(&agent, &connections, device) {
            let group = if module.is_system { "systemModules" } else { "modules" };
            let name = module.id.trim_start_matches('$').to_owned();
            let member = |section: &Map<String, Value>| {
                let member = section
                    .get(group)
                    .and_then(|modules| modules.get(if module.is_system { &name } else { &module.id }));
                member.cloned().unwrap_or(Value::Null)
            };
            let (desired, reported) = (member(&agent.desired.properties), member(&agent.reported.properties));
            // What the agent reports last says most; the manifest fills in what it left out.
            let mut entry = desired;
            if !entry.is_object() {
                entry = json!({});
            }
            model::twin::merge_patch(&mut entry, &if reported.is_object() { reported } else { json!({}) });
            entry["moduleId"] = json!(module.id);
            entry["isSystemModule"] = json!(module.is_system);
            entry["connectionState"] = json!(module.connection.as_deref().unwrap_or("disconnected"));
            entry["twinStatus"] = json!("enabled");
            listed.push(entry);
        }
        Ok(json!({ "modules": listed }))
    }
}
