//! The events of devices and modules that appear, change and go: bodies of [`OutboxKind::Lifecycle`].
//!
//! | `event` | Further members |
//! | --- | --- |
//! | `created` | `displayName`, `template`, `enabled`, `isEdge` (devices) |
//! | `updated` | `changed`: names of what changed; the new values where they are no secrets |
//! | `enabled`, `disabled` | – |
//! | `templateChanged` | `template`, `previous` |
//! | `provisioned` | `enrollmentGroup` |
//! | `deleted` | – |
//!
//! One change may give several. Keys are never in an event.

use serde_json::{Map, Value, json};

use super::outbox::{OutboxEvent, OutboxKind};
use super::{DeviceRow, ModuleRow};

/// A device's event.
pub(super) fn of_device(application: &str, device: &DeviceRow, at_ms: i64, body: &Value) -> OutboxEvent {
    OutboxEvent {
        kind: OutboxKind::Lifecycle,
        application: application.to_owned(),
        device: device.id.clone(),
        module: None,
        generation: device.generation_id.clone(),
        organization: device.organization.clone(),
        at_ms,
        body: body.to_string(),
    }
}

/// A module's event.
pub(super) fn of_module(
    application: &str,
    module: &ModuleRow,
    organization: Option<String>,
    at_ms: i64,
    body: &Value,
) -> OutboxEvent {
    OutboxEvent {
        kind: OutboxKind::Lifecycle,
        application: application.to_owned(),
        device: module.device.clone(),
        module: Some(module.id.clone()),
        generation: module.generation_id.clone(),
        organization,
        at_ms,
        body: body.to_string(),
    }
}

/// Body of a new device's event.
pub(super) fn created(device: &DeviceRow) -> Value {
    json!({
        "event": "created",
        "displayName": device.display_name,
        "template": device.template,
        "enabled": device.enabled,
        "isEdge": device.is_edge,
    })
}

/// Bodies of the events of a device's change; none when only its etag did.
pub(super) fn changes(before: &DeviceRow, after: &DeviceRow) -> Vec<Value> {
    let mut bodies = Vec::new();
    if before.template != after.template {
        bodies.push(template_changed(before.template.as_deref(), after.template.as_deref()));
    }
    if before.enabled != after.enabled {
        bodies.push(json!({ "event": if after.enabled { "enabled" } else { "disabled" } }));
    }
    let mut values = Map::new();
    if before.display_name != after.display_name {
        values.insert("displayName".to_owned(), json!(after.display_name));
    }
    if before.organization != after.organization {
        values.insert("organization".to_owned(), json!(after.organization));
    }
    if !values.is_empty() {
        bodies.push(updated(values));
    }
    bodies
}

/// Body of an `updated` event that gives the new values.
pub(super) fn updated(values: Map<String, Value>) -> Value {
    let mut body = json!({ "event": "updated", "changed": values.keys().collect::<Vec<_>>() });
    body.as_object_mut().expect("it was made as an object").extend(values);
    body
}

/// Body of an `updated` event about something secret.
pub(super) fn updated_secret(name: &str) -> Value {
    json!({ "event": "updated", "changed": [name] })
}

/// Body of a `templateChanged` event.
pub(super) fn template_changed(previous: Option<&str>, template: Option<&str>) -> Value {
    json!({ "event": "templateChanged", "template": template, "previous": previous })
}
