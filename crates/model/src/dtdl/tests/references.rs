//! References between interfaces and documents: extends, components, reusable schemas.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::{check, interface};
use crate::dtdl::{code, validate_documents};
use crate::limits::{DTDL_CONTENTS_MAX, DTDL_EXTENDS_DEPTH_MAX};

fn named(id: &str, members: Value) -> Value {
    let mut document = json!({"@context": "dtmi:dtdl:context;2", "@id": id, "@type": "Interface"});
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    document
}

fn telemetry(name: &str) -> Value {
    json!({"@type": "Telemetry", "name": name, "schema": "double"})
}

#[test]
fn references_lead_from_file_to_file() {
    let uses = named(
        "dtmi:test:phone;1",
        json!({"contents": [{"@type": "Component", "name": "cam", "schema": "dtmi:test:camera;1"}]}),
    );
    let defines = named("dtmi:test:camera;1", json!({}));
    let reports = validate_documents(&[("a".to_owned(), uses.clone()), ("b".to_owned(), defines)]);
    assert!(reports.iter().all(|report| report.valid), "{reports:?}");
    let alone = validate_documents(&[("a".to_owned(), uses)]);
    assert_eq!(alone[0].errors[0].code, code::UNRESOLVED_REFERENCE);
    assert_eq!(alone[0].errors[0].pointer, "/contents/0/schema");
}

#[test]
fn an_id_is_defined_once() {
    let one = named("dtmi:test:a;1", json!({}));
    let reports = validate_documents(&[("a".to_owned(), one.clone()), ("b".to_owned(), one)]);
    assert!(reports[0].valid);
    assert_eq!((reports[1].errors[0].code, reports[1].errors[0].pointer.as_str()), (code::DUPLICATE_ID, "/@id"));
}

#[test]
fn components() {
    let inline = json!({"@id": "dtmi:test:part;1", "@type": "Interface", "contents": [telemetry("a")]});
    check(interface(json!([{"@type": "Component", "name": "part", "schema": inline}])), &[]);
    check(
        interface(json!([{"@type": "Component", "name": "part", "schema": "part"}])),
        &[(code::BAD_DTMI, "/contents/0/schema")],
    );
    check(interface(json!([{"@type": "Component", "name": "part"}])), &[(code::MISSING_PROPERTY, "/contents/0")]);
    let nested = json!({"@id": "dtmi:test:part;1", "@type": "Interface", "contents": [
        {"@type": "Component", "name": "inner", "schema": {"@id": "dtmi:test:inner;1", "@type": "Interface"}},
    ]});
    check(
        interface(json!([{"@type": "Component", "name": "part", "schema": nested}])),
        &[(code::NESTED_COMPONENT, "/contents/0/schema")],
    );
    // A component of its own interface is a component with components.
    check(
        interface(json!([{"@type": "Component", "name": "me", "schema": "dtmi:test:thing;1"}])),
        &[(code::NESTED_COMPONENT, "/contents/0/schema")],
    );
}

#[test]
fn inherited_names_are_the_interfaces_own() {
    let base = named("dtmi:test:base;1", json!({"contents": [telemetry("a")]}));
    let heir =
        |name: &str| named("dtmi:test:heir;1", json!({"extends": "dtmi:test:base;1", "contents": [telemetry(name)]}));
    check(json!([base, heir("b")]), &[]);
    // The heir's own comes first in the walk, so the inherited one is the second.
    check(json!([base, heir("a")]), &[(code::DUPLICATE_NAME, "/1")]);
    check(json!([heir("b")]), &[(code::UNRESOLVED_REFERENCE, "/0/extends")]);
}

#[test]
fn a_diamond_is_no_duplicate() {
    let base = named("dtmi:test:base;1", json!({"contents": [telemetry("a")]}));
    let side = |n: u8| named(&format!("dtmi:test:side{n};1"), json!({"extends": ["dtmi:test:base;1"]}));
    let heir = named("dtmi:test:heir;1", json!({"extends": ["dtmi:test:side1;1", "dtmi:test:side2;1"]}));
    check(json!([base, side(1), side(2), heir]), &[]);
}

#[test]
fn inherited_contents_count() {
    let base = |count: usize| {
        let contents: Value = (0..count).map(|n| telemetry(&format!("n{n}"))).collect();
        named("dtmi:test:base;1", json!({ "contents": contents }))
    };
    let heir = named("dtmi:test:heir;1", json!({"extends": "dtmi:test:base;1", "contents": [telemetry("own")]}));
    check(json!([base(DTDL_CONTENTS_MAX - 1), heir]), &[]);
    check(json!([base(DTDL_CONTENTS_MAX), heir]), &[(code::TOO_MANY, "/1")]);
}

#[test]
fn inheritance_ends() {
    let chain = |levels: usize| -> Value {
        (0..=levels)
            .map(|n| match n {
                0 => named("dtmi:test:level0;1", json!({})),
                n => named(&format!("dtmi:test:level{n};1"), json!({"extends": format!("dtmi:test:level{};1", n - 1)})),
            })
            .collect()
    };
    check(chain(DTDL_EXTENDS_DEPTH_MAX), &[]);
    let place = format!("/{}/extends", DTDL_EXTENDS_DEPTH_MAX + 1);
    check(chain(DTDL_EXTENDS_DEPTH_MAX + 1), &[(code::TOO_DEEP, &place)]);

    let itself = named("dtmi:test:a;1", json!({"extends": "dtmi:test:a;1"}));
    check(itself, &[(code::CYCLE, "/extends")]);
    let pair = json!([
        named("dtmi:test:a;1", json!({"extends": "dtmi:test:b;1"})),
        named("dtmi:test:b;1", json!({"extends": "dtmi:test:a;1"})),
    ]);
    check(pair, &[(code::CYCLE, "/0/extends"), (code::CYCLE, "/1/extends")]);
}

#[test]
fn reusable_schemas() {
    let with = |schemas: Value, schema: &str| {
        let mut document = interface(json!([{"@type": "Telemetry", "name": "a", "schema": schema}]));
        document["schemas"] = schemas;
        document
    };
    let point = json!({"@id": "dtmi:test:xy;1", "@type": "Object", "fields": [{"name": "x", "schema": "double"}]});
    check(with(json!([point]), "dtmi:test:xy;1"), &[]);
    check(with(json!([point, point]), "dtmi:test:xy;1"), &[(code::DUPLICATE_ID, "/schemas/1/@id")]);
    check(with(json!([{"@type": "Object", "fields": []}]), "double"), &[(code::MISSING_ID, "/schemas/0")]);
    check(with(json!([{"@id": "dtmi:test:xy;1", "@type": "double"}]), "double"), &[(code::UNKNOWN_TYPE, "/schemas/0")]);
    let itself = json!([{"@id": "dtmi:test:xy;1", "@type": "Array", "elementSchema": "dtmi:test:xy;1"}]);
    check(with(itself, "double"), &[(code::CYCLE, "/schemas/0/elementSchema")]);
    // Not of the interface that holds the component.
    let mut outer = interface(json!([{"@type": "Component", "name": "part", "schema":
        {"@id": "dtmi:test:part;1", "@type": "Interface", "contents": [
            {"@type": "Telemetry", "name": "a", "schema": "dtmi:test:xy;1"}]}}]));
    outer["schemas"] = json!([point]);
    check(outer, &[(code::UNRESOLVED_REFERENCE, "/contents/0/schema/contents/0/schema")]);
}

#[test]
fn ids_are_unique_among_all_elements() {
    let telemetry = |name: &str, id: &str| json!({"@type": "Telemetry", "@id": id, "name": name, "schema": "double"});
    check(interface(json!([telemetry("a", "dtmi:test:a;1"), telemetry("b", "dtmi:test:b;1")])), &[]);
    check(
        interface(json!([telemetry("a", "dtmi:test:a;1"), telemetry("b", "dtmi:test:a;1")])),
        &[(code::DUPLICATE_ID, "/contents/1/@id")],
    );
    check(interface(json!([telemetry("a", "dtmi:test:thing;1")])), &[(code::DUPLICATE_ID, "/contents/0/@id")]);
}

#[test]
fn an_inline_schema_with_an_id_can_be_used_again() {
    let xy = json!({"@id": "dtmi:test:xy;1", "@type": "Object", "fields": [{"name": "x", "schema": "double"}]});
    let telemetry = |name: &str, schema: Value| json!({"@type": "Telemetry", "name": name, "schema": schema});
    check(interface(json!([telemetry("a", xy.clone()), telemetry("b", json!("dtmi:test:xy;1"))])), &[]);
    check(interface(json!([telemetry("b", json!("dtmi:test:xy;1")), telemetry("a", xy)])), &[]);
    // What is wrong with it is told once.
    let bad = json!({"@id": "dtmi:test:xy;1", "@type": "Object", "fields": [{"name": "x", "schema": "number"}]});
    check(
        interface(json!([telemetry("a", bad), telemetry("b", json!("dtmi:test:xy;1"))])),
        &[(code::BAD_SCHEMA, "/contents/0/schema/fields/0/schema")],
    );
}
