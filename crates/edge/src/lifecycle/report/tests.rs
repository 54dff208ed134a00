#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn long_create_options_are_cut_into_numbered_parts_that_join_to_the_whole() {
    let mut options = Map::new();
    options.insert("Labels".into(), json!({ "text": "ü".repeat(1100) }));
    let parts = create_options_parts(&options);
    assert_eq!(parts.keys().collect::<Vec<_>>(), ["createOptions", "createOptions01", "createOptions02"]);
    let joined: String = parts.values().map(|part| part.as_str().unwrap()).collect();
    assert_eq!(serde_json::from_str::<Value>(&joined).unwrap(), Value::Object(options));
    assert_eq!(create_options_parts(&Map::new())["createOptions"], "{}");
}

#[test]
fn before_any_deployment_the_report_is_complete_and_says_so() {
    let outcome = DesiredOutcome { version: 0, code: 406, description: "no deployment was seen yet".into() };
    let input = ReportInput {
        desired: None,
        outcome: &outcome,
        wanted: &BTreeMap::new(),
        present: &BTreeMap::new(),
        history: &BTreeMap::new(),
        without_identity: &BTreeMap::new(),
        pulling: &BTreeMap::new(),
        daemon_started_at: OffsetDateTime::UNIX_EPOCH,
    };
    let report = reported(&input);
    assert_eq!(report["schemaVersion"], "1.0");
    assert_eq!(report["runtime"]["type"], "docker");
    assert_eq!(report["systemModules"]["edgeAgent"]["runtimeStatus"], "running");
    assert_eq!(report["systemModules"]["edgeHub"]["restartPolicy"], "always");
    assert_eq!(report["systemModules"]["edgeHub"]["lastStartTimeUtc"], "1970-01-01T00:00:00.0000000Z");
    assert_eq!(report["modules"], json!({}));
    assert_eq!(management_list(&input).as_array().unwrap().len(), 2);
}
