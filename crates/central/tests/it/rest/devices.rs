//! Devices: the record, attestation, credentials, relationships.

use serde_json::{Value, json};

use super::client::Rest;
use crate::central::{TestCentral, data, on_both_databases};
use central::database::Database;

on_both_databases!(a_device_is_made_changed_and_deleted, a_device_is_behind_one_gateway);

async fn a_device_is_made_changed_and_deleted(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let rest = Rest::new(&central);
    let made = rest.put("/api/devices/pump-07", json!({})).await;
    let expected = json!({ "id": "pump-07", "etag": made["etag"], "displayName": "pump-07", "enabled": true,
        "provisioned": false, "simulated": false });
    assert_eq!(made, expected);
    let renamed = rest.patch("/api/devices/pump-07", json!({ "displayName": "Pump 7", "etag": made["etag"] })).await;
    assert_eq!(renamed["displayName"], "Pump 7");
    let stale = json!({ "displayName": "Other", "etag": made["etag"] });
    for method in ["PATCH", "PUT"] {
        let refused = rest.refused(method, "/api/devices/pump-07", stale.clone()).await;
        assert_eq!(refused, (412, "PreconditionFailed".to_owned(), Vec::new()));
    }
    assert_eq!(rest.get("/api/devices/pump-07").await, renamed);
    rest.delete("/api/devices/pump-07").await;
    for method in ["GET", "DELETE"] {
        assert_eq!(rest.refused(method, "/api/devices/pump-07", Value::Null).await.0, 404);
    }
    central.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put("/api/devices/d", json!({})).await;
    let cases = [
        ("PUT", "/api/devices/a%20b", json!({}), 400),
        ("PUT", "/api/devices/d2", json!({ "template": "dtmi:none;1" }), 400),
        ("PUT", "/api/devices/d2", json!({ "organizations": ["north"] }), 422),
        ("PUT", "/api/devices/d2", json!({ "displayName": "x".repeat(149) }), 422),
        ("PUT", "/api/devices/d2", json!({ "enabled": "yes" }), 422),
        ("PUT", "/api/devices/d2", json!({ "simulated": true }), 501),
        ("PUT", "/api/devices/d2", json!({ "type": ["robot"] }), 422),
        ("PUT", "/api/devices/d2", json!({ "etag": "\"1\"" }), 412),
        ("PUT", "/api/devices/d", json!({ "type": ["iotEdge"] }), 422),
        ("PATCH", "/api/devices/d", json!({ "type": ["iotEdge"] }), 422),
        ("PATCH", "/api/devices/d", json!({ "simulated": true }), 422),
        ("PATCH", "/api/devices/none", json!({}), 404),
    ];
    for (method, path, body, status) in cases {
        assert_eq!(rest.refused(method, path, body.clone()).await.0, status, "{method} {path} {body}");
    }
    assert_eq!(rest.raw("PUT", "/api/devices/d?api-version=2022-07-31", "{").await.status, 400);
    let long = "d".repeat(128);
    rest.put(&format!("/api/devices/{long}"), json!({})).await;
    assert_eq!(rest.refused("PUT", &format!("/api/devices/{long}d"), json!({})).await.0, 400);
    central.stop().await;
}

#[tokio::test]
async fn credentials_are_the_groups_until_the_device_has_its_own() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put("/api/devices/d", json!({})).await;
    let group = central.group("SAS-IoT-Devices").await;
    let derived = protocol::auth::sas::derive_device_key(&group.keys.primary, "d").unwrap();
    let credentials = rest.get("/api/devices/d/credentials").await;
    assert_eq!(credentials["idScope"], central.id_scope());
    assert_eq!(credentials["symmetricKey"]["primaryKey"], derived.as_str());

    let path = "/api/devices/d/attestation";
    assert_eq!(rest.refused("GET", path, Value::Null).await.0, 404);
    let key = |byte: u8| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [byte; 32]);
    let own = json!({ "type": "symmetricKey", "symmetricKey": { "primaryKey": key(1), "secondaryKey": key(2) } });
    assert_eq!(rest.put(path, own.clone()).await, own);
    assert_eq!(rest.get("/api/devices/d/credentials").await["symmetricKey"], own["symmetricKey"]);
    let changed = rest.patch(path, json!({ "symmetricKey": { "secondaryKey": key(3) } })).await;
    assert_eq!(changed["symmetricKey"], json!({ "primaryKey": key(1), "secondaryKey": key(3) }));
    let short = json!({ "type": "symmetricKey", "symmetricKey": { "primaryKey": "AAAA", "secondaryKey": key(2) } });
    assert_eq!(rest.refused("PUT", path, short).await.2, ["/symmetricKey/primaryKey"]);
    rest.delete(path).await;
    assert_eq!(rest.get("/api/devices/d/credentials").await["symmetricKey"]["primaryKey"], derived.as_str());
    central.stop().await;
}

/// `leaf` is behind `edge-1`: its relationship goes to another child, to another gateway, and nowhere it may not.
async fn a_relationship_moves(rest: &Rest) {
    rest.put("/api/devices/leaf-2", json!({})).await;
    let path = "/api/devices/edge-1/relationships/leaf";
    let moved = json!({ "id": "leaf", "source": "edge-1", "target": "leaf-2" });
    assert_eq!(rest.patch(path, json!({ "target": "leaf-2" })).await, moved);
    assert_eq!(rest.get("/api/devices/edge-1/relationships").await, json!({ "value": [moved] }), "in one step");
    assert_eq!(rest.get("/api/devices/leaf/relationships").await, json!({ "value": [] }));
    assert_eq!(rest.patch(path, json!({})).await, moved, "nothing asked, nothing changed");

    let moved = json!({ "id": "leaf", "source": "edge-2", "target": "leaf-2" });
    assert_eq!(rest.patch("/api/devices/leaf-2/relationships/leaf", json!({ "source": "edge-2" })).await, moved);
    let back = rest.patch("/api/devices/leaf-2/relationships/leaf", json!({ "source": "edge-1" })).await;
    assert_eq!(back["source"], "edge-1");

    rest.put("/api/devices/edge-2/relationships/other", json!({ "source": "edge-2", "target": "leaf" })).await;
    let taken = json!({ "target": "leaf" });
    assert_eq!(rest.refused("PATCH", path, taken).await.0, 409, "a child of another gateway is not taken from it");
    for target in ["edge-2", "edge-1", "none"] {
        assert_eq!(rest.refused("PATCH", path, json!({ "target": target })).await.0, 422, "{target}");
    }
    assert_eq!(rest.get(path).await["target"], "leaf-2", "what is refused changes nothing");
    rest.delete("/api/devices/edge-2/relationships/other").await;
}

async fn a_device_is_behind_one_gateway(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let rest = Rest::new(&central);
    for edge in ["edge-1", "edge-2"] {
        rest.put(&format!("/api/devices/{edge}"), json!({ "type": ["iotEdge"] })).await;
    }
    rest.put("/api/devices/leaf", json!({})).await;
    let link = json!({ "id": "leaf", "source": "edge-1", "target": "leaf" });
    assert_eq!(
        rest.put("/api/devices/edge-1/relationships/leaf", json!({ "source": "edge-1", "target": "leaf" })).await,
        link
    );
    for end in ["edge-1", "leaf"] {
        assert_eq!(rest.get(&format!("/api/devices/{end}/relationships")).await, json!({ "value": [link] }));
        assert_eq!(rest.get(&format!("/api/devices/{end}/relationships/leaf")).await, link);
    }
    let other = json!({ "source": "edge-2", "target": "leaf" });
    assert_eq!(rest.refused("PUT", "/api/devices/edge-2/relationships/leaf", other).await.0, 409);
    for (source, target) in [("edge-1", "edge-2"), ("edge-1", "edge-1"), ("edge-1", "none"), ("edge-2", "leaf")] {
        let body = json!({ "source": source, "target": target });
        assert_eq!(rest.refused("PUT", "/api/devices/edge-1/relationships/x", body).await.0, 422, "{source} {target}");
    }
    let scope_of =
        async |id: &str| rest.get(&format!("/system/iothub/devices/{id}/get-twin")).await["deviceScope"].clone();
    let (edge, leaf) = (scope_of("edge-1").await, scope_of("leaf").await);
    assert!(edge.as_str().unwrap().starts_with("ms-azure-iot-edge://edge-1-"));
    assert_eq!(edge, leaf, "how children are found: they are in their gateway's scope");
    assert_ne!(edge, scope_of("edge-2").await);
    assert_eq!(rest.get("/api/ext/v1/devices/leaf").await["gateway"], "edge-1");
    assert_eq!(rest.get("/api/ext/v1/devices/edge-1").await["children"][0]["id"], "leaf");
    a_relationship_moves(&rest).await;
    rest.delete("/api/devices/leaf-2/relationships/leaf").await;
    assert_eq!(rest.get("/api/devices/edge-1/relationships").await, json!({ "value": [] }));
    assert_eq!(scope_of("leaf").await, Value::Null);
    central.stop().await;
}
