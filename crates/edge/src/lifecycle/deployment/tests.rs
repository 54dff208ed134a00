#![allow(clippy::unwrap_used)]
use super::*;
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

fn surroundings(mqtts_port: u16) -> Surroundings {
    Surroundings {
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
    let wanted = wanted_modules(&desired, &surroundings(8883), identity);
    assert_eq!(wanted.keys().collect::<Vec<_>>(), ["sensor"]);
    let spec = &wanted["sensor"].build.spec;
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
    let wanted = wanted_modules(&desired, &surroundings(40001), identity);
    assert_eq!(wanted["sensor"].build.spec.env["TIDEGATE_GATEWAY_MQTTS_PORT"], "40001");
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
