//! What must hold of the stored thing for a change to be made: the same for every kind.

use central::limits::PATCH_ATTEMPTS_MAX;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::Rest;
use crate::central::{TestCentral, data};

fn manifest() -> Value {
    json!({ "displayName": "Line 1", "data": super::manifests::manifest() })
}

/// A kind: where one of it is, what it is made from, and a patch.
pub fn kinds() -> [(&'static str, Value, Value); 5] {
    let template = json!({
        "@type": ["ModelDefinition", "DeviceModel"],
        "displayName": "Pump",
        "capabilityModel": { "@id": "dtmi:t:pump;1", "@type": "Interface", "contents": [] },
    });
    let group = json!({
        "displayName": "Line", "enabled": true, "type": "iot", "attestation": { "type": "symmetricKey" },
    });
    let user = json!({
        "type": "email", "email": "a@example.com", "roles": [{ "role": "ca310b8d-2f4a-44e0-a36e-957c202cd8d4" }],
    });
    [
        ("/api/deviceTemplates/dtmi:t:pumpTemplate;1", template, json!({ "displayName": "Pump 2" })),
        ("/api/deploymentManifests/line1", manifest(), json!({ "displayName": "Line 2" })),
        ("/api/enrollmentGroups/line", group, json!({ "displayName": "Line 2" })),
        ("/api/users/ann", user, json!({ "email": "b@example.com" })),
        ("/api/devices/d1", json!({ "displayName": "Pump 7" }), json!({ "displayName": "Pump 8" })),
    ]
}

#[tokio::test]
async fn what_is_there_is_not_made_again_and_what_is_not_is_not_changed() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = || Rest::new(&central);
    let (absent, present) = (rest().with("if-none-match", "*"), rest().with("if-match", "*"));
    for (path, body, _) in kinds() {
        assert_eq!(present.refused("PUT", path, body.clone()).await.0, 412, "{path} is not there yet");
        let made = absent.put(path, body.clone()).await;
        assert_eq!(absent.refused("PUT", path, body.clone()).await.0, 412, "{path} is there");
        assert_eq!(rest().get(path).await, made, "{path} is as it was made");
        present.put(path, body).await;
    }
    central.stop().await;
}

#[tokio::test]
async fn an_etag_in_the_header_or_the_body_protects() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    for (path, body, patch) in kinds() {
        let first = rest.put(path, body.clone()).await;
        let Some(etag) = first["etag"].as_str().map(str::to_owned) else { continue };
        let holding = |etag: &str| Rest::new(&central).with("if-match", etag);
        let second = holding(&etag).patch(path, patch.clone()).await;
        assert_ne!(second["etag"], first["etag"], "{path}");
        assert_eq!(holding(&etag).refused("PATCH", path, patch.clone()).await.0, 412, "{path}");
        assert_eq!(holding(&etag).refused("PUT", path, body.clone()).await.0, 412, "{path}");
        let mut stale = patch.clone();
        stale["etag"] = json!(etag);
        assert_eq!(rest.refused("PATCH", path, stale).await.0, 412, "{path}");
        assert_eq!(rest.get(path).await, second, "{path} is as the one who held the etag left it");
        rest.patch(path, patch).await;
    }
    central.stop().await;
}

#[tokio::test]
async fn patches_at_the_same_time_are_all_kept() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put("/api/deploymentManifests/line1", manifest()).await;
    // Of as many as a patch has attempts, one is stored in each round, so the last one still is.
    let mut patches = JoinSet::new();
    for number in 0..PATCH_ATTEMPTS_MAX {
        let rest = Rest::new(&central);
        let patch = json!({ "displayName": format!("Line {number}") });
        patches.spawn(async move { rest.patch("/api/deploymentManifests/line1", patch).await });
    }
    let mut etags: Vec<String> = patches.join_all().await.iter().map(|answer| answer["etag"].to_string()).collect();
    etags.sort();
    etags.dedup();
    assert_eq!(etags.len(), PATCH_ATTEMPTS_MAX as usize, "each was stored by itself");
    central.stop().await;
}

#[tokio::test]
async fn a_deletion_can_be_protected_too() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    for (path, body, _) in kinds().into_iter().take(3) {
        let etag = rest.put(path, body.clone()).await["etag"].as_str().unwrap().to_owned();
        let newer = rest.put(path, body).await["etag"].as_str().unwrap().to_owned();
        assert_eq!(
            Rest::new(&central).with("if-match", &etag).refused("DELETE", path, Value::Null).await.0,
            412,
            "{path}"
        );
        Rest::new(&central).with("if-match", &newer).delete(path).await;
        assert_eq!(rest.refused("DELETE", path, Value::Null).await.0, 404, "{path}");
    }
    central.stop().await;
}
