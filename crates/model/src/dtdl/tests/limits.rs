//! Every limit of the language, at it and one above.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::{check, check_content, check_schema, interface};
use crate::dtdl::{FileReport, code, validate_documents};
use crate::limits::{
    DTDL_CONTENTS_MAX, DTDL_DESCRIPTION_CHARS_MAX, DTDL_DISPLAY_NAME_CHARS_MAX, DTDL_ENUM_VALUES_MAX, DTDL_EXTENDS_MAX,
    DTDL_FIELDS_MAX, DTDL_ID_CHARS_MAX, DTDL_INTERFACE_ID_CHARS_MAX, DTDL_MULTIPLICITY_MAX, DTDL_NAME_CHARS_MAX,
    DTDL_SCHEMA_DEPTH_MAX, PROBLEMS_MAX,
};

fn telemetry(name: &str) -> Value {
    json!({"@type": "Telemetry", "name": name, "schema": "double"})
}

#[test]
fn lengths() {
    check_content(telemetry(&"n".repeat(DTDL_NAME_CHARS_MAX)), &[]);
    check_content(telemetry(&"n".repeat(DTDL_NAME_CHARS_MAX + 1)), &[(code::TOO_LONG, "/name")]);
    let with = |member: &str, text: Value| {
        let mut content = telemetry("a");
        content[member] = text;
        content
    };
    for (member, max) in [
        ("displayName", DTDL_DISPLAY_NAME_CHARS_MAX),
        ("description", DTDL_DESCRIPTION_CHARS_MAX),
        ("comment", DTDL_DESCRIPTION_CHARS_MAX),
    ] {
        check_content(with(member, "ä".repeat(max).into()), &[]);
        let place = format!("/{member}");
        check_content(with(member, "ä".repeat(max + 1).into()), &[(code::TOO_LONG, &place)]);
    }
    let language = json!({"en": "ä".repeat(DTDL_DISPLAY_NAME_CHARS_MAX + 1)});
    check_content(with("displayName", language), &[(code::TOO_LONG, "/displayName/en")]);
}

#[test]
fn id_lengths() {
    let id = |chars: usize| format!("dtmi:{};1", "i".repeat(chars - "dtmi:;1".len()));
    let mut document = interface(json!([]));
    document["@id"] = id(DTDL_INTERFACE_ID_CHARS_MAX).into();
    check(document.clone(), &[]);
    document["@id"] = id(DTDL_INTERFACE_ID_CHARS_MAX + 1).into();
    check(document, &[(code::TOO_LONG, "/@id")]);
    let mut content = telemetry("a");
    content["@id"] = id(DTDL_ID_CHARS_MAX).into();
    check_content(content.clone(), &[]);
    content["@id"] = id(DTDL_ID_CHARS_MAX + 1).into();
    check_content(content, &[(code::TOO_LONG, "/@id")]);
}

#[test]
fn numbers_of_things() {
    let contents = |count: usize| interface((0..count).map(|n| telemetry(&format!("n{n}"))).collect());
    check(contents(DTDL_CONTENTS_MAX), &[]);
    check(contents(DTDL_CONTENTS_MAX + 1), &[(code::TOO_MANY, &format!("/contents/{DTDL_CONTENTS_MAX}"))]);

    let field = |n: usize| json!({"name": format!("n{n}"), "schema": "double"});
    let object = |count: usize| json!({"@type": "Object", "fields": (0..count).map(field).collect::<Value>()});
    check_schema(object(DTDL_FIELDS_MAX), &[]);
    check_schema(object(DTDL_FIELDS_MAX + 1), &[(code::TOO_MANY, &format!("/fields/{DTDL_FIELDS_MAX}"))]);

    let value = |n: usize| json!({"name": format!("n{n}"), "enumValue": n});
    let values = |count: usize| json!({"@type": "Enum", "valueSchema": "integer", "enumValues": (0..count).map(value).collect::<Value>()});
    check_schema(values(DTDL_ENUM_VALUES_MAX), &[]);
    check_schema(values(DTDL_ENUM_VALUES_MAX + 1), &[(code::TOO_MANY, &format!("/enumValues/{DTDL_ENUM_VALUES_MAX}"))]);

    let property = |n: usize| json!({"@type": "Property", "name": format!("n{n}"), "schema": "double"});
    let link = |count: usize| json!({"@type": "Relationship", "name": "a", "properties": (0..count).map(property).collect::<Value>()});
    check_content(link(DTDL_CONTENTS_MAX), &[]);
    check_content(link(DTDL_CONTENTS_MAX + 1), &[(code::TOO_MANY, &format!("/properties/{DTDL_CONTENTS_MAX}"))]);
}

#[test]
fn multiplicity() {
    let link = |member: &str, value: Value| json!({"@type": "Relationship", "name": "a", member: value});
    check_content(link("maxMultiplicity", json!(1)), &[]);
    check_content(link("maxMultiplicity", json!(DTDL_MULTIPLICITY_MAX)), &[]);
    let bad = &[(code::BAD_MULTIPLICITY, "/maxMultiplicity")];
    check_content(link("maxMultiplicity", json!(DTDL_MULTIPLICITY_MAX + 1)), bad);
    check_content(link("maxMultiplicity", json!(0)), bad);
    check_content(link("maxMultiplicity", json!("1")), bad);
    check_content(link("minMultiplicity", json!(0)), &[]);
    check_content(link("minMultiplicity", json!(1)), &[(code::BAD_MULTIPLICITY, "/minMultiplicity")]);
}

#[test]
fn schema_depth() {
    let nested =
        |levels: usize| (0..levels).fold(json!("double"), |inner, _| json!({"@type": "Array", "elementSchema": inner}));
    check_schema(nested(DTDL_SCHEMA_DEPTH_MAX), &[]);
    let place = "/elementSchema".repeat(DTDL_SCHEMA_DEPTH_MAX);
    check_schema(nested(DTDL_SCHEMA_DEPTH_MAX + 1), &[(code::TOO_DEEP, &place)]);
}

#[test]
fn schema_depth_counts_through_reusable_schemas() {
    let document = |levels: usize| {
        let schemas: Value = (0..levels)
            .map(|n| {
                let inner = if n == 0 { "double".to_owned() } else { format!("dtmi:test:level{};1", n - 1) };
                json!({"@id": format!("dtmi:test:level{n};1"), "@type": "Array", "elementSchema": inner})
            })
            .collect();
        let top = format!("dtmi:test:level{};1", levels - 1);
        let mut document = interface(json!([{"@type": "Telemetry", "name": "a", "schema": top}]));
        document["schemas"] = schemas;
        document
    };
    check(document(DTDL_SCHEMA_DEPTH_MAX), &[]);
    let place = format!("/schemas/{DTDL_SCHEMA_DEPTH_MAX}/elementSchema");
    check(document(DTDL_SCHEMA_DEPTH_MAX + 1), &[(code::TOO_DEEP, &place)]);
}

#[test]
fn schemas_that_use_one_another_do_not_unfold() {
    // Each level uses the one below in thirty fields: read naively, this is 30^5 schemas.
    let level = |n: usize| {
        let inner = if n == 0 { "double".to_owned() } else { format!("dtmi:test:level{};1", n - 1) };
        let fields: Value = (0..DTDL_FIELDS_MAX).map(|f| json!({"name": format!("f{f}"), "schema": inner})).collect();
        json!({"@id": format!("dtmi:test:level{n};1"), "@type": "Object", "fields": fields})
    };
    let mut document = interface(json!([{"@type": "Telemetry", "name": "a", "schema": "dtmi:test:level4;1"}]));
    document["schemas"] = (0..DTDL_SCHEMA_DEPTH_MAX).map(level).collect();
    check(document, &[]);
}

#[test]
fn extends() {
    let base = |n: usize| json!({"@context": "dtmi:dtdl:context;2", "@id": format!("dtmi:test:base{n};1"), "@type": "Interface"});
    let heir = |count: usize| {
        let mut heir = interface(json!([]));
        heir["extends"] = (0..count).map(|n| Value::from(format!("dtmi:test:base{n};1"))).collect();
        let mut all: Vec<Value> = (0..count).map(base).collect();
        all.push(heir);
        Value::from(all)
    };
    check(heir(DTDL_EXTENDS_MAX), &[]);
    let place = format!("/{}/extends/{DTDL_EXTENDS_MAX}", DTDL_EXTENDS_MAX + 1);
    check(heir(DTDL_EXTENDS_MAX + 1), &[(code::TOO_MANY, &place)]);
}

#[test]
fn findings_of_one_file() {
    let bad: Value = (0..PROBLEMS_MAX + 5).map(|_| json!({"@context": "dtmi:dtdl:context;2"})).collect();
    let reports: Vec<FileReport> = validate_documents(&[("a.json".to_owned(), bad)]);
    assert_eq!(reports[0].errors.len(), PROBLEMS_MAX);
}
