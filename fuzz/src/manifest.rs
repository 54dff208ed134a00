//! Manifests, at the service's level and at the device's: no input panics, what passes makes a template that passes,
//! and what passes the service passes the device.

use model::manifest::agent::AgentDesired;
use model::manifest::hub::HubDesired;
use model::manifest::{EDGE_AGENT, EDGE_HUB, Manifest};
use model::template::{DeviceTemplate, from_manifest};
use serde_json::Value;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else { return };
    let _ = AgentDesired::parse(&document);
    let _ = HubDesired::parse(&document);
    let Ok(manifest) = Manifest::parse(&document) else { return };
    let section = |name: &str| Value::Object(manifest.desired[name].clone());
    AgentDesired::parse(&section(EDGE_AGENT)).expect("a device takes what the service took");
    HubDesired::parse(&section(EDGE_HUB)).expect("a device takes what the service took");
    let (template, _) = from_manifest("dtmi:modelDefinition:fuzz;1", "fuzz", &manifest);
    DeviceTemplate::parse(template).expect("a generated template is a good one");
}
