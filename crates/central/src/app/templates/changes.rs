//! What differs between two states of a template, as far as devices care.

use std::collections::BTreeMap;

use api::error::ErrorContext;
use model::template::{DeviceTemplate, Scope};

/// What a device may rely on, by scope, kind and name: the schema in full, and whether it is writable.
type Promises = BTreeMap<(Scope, &'static str, String), String>;

fn promises(template: &DeviceTemplate, with_cloud: bool) -> Promises {
    let mut promises = Promises::new();
    for (scope, capabilities) in template.capabilities().scopes() {
        let mut promise = |kind, name: &str, text: String| {
            promises.insert((scope.clone(), kind, name.to_owned()), text);
        };
        for telemetry in &capabilities.telemetry {
            promise("telemetry", &telemetry.element.name, format!("{:?}", telemetry.schema));
        }
        for property in capabilities.properties.iter().filter(|property| with_cloud || !property.cloud) {
            let kind = if property.cloud { "cloud property" } else { "property" };
            promise(kind, &property.element.name, format!("{:?} {}", property.schema, property.writable));
        }
        for command in &capabilities.commands {
            let request = command.request.as_ref().map(|payload| &payload.schema);
            let response = command.response.as_ref().map(|payload| &payload.schema);
            promise("command", &command.element.name, format!("{request:?} {response:?} {}", command.durable));
        }
        for component in &capabilities.components {
            promise("component", &component.name, String::new());
        }
    }
    for module in template.modules() {
        promises.insert((Scope::root(), "module", module.name.clone()), String::new());
    }
    promises
}

fn fault((scope, kind, name): &(Scope, &'static str, String), what: &str) -> ErrorContext {
    ErrorContext {
        data_path: "/capabilityModel".to_owned(),
        message: format!("the {kind} {} {what}", scope.column(name)),
    }
}

/// What the new state takes away or changes. Cloud properties may go at any time: no device knows them.
pub(super) fn breaking(old: &DeviceTemplate, new: &DeviceTemplate) -> Vec<ErrorContext> {
    let new = promises(new, false);
    let faults = promises(old, false).into_iter().filter_map(|(key, text)| match new.get(&key) {
        None => Some(fault(&key, "is missing")),
        Some(now) if *now != text => Some(fault(&key, "has another schema")),
        Some(_) => None,
    });
    faults.collect()
}

/// What differs beyond cloud properties and what is shown.
pub(super) fn beyond_patch(old: &DeviceTemplate, new: &DeviceTemplate) -> Vec<ErrorContext> {
    let mut faults = breaking(old, new);
    let known = promises(old, false);
    let added = promises(new, false).into_keys().filter(|key| !known.contains_key(key));
    faults.extend(added.map(|key| fault(&key, "is new")));
    if old.model_id() != new.model_id() {
        let message = "the id of the capability model differs".to_owned();
        faults.push(ErrorContext { data_path: "/capabilityModel/@id".to_owned(), message });
    }
    faults
}
