#![allow(clippy::unwrap_used)]
use super::*;
use model::manifest::agent::{ImagePullPolicy, RestartPolicy};
use serde_json::json;

fn section() -> Value {
    json!({
        "schemaVersion": "1.1",
        "runtime": { "type": "docker", "settings": {} },
        "systemModules": {},
        "modules": {
            "sensor": {
                "type": "docker", "status": "running", "restartPolicy": "always",
                "env": { "A": { "value": "manifest" }, "IOTEDGE_DEVICEID": { "value": "forged" } },
                "settings": { "image": "sensor:1", "createOptions": "{\"Env\":[\"A=options\",\"B=2\"]}" },
            },
            "stranger": { "type": "docker", "status": "stopped", "settings": { "image": "x" } },
        },
    })
}

fn gateway(mqtts_port: u16) -> GatewayInfo {
    GatewayInfo {
        hub_host: "hub.test".into(),
        device_id: "edge".into(),
        hostname: "gateway".into(),
        parent_hostname: None,
        mqtts_port,
        sockets_dir: "/data/mnt".into(),
    }
}

fn identity(name: &str) -> Option<ModuleIdentity> {
    let generation_id = "g1".to_owned();
    (name == "sensor").then(|| ModuleIdentity { module_id: name.into(), generation_id, managed_by: None })
}

#[test]
fn modules_with_identity_are_wanted_with_their_environment() {
    let desired = AgentDesired::parse(&section()).unwrap();
    let wanted = wanted_modules(&desired, &gateway(8883), identity);
    assert_eq!(wanted.keys().collect::<Vec<_>>(), ["sensor"]);
    let spec = &wanted["sensor"].spec;
    assert_eq!(spec.image, "sensor:1");
    let expected = [
        ("A", "manifest"),
        ("B", "2"),
        ("IOTEDGE_APIVERSION", "2019-01-30"),
        ("IOTEDGE_AUTHSCHEME", "sasToken"),
        ("IOTEDGE_DEVICEID", "edge"),
        ("IOTEDGE_GATEWAYHOSTNAME", "gateway"),
        ("IOTEDGE_IOTHUBHOSTNAME", "hub.test"),
        ("IOTEDGE_MODULEGENERATIONID", "g1"),
        ("IOTEDGE_MODULEID", "sensor"),
        ("IOTEDGE_WORKLOADURI", "unix:///data/mnt/sensor.sock"),
    ];
    let env: Vec<_> = spec.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(env, expected);
}

#[test]
fn another_mqtt_port_is_told() {
    let desired = AgentDesired::parse(&section()).unwrap();
    let wanted = wanted_modules(&desired, &gateway(40001), identity);
    assert_eq!(wanted["sensor"].spec.env["TIDEGATE_GATEWAY_MQTTS_PORT"], "40001");
}

#[test]
fn the_last_good_deployment_is_kept_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deployment.json");
    assert_eq!(Deployment::read(&path).unwrap(), None);
    let deployment = Deployment { version: 7, section: section() };
    deployment.write(&path).unwrap();
    assert_eq!(Deployment::read(&path).unwrap(), Some(deployment));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// What a container runtime makes a module from is all in the specification.
#[test]
fn everything_an_engine_needs_is_handed_on() {
    let options =
        "{\"HostConfig\":{\"Privileged\":true},\"Labels\":{\"text\":\"".to_owned() + &"x".repeat(900) + "\"}}";
    let (first, rest) = options.split_at(512);
    let mut section = section();
    section["runtime"]["settings"]["registryCredentials"] = json!({
        "ours": { "address": "registry.test:5000", "username": "u", "password": "p" },
        "other": { "address": "other.test", "username": "u", "password": "p" },
    });
    section["modules"]["sensor"] = json!({
        "type": "docker", "status": "stopped", "restartPolicy": "on-failure", "imagePullPolicy": "never",
        "startupOrder": 3, "version": "1.2",
        "settings": {
            "image": "registry.test:5000/sensor:1", "digest": "sha256:00",
            "createOptions": first, "createOptions01": rest,
        },
    });
    let desired = AgentDesired::parse(&section).unwrap();
    let wanted = wanted_modules(&desired, &gateway(8883), identity);
    let WantedModule { spec, running } = &wanted["sensor"];
    assert!(!running);
    assert_eq!(Value::Object(spec.create_options.clone()), serde_json::from_str::<Value>(&options).unwrap());
    assert_eq!(spec.registry_credential.as_ref().unwrap().address, "registry.test:5000");
    assert_eq!((spec.digest.as_deref(), spec.version.as_str()), (Some("sha256:00"), "1.2"));
    assert_eq!((spec.pull_policy, spec.restart_policy), (ImagePullPolicy::Never, RestartPolicy::OnFailure));
    assert_eq!(spec.startup_order, 3);
}
