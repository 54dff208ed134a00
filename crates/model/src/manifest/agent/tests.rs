//! The agent's section as a device reads it: defaults, leniency, and the code for each kind of refusal.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::limits::CREATE_OPTIONS_PARTS_MAX;

fn section(module: Value) -> Value {
    json!({
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": {},
        "modules": {"m": module},
        "$version": 4,
    })
}

fn module(member: &str, value: Value) -> Value {
    let mut module = json!({"type": "docker", "status": "running", "settings": {"image": "a/b:1"}});
    if value.is_null() {
        module.as_object_mut().unwrap().remove(member);
    } else {
        module[member] = value;
    }
    module
}

/// Reads a device's section with one member of its module set (null removes it).
fn read(member: &str, value: Value) -> Result<Module, u16> {
    let desired = AgentDesired::parse(&section(module(member, value))).map_err(|error| error.code)?;
    Ok(desired.modules["m"].clone())
}

fn settings(settings: Value) -> Result<Module, u16> {
    read("settings", settings)
}

#[test]
fn a_module_that_no_file_can_be_called_by_does_not_reach_the_device() {
    let named = |name: &str| {
        let mut section = section(module("status", json!("running")));
        section["modules"] = json!({ name: module("status", json!("running")) });
        AgentDesired::parse(&section).map_err(|error| error.code)
    };
    for name in ["m", "a.b", "with:colon"] {
        assert!(named(name).unwrap().modules.contains_key(name));
    }
    for name in ["/etc/cron.d/x", "../x", "..", "a/b", "a\0b", "a\nb", ""] {
        assert_eq!(named(name).err(), Some(400), "{name:?}");
    }
}

#[test]
fn defaults() {
    let module = read("env", Value::Null).unwrap();
    assert_eq!(module.version, "");
    assert_eq!(module.status, DesiredStatus::Running);
    assert_eq!(module.restart_policy, RestartPolicy::OnUnhealthy);
    assert_eq!(module.image_pull_policy, ImagePullPolicy::OnCreate);
    assert_eq!(module.startup_order, STARTUP_ORDER_LAST);
    assert!(module.env.is_empty() && module.create_options.is_empty());
    assert_eq!((module.digest, module.configuration_id), (None, None));
}

#[test]
fn system_modules() {
    let mut document = section(module("env", Value::Null));
    document["systemModules"] = json!({
        "edgeAgent": {"type": "docker", "settings": {"image": "agent"}, "imagePullPolicy": "never"},
        "edgeHub": {"type": "docker", "status": "running", "settings": {"image": "hub:1.5"}, "startupOrder": 2},
    });
    let desired = AgentDesired::parse(&document).unwrap();
    let agent = desired.edge_agent.unwrap();
    assert_eq!((agent.status, agent.restart_policy), (DesiredStatus::Running, RestartPolicy::Always));
    assert_eq!((agent.startup_order, agent.image_pull_policy), (0, ImagePullPolicy::Never));
    assert_eq!(agent.image.as_str(), "agent:latest");
    let hub = desired.edge_hub.unwrap();
    assert_eq!((hub.restart_policy, hub.startup_order), (RestartPolicy::Always, 2));
    document["systemModules"]["edgeHub"].as_object_mut().unwrap().remove("status");
    assert_eq!(AgentDesired::parse(&document).unwrap_err().code, 400);
}

#[test]
fn words_and_numbers() {
    assert_eq!(read("status", json!("stopped")).unwrap().status, DesiredStatus::Stopped);
    for bad in [json!(null), json!("unknown"), json!("backoff"), json!("failed"), json!("Running"), json!(1)] {
        assert_eq!(read("status", bad.clone()), Err(400), "{bad}");
    }
    for policy in [RestartPolicy::Never, RestartPolicy::OnFailure, RestartPolicy::OnUnhealthy, RestartPolicy::Always] {
        assert_eq!(read("restartPolicy", policy.as_str().into()).unwrap().restart_policy, policy);
    }
    assert_eq!(read("restartPolicy", json!("sometimes")), Err(400));
    assert_eq!(read("imagePullPolicy", json!("never")).unwrap().image_pull_policy, ImagePullPolicy::Never);
    assert_eq!(read("imagePullPolicy", json!("always")), Err(400));
    assert_eq!(read("startupOrder", json!(0)).unwrap().startup_order, 0);
    assert_eq!(read("startupOrder", json!(u32::MAX)).unwrap().startup_order, u32::MAX);
    for bad in [json!(u64::from(u32::MAX) + 1), json!(-1), json!("1"), json!(1.5)] {
        assert_eq!(read("startupOrder", bad.clone()), Err(400), "{bad}");
    }
    assert_eq!(read("type", json!("Docker")), Err(400));
    assert_eq!(read("version", json!("2.0-rc")).unwrap().version, "2.0-rc");
}

#[test]
fn an_explicit_null_is_an_error_where_a_default_would_hide_it() {
    for member in ["restartPolicy", "startupOrder", "imagePullPolicy"] {
        let mut document = section(module("env", Value::Null));
        document["modules"]["m"][member] = Value::Null;
        assert_eq!(AgentDesired::parse(&document).unwrap_err().code, 400, "{member}");
    }
}

#[test]
fn environment() {
    let env = json!({"TEXT": {"value": "a b"}, "NUMBER": {"value": 1.5}, "FLAG": {"value": true}, "NONE": {}, "NULL": {"value": null}});
    let env = read("env", env).unwrap().env;
    let pairs: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("FLAG", "true"), ("NONE", ""), ("NULL", ""), ("NUMBER", "1.5"), ("TEXT", "a b")]);
    assert_eq!(read("env", json!({"A": "b"})), Err(400));
    assert_eq!(read("env", json!({"A": {"value": {}}})), Err(400));
}

#[test]
fn create_options() {
    let options = |settings_: Value| settings(settings_).map(|module| Value::Object(module.create_options));
    let none = Ok(json!({}));
    assert_eq!(options(json!({"image": "a"})), none);
    assert_eq!(options(json!({"image": "a", "createOptions": " "})), none);
    assert_eq!(options(json!({"image": "a", "createOptions": "null"})), none);
    assert_eq!(options(json!({"image": "a", "createOptions": null})), none);
    assert_eq!(options(json!({"image": "a", "createOptions": "{\"a\":1}"})), Ok(json!({"a": 1})));
    // A device takes an object, and ignores case.
    assert_eq!(options(json!({"image": "a", "createOptions": {"a": 1}})), Ok(json!({"a": 1})));
    let parts = json!({"image": "a", "CreateOptions": "{\"a\"", "createOptions01": ":", "createoptions02": "1}"});
    assert_eq!(options(parts), Ok(json!({"a": 1})));
    for bad in [
        json!({"createOptions": "{"}),
        json!({"createOptions": "[]"}),
        json!({"createOptions": 5}),
        json!({"createOptions": "{}", "createOptions02": ""}),
        json!({"createOptions01": "{}"}),
        json!({"createOptions": "{}", "createOptions1": ""}),
        json!({"createOptions": "{}", "createOptions00": ""}),
        json!({"createOptions": "{}", "createOptions100": ""}),
        json!({"createOptions": "{", "createOptions01": "}", "CREATEOPTIONS01": "}"}),
        json!({"createOptions": {"a": 1}, "createOptions01": ""}),
    ] {
        let mut settings_ = bad.clone();
        settings_["image"] = json!("a");
        assert_eq!(options(settings_), Err(400), "{bad}");
    }
}

#[test]
fn create_options_may_have_a_hundred_parts() {
    let text = format!("{{\"a\":\"{}\"}}", "x".repeat(CREATE_OPTIONS_PARTS_MAX - 8));
    assert_eq!(text.len(), CREATE_OPTIONS_PARTS_MAX);
    let mut settings_ = json!({"image": "a"});
    for (number, part) in text.chars().enumerate() {
        let name = if number == 0 { "createOptions".to_owned() } else { format!("createOptions{number:02}") };
        settings_[name] = part.to_string().into();
    }
    let joined = settings(settings_).unwrap().create_options;
    assert_eq!(serde_json::to_string(&joined).unwrap(), text);
}

#[test]
fn outcome_codes() {
    let code = |document: Value| AgentDesired::parse(&document).map(|_| 200).unwrap_or_else(|error| error.code);
    let good = section(module("env", Value::Null));
    let with = |member: &str, value: Value| {
        let mut document = good.clone();
        document[member] = value;
        document
    };
    let without = |member: &str| {
        let mut document = good.clone();
        document.as_object_mut().unwrap().remove(member);
        document
    };
    assert_eq!(code(good.clone()), 200);
    assert_eq!(code(json!({})), 417);
    assert_eq!(code(json!({"$version": 1})), 417);
    assert_eq!(code(json!([])), 400);
    for member in ["schemaVersion", "runtime", "systemModules"] {
        assert_eq!(code(without(member)), 400, "{member}");
    }
    assert_eq!(code(without("modules")), 200);
    assert_eq!(code(with("integrity", json!({}))), 200);
    assert_eq!(code(with("unknown", json!({}))), 200);
    assert_eq!(code(with("schemaVersion", json!(1.1))), 400);
    assert_eq!(code(with("runtime", json!({"type": "kubernetes", "settings": {}}))), 400);
    assert_eq!(code(with("runtime", json!({"type": "docker"}))), 400);
    assert_eq!(code(with("modules", json!({"m": {"type": "docker", "status": "running"}}))), 400);
    for (version, expected) in [
        ("1.0", 200),
        ("1.1", 200),
        ("1.1.0", 200),
        ("1.0.9", 200),
        ("1.0.9.9", 200),
        ("1.1.0.0", 200),
        ("1", 412),
        ("1.1.1", 412),
        ("1.1.0.1", 412),
        ("1.2", 412),
        ("2.0", 412),
        ("0.9", 412),
        ("1.1.0.0.0", 412),
        ("", 412),
        ("1.x", 412),
        ("v1.1", 412),
        ("1.+1", 412),
        ("1..1", 412),
        (" 1.1", 412),
    ] {
        assert_eq!(code(with("schemaVersion", version.into())), expected, "{version:?}");
    }
    // The version is judged before what depends on it.
    let mut other = with("schemaVersion", json!("2.0"));
    other["runtime"] = json!("none");
    assert_eq!(code(other), 412);
}

#[test]
fn credentials() {
    let read = |credential: Value| {
        let mut document = section(module("env", Value::Null));
        document["runtime"]["settings"]["registryCredentials"] = json!({ "one": credential });
        AgentDesired::parse(&document).map(|desired| desired.runtime.registry_credentials["one"].clone())
    };
    let credential = read(json!({"address": "r.io:5000", "username": "u", "password": "secret"})).unwrap();
    assert_eq!(credential.address, "r.io:5000");
    assert!(!format!("{credential:?}").contains("secret"));
    for bad in [
        json!({"address": "r.io", "username": "u"}),
        json!({"address": " ", "username": "u", "password": "p"}),
        json!({"address": "r.io", "username": 5, "password": "p"}),
        json!("r.io"),
    ] {
        assert_eq!(read(bad.clone()).unwrap_err().code, 400, "{bad}");
    }
}

#[test]
fn a_reserved_module_name_parses_and_is_found_by_the_planner() {
    let mut document = section(module("env", Value::Null));
    assert_eq!(AgentDesired::parse(&document).unwrap().reserved_module(), None);
    document["modules"]["edgeHub"] = module("env", Value::Null);
    assert_eq!(AgentDesired::parse(&document).unwrap().reserved_module(), Some("edgeHub"));
}

#[test]
fn the_message_says_where() {
    let error = AgentDesired::parse(&section(module("status", json!("paused")))).unwrap_err();
    assert_eq!(error.to_string(), "status must be one of running, stopped (at \"/modules/m/status\")");
}
