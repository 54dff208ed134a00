//! Reading joins, writing takes apart: against the template of a small edge device.
#![allow(clippy::unwrap_used)]

use model::template::DeviceTemplate;
use model::twin::{Section, Twin};
use serde_json::{Value, json};
use time::macros::datetime;

use super::Place;
use super::read::Reader;
use super::write::Writer;

fn template() -> DeviceTemplate {
    let motor = json!({ "@id": "dtmi:t:motor;1", "@type": "Interface", "contents": [
        { "@type": "Property", "name": "limit", "schema": "integer", "writable": true },
        { "@type": "Property", "name": "hours", "schema": "double" },
    ]});
    let document = json!({
        "@type": ["ModelDefinition", "DeviceModel"],
        "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
        "displayName": "Pump",
        "capabilityModel": { "@id": "dtmi:t:pump;1", "@type": "Interface", "contents": [
            { "@type": "Property", "name": "serial", "schema": "string" },
            { "@type": "Property", "name": "rpm", "schema": "double", "writable": true },
            { "@type": ["Property", "Cloud"], "name": "site", "schema": "string" },
            { "@type": "Component", "name": "motor", "schema": motor },
        ]},
    });
    DeviceTemplate::parse(document).unwrap()
}

fn twin() -> Twin {
    let mut twin = Twin::default();
    let then = datetime!(2024-03-05 09:12:44 UTC);
    let desired = json!({ "rpm": 1450, "motor": { "__t": "c", "limit": 110 }, "loose": 1 });
    twin.desired.patch(Section::Desired, &desired, then).unwrap();
    let reported = json!({
        "serial": "PX", "odd": true,
        "rpm": { "value": 1450, "ac": 200, "av": 2, "ad": "applied" },
        "motor": { "__t": "c", "hours": 7.5 },
    });
    twin.reported.patch(Section::Reported, &reported, then).unwrap();
    twin
}

const PLACE: Place<'static> = Place { device: "d", module: None, component: None };

#[test]
fn a_document_joins_both_sections() {
    let template = template();
    let reader = Reader { template: Some(&template), module: None, unmodeled: false };
    let time = "2024-03-05T09:12:44.0000000Z";
    let expected = json!({
        "serial": "PX", "rpm": 1450,
        "motor": { "hours": 7.5, "$metadata": {
            "hours": { "lastUpdateTime": time },
            "limit": { "lastUpdateTime": time, "desiredValue": 110, "desiredVersion": 2 } } },
        "$metadata": {
            "serial": { "lastUpdateTime": time },
            "rpm": { "lastUpdateTime": time, "desiredValue": 1450, "desiredVersion": 2,
                     "ackVersion": 2, "ackCode": 200, "ackDescription": "applied" } },
    });
    assert_eq!(Value::Object(reader.document(&twin(), None)), expected);
    assert_eq!(Value::Object(reader.document(&twin(), Some("motor"))), expected["motor"]);
}

#[test]
fn what_is_not_modeled_shows_on_demand_and_without_template() {
    let template = template();
    for template in [Some(&template), None] {
        let reader = Reader { template, module: None, unmodeled: template.is_some() };
        let document = reader.document(&twin(), None);
        assert_eq!(document["odd"], json!(true));
        assert_eq!(document["$metadata"]["loose"]["desiredValue"], json!(1));
        assert_eq!(document["motor"]["hours"], json!(7.5));
    }
}

#[test]
fn a_written_document_is_taken_apart() {
    let template = template();
    let mut writer = Writer::new(Some(&template), PLACE, false);
    let body = json!({ "rpm": 5, "site": "Hall 2", "motor": { "limit": null }, "$metadata": {} });
    let answer = writer.take(body.as_object().unwrap()).unwrap();
    assert_eq!(
        Value::Object(answer),
        json!({ "motor": { "$metadata": { "limit": { "desiredValue": null } } },
                "$metadata": { "rpm": { "desiredValue": 5 }, "site": { "desiredValue": "Hall 2" } } })
    );
    let (cloud, desired) = writer.finish();
    assert_eq!(cloud, [("site".to_owned(), Some("\"Hall 2\"".to_owned()))]);
    assert_eq!(Value::Object(desired), json!({ "rpm": 5, "motor": { "__t": "c", "limit": null } }));
}

#[test]
fn faults_come_together_with_their_places() {
    let template = template();
    let mut writer = Writer::new(Some(&template), PLACE, false);
    let body = json!({ "serial": "x", "rpm": "fast", "unknown": 1, "motor": { "limit": 1.5 } });
    let error = writer.take(body.as_object().unwrap()).unwrap_err();
    let crate::app::AppError::Unprocessable { faults, .. } = error else { panic!("{error}") };
    let places: Vec<_> = faults.iter().map(|fault| fault.data_path.as_str()).collect();
    assert_eq!(places, ["/motor/limit", "/rpm", "/serial", "/unknown"]);
}

#[test]
fn replacing_clears_what_is_not_named() {
    let template = template();
    let cases = [
        (None, json!({ "rpm": 5 }), json!({ "rpm": 5, "motor": { "__t": "c", "limit": null } })),
        (None, json!({ "motor": { "limit": 1 } }), json!({ "rpm": null, "motor": { "__t": "c", "limit": 1 } })),
        (Some("motor"), json!({}), json!({ "motor": { "__t": "c", "limit": null } })),
    ];
    for (component, body, expected) in cases {
        let mut writer = Writer::new(Some(&template), Place { component, ..PLACE }, false);
        writer.take(body.as_object().unwrap()).unwrap();
        writer.clear_others(&twin(), body.as_object().unwrap());
        assert_eq!(Value::Object(writer.finish().1), expected, "{body}");
    }
}
