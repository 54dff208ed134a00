//! Deployment manifests: stored, given, turned into a template.

use model::identity::Identity;
use serde_json::{Value, json};

use super::client::Rest;
use crate::central::{TestCentral, data, on_both_databases};
use central::database::Database;

on_both_databases!(applying_a_manifest_replaces_the_desired_properties_of_its_modules);

pub fn manifest() -> Value {
    let path = format!("{}/tests/it/rest/deployment-manifest.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test]
async fn manifests_are_stored_and_checked() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let path = "/api/deploymentManifests/pressLineV1";
    let stored = rest.put(path, json!({ "displayName": "Press line", "data": manifest() })).await;
    assert_eq!(stored["data"], manifest());
    assert_eq!(rest.get(path).await, stored);
    assert_eq!(rest.patch(path, json!({ "displayName": "Presses" })).await["displayName"], "Presses");
    assert_eq!(rest.refused("PATCH", path, json!({ "etag": stored["etag"] })).await.0, 412);
    let listed = rest.get("/api/deploymentManifests?filter=displayName%20eq%20'Presses'").await;
    assert_eq!(listed["value"].as_array().unwrap().len(), 1);
    let (status, _, places) = rest.refused("PUT", path, json!({ "data": { "modulesContent": {} } })).await;
    assert_eq!(status, 422);
    assert!(places.iter().all(|place| place.starts_with("/data/modulesContent")), "{places:?}");
    assert_eq!(rest.refused("PUT", "/api/deploymentManifests/a-b", json!({ "data": manifest() })).await.0, 400);
    rest.delete(path).await;
    assert_eq!(rest.refused("GET", path, Value::Null).await.0, 404);
    central.stop().await;
}

async fn applying_a_manifest_replaces_the_desired_properties_of_its_modules(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let rest = Rest::new(&central);
    rest.put("/api/devices/leaf", json!({})).await;
    rest.put("/api/devices/edge", json!({ "type": ["iotEdge"] })).await;
    let wanted = json!({ "displayName": "Press line", "data": manifest() });
    assert_eq!(rest.refused("POST", "/api/devices/leaf/applyDeploymentManifest", wanted.clone()).await.0, 400);
    let applied = rest.expect("POST", "/api/devices/edge/applyDeploymentManifest", wanted, 200).await;
    assert_eq!(rest.get("/api/devices/edge?expand=deploymentManifest").await["deploymentManifest"], applied);

    let blocks = manifest()["modulesContent"].clone();
    for (module, block) in blocks.as_object().unwrap() {
        let twin = rest.get(&format!("/api/ext/v1/devices/edge/twin?module={module}")).await;
        let mut desired = twin["properties"]["desired"].clone();
        desired.as_object_mut().unwrap().retain(|name, _| !name.starts_with('$'));
        assert_eq!(desired, block["properties.desired"], "{module}");
    }
    let running = json!({ "lastDesiredVersion": 2, "lastDesiredStatus": { "code": 200, "description": "" },
        "modules": { "vibrationProbe": { "runtimeStatus": "running", "exitCode": 0, "restartCount": 1,
            "lastStartTimeUtc": "2024-03-05T09:12:44Z", "lastExitTimeUtc": "0001-01-01T00:00:00Z" } } });
    let agent = Identity::module("edge", "$edgeAgent");
    central.running.core.twins.patch_reported(central.app(), &agent, running).await.unwrap();
    let view = rest.get("/api/ext/v1/devices/edge/edge").await;
    assert_eq!((&view["appliedVersion"], &view["appliedStatus"]["code"]), (&json!(2), &json!(200)));
    let probe = view["modules"].as_array().unwrap().iter().find(|module| module["id"] == "vibrationProbe").unwrap();
    assert_eq!((&probe["runtimeStatus"], &probe["status"]), (&json!("running"), &json!("running")));
    assert_eq!(probe.get("lastExit"), None);
    let modules = rest.get("/system/iotedge/devices/edge/modules").await;
    let ids: Vec<_> =
        modules["modules"].as_array().unwrap().iter().map(|module| module["moduleId"].as_str().unwrap()).collect();
    assert_eq!(ids[..2], ["$edgeAgent", "$edgeHub"]);
    central.stop().await;
}

#[tokio::test]
async fn a_template_made_from_a_manifest_can_be_published_and_used() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let id = "dtmi:modelDefinition:factory:pressGateway;1";
    let request = json!({ "id": id, "displayName": "Press gateway", "data": manifest() });
    let made = rest.expect("POST", "/api/ext/v1/deviceTemplates/fromManifest", request, 200).await;
    assert!(
        made["warnings"].as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains("axes")),
        "{made}"
    );
    rest.put(&format!("/api/deviceTemplates/{id}"), made["template"].clone()).await;
    let device = rest.put("/api/devices/gw-04", json!({ "template": id })).await;
    assert_eq!(device["type"], json!(["iotEdge"]), "the template makes it an edge device");
    rest.expect("POST", "/api/devices/gw-04/applyDeploymentManifest", json!({ "data": manifest() }), 200).await;
    let modules = rest.get("/api/devices/gw-04/modules").await;
    assert!(modules["value"].as_array().unwrap().iter().any(|module| module["name"] == "vibrationProbe"));
    let path = "/api/devices/gw-04/modules/vibrationProbe/properties";
    rest.expect("PATCH", path, json!({ "sampleSeconds": 2 }), 202).await;
    let read = rest.get(path).await;
    assert_eq!(read["$metadata"]["sampleSeconds"]["desiredValue"], 2);
    assert_eq!(read["$metadata"]["limits"]["desiredValue"], json!({ "warn": 4.5, "stop": 9 }));

    // The module answers through its own twin.
    let probe = Identity::module("gw-04", "vibrationProbe");
    let version = read["$metadata"]["sampleSeconds"]["desiredVersion"].clone();
    let reported = json!({ "sampleSeconds": { "value": 2, "ac": 200, "av": version, "ad": "ok" } });
    central.running.core.twins.patch_reported(central.app(), &probe, reported).await.unwrap();
    assert_eq!(rest.get(path).await["sampleSeconds"], 2);
    central.stop().await;
}
