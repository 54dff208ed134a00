//! Templates made from manifests: the documented example, the worked example, each kind of value.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::template::{DeviceTemplate, Scope};

const SENSOR: &str = include_str!("../../../../../examples/manifests/simulated-temperature-sensor.json");
const PRESS: &str = include_str!("../tests/press-manifest.json");

fn manifest(text: &str) -> Manifest {
    Manifest::parse(&serde_json::from_str(text).unwrap()).unwrap()
}

#[test]
fn the_documented_example() {
    let (json, warnings) = from_manifest("dtmi:modelDefinition:demo:sensor;1", "Temperature sensor", &manifest(SENSOR));
    assert_eq!(warnings, []);
    let module = "SimulatedTemperatureSensor";
    assert_eq!(
        json,
        json!({
            "@id": "dtmi:modelDefinition:demo:sensor;1",
            "@type": ["ModelDefinition", "DeviceModel", "EdgeModel"],
            "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
            "displayName": "Temperature sensor",
            "capabilityModel": {
                "@id": "dtmi:demo:sensor;1",
                "@type": "Interface",
                "displayName": "Temperature sensor",
                "contents": [{
                    "@type": ["Relationship", "EdgeModule"],
                    "name": module,
                    "displayName": "Module SimulatedTemperatureSensor",
                    "maxMultiplicity": 1,
                    "target": [{
                        "@id": "dtmi:demo:sensor:SimulatedTemperatureSensor;1",
                        "@type": "Interface",
                        "displayName": "Module SimulatedTemperatureSensor",
                        "contents": [],
                        "extends": [{
                            "@id": "dtmi:demo:sensor:SimulatedTemperatureSensor:management;1",
                            "@type": ["Interface", "NamedInterface"],
                            "name": "management",
                            "displayName": "management",
                            "contents": [
                                {"@type": "Property", "name": "SendData", "displayName": "SendData",
                                 "schema": "boolean", "writable": true},
                                {"@type": "Property", "name": "SendInterval", "displayName": "SendInterval",
                                 "schema": "integer", "writable": true},
                            ],
                        }],
                    }],
                }],
            },
        })
    );
    let template = DeviceTemplate::parse(json).unwrap();
    let scope = template.capabilities().scope(&Scope::new(Some(module), None)).unwrap();
    assert!(scope.property("SendInterval").unwrap().writable);
}

#[test]
fn the_worked_example() {
    let (json, warnings) = from_manifest("dtmi:modelDefinition:factory:pressGateway;1", "Press", &manifest(PRESS));
    let template = DeviceTemplate::parse(json).unwrap();
    assert_eq!(template.model_id(), "dtmi:factory:pressGateway;1");
    let modules: Vec<_> = template.modules().iter().map(|module| module.name.as_str()).collect();
    assert_eq!(modules, ["uplinkFilter", "vibrationProbe"]);
    let scope = template.capabilities().scope(&Scope::new(Some("vibrationProbe"), None)).unwrap();
    let kinds: Vec<_> =
        scope.properties.iter().map(|property| (property.element.name.as_str(), property.schema.kind())).collect();
    assert_eq!(
        kinds,
        [("limits", "Object"), ("pressName", "string"), ("publishRaw", "boolean"), ("sampleSeconds", "integer"),]
    );
    let places: Vec<_> = warnings.iter().map(|warning| warning.pointer.as_str()).collect();
    assert_eq!(places, ["/modulesContent/vibrationProbe/properties.desired/axes"]);
}

/// The schema made for a value; `None` when it is left out.
fn schema_of(value: Value) -> Option<Value> {
    schema(&value, &Pointer::root(""), 1, &mut Vec::new()).ok()
}

fn check(value: Value, expected: Value) {
    assert_eq!(schema_of(value.clone()), Some(expected).filter(|schema| !schema.is_null()), "{value}");
}

fn map_of(schema: &str) -> Value {
    json!({"@type": "Map", "mapKey": {"name": "key", "schema": "string"}, "mapValue": {"name": "value", "schema": schema}})
}

#[test]
fn schemas_of_values() {
    check(json!(true), json!("boolean"));
    check(json!("2024-03-05"), json!("string"));
    check(json!(10), json!("integer"));
    check(json!(i32::MAX), json!("integer"));
    check(json!(i64::from(i32::MAX) + 1), json!("long"));
    check(json!(10.0), json!("double"));
    check(json!(u64::MAX), json!("double"));
    for left_out in [json!(null), json!([]), json!([1]), json!({}), json!({"value": 1, "ac": 200}), json!({"a": [1]})] {
        check(left_out, Value::Null);
    }
    check(
        json!({"warn": 4.5, "list": [1]}),
        json!({"@type": "Object", "fields": [{"name": "warn", "displayName": "warn", "schema": "double"}]}),
    );
    check(json!({"a-b": 1, "c": 2}), map_of("integer"));
    check(json!({"a-b": 1, "c": 2.5}), map_of("double"));
    check(json!({"a-b": 1, "c": "x"}), Value::Null);
    let fields =
        |count: usize| -> Value { (0..count).map(|n| (format!("f{n}"), json!(1))).collect::<Map<_, _>>().into() };
    assert_eq!(schema_of(fields(DTDL_FIELDS_MAX)).unwrap()["@type"], "Object");
    check(fields(DTDL_FIELDS_MAX + 1), map_of("integer"));
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({ "n": inner }));
    assert!(schema_of(nested(DTDL_SCHEMA_DEPTH_MAX)).is_some());
    check(nested(DTDL_SCHEMA_DEPTH_MAX + 1), Value::Null);
}

#[test]
fn names_that_are_no_property_are_left_out_with_a_warning() {
    let mut warnings = Vec::new();
    let desired = json!({"ok": 1, "2nd": 1, "a-b": 1, "n_": 1, "$version": 3});
    let found = properties(desired.as_object().unwrap(), &Pointer::root(""), &mut warnings);
    assert_eq!(found.len(), 1);
    let places: Vec<_> = warnings.iter().map(|warning| warning.pointer.as_str()).collect();
    assert_eq!(places, ["/2nd", "/a-b", "/n_"]);
    let many: Value = (0..=DTDL_CONTENTS_MAX).map(|n| (format!("p{n}"), json!(1))).collect::<Map<_, _>>().into();
    let mut warnings = Vec::new();
    assert_eq!(properties(many.as_object().unwrap(), &Pointer::root(""), &mut warnings).len(), DTDL_CONTENTS_MAX);
    assert_eq!(warnings.len(), 1);
}

#[test]
fn a_block_without_a_module_is_told() {
    let mut document: Value = serde_json::from_str(SENSOR).unwrap();
    document["modulesContent"]["ghost"] = json!({"properties.desired": {"a": 1}});
    let (_, warnings) = from_manifest("dtmi:a;1", "A", &Manifest::parse(&document).unwrap());
    assert_eq!(warnings[0].pointer, "/modulesContent/ghost");
}

/// Desired properties of all kinds, good and bad.
fn desired() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1.0e9..1.0e9).prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
    ];
    let value = scalar.prop_recursive(6, 30, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3)
                .prop_map(|items| items.into_iter().filter_map(without_null).collect::<Value>()),
            proptest::collection::btree_map("[a-z_-]{1,3}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    proptest::collection::btree_map("[a-zA-Z0-9_-]{1,6}", value, 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// What of a value an array may hold.
fn without_null(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(members) => {
            let kept = members.into_iter().filter_map(|(name, value)| Some((name, without_null(value)?)));
            Some(Value::Object(kept.collect()))
        }
        other => Some(other),
    }
}

proptest! {
    /// Whatever a manifest holds, its template is a good one, and its values fit.
    #[test]
    fn a_generated_template_parses(
        id in "(dtmi:(modelDefinition:)?[a-z]{1,60}(:[a-z]{1,60}){0,3}(;[1-9])?|[ -~]{0,20})",
        label in "\\PC{0,80}",
        blocks in proptest::collection::btree_map("[A-Za-z0-9_-]{1,20}", desired(), 0..4),
    ) {
        prop_assume!(!blocks.contains_key("edgeAgent") && !blocks.contains_key("edgeHub"));
        let mut document: Value = serde_json::from_str(SENSOR).unwrap();
        for (name, desired) in &blocks {
            document["modulesContent"][name] = json!({ "properties.desired": desired });
            document["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"][name] = json!({
                "type": "docker", "status": "running", "restartPolicy": "never", "settings": {"image": "a"},
            });
        }
        let manifest = Manifest::parse(&document).unwrap();
        let (mut json, warnings) = from_manifest(&id, &label, &manifest);
        json.as_object_mut().unwrap().remove("@id");
        let template = match DeviceTemplate::parse(json) {
            Ok(template) => template,
            Err(errors) => return Err(TestCaseError::fail(format!("{errors:?}"))),
        };
        prop_assert!(template.model_id() != id);
        for (name, desired) in &blocks {
            let scope = template.capabilities().scope(&Scope::new(Some(name), None)).unwrap();
            for property in &scope.properties {
                // Of a value with parts that have no type, which is said, the rest fits; of any other the whole.
                let place = format!("/modulesContent/{name}/properties.desired/{}/", property.element.name);
                if !warnings.iter().any(|warning| warning.pointer.starts_with(&place)) {
                    prop_assert_eq!(property.schema.validate(&desired[&property.element.name]), Ok(()));
                }
            }
        }
    }
}
