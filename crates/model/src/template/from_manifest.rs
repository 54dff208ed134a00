//! A first template for the devices of a deployment manifest.
//!
//! Each user module becomes an edge module of the template. Where the manifest gives it desired properties, its model
//! inherits an interface named `management` with one writable property for each:
//!
//! | Value in the manifest | Schema |
//! |---|---|
//! | true, false | `boolean` |
//! | whole number | `integer`, `long` where 32 bits are too few |
//! | number with a fraction | `double` |
//! | text | `string` (no guess at dates) |
//! | object of names, at most 30, 5 deep | Object, a field for each |
//! | object of other keys, or more | Map, if all values are alike |
//! | array, null, empty object, `{"value": …}` | left out, with a warning |
//!
//! A manifest says nothing about telemetry, commands and reported properties; those are added by hand. Its values do
//! not become initial values: template and manifest would then both claim them.

mod ids;

use serde_json::{Map, Value, json};

use self::ids::InterfaceIds;
use crate::dtdl::dtmi::is_user_segment;
use crate::limits::{
    DTDL_CONTENTS_MAX, DTDL_DISPLAY_NAME_CHARS_MAX, DTDL_FIELDS_MAX, DTDL_NAME_CHARS_MAX, DTDL_SCHEMA_DEPTH_MAX,
};
use crate::manifest::{EDGE_AGENT, EDGE_HUB, Manifest};
use crate::pointer::Pointer;

/// Something in the manifest that the template does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// JSON pointer into the manifest, in its form without the outer `content`.
    pub pointer: String,
    /// What was left out, and why.
    pub message: String,
}

/// Makes a template document with the id `template_id` for devices that run `manifest`.
///
/// The ids of its interfaces are derived from `template_id` (a leading `modelDefinition` dropped) and the module names.
pub fn from_manifest(template_id: &str, display_name: &str, manifest: &Manifest) -> (Value, Vec<Warning>) {
    let mut warnings = Vec::new();
    let mut ids = InterfaceIds::new(template_id, display_name);
    let display_name: String = display_name.chars().take(DTDL_DISPLAY_NAME_CHARS_MAX).collect();
    let blocks = Pointer::root("/modulesContent");
    let mut contents = Vec::new();
    for name in manifest.module_names() {
        let at = blocks.key(name);
        let at = at.key("properties.desired");
        contents.push(module(name, manifest.module_desired(name), &mut ids, &at, &mut warnings));
    }
    for name in manifest.desired.keys().filter(|name| *name != EDGE_AGENT && *name != EDGE_HUB) {
        if !manifest.agent.modules.contains_key(name.as_str()) {
            let message = format!("{name} is not among the modules to run, so the template does not have it");
            warn(&blocks.key(name), message, &mut warnings);
        }
    }
    let template = json!({
        "@id": template_id,
        "@type": ["ModelDefinition", "DeviceModel", "EdgeModel"],
        "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
        "displayName": display_name,
        "capabilityModel": {
            "@id": ids.root(),
            "@type": "Interface",
            "displayName": display_name,
            "contents": contents,
        },
    });
    (template, warnings)
}

fn module(
    name: &str,
    desired: Option<&Map<String, Value>>,
    ids: &mut InterfaceIds,
    at: &Pointer<'_>,
    warnings: &mut Vec<Warning>,
) -> Value {
    let label: String = format!("Module {name}").chars().take(DTDL_DISPLAY_NAME_CHARS_MAX).collect();
    let mut model = json!({
        "@id": ids.module(name),
        "@type": "Interface",
        "displayName": label,
        "contents": [],
    });
    if let Some(desired) = desired {
        model["extends"] = json!([{
            "@id": ids.management(name),
            "@type": ["Interface", "NamedInterface"],
            "name": "management",
            "displayName": "management",
            "contents": properties(desired, at, warnings),
        }]);
    }
    json!({
        "@type": ["Relationship", "EdgeModule"],
        "name": name,
        "displayName": label,
        "maxMultiplicity": 1,
        "target": [model],
    })
}

fn properties(desired: &Map<String, Value>, at: &Pointer<'_>, warnings: &mut Vec<Warning>) -> Vec<Value> {
    let mut properties = Vec::new();
    for (name, value) in desired {
        let at = at.key(name);
        if name.starts_with('$') {
            continue;
        }
        if properties.len() == DTDL_CONTENTS_MAX {
            let message = format!("{name} is left out: an interface has at most {DTDL_CONTENTS_MAX} contents");
            warn(&at, message, warnings);
            continue;
        }
        if !is_name(name) {
            warn(&at, format!("{name} is left out: it is no name a property can have"), warnings);
            continue;
        }
        match schema(value, &at, 1, warnings) {
            Ok(schema) => properties.push(json!({
                "@type": "Property",
                "name": name,
                "displayName": name,
                "schema": schema,
                "writable": true,
            })),
            Err(reason) => warn(&at, format!("{name} is left out: {reason}"), warnings),
        }
    }
    properties
}

/// The schema of a value. `level` counts the complex schemas around it and itself.
fn schema(value: &Value, at: &Pointer<'_>, level: usize, warnings: &mut Vec<Warning>) -> Result<Value, &'static str> {
    match value {
        Value::Bool(_) => Ok("boolean".into()),
        Value::String(_) => Ok("string".into()),
        Value::Number(number) => Ok(match number.as_i64() {
            Some(whole) if i32::try_from(whole).is_ok() => "integer".into(),
            Some(_) => "long".into(),
            None => "double".into(),
        }),
        Value::Null => Err("null has no type"),
        Value::Array(_) => Err("a property cannot hold an array"),
        Value::Object(members) if members.is_empty() => Err("an empty object has no fields"),
        Value::Object(members) if is_wrapper(members) => Err("{\"value\": …} is an acknowledgement, not a value"),
        Value::Object(_) if level > DTDL_SCHEMA_DEPTH_MAX => Err("objects are nested too deeply"),
        Value::Object(members) if members.len() <= DTDL_FIELDS_MAX && members.keys().all(|name| is_name(name)) => {
            object_schema(members, at, level, warnings)
        }
        Value::Object(members) => map_schema(members, at, level, warnings),
    }
}

/// An object with a field for each member that has a schema.
fn object_schema(
    members: &Map<String, Value>,
    at: &Pointer<'_>,
    level: usize,
    warnings: &mut Vec<Warning>,
) -> Result<Value, &'static str> {
    let mut fields = Vec::new();
    for (name, value) in members {
        let at = at.key(name);
        match schema(value, &at, level + 1, warnings) {
            Ok(schema) => fields.push(json!({ "name": name, "displayName": name, "schema": schema })),
            Err(reason) => warn(&at, format!("{name} is left out: {reason}"), warnings),
        }
    }
    if fields.is_empty() {
        Err("none of its fields has a type")
    } else {
        Ok(json!({ "@type": "Object", "fields": fields }))
    }
}

/// A map, if one schema fits all values.
fn map_schema(
    members: &Map<String, Value>,
    at: &Pointer<'_>,
    level: usize,
    warnings: &mut Vec<Warning>,
) -> Result<Value, &'static str> {
    let mut common = None;
    for (name, value) in members {
        let schema = schema(value, &at.key(name), level + 1, warnings)?;
        common = Some(match common {
            None => schema,
            Some(other) => {
                unify(other, schema).ok_or("its keys are no field names, and its values are of different types")?
            }
        });
    }
    Ok(json!({
        "@type": "Map",
        "mapKey": { "name": "key", "schema": "string" },
        "mapValue": { "name": "value", "schema": common },
    }))
}

/// The schema that takes the values of both; numbers widen.
fn unify(one: Value, other: Value) -> Option<Value> {
    const NUMBERS: [&str; 3] = ["integer", "long", "double"];
    if one == other {
        return Some(one);
    }
    let width = |schema: &Value| NUMBERS.iter().position(|name| schema == name);
    Some(NUMBERS[width(&one)?.max(width(&other)?)].into())
}

fn is_wrapper(members: &Map<String, Value>) -> bool {
    members.contains_key("value") && members.keys().all(|name| matches!(name.as_str(), "value" | "ac" | "av" | "ad"))
}

fn is_name(name: &str) -> bool {
    is_user_segment(name) && name.len() <= DTDL_NAME_CHARS_MAX
}

fn warn(at: &Pointer<'_>, message: String, warnings: &mut Vec<Warning>) {
    warnings.push(Warning { pointer: at.to_string(), message });
}

#[cfg(test)]
mod tests;
