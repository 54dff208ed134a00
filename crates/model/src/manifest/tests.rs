//! Whole manifests at the service's level: what passes, and every problem with its place.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::agent::{DesiredStatus, RestartPolicy};
use super::hub::TimeToLive;
use super::{EDGE_AGENT, EDGE_HUB, Manifest, ManifestErrorCode as Code};
use crate::limits::{MANIFEST_MODULES_MAX, MODULE_NAME_CHARS_MAX, TWIN_STRING_BYTES_MAX};
use crate::mutation::{assert_leads_somewhere, each_mutation};

const SENSOR: &str = include_str!("../../../../examples/manifests/simulated-temperature-sensor.json");

fn sensor() -> Value {
    serde_json::from_str(SENSOR).unwrap()
}

const AGENT: &str = "/modulesContent/$edgeAgent/properties.desired";
const MODULE: &str = "/modulesContent/$edgeAgent/properties.desired/modules/SimulatedTemperatureSensor";
const HUB: &str = "/modulesContent/$edgeHub/properties.desired";

/// Parses the sensor's manifest with `value` put at `place`; `None` removes what is there.
fn with(place: &str, value: Option<Value>) -> Result<Manifest, Vec<(Code, String)>> {
    let mut document = sensor();
    let (parent, name) = place.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/");
    let parent = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => parent.insert(name, value),
        None => parent.remove(&name),
    };
    Manifest::parse(&document).map_err(|errors| errors.into_iter().map(|error| (error.code, error.pointer)).collect())
}

fn check(place: &str, value: Value, expected: &[(Code, &str)]) {
    let value = Some(value).filter(|value| !value.is_null());
    let found = with(place, value).err().unwrap_or_default();
    let expected: Vec<_> = expected.iter().map(|(code, place)| (*code, (*place).to_owned())).collect();
    assert_eq!(found, expected, "{place}");
}

#[test]
fn an_empty_block_of_a_module_says_nothing_of_its_twin() {
    let empty = Some(json!({}));
    for module in ["SimulatedTemperatureSensor", "cache"] {
        let manifest = with(&format!("/modulesContent/{module}"), empty.clone()).unwrap();
        assert_eq!(manifest.module_desired(module), None);
        assert_eq!(manifest.module_names().collect::<Vec<_>>(), ["SimulatedTemperatureSensor"]);
    }
    // A block that holds something holds desired properties, and the system modules cannot do without.
    for (place, value) in [("cache", json!({"a": 1})), (EDGE_AGENT, json!({})), (EDGE_HUB, json!({}))] {
        assert!(with(&format!("/modulesContent/{place}"), Some(value)).is_err(), "{place}");
    }
    assert_eq!(with("/modulesContent/bad name", empty).unwrap_err()[0].0, Code::BadName);
}

#[test]
fn the_documented_example() {
    let manifest = Manifest::parse(&sensor()).unwrap();
    assert_eq!(manifest.module_names().collect::<Vec<_>>(), ["SimulatedTemperatureSensor"]);
    let module = &manifest.agent.modules["SimulatedTemperatureSensor"];
    assert_eq!(module.image.as_str(), "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.0");
    assert_eq!((module.status, module.restart_policy), (DesiredStatus::Running, RestartPolicy::Always));
    let desired = manifest.module_desired("SimulatedTemperatureSensor").unwrap();
    assert_eq!(Value::Object(desired.clone()), json!({"SendData": true, "SendInterval": 10}));
    assert_eq!(manifest.module_desired(EDGE_HUB), None);
    assert_eq!(manifest.desired.len(), 3);
    let hub = &manifest.hub;
    assert_eq!(hub.routes["route"].text, "FROM /* INTO $upstream");
    assert_eq!(hub.store_and_forward.time_to_live, TimeToLive::For(std::time::Duration::from_secs(7200)));
    let hub_options = &manifest.agent.edge_hub.as_ref().unwrap().create_options;
    assert_eq!(hub_options["HostConfig"]["PortBindings"]["8883/tcp"][0]["HostPort"], "8883");
}

#[test]
fn both_wrapped_forms() {
    let wrapped = json!({"content": sensor(), "priority": 10, "labels": {}, "$schema-template": "4.0.0"});
    assert_eq!(Manifest::parse(&wrapped).unwrap(), Manifest::parse(&sensor()).unwrap());
    let errors = Manifest::parse(&json!({"content": {"moduleContent": {}}})).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.code, error.pointer.as_str())).collect();
    assert_eq!(found, [(Code::UnknownMember, "/content/moduleContent"), (Code::MissingMember, "/content")]);
    for nothing in [json!(null), json!([]), json!("manifest"), json!({}), json!({"modulesContent": 5})] {
        assert!(Manifest::parse(&nothing).is_err(), "{nothing}");
    }
}

#[test]
fn both_system_blocks_are_needed() {
    check("/modulesContent/$edgeAgent", Value::Null, &[(Code::MissingMember, "/modulesContent")]);
    check("/modulesContent/$edgeHub", Value::Null, &[(Code::MissingMember, "/modulesContent")]);
    check("/modulesContent/SimulatedTemperatureSensor", Value::Null, &[]);
}

#[test]
fn blocks() {
    let block = "/modulesContent/SimulatedTemperatureSensor";
    check(block, json!({"properties.desired": {}}), &[]);
    check(block, json!({}), &[]);
    check(block, json!({"properties.desired": []}), &[(Code::WrongType, &format!("{block}/properties.desired"))]);
    let desired = json!({"properties.desired": {}, "properties.reported": {}});
    check(block, desired, &[(Code::UnknownMember, &format!("{block}/properties.reported"))]);
    let layered = json!({"properties.desired.SendInterval": 5});
    check(block, layered, &[(Code::Layered, &format!("{block}/properties.desired.SendInterval"))]);
    check(
        "/modulesContent/bad name",
        json!({"properties.desired": {}}),
        &[(Code::BadName, "/modulesContent/bad name")],
    );
    check(
        "/modulesContent/$edgeOther",
        json!({"properties.desired": {}}),
        &[(Code::BadName, "/modulesContent/$edgeOther")],
    );
}

#[test]
fn twin_limits_hold_in_every_block() {
    let place = "/modulesContent/SimulatedTemperatureSensor/properties.desired/note";
    check(place, "s".repeat(TWIN_STRING_BYTES_MAX).into(), &[]);
    check(place, "s".repeat(TWIN_STRING_BYTES_MAX + 1).into(), &[(Code::TwinLimit, place)]);
    let options = format!("{MODULE}/settings/createOptions");
    let text = format!("{{\"pad\":\"{}\"}}", "p".repeat(TWIN_STRING_BYTES_MAX));
    check(&options, text.into(), &[(Code::TwinLimit, &options)]);
}

#[test]
fn the_service_refuses_what_devices_forgive() {
    check(
        &format!("{MODULE}/settings/createOptions"),
        json!({"HostConfig": {}}),
        &[(Code::WrongType, &format!("{MODULE}/settings/createOptions"))],
    );
    check(&format!("{MODULE}/restartPolicy"), Value::Null, &[(Code::MissingMember, MODULE)]);
    check(
        &format!("{MODULE}/restartpolicy"),
        json!("always"),
        &[(Code::UnknownMember, &format!("{MODULE}/restartpolicy"))],
    );
    check(
        &format!("{AGENT}/systemModules/edgeHub"),
        Value::Null,
        &[(Code::MissingMember, &format!("{AGENT}/systemModules"))],
    );
    check(
        &format!("{AGENT}/systemModules/edgeAgent"),
        Value::Null,
        &[(Code::MissingMember, &format!("{AGENT}/systemModules"))],
    );
    check(&format!("{MODULE}/env"), json!({"A+B": {"value": "x"}}), &[(Code::BadName, &format!("{MODULE}/env/A+B"))]);
    // No twin takes the name either, which is said as well.
    let credentials = json!({"my#id": {"address": "r.io", "username": "u", "password": "p"}});
    let refused = with(&format!("{AGENT}/runtime/settings/registryCredentials"), Some(credentials)).unwrap_err();
    let place = format!("{AGENT}/runtime/settings/registryCredentials/my#id");
    assert!(refused.contains(&(Code::BadName, place)), "{refused:?}");
    check(&format!("{HUB}/routs"), json!({}), &[(Code::UnknownMember, &format!("{HUB}/routs"))]);
    check(&format!("{HUB}/routes"), Value::Null, &[(Code::MissingMember, HUB)]);
    check(&format!("{HUB}/routes/route"), json!("FROM nowhere"), &[(Code::BadRoute, &format!("{HUB}/routes/route"))]);
    check(&format!("{HUB}/schemaVersion"), json!("1.4"), &[(Code::BadSchemaVersion, &format!("{HUB}/schemaVersion"))]);
    check(
        &format!("{AGENT}/schemaVersion"),
        json!("2.0"),
        &[(Code::BadSchemaVersion, &format!("{AGENT}/schemaVersion"))],
    );
}

#[test]
fn module_names() {
    let module = sensor().pointer(MODULE).unwrap().clone();
    let named = |name: &str, expected: &[Code]| {
        let place = format!("{AGENT}/modules/{name}");
        let expected: Vec<_> = expected.iter().map(|code| (*code, place.as_str())).collect();
        check(&place, module.clone(), &expected);
    };
    named("a", &[]);
    named("0-_Z", &[]);
    named(&"n".repeat(MODULE_NAME_CHARS_MAX), &[]);
    named(&"n".repeat(MODULE_NAME_CHARS_MAX + 1), &[Code::BadName]);
    named("ä", &[Code::BadName]);
    named("edgeHub", &[Code::BadName]);
    named("edgeAgent", &[Code::BadName]);
}

#[test]
fn number_of_modules() {
    let module = |n: usize| json!({"type": "docker", "status": "stopped", "restartPolicy": "never", "settings": {"image": format!("i{n}")}});
    let modules = |count: usize| -> Value {
        (0..count).map(|n| (format!("m{n}"), module(n))).collect::<serde_json::Map<_, _>>().into()
    };
    let place = format!("{AGENT}/modules");
    check(&place, modules(MANIFEST_MODULES_MAX), &[]);
    let block = format!("/modulesContent/{EDGE_AGENT}");
    check(&place, modules(MANIFEST_MODULES_MAX + 1), &[(Code::BadValue, &block)]);
}

#[test]
fn all_problems_are_told_at_once() {
    let mut document = sensor();
    let module = document.pointer_mut(MODULE).unwrap();
    module["type"] = json!("podman");
    module["status"] = json!("paused");
    module["settings"]["image"] = json!(" ");
    document.pointer_mut(HUB).unwrap()["routes"]["route"] = json!(5);
    let errors = Manifest::parse(&document).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.code, error.pointer.replace(MODULE, "M"))).collect();
    let expected = [
        (Code::BadValue, "M/type"),
        (Code::BadImage, "M/settings/image"),
        (Code::BadValue, "M/status"),
        (Code::WrongType, "/modulesContent/$edgeHub/properties.desired/routes/route"),
    ];
    assert_eq!(found, expected.map(|(code, place)| (code, place.to_owned())));
    assert!(errors[0].to_string().contains("podman"));
}

#[test]
fn almost_right_manifests_are_refused_with_places_or_pass_the_device_too() {
    let mut document = sensor();
    let hub = document.pointer_mut(HUB).unwrap();
    hub["schemaVersion"] = json!("1.1");
    hub["routes"]["second"] = json!({"route": "FROM /* INTO $upstream", "priority": 1, "timeToLiveSecs": 5});
    let module = document.pointer_mut(MODULE).unwrap();
    module["env"] = json!({"LEVEL": {"value": "info"}});
    module["startupOrder"] = json!(1);
    each_mutation(&document, |mutated| match Manifest::parse(mutated) {
        Ok(manifest) => {
            let section = |name: &str| Value::Object(manifest.desired[name].clone());
            super::agent::AgentDesired::parse(&section(EDGE_AGENT)).unwrap();
            super::hub::HubDesired::parse(&section(EDGE_HUB)).unwrap();
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            errors.iter().for_each(|error| assert_leads_somewhere(mutated, &error.pointer, &error.message));
        }
    });
}
