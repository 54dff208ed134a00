//! Enrollment groups.

use serde_json::{Value, json};

use super::client::Rest;
use crate::central::{TestCentral, data};

#[tokio::test]
async fn groups_keep_or_get_their_keys() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let path = "/api/enrollmentGroups/line-4";
    let wanted = json!({ "displayName": "Line 4", "type": "iot", "attestation": { "type": "symmetricKey" } });
    let made = rest.put(path, wanted.clone()).await;
    assert_eq!(made["enabled"], true);
    assert_eq!(made["idScope"], central.id_scope());
    assert_eq!(made["attestation"]["symmetricKey"]["primaryKey"].as_str().unwrap().len(), 88);
    let again = rest.put(path, wanted.clone()).await;
    assert_eq!(again["attestation"], made["attestation"], "keys that are not given are kept");
    let changed = rest.patch(path, json!({ "enabled": false, "displayName": "Line four" })).await;
    assert_eq!((&changed["enabled"], &changed["displayName"]), (&json!(false), &json!("Line four")));
    assert_eq!(changed["attestation"], made["attestation"]);
    assert_eq!(rest.refused("PATCH", path, json!({ "etag": made["etag"] })).await.0, 412);
    assert_eq!(rest.refused("PATCH", path, json!({ "type": "iotEdge" })).await.2, ["/type"]);
    assert_eq!(rest.refused("PUT", "/api/enrollmentGroups/a_b", wanted).await.0, 400);
    rest.delete(path).await;
    assert_eq!(rest.refused("GET", path, Value::Null).await.0, 404);
    central.stop().await;
}
