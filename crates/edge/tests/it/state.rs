//! Data folders of an earlier and of a later version.

use serde_json::{Value, json};
use testkit::authority::TestAuthority;

use crate::daemon::Device;

/// State files as version 0.1 wrote them, beyond those every [`Device`] has.
const BARE: [(&str, &str); 4] = [
    ("lifecycle/restarts.json", r#"{"worker":{"restarts":3,"last_restart":"2026-01-01T00:00:00Z"}}"#),
    ("hub/scope.json", r#"{"leaf":{"keys":["a2V5"],"enabled":true}}"#),
    ("hub/sessions.json", r#"{"edge/sensor":3}"#),
    (
        "hub/twins/edge%2Fsensor.json",
        r#"{"desired":{"$version":1},"reported":{"a":1,"$version":4},"unsent":true,"complete":true}"#,
    ),
];

fn device() -> Device {
    let device = Device::new("exec sleep 1000", 1, &TestAuthority::default());
    std::fs::create_dir_all(device.data_dir().join("hub/twins")).unwrap();
    for (path, text) in BARE {
        device.write(&format!("data/{path}"), text);
    }
    device
}

fn document(device: &Device, path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(device.data_dir().join(path)).unwrap()).unwrap()
}

#[test]
fn what_an_earlier_version_wrote_is_used_and_written_anew() {
    let mut device = device();
    let modules = document(&device, "identity/modules.json");
    device.start();
    let listed = device.run(&["list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let worker = listed["modules"].as_array().unwrap().iter().find(|module| module["name"] == "worker").unwrap();
    assert_eq!(worker["restartCount"], 3);
    let kinds = [
        ("identity/modules.json", "edge.identity.modules", 2),
        ("lifecycle/deployment.json", "edge.desired", 2),
        ("lifecycle/restarts.json", "edge.lifecycle.restarts", 2),
        ("hub/config.json", "edge.desired", 2),
        ("hub/scope.json", "edge.hub.scope", 3),
        ("hub/sessions.json", "edge.hub.sessions", 2),
    ];
    for (path, kind, version) in kinds {
        let document = document(&device, path);
        assert_eq!((&document["kind"], &document["version"]), (&json!(kind), &json!(version)), "{path}");
    }
    let body = document(&device, "identity/modules.json")["body"].clone();
    assert_eq!(body["device_id"], modules["device_id"]);
    assert_eq!(body["modules"][0]["primary_key"], modules["modules"][0]["primary_key"]);
    assert_eq!(document(&device, "hub/scope.json")["body"]["identities"]["leaf"]["enabled"], true);
}

#[test]
fn a_folder_a_later_version_wrote_is_refused_untouched() {
    let device = device();
    let path = "hub/twins/edge%2Fsensor.json";
    // The envelope is the same in every version; its checksum is that of kind, version and body.
    let later = r#"{"kind":"edge.hub.twin","version":3,"crc32":"091a782c","body":{"from":"the future"}}"#;
    device.write(&format!("data/{path}"), later);
    let refused = device.run(&["run"]);
    assert_eq!(refused.status.code(), Some(78));
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("was written by a later version of tidegate-edge"), "{message}");
    assert!(message.contains("its version is 3, this program reads up to 2"), "{message}");
    assert_eq!(std::fs::read_to_string(device.data_dir().join(path)).unwrap(), later);
    assert!(document(&device, "hub/scope.json").get("kind").is_none(), "nothing else was written either");
    let checked = device.run(&["check", "--json"]);
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(checked["checks"]["state-files"]["result"], "error");
}
