//! The list of endpoints is consistent, and the checked-in documents are fresh.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::endpoint::{ApiVersion, Versions};
use crate::endpoints;
use crate::openapi::{Scope, document_text};

fn published(version: ApiVersion) -> Value {
    let path = format!("{}/../../openapi/published/iotcentral-{}.json", env!("CARGO_MANIFEST_DIR"), version.as_str());
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn ids_and_paths_are_unique() {
    let mut ids = HashSet::new();
    let mut routes = HashSet::new();
    for endpoint in endpoints::all() {
        assert!(ids.insert(endpoint.id), "{} twice", endpoint.id);
        assert!(routes.insert((endpoint.method, endpoint.path)), "{} twice", endpoint.path);
    }
}

#[test]
fn checked_in_documents_are_fresh() {
    for (name, scope) in [("central.json", Scope::Everything), ("tidegate.json", Scope::Extensions)] {
        let path = format!("{}/../../openapi/{name}", env!("CARGO_MANIFEST_DIR"));
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        let fresh = stored == document_text(scope);
        assert!(fresh, "openapi/{name} is stale: run `cargo run -p tidegate-api --example openapi`");
    }
}

/// Operation id → (method, path, status, answer, body) of a published document.
fn operations(document: &Value) -> BTreeMap<String, (String, String, u16, Option<String>)> {
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let (status, answer) =
                operation["responses"].as_object().unwrap().iter().find(|(status, _)| *status != "default").unwrap();
            let name = answer["schema"]["$ref"].as_str().map(|name| name.rsplit('/').next().unwrap().to_owned());
            let path = format!("/api{path}");
            operations.insert(id, (method.to_uppercase(), path, status.parse().unwrap(), name));
        }
    }
    operations
}

#[test]
fn published_operations_are_taken_over_exactly() {
    let newest = operations(&published(ApiVersion::V2022_10_31Preview));
    let general = operations(&published(ApiVersion::V2022_07_31));
    for endpoint in endpoints::all().filter(|endpoint| endpoint.versions != Versions::Unversioned) {
        let (method, path, status, answer) = newest.get(endpoint.id).unwrap_or_else(|| panic!("{}", endpoint.id));
        assert_eq!(endpoint.method.as_str(), method, "{}", endpoint.id);
        assert_eq!(endpoint.path, path, "{}", endpoint.id);
        assert_eq!(endpoint.status, *status, "{}", endpoint.id);
        let ours = match endpoint.answer {
            crate::endpoint::Answer::Json(shape) => Some((shape.name)().into_owned()),
            _ => None,
        };
        assert_eq!(ours, *answer, "{}", endpoint.id);
        let in_general = endpoint.versions.has(ApiVersion::V2022_07_31);
        assert_eq!(in_general, general.contains_key(endpoint.id), "{}", endpoint.id);
    }
}

#[test]
fn versions_are_read() {
    for version in ApiVersion::ALL {
        assert_eq!(ApiVersion::parse(version.as_str()), Some(version));
    }
    assert_eq!(ApiVersion::parse("2022-05-31"), None);
}
