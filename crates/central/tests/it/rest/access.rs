//! Nobody gets past the guard: the whole list of endpoints is walked.

use std::collections::BTreeSet;

use api::endpoint::{ApiVersion, Endpoint, Guard, Versions};
use api::endpoints;
use api::permission::Permission;
use central::app::roles;
use serde_json::{Value, json};

use super::client::Rest;
use crate::central::{TestCentral, data};

/// A request that reaches the endpoint: every parameter filled in.
fn target(endpoint: &Endpoint) -> String {
    let path: Vec<_> = endpoint.path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
    let version = match (endpoint.id, endpoint.versions) {
        // Without a device, whoever may follow the stream would follow it for ever.
        ("Live_Stream", _) => "?device=x",
        (_, Versions::Unversioned) => "",
        _ => "?api-version=2022-10-31-preview",
    };
    format!("{}{version}", path.join("/"))
}

#[tokio::test]
async fn every_endpoint_refuses_whoever_is_unknown() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let bad = Rest::anonymous(&central).with("authorization", "SharedAccessSignature sr=a&sig=AAAA&skn=b&se=1");
    let bearer = Rest::anonymous(&central).with("authorization", "Bearer x");
    let cookie = Rest::anonymous(&central).with("cookie", "tidegate_session=guess");
    let nobody = Rest::anonymous(&central);
    let mut public = BTreeSet::new();
    for endpoint in endpoints::all() {
        if endpoint.guard == Guard::Public {
            public.insert(endpoint.id);
            continue;
        }
        for caller in [&nobody, &bad, &bearer, &cookie] {
            let answered = caller.raw(endpoint.method.as_str(), &target(endpoint), "{}").await;
            assert_eq!(answered.status, 401, "{}", endpoint.id);
            assert_eq!(answered.body["error"]["code"], "Unauthenticated", "{}", endpoint.id);
        }
    }
    assert_eq!(public, BTreeSet::from(["Session_Create"]), "whatever answers anybody is named here");
    central.stop().await;
}

#[tokio::test]
async fn every_endpoint_wants_the_permission_of_the_list() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let operator = roles::by_name("Operator").unwrap();
    let token = rest.put("/api/apiTokens/operator", json!({ "roles": [{ "role": operator.id }] })).await;
    let caller = Rest::anonymous(&central).with("authorization", token["token"].as_str().unwrap());
    let mut refused = 0;
    for endpoint in endpoints::all() {
        let Guard::Permission(permission) = endpoint.guard else { continue };
        let answered = caller.raw(endpoint.method.as_str(), &target(endpoint), "{}").await;
        assert_eq!(answered.status == 403, !operator.allows(permission), "{}: {}", endpoint.id, answered.status);
        refused += usize::from(answered.status == 403);
    }
    assert!(refused > 10);
    central.stop().await;
}

#[tokio::test]
async fn versions_gate_operations_and_members() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    for query in ["", "?api-version=1.0", "?api-version=2022-05-31"] {
        let answered = rest.raw("GET", &format!("/api/devices{query}"), "").await;
        assert_eq!(answered.status, 404, "{query}");
        assert_eq!(answered.body["error"]["code"], "NotFound");
        assert!(answered.body["error"]["message"].as_str().unwrap().contains("is not a valid API version"));
    }
    let wrong_method = rest.raw("DELETE", "/api/devices?api-version=2022-07-31", "").await;
    assert_eq!((wrong_method.status, &wrong_method.body["error"]["code"]), (405, &json!("MethodNotAllowed")));
    let general = Rest::new(&central).in_version(ApiVersion::V2022_07_31);
    assert_eq!(general.refused("GET", "/api/deploymentManifests", Value::Null).await.0, 404);
    assert_eq!(general.refused("POST", "/api/query", json!({ "query": "x" })).await.0, 404);
    rest.put("/api/devices/edge", json!({ "type": ["iotEdge"] })).await;
    assert_eq!(rest.get("/api/devices/edge").await["type"], json!(["iotEdge"]));
    assert_eq!(general.get("/api/devices/edge").await.get("type"), None);
    assert_eq!(general.get("/api/enrollmentGroups/SAS-IoT-Devices").await.get("idScope"), None);
    let older = Rest::new(&central).in_version(ApiVersion::V2022_06_30Preview);
    let listed = older.get("/api/devices?$filter=type%20eq%20'GatewayDevice'%20or%20type%20eq%20'EdgeDevice'").await;
    assert_eq!(listed["value"].as_array().unwrap().len(), 1);
    central.stop().await;
}

#[tokio::test]
async fn tokens_live_as_long_as_their_row() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let builder = json!({ "roles": [{ "role": roles::by_name("Builder").unwrap().id }] });
    let made = rest.put("/api/apiTokens/job", builder.clone()).await;
    let text = made["token"].as_str().unwrap().to_owned();
    assert!(text.starts_with(&format!("SharedAccessSignature sr={}&sig=", central.app())), "{text}");
    assert_eq!(rest.get("/api/apiTokens/job").await.get("token"), None);
    assert_eq!(rest.refused("PUT", "/api/apiTokens/job", builder.clone()).await.0, 409);

    let job = Rest::anonymous(&central).with("authorization", &text);
    job.get("/api/devices").await;
    assert_eq!(job.refused("GET", "/api/apiTokens", Value::Null).await.0, 403);
    rest.delete("/api/apiTokens/job").await;
    assert_eq!(job.refused("GET", "/api/devices", Value::Null).await.0, 401);
    rest.put("/api/apiTokens/job", builder).await;
    assert_eq!(job.refused("GET", "/api/devices", Value::Null).await.0, 401, "the old text stays dead");

    let past = json!({ "roles": [{ "role": roles::ALL[0].id }], "expiry": "2020-01-01T00:00:00Z" });
    assert_eq!(
        rest.refused("PUT", "/api/apiTokens/past", past).await,
        (422, "UnprocessableEntity".into(), vec!["/expiry".into()])
    );
    let nothing = rest.refused("PUT", "/api/apiTokens/none", json!({ "roles": [] })).await;
    assert_eq!((nothing.0, nothing.2), (422, vec!["/roles".to_owned()]));
    central.stop().await;
}

#[tokio::test]
async fn nobody_hands_out_more_than_they_have() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let listed = rest.get("/api/roles").await;
    assert_eq!(listed["value"].as_array().unwrap().len(), roles::ALL.len());
    rest.get(&format!("/api/roles/{}", roles::ALL[0].id)).await;
    assert_eq!(rest.refused("GET", "/api/roles/none", Value::Null).await.0, 404);
    let organization = json!({ "roles": [{ "role": roles::ALL[0].id, "organization": "north" }] });
    assert_eq!(rest.refused("PUT", "/api/apiTokens/t", organization).await.0, 422);

    let user = json!({ "type": "email", "email": "Ada@Example.com", "roles": [{ "role": roles::ALL[2].id }] });
    assert_eq!(rest.put("/api/users/ada", user).await["email"], "ada@example.com");
    assert_eq!(
        rest.patch("/api/users/ada", json!({ "roles": [{ "role": roles::ALL[0].id }] })).await["roles"][0]["role"],
        roles::ALL[0].id
    );
    let twice = json!({ "type": "email", "email": "ada@example.com", "roles": [{ "role": roles::ALL[2].id }] });
    assert_eq!(rest.refused("PUT", "/api/users/eve", twice).await.0, 409);
    let no_address = json!({ "type": "email", "email": "ada", "roles": [{ "role": roles::ALL[2].id }] });
    assert_eq!(rest.refused("PUT", "/api/users/eve", no_address).await.2, ["/email"]);
    assert_eq!(rest.get("/api/users").await["value"].as_array().unwrap().len(), 1);
    rest.get("/api/users/ada").await;
    rest.delete("/api/users/ada").await;
    assert_eq!(rest.refused("GET", "/api/users/ada", Value::Null).await.0, 404);
    central.stop().await;
}

#[test]
fn every_permission_guards_something() {
    let guards: Vec<_> = endpoints::all().map(|endpoint| endpoint.guard).collect();
    // Creating is asked for inside the endpoint that creates or replaces, seeing a manifest inside the one that expands it.
    let inside = [Permission::DevicesCreate, Permission::ManifestsReadInstance];
    for permission in Permission::ALL.iter().filter(|permission| !inside.contains(permission)) {
        assert!(guards.contains(&Guard::Permission(*permission)), "{permission:?}");
    }
}
