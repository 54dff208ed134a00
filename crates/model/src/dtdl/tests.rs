//! Each rule of the language: what passes, and under which code and at which place something else is reported.
#![allow(clippy::unwrap_used)]

mod limits;
mod references;

use serde_json::{Value, json};

use super::{code, validate_documents};
use crate::mutation::{assert_leads_somewhere, each_mutation};

/// An interface with these contents.
fn interface(contents: Value) -> Value {
    json!({"@context": "dtmi:dtdl:context;2", "@id": "dtmi:test:thing;1", "@type": "Interface", "contents": contents})
}

/// The findings of one document, as (code, pointer).
fn findings(document: &Value) -> Vec<(&'static str, String)> {
    let reports = validate_documents(&[("thing.json".to_owned(), document.clone())]);
    let [report] = reports.as_slice() else { panic!("one report for one document") };
    assert_eq!(report.valid, report.errors.is_empty());
    report.errors.iter().map(|error| (error.code, error.pointer.clone())).collect()
}

fn check(document: Value, expected: &[(&'static str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(code, pointer)| (*code, (*pointer).to_owned())).collect();
    assert_eq!(findings(&document), expected, "{document:#}");
}

/// Checks one element of `contents`; pointers are relative to it.
fn check_content(content: Value, expected: &[(&'static str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(code, at)| (*code, format!("/contents/0{at}"))).collect();
    assert_eq!(findings(&interface(json!([content]))), expected, "{content:#}");
}

/// Checks a schema, as that of a telemetry.
fn check_schema(schema: Value, expected: &[(&'static str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(code, at)| (*code, format!("/contents/0/schema{at}"))).collect();
    let telemetry = json!({"@type": "Telemetry", "name": "t", "schema": schema});
    assert_eq!(findings(&interface(json!([telemetry]))), expected, "{schema:#}");
}

#[test]
fn documents() {
    check(interface(json!([])), &[]);
    check(json!([interface(json!([]))]), &[]);
    check(json!([]), &[]);
    check(json!("Interface"), &[(code::NOT_AN_INTERFACE, "")]);
    check(json!([interface(json!([])), 5]), &[(code::NOT_AN_INTERFACE, "/1")]);
    let base = |member: &str, value: Value| {
        let mut document = interface(json!([]));
        document[member] = value;
        document
    };
    let without = |member: &str| {
        let mut document = interface(json!([]));
        document.as_object_mut().unwrap().remove(member);
        document
    };
    check(without("@id"), &[(code::MISSING_ID, "")]);
    check(without("@type"), &[(code::MISSING_TYPE, "")]);
    check(without("@context"), &[(code::MISSING_CONTEXT, "")]);
    check(without("contents"), &[]);
    check(base("@id", json!("dtmi:test:1thing;1")), &[(code::BAD_DTMI, "/@id")]);
    check(base("@id", json!("dtmi:dtdl:thing;1")), &[(code::BAD_DTMI, "/@id")]);
    check(base("@id", json!(5)), &[(code::BAD_DTMI, "/@id")]);
    check(base("@type", json!("Device")), &[(code::UNKNOWN_TYPE, "")]);
    check(base("@type", json!(["Interface", "Special"])), &[]);
    check(base("@type", json!(["Interface", "Temperature"])), &[(code::BAD_COTYPE, "/@type")]);
    check(base("colour", json!("red")), &[(code::UNKNOWN_PROPERTY, "/colour")]);
    check(base("comment", json!(5)), &[(code::WRONG_TYPE, "/comment")]);
}

#[test]
fn contexts() {
    let with = |context: Value| {
        let mut document = interface(json!([]));
        document["@context"] = context;
        document
    };
    let central = "dtmi:iotcentral:context;2";
    let dtdl = "dtmi:dtdl:context;2";
    check(with(json!([dtdl])), &[]);
    check(with(json!([dtdl, central])), &[]);
    check(with(json!([central, dtdl])), &[]);
    check(with(json!([central])), &[(code::MISSING_CONTEXT, "/@context")]);
    check(with(json!([dtdl, "dtmi:other:context;1"])), &[(code::UNKNOWN_CONTEXT, "/@context/1")]);
    let other_first = [(code::UNKNOWN_CONTEXT, "/@context/0"), (code::BAD_CONTEXT, "/@context")];
    check(with(json!(["dtmi:other:context;1", dtdl])), &other_first);
    check(with(json!([dtdl, {"term": "iri"}])), &[(code::UNKNOWN_CONTEXT, "/@context/1")]);
    check(with(json!("dtmi:dtdl:context;3")), &[(code::UNSUPPORTED_VERSION, "/@context")]);
    check(with(json!(["dtmi:dtdl:context;4", dtdl])), &[(code::UNSUPPORTED_VERSION, "/@context/0")]);
    check(with(json!("http://azureiot.com/v1/contexts/IoTModel.json")), &[(code::UNSUPPORTED_VERSION, "/@context")]);
    // Of another version, nothing else is judged.
    let mut other = with(json!("dtmi:dtdl:context;3"));
    other["colour"] = json!("red");
    check(other, &[(code::UNSUPPORTED_VERSION, "/@context")]);
}

#[test]
fn names_and_texts() {
    let named = |name: Value| json!({"@type": "Telemetry", "name": name, "schema": "double"});
    check_content(named(json!("a")), &[]);
    check_content(named(json!("a_1_b")), &[]);
    check_content(named(json!("_a")), &[(code::BAD_NAME, "/name")]);
    check_content(named(json!("a_")), &[(code::BAD_NAME, "/name")]);
    check_content(named(json!("1a")), &[(code::BAD_NAME, "/name")]);
    check_content(named(json!("a-b")), &[(code::BAD_NAME, "/name")]);
    check_content(named(json!("")), &[(code::BAD_NAME, "/name")]);
    check_content(named(json!(5)), &[(code::WRONG_TYPE, "/name")]);
    check_content(json!({"@type": "Telemetry", "schema": "double"}), &[(code::MISSING_NAME, "")]);

    let labelled = |label: Value| json!({"@type": "Telemetry", "name": "a", "schema": "double", "displayName": label});
    check_content(labelled(json!({"en": "Heat", "de-AT": "Wärme", "zh-Hant-TW": "熱"})), &[]);
    check_content(labelled(json!({"e": "Heat"})), &[(code::BAD_LANGUAGE, "/displayName/e")]);
    check_content(labelled(json!({"english_": "Heat"})), &[(code::BAD_LANGUAGE, "/displayName/english_")]);
    check_content(labelled(json!({"en": 5})), &[(code::WRONG_TYPE, "/displayName/en")]);
    check_content(labelled(json!(["Heat"])), &[(code::WRONG_TYPE, "/displayName")]);
}

#[test]
fn contents() {
    check(interface(json!({"@type": "Telemetry", "name": "only", "schema": "double"})), &[]);
    check_content(json!("Telemetry"), &[(code::WRONG_TYPE, "")]);
    check_content(json!({"name": "a", "schema": "double"}), &[(code::MISSING_TYPE, "")]);
    check_content(json!({"@type": "Telemetri", "name": "a", "schema": "double"}), &[(code::UNKNOWN_TYPE, "")]);
    let two = json!({"@type": ["Telemetry", "Property"], "name": "a", "schema": "double"});
    check_content(two, &[(code::BAD_COTYPE, "/@type")]);
    check_content(json!({"@type": "Telemetry", "name": "a"}), &[(code::MISSING_PROPERTY, "")]);
    let unknown = json!({"@type": "Telemetry", "name": "a", "schema": "double", "writable": true});
    check_content(unknown, &[(code::UNKNOWN_PROPERTY, "/writable")]);
    // An undefined co-type may bring members of its own.
    check_content(json!({"@type": ["Property", "Commercial"], "name": "a", "schema": "double", "brand": "x"}), &[]);
    check_content(json!({"@type": "Property", "name": "a", "schema": "double", "writable": true}), &[]);
    let worded = json!({"@type": "Property", "name": "a", "schema": "double", "writable": "yes"});
    check_content(worded, &[(code::WRONG_TYPE, "/writable")]);
    let array = json!({"@type": "Property", "name": "a", "schema": {"@type": "Array", "elementSchema": "double"}});
    check_content(array, &[(code::ARRAY_IN_PROPERTY, "/schema")]);
    let twice = json!([
        {"@type": "Telemetry", "name": "same", "schema": "double"},
        {"@type": "Command", "name": "same"},
    ]);
    check(interface(twice), &[(code::DUPLICATE_NAME, "/contents/1/name")]);
}

#[test]
fn semantic_types_and_units() {
    let telemetry = |types: Value, schema: &str, unit: Value| {
        let mut content = json!({"@type": types, "name": "a", "schema": schema});
        if !unit.is_null() {
            content["unit"] = unit;
        }
        content
    };
    let heat = || json!(["Telemetry", "Temperature"]);
    check_content(telemetry(heat(), "double", json!("degreeCelsius")), &[]);
    check_content(telemetry(heat(), "integer", json!("dtmi:standard:unit:kelvin;2")), &[]);
    check_content(telemetry(heat(), "double", json!("metre")), &[(code::BAD_UNIT, "/unit")]);
    check_content(telemetry(heat(), "double", json!(5)), &[(code::WRONG_TYPE, "/unit")]);
    check_content(telemetry(heat(), "double", Value::Null), &[(code::MISSING_UNIT, "")]);
    check_content(telemetry(heat(), "string", json!("kelvin")), &[(code::BAD_SCHEMA, "/schema")]);
    check_content(telemetry(json!("Telemetry"), "double", json!("kelvin")), &[(code::BAD_UNIT, "/unit")]);
    let two = telemetry(json!(["Telemetry", "Temperature", "Mass"]), "double", json!("gram"));
    check_content(two, &[(code::BAD_COTYPE, "/@type")]);
    check_content(json!({"@type": ["Command", "Temperature"], "name": "a"}), &[(code::BAD_COTYPE, "/@type")]);
}

#[test]
fn the_iot_central_extension() {
    let check_central = |types: Value, schema: Value, expected: &[(&'static str, &str)]| {
        let mut document = interface(json!([{"@type": types, "name": "a", "schema": schema}]));
        document["@context"] = json!(["dtmi:dtdl:context;2", "dtmi:iotcentral:context;2"]);
        check(document, expected);
    };
    let bad = &[(code::BAD_SCHEMA, "/contents/0/schema")];
    let wear = json!({"@type": "Enum", "valueSchema": "integer", "enumValues": [{"name": "good", "enumValue": 0}]});
    check_central(json!(["Telemetry", "State"]), wear, &[]);
    check_central(json!(["Telemetry", "State"]), json!("integer"), bad);
    check_central(json!(["Telemetry", "Event"]), json!("string"), &[]);
    check_central(json!(["Telemetry", "Event"]), json!("boolean"), bad);
    check_central(json!(["Property", "Location"]), json!("geopoint"), &[]);
    check_central(json!(["Property", "Location"]), json!("polygon"), &[]);
    check_central(json!(["Property", "Location"]), json!("vector"), bad);
    check_central(json!(["Telemetry", "VelocityVector"]), json!("vector"), &[]);
    check_central(json!(["Telemetry", "AccelerationVector"]), json!("double"), bad);
    // Without its context the extension's schemas do not exist.
    check_schema(json!("geopoint"), &[(code::BAD_SCHEMA, "")]);
}

#[test]
fn commands() {
    let command = |member: &str, value: Value| {
        let mut content = json!({"@type": "Command", "name": "a"});
        content[member] = value;
        content
    };
    check_content(json!({"@type": "Command", "name": "a"}), &[]);
    check_content(command("commandType", json!("asynchronous")), &[]);
    check_content(command("commandType", json!("slow")), &[(code::BAD_COMMAND_TYPE, "/commandType")]);
    check_content(command("request", json!({"name": "seconds", "schema": "integer"})), &[]);
    check_content(command("request", json!({"@type": "CommandPayload", "name": "s", "schema": "integer"})), &[]);
    check_content(
        command("request", json!({"@type": "Payload", "name": "s", "schema": "integer"})),
        &[(code::UNKNOWN_TYPE, "/request/@type")],
    );
    check_content(command("response", json!({"schema": "integer"})), &[(code::MISSING_NAME, "/response")]);
    check_content(command("response", json!({"name": "s"})), &[(code::MISSING_PROPERTY, "/response")]);
    check_content(command("response", json!([])), &[(code::WRONG_TYPE, "/response")]);
    check_content(command("schema", json!("double")), &[(code::UNKNOWN_PROPERTY, "/schema")]);
}

#[test]
fn relationships() {
    let link = |member: &str, value: Value| {
        let mut content = json!({"@type": "Relationship", "name": "a"});
        content[member] = value;
        content
    };
    check_content(json!({"@type": "Relationship", "name": "a"}), &[]);
    check_content(link("target", json!("dtmi:nobody:knows;1")), &[]);
    check_content(link("target", json!("somewhere")), &[(code::BAD_TARGET, "/target")]);
    check_content(link("target", json!(["dtmi:a;1", "dtmi:b;1"])), &[(code::BAD_TARGET, "/target")]);
    check_content(link("target", json!({"@type": "Interface"})), &[(code::BAD_TARGET, "/target")]);
    check_content(link("writable", json!(1)), &[(code::WRONG_TYPE, "/writable")]);
    check_content(link("properties", json!([{"@type": "Property", "name": "since", "schema": "date"}])), &[]);
    let telemetry = json!([{"@type": "Telemetry", "name": "since", "schema": "date"}]);
    check_content(link("properties", telemetry), &[(code::UNKNOWN_TYPE, "/properties/0")]);
    let twice = json!([
        {"@type": "Property", "name": "since", "schema": "date"},
        {"@type": "Property", "name": "since", "schema": "time"},
    ]);
    check_content(link("properties", twice), &[(code::DUPLICATE_NAME, "/properties/1/name")]);
}

#[test]
fn schemas() {
    for name in
        ["boolean", "integer", "long", "float", "double", "string", "date", "time", "dateTime", "duration", "point"]
    {
        check_schema(json!(name), &[]);
    }
    check_schema(json!("dtmi:dtdl:instance:Schema:double;2"), &[]);
    check_schema(json!({"@id": "dtmi:dtdl:instance:Schema:double;2"}), &[]);
    check_schema(json!("number"), &[(code::BAD_SCHEMA, "")]);
    check_schema(json!(5), &[(code::BAD_SCHEMA, "")]);
    check_schema(json!("dtmi:nobody:knows;1"), &[(code::UNRESOLVED_REFERENCE, "")]);
    check_schema(json!({"elementSchema": "double"}), &[(code::MISSING_TYPE, "")]);
    check_schema(json!({"@type": "List"}), &[(code::UNKNOWN_TYPE, "")]);
    check_schema(json!({"@type": "Array"}), &[(code::MISSING_PROPERTY, "")]);
    check_schema(json!({"@type": "Array", "elementSchema": "double"}), &[]);
    let map = |key: &str| json!({"@type": "Map", "mapKey": {"name": "k", "schema": key}, "mapValue": {"name": "v", "schema": "double"}});
    check_schema(map("string"), &[]);
    check_schema(map("integer"), &[(code::BAD_SCHEMA, "/mapKey")]);
    check_schema(json!({"@type": "Map"}), &[(code::MISSING_PROPERTY, ""), (code::MISSING_PROPERTY, "")]);
    let object = |fields: Value| json!({"@type": "Object", "fields": fields});
    check_schema(object(json!([{"name": "x", "schema": "double"}, {"name": "y", "schema": "double"}])), &[]);
    check_schema(
        object(json!([{"name": "x", "schema": "double"}, {"name": "x", "schema": "double"}])),
        &[(code::DUPLICATE_NAME, "/fields/1/name")],
    );
    check_schema(object(json!([{"name": "x"}])), &[(code::MISSING_PROPERTY, "/fields/0")]);
    check_schema(
        object(json!([{"name": "x", "schema": {"@type": "Nest"}}])),
        &[(code::UNKNOWN_TYPE, "/fields/0/schema")],
    );
}

#[test]
fn enums() {
    let of = |kind: &str, values: Value| json!({"@type": "Enum", "valueSchema": kind, "enumValues": values});
    check_schema(of("integer", json!([{"name": "a", "enumValue": 1}, {"name": "b", "enumValue": 2}])), &[]);
    check_schema(of("string", json!([{"name": "a", "enumValue": "x"}])), &[]);
    check_schema(of("double", json!([{"name": "a", "enumValue": 1}])), &[(code::BAD_SCHEMA, "/valueSchema")]);
    check_schema(of("integer", json!([])), &[(code::MISSING_PROPERTY, "/enumValues")]);
    check_schema(
        of("integer", json!([{"name": "a", "enumValue": 1}, {"name": "a", "enumValue": 2}])),
        &[(code::DUPLICATE_NAME, "/enumValues/1/name")],
    );
    check_schema(
        of("integer", json!([{"name": "a", "enumValue": 1}, {"name": "b", "enumValue": 1}])),
        &[(code::BAD_ENUM_VALUE, "/enumValues/1/enumValue")],
    );
    check_schema(
        of("integer", json!([{"name": "a", "enumValue": 1}, {"name": "b", "enumValue": "2"}])),
        &[(code::BAD_ENUM_VALUE, "/enumValues/1/enumValue")],
    );
    check_schema(
        of("integer", json!([{"name": "a", "enumValue": 1}, {"name": "b"}])),
        &[(code::MISSING_PROPERTY, "/enumValues/1")],
    );
}

#[test]
fn the_report_is_the_contract_of_the_command() {
    let documents = [("a.json".to_owned(), interface(json!([]))), ("b.json".to_owned(), json!(5))];
    let lines: Vec<_> =
        validate_documents(&documents).iter().map(|report| serde_json::to_string(report).unwrap()).collect();
    assert_eq!(
        lines,
        [
            r#"{"path":"a.json","valid":true,"errors":[]}"#,
            concat!(
                r#"{"path":"b.json","valid":false,"errors":[{"code":"notAnInterface","#,
                r#""message":"a document is an interface, or an array of interfaces","pointer":""}]}"#
            ),
        ]
    );
}

#[test]
fn findings_of_almost_right_documents_have_places() {
    let document = interface(json!([
        {"@type": ["Telemetry", "Temperature"], "name": "heat", "schema": "double", "unit": "kelvin", "@id": "dtmi:t:a;1"},
        {"@type": "Property", "name": "mode", "writable": true, "displayName": {"en": "Mode"}, "schema":
            {"@type": "Enum", "valueSchema": "integer", "enumValues": [{"name": "off", "enumValue": 0}]}},
        {"@type": "Telemetry", "name": "table", "schema": {"@type": "Map", "mapKey": {"name": "k", "schema": "string"},
            "mapValue": {"name": "v", "schema": {"@type": "Array", "elementSchema": "dtmi:t:xy;1"}}}},
        {"@type": "Command", "name": "go", "commandType": "synchronous", "request": {"name": "s", "schema": "integer"}},
        {"@type": "Component", "name": "part", "schema": {"@id": "dtmi:t:part;1", "@type": "Interface"}},
        {"@type": "Relationship", "name": "to", "maxMultiplicity": 1, "minMultiplicity": 0, "target": "dtmi:t:x;1",
            "properties": [{"@type": "Property", "name": "since", "schema": "date"}]},
    ]));
    let mut document = document;
    document["schemas"] =
        json!([{"@id": "dtmi:t:xy;1", "@type": "Object", "fields": [{"name": "x", "schema": "double"}]}]);
    document["extends"] = json!([{"@id": "dtmi:t:base;1", "@type": "Interface", "contents": []}]);
    check(document.clone(), &[]);
    each_mutation(&document, |mutated| {
        let reports = validate_documents(&[("thing.json".to_owned(), mutated.clone())]);
        for error in &reports[0].errors {
            assert_leads_somewhere(mutated, &error.pointer, &error.message);
        }
    });
}

#[test]
fn words_of_the_language_are_no_undefined_cotypes() {
    let typed = |types: Value| json!({"@type": types, "name": "a", "schema": "double", "brand": "x"});
    let refused = &[(code::BAD_COTYPE, "/@type"), (code::UNKNOWN_PROPERTY, "/brand")];
    check_content(typed(json!(["Telemetry", "http://example.com/brand"])), &[]);
    check_content(typed(json!(["Telemetry", "Enum"])), refused);
    check_content(typed(json!(["Telemetry", "TemperatureUnit"])), refused);
    check_content(typed(json!(["Telemetry", "dtmi:nobody:knows;1"])), refused);
    check_content(json!({"@type": "dtmi:dtdl:class:Telemetry;2", "name": "a", "schema": "double"}), &[]);
    let heat = json!(["Telemetry", "dtmi:standard:class:Temperature;2"]);
    check_content(json!({"@type": heat, "name": "a", "schema": "double", "unit": "kelvin"}), &[]);
}

#[test]
fn contexts_inside_a_document() {
    let with = |context: Value| json!({"@context": context, "@type": "Telemetry", "name": "a", "schema": "geopoint"});
    check_content(with(json!("dtmi:iotcentral:context;2")), &[]);
    check_content(with(json!([])), &[(code::BAD_SCHEMA, "/schema")]);
    let unknown = &[(code::UNKNOWN_CONTEXT, "/@context/1")];
    check_content(with(json!(["dtmi:iotcentral:context;2", "dtmi:other:context;1"])), unknown);
    // It holds for its element alone.
    let next = json!({"@type": "Telemetry", "name": "b", "schema": "geopoint"});
    let expected = &[(code::BAD_SCHEMA, "/contents/1/schema")];
    check(interface(json!([with(json!(["dtmi:iotcentral:context;2"])), next])), expected);
    let field = json!({"@context": "dtmi:dtdl:context;2", "name": "x", "schema": "double", "@index": 1});
    check_schema(json!({"@type": "Object", "fields": [field]}), &[]);
    check_schema(json!({"@type": "Object", "fields": [], "@graph": []}), &[(code::UNKNOWN_PROPERTY, "/@graph")]);
}
