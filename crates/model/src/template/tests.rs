//! The worked example of the reference, each scope, and what a template is refused for.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::limits::TEMPLATE_TEXT_CHARS_MAX;
use crate::mutation::{assert_leads_somewhere, each_mutation};

/// An edge template with a module, a component in it, named interfaces and cloud properties.
const PRESS: &str = include_str!("tests/press-gateway.json");

fn press() -> DeviceTemplate {
    DeviceTemplate::parse(serde_json::from_str(PRESS).unwrap()).unwrap()
}

fn names<'e>(elements: impl IntoIterator<Item = &'e Element>) -> Vec<&'e str> {
    elements.into_iter().map(|element| element.name.as_str()).collect()
}

#[test]
fn the_worked_example_by_scope() {
    let template = press();
    assert!(template.is_edge() && !template.is_gateway());
    assert_eq!(template.model_id(), "dtmi:factory:pressGateway;1");
    assert_eq!(template.display_name().unwrap().text(), "Press gateway");
    assert_eq!(names(template.modules()), ["vibrationProbe"]);
    assert_eq!(names(template.components(Some("vibrationProbe"))), ["bearing"]);
    assert!(template.components(None).is_empty());
    assert_eq!(template.components(Some("other")).len(), 0);

    let capabilities = template.capabilities();
    let root = capabilities.root();
    assert_eq!(names(root.properties.iter().map(|property| &property.element)), ["hall", "nextService"]);
    assert!(root.properties.iter().all(|property| property.cloud && !property.writable));

    let module = capabilities.scope(&Scope::new(Some("vibrationProbe"), None)).unwrap();
    let sample = module.property("sampleSeconds").unwrap();
    assert!(sample.writable && !sample.cloud);
    assert_eq!((sample.schema.kind(), sample.initial_value.clone()), ("double", Some(json!(5))));
    assert_eq!(module.property("limits").unwrap().schema.kind(), "Object");
    assert!(!module.property("firmware").unwrap().writable);
    assert_eq!(names(module.telemetry.iter().map(|telemetry| &telemetry.element)), ["rms", "peak"]);
    let calibrate = module.command("calibrate").unwrap();
    assert_eq!(calibrate.request.as_ref().unwrap().schema, Schema::Integer);
    assert_eq!(calibrate.response.as_ref().unwrap().schema, Schema::Double);
    assert!(!calibrate.durable);

    let bearing = capabilities.scope(&Scope::new(Some("vibrationProbe"), Some("bearing"))).unwrap();
    let ring = bearing.telemetry("ringTemperature").unwrap();
    assert_eq!(ring.unit.as_deref(), Some("degreeCelsius"));
    assert_eq!(ring.semantic_type.as_deref(), Some("Temperature"));
    assert_eq!(bearing.telemetry("wear").unwrap().schema.kind(), "Enum");
    assert!(capabilities.scope(&Scope::new(None, Some("bearing"))).is_none());
}

fn column_names(template: &DeviceTemplate) -> Vec<String> {
    template.capabilities().columns().map(|column| column.name).collect()
}

#[test]
fn columns() {
    let mut names = column_names(&press());
    names.sort();
    assert_eq!(
        names,
        [
            "vibrationProbe.bearing.ringTemperature",
            "vibrationProbe.bearing.shock",
            "vibrationProbe.bearing.wear",
            "vibrationProbe.peak",
            "vibrationProbe.rms",
        ]
    );
    assert_eq!(Scope::root().column("t"), "t");
    assert_eq!(Scope::new(None, Some("c")).column("t"), "c.t");
}

#[test]
fn the_document_is_kept_as_sent() {
    let json: Value = serde_json::from_str(PRESS).unwrap();
    assert_eq!(DeviceTemplate::parse(json.clone()).unwrap().json(), &json);
}

fn template(contents: Value) -> Value {
    json!({
        "@type": ["ModelDefinition", "DeviceModel"],
        "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
        "displayName": {"en": "Thing", "de": "Ding"},
        "capabilityModel": {"@id": "dtmi:test:thing;1", "@type": "Interface", "contents": contents},
    })
}

fn check(document: Value, expected: &[(&str, &str)]) {
    let errors = DeviceTemplate::parse(document.clone()).err().unwrap_or_default();
    let found: Vec<_> = errors.iter().map(|error| (error.code, error.pointer.as_str())).collect();
    assert_eq!(found, expected, "{document:#}");
}

#[test]
fn the_outside() {
    let with = |member: &str, value: Value| {
        let mut document = template(json!([]));
        match value.is_null() {
            true => document.as_object_mut().unwrap().remove(member),
            false => document.as_object_mut().unwrap().insert(member.to_owned(), value),
        };
        document
    };
    check(template(json!([])), &[]);
    check(with("@context", Value::Null), &[]);
    check(with("@id", json!("dtmi:modelDefinition:thing;1")), &[]);
    check(with("etag", json!("\"x\"")), &[]);
    check(json!([]), &[(code::WRONG_TYPE, "")]);
    check(with("@id", json!("dtmi:modelDefinition:abcde1fg:hijk2lmn")), &[]);
    check(with("@id", json!("thing")), &[(code::BAD_DTMI, "/@id")]);
    check(with("@type", json!(["DeviceModel"])), &[(code::UNKNOWN_TYPE, "")]);
    check(with("@type", Value::Null), &[(code::UNKNOWN_TYPE, ""), (code::UNKNOWN_TYPE, "")]);
    check(with("displayName", json!(5)), &[(code::WRONG_TYPE, "/displayName")]);
    check(with("description", json!("x".repeat(TEMPLATE_TEXT_CHARS_MAX))), &[]);
    check(with("description", json!("x".repeat(TEMPLATE_TEXT_CHARS_MAX + 1))), &[(code::TOO_LONG, "/description")]);
    check(with("capabilityModel", Value::Null), &[(code::MISSING_PROPERTY, "")]);
    check(with("capabilityModel", json!("dtmi:test:other;1")), &[(code::WRONG_TYPE, "/capabilityModel")]);
    check(with("capabilityModel", json!({"@type": "Interface"})), &[(code::MISSING_ID, "/capabilityModel")]);
    check(with("@context", json!("dtmi:dtdl:context;3")), &[(code::UNSUPPORTED_VERSION, "/@context")]);
}

#[test]
fn the_inside_is_dtdl_with_places() {
    let place = |rest: &str| format!("/capabilityModel/contents/0{rest}");
    let bad = template(json!([{"@type": "Telemetry", "name": "t", "schema": "number"}]));
    check(bad, &[(code::BAD_SCHEMA, &place("/schema"))]);
    let unit =
        template(json!([{"@type": ["Telemetry", "Temperature"], "name": "t", "schema": "double", "unit": "metre"}]));
    check(unit, &[(code::BAD_UNIT, &place("/unit"))]);
    let reserved = template(json!([{"@type": "Telemetry", "name": "User", "schema": "double"}]));
    check(reserved, &[(code::RESERVED_NAME, &place("/name"))]);
    let initial = template(json!([
        {"@type": ["Property", "Initialized"], "name": "p", "schema": "integer", "initialValue": "five"},
    ]));
    check(initial, &[(code::BAD_INITIAL_VALUE, &place("/initialValue"))]);
    let unresolved = template(json!([{"@type": "Component", "name": "c", "schema": "dtmi:test:elsewhere;1"}]));
    check(unresolved, &[(code::UNRESOLVED_REFERENCE, &place("/schema"))]);
    let module = json!({"@type": ["Relationship", "EdgeModule"], "name": "m", "target": ["dtmi:test:elsewhere;1"]});
    check(template(json!([module])), &[(code::UNRESOLVED_REFERENCE, &place("/target"))]);
}

#[test]
fn what_templates_may_and_plain_documents_may_not() {
    check(
        template(json!([
            {"@type": ["Telemetry", "Temperature"], "name": "noUnit", "schema": "double", "displayUnit": "°C"},
            {"@type": "Property", "name": "unknownMember", "schema": "string", "trim": true},
            {"@type": "Telemetry", "name": "place", "schema": "geopoint"},
            {"@type": ["Relationship", "EdgeModule"], "name": "0-module", "target": []},
        ])),
        &[],
    );
    // One interface written out in two places is one; two different ones of the same id are not.
    let part = |name: &str| {
        json!({"@id": "dtmi:test:part;1", "@type": "Interface", "contents": [
        {"@type": "Telemetry", "name": name, "schema": "double"}]})
    };
    let two = |one: &str, other: &str| {
        template(json!([
            {"@type": "Component", "name": "left", "schema": part(one)},
            {"@type": "Component", "name": "right", "schema": part(other)},
        ]))
    };
    check(two("a", "a"), &[]);
    check(two("a", "b"), &[(code::DUPLICATE_ID, "/capabilityModel/contents/1/schema/@id")]);
    assert_eq!(column_names(&DeviceTemplate::parse(two("a", "a")).unwrap()), ["left.a", "right.a"]);
}

#[test]
fn ids_inside_a_template_are_any_text() {
    let with_ids = |ids: [&str; 8]| {
        let [root, telemetry, property, component, part, module, inner, field] = ids;
        json!({
            "@type": ["ModelDefinition", "DeviceModel"],
            "capabilityModel": {"@id": root, "@type": "Interface", "contents": [
                {"@id": telemetry, "@type": "Telemetry", "name": "t", "schema": "double"},
                {"@id": property, "@type": "Property", "name": "p", "schema":
                    {"@id": field, "@type": "Object", "fields": [{"name": "f", "schema": "double"}]}},
                {"@id": component, "@type": "Component", "name": "c", "schema":
                    {"@id": part, "@type": "Interface", "contents": [{"@type": "Telemetry", "name": "x", "schema": "double"}]}},
                {"@id": module, "@type": ["Relationship", "EdgeModule"], "name": "m", "target":
                    [{"@id": inner, "@type": "Interface", "contents": [{"@type": "Telemetry", "name": "y", "schema": "double"}]}]},
            ]},
        })
    };
    for ids in [
        ["dtmi:a:b", "dtmi:a:b:t", "dtmi:a:b:_p", "dtmi:a:b:c", "dtmi:a:c", "dtmi:a:b:m", "dtmi:a:m", "dtmi:a:f"],
        ["urn:a:b:1", "t", "1", "{3f2a}", "urn:part", "dtmi:m-1;x", "urn:inner", "dtmi:1:2"],
    ] {
        let template = DeviceTemplate::parse(with_ids(ids)).unwrap();
        assert_eq!(template.model_id(), ids[0]);
        assert_eq!(column_names(&template), ["t", "c.x", "m.y"]);
    }
    let gap = ["dtmi:a b", "t", "p", "c", "d", "m", "i", "f"];
    check(with_ids(gap), &[(code::BAD_DTMI, "/capabilityModel/@id")]);
}

#[test]
fn gateways_and_durable_commands() {
    let mut document = template(json!([
        {"@type": ["Relationship", "GatewayDevice"], "name": "meters", "target": ["dtmi:test:meter;1", "dtmi:test:meter;2"]},
        {"@type": "Relationship", "name": "plain"},
        {"@type": "Command", "name": "restart", "durable": true},
        {"@type": ["Relationship", "EdgeModule"], "name": "m", "target": [
            {"@id": "dtmi:test:m;1", "@type": "Interface", "contents": [
                {"@type": ["Relationship", "GatewayDevice"], "name": "sensors"}]}]},
    ]));
    document["@type"] = json!(["ModelDefinition", "DeviceModel", "EdgeModel", "GatewayModel"]);
    let template = DeviceTemplate::parse(document).unwrap();
    assert!(template.is_gateway() && template.is_edge());
    let children: Vec<_> = template
        .children()
        .iter()
        .map(|child| (child.element.name.as_str(), child.module.as_deref(), child.targets.len()))
        .collect();
    assert_eq!(children, [("meters", None, 2), ("sensors", Some("m"), 0)]);
    assert!(template.capabilities().root().command("restart").unwrap().durable);
}

#[test]
fn almost_right_templates_are_refused_with_places() {
    let document: Value = serde_json::from_str(PRESS).unwrap();
    let mut refused = 0;
    each_mutation(&document, |mutated| {
        if let Err(errors) = DeviceTemplate::parse(mutated.clone()) {
            assert!(!errors.is_empty());
            errors.iter().for_each(|error| assert_leads_somewhere(mutated, &error.pointer, &error.message));
            refused += 1;
        }
    });
    assert!(refused > 100, "only {refused} mutations were refused");
}
