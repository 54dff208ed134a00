#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

#[test]
fn registration_ids_follow_the_rule() {
    for (text, fine) in [
        ("a", true),
        ("sn-007_x.y:z", true),
        ("", false),
        ("x-", true),
        ("-", true),
        ("-a", true),
        ("_.:a", true),
        ("a.", false),
        ("a_", false),
        ("a:", false),
        ("a b", false),
        ("a/b", false),
        (&"a".repeat(128), true),
        (&"a".repeat(129), false),
    ] {
        assert_eq!(is_registration_id(text), fine, "{text}");
    }
}

#[test]
fn payloads_come_in_every_spelling() {
    let model = json!({"modelId": "dtmi:a;1"});
    let table = [
        ("", None),
        (" ", None),
        ("{}", None),
        (r#"{"registrationId":"DEV1","payload":null}"#, None),
        (r#"{"payload":{"modelId":"dtmi:a;1"}}"#, Some(model.clone())),
        (r#"{"registrationId":"dev1","data":{"modelId":"dtmi:a;1"}}"#, Some(model.clone())),
        (r#"{"payload":"{\"modelId\":\"dtmi:a;1\"}"}"#, Some(model.clone())),
        (r#"{"payload":"just text"}"#, Some(json!("just text"))),
    ];
    for (body, payload) in table {
        assert_eq!(RegisterRequest::parse(body.as_bytes(), "dev1").unwrap().payload, payload, "{body}");
    }
}

#[test]
fn the_model_is_found_under_old_names_too() {
    let table = [
        (r#"{"modelId":"dtmi:new;1","iotcModelId":"dtmi:old;1"}"#, Some("dtmi:new;1")),
        (r#"{"iotcModelId":"dtmi:old;1"}"#, Some("dtmi:old;1")),
        (r#"{"__iot:interfaces":{"CapabilityModelId":"urn:x:y:1"}}"#, Some("urn:x:y:1")),
        (r#"{"modelId":7}"#, None),
        (r#""text""#, None),
    ];
    for (payload, model) in table {
        let request = RegisterRequest::parse(format!("{{\"payload\":{payload}}}").as_bytes(), "dev1").unwrap();
        assert_eq!(request.model_id(), model, "{payload}");
    }
}

#[test]
fn bad_register_bodies_are_refused_with_400() {
    let long = format!("{{\"payload\":\"{}\"}}", "x".repeat(crate::limits::REGISTER_BYTES_MAX));
    for body in ["[]", "{", r#"{"registrationId":"other"}"#, r#"{"registrationId":7}"#, &long] {
        assert_eq!(RegisterRequest::parse(body.as_bytes(), "dev1").unwrap_err().status, 400);
    }
}

#[test]
fn a_request_we_write_is_read_again() {
    let request = RegisterRequest { payload: Some(json!({"modelId": "dtmi:a;1"})), tpm: None };
    assert_eq!(RegisterRequest::parse(&request.to_json("dev1"), "dev1").unwrap(), request);
}

fn as_json(operation: &OperationStatus) -> Value {
    serde_json::from_slice(&operation.to_json()).unwrap()
}

#[test]
fn answers_hold_what_clients_insist_on() {
    let assigning = OperationStatus::assigning("op1", "dev1");
    assert_eq!(
        as_json(&assigning),
        json!({"operationId": "op1", "status": "assigning",
               "registrationState": {"registrationId": "dev1", "status": "assigning"}})
    );
    assert_eq!(assigning.http_status(), 202);
    let assigned = OperationStatus::with_state("op1", RegistrationState::assigned("dev1", "hub.example.test", "dev1"));
    assert_eq!(
        as_json(&assigned),
        json!({"operationId": "op1", "status": "assigned",
               "registrationState": {"registrationId": "dev1", "assignedHub": "hub.example.test", "deviceId": "dev1",
                                     "status": "assigned", "substatus": "initialAssignment"}})
    );
    assert_eq!(assigned.http_status(), 200);
    let refused = RegistrationState::refused("dev1", AssignmentStatus::Disabled, 403_000, "blocked");
    let refused = OperationStatus::with_state("op1", refused);
    assert_eq!(refused.http_status(), 200);
    assert_eq!(as_json(&refused)["registrationState"]["errorCode"], 403_000);
}

#[test]
fn answers_of_the_cloud_are_read() {
    let text = r#"{"operationId":"4.0a","status":"assigned","registrationState":{"registrationId":"dev1",
        "createdDateTimeUtc":"2024-05-01T10:00:00.1234567Z","assignedHub":"h","deviceId":"dev1","status":"assigned",
        "substatus":"deviceDataMigrated","lastUpdatedDateTimeUtc":"2024-05-01T10:00:01Z","etag":"IjQ4","payload":{"any":1},
        "symmetricKey":{"enrollmentGroupId":"group1"},"somethingNew":1}}"#;
    let operation: OperationStatus = serde_json::from_str(text).unwrap();
    let state = operation.registration_state.unwrap();
    assert_eq!(state.substatus, Some(Substatus::DeviceDataMigrated));
    assert_eq!(state.symmetric_key.unwrap().enrollment_group_id.unwrap(), "group1");
    assert_eq!(state.payload, Some(json!({"any": 1})));
}

#[test]
fn errors_go_both_ways_and_say_whether_to_come_back() {
    let error = DpsError::unauthorized("no such registration, or a wrong key");
    let body = error.to_json("abc", "2024-05-01T10:00:00Z");
    let value: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        value,
        json!({"errorCode": 401_002, "trackingId": "abc", "message": "no such registration, or a wrong key",
               "timestampUtc": "2024-05-01T10:00:00Z"})
    );
    assert_eq!(DpsError::from_json(401, &body), error);
    assert_eq!(DpsError::from_json(502, b"<html>").message, "status 502");
    assert!(!error.is_retryable());
    assert!(DpsError::throttled().is_retryable());
}
