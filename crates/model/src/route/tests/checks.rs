//! The lines of `route check`.
use serde_json::{Value as Json, json};

use crate::limits::ROUTE_CHECK_LINE_BYTES_MAX;
use crate::route::check::check_line;

fn check(question: &Json) -> Json {
    serde_json::from_str(&check_line(&question.to_string())).unwrap()
}

#[test]
fn routes() {
    let rows = [
        (
            "FROM /messages/* INTO $upstream",
            json!({"valid": true, "source": "/messages", "condition": "true", "endpoint": "$upstream"}),
        ),
        ("FROM /* INTO $UPSTREAM", json!({"valid": true, "source": "/", "condition": "true", "endpoint": "$upstream"})),
        (
            "FROM /messages/modules/filter/outputs/out WHERE a = 'x' INTO BrokeredEndpoint(\"/modules/m/inputs/i\")",
            json!({"valid": true, "source": "/messages/modules/filter/outputs/out", "condition": "a = 'x'", "endpoint": {"module": "m", "input": "i"}}),
        ),
        (
            "FROM /messages/ INTO $upstream",
            json!({"valid": false, "error": {"message": "expected '*' or a name in the source, found 'INTO'", "column": 17}}),
        ),
        (
            "FROM /messages\nWHERE temp > 30 INTO $upstream",
            json!({"valid": false, "error": {"message": "'>' does not go between a text and a number", "column": 12, "line": 2}}),
        ),
    ];
    for (route, expected) in rows {
        assert_eq!(check(&json!({ "route": route })), expected, "{route}");
    }
}

#[test]
fn conditions() {
    let typed = json!({"contentType": "application/json", "contentEncoding": "utf-8"});
    let utf16: Vec<u8> = r#"{"x":1}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, utf16);
    let rows = [
        ("$body.x = 1", json!({"body": {"x": 1}, "system_properties": typed}), json!(true)),
        ("$body.x = 1", json!({"body_text": "{\"x\": 1}", "system_properties": typed}), json!(true)),
        ("$body.x = 1", json!({"body_b64": "eyJ4IjogMX0=", "system_properties": typed}), json!(true)),
        (
            "$body.x = 1",
            json!({"body_b64": encoded, "system_properties": {"contentType": "application/json", "contentEncoding": "utf-16"}}),
            json!(true),
        ),
        // Nothing is assumed of a body that does not say what it is.
        ("$body.x = 1", json!({"body": {"x": 1}}), json!("undefined")),
        (
            "$body.x = 1",
            json!({"body": {"x": 1}, "system_properties": {"contentType": "application/json"}}),
            json!("undefined"),
        ),
        ("$body.x = 1", json!({"body": {"x": 1}, "properties": typed}), json!("undefined")),
        ("$body.x = 1", json!({"body": [1], "system_properties": typed}), json!("undefined")),
        ("$body.x = 1", json!({"body": null, "system_properties": typed}), json!("undefined")),
        (
            "$body.t = 21.123456789012345",
            json!({"body": {"t": 21.123_456_789_012_345_f64}, "system_properties": typed}),
            json!(true),
        ),
        ("as_number(temperature) > 20", json!({"properties": {"temperature": "21"}}), json!(true)),
        ("as_number(temperature) > 20", json!({"properties": {"temperature": 19.5}}), json!(false)),
        ("temperature = '19.5'", json!({"properties": {"temperature": 19.5}}), json!(true)),
        ("on = 'true'", json!({"properties": {"on": true}}), json!(true)),
        ("is_null(p)", json!({"properties": {"p": null}}), json!(true)),
        ("is_null(p)", json!({"properties": {}}), json!(false)),
        ("$cid = 'c'", json!({"system_properties": {"cid": "c"}}), json!(true)),
        ("$cid = 'c'", json!({"system_properties": {"cid": null}}), json!("undefined")),
        ("true", json!({}), json!(true)),
        ("true", json!(null), json!(true)),
        ("true", json!({"properties": null, "system_properties": null}), json!(true)),
        ("", json!({}), json!("undefined")),
        ("true", json!({"body_text": "", "extra": [1]}), json!(true)),
    ];
    for (condition, message, expected) in rows {
        let answer = check(&json!({ "condition": condition, "message": message }));
        assert_eq!(answer, json!({ "result": expected }), "{condition} on {message}");
    }
    assert_eq!(check(&json!({"condition": "p = 'x'"})), json!({"result": "undefined"}));
    let refused = check(&json!({"condition": "temperature > 20", "message": {}}));
    assert_eq!(
        refused,
        json!({"valid": false, "error": {"message": "'>' does not go between a text and a number", "column": 13}})
    );
}

#[test]
fn lines_that_are_no_questions() {
    let lines = [
        "",
        "x",
        "5",
        "[]",
        "null",
        "{}",
        "{\"route\": 5}",
        "{\"route\": \"a\"",
        "{\"route\": \"a\"} b",
        r#"{"route": "a", "condition": "b"}"#,
        r#"{"condition": "true", "message": 5}"#,
        r#"{"condition": "true", "message": {"properties": []}}"#,
        r#"{"condition": "true", "message": {"properties": {"a": []}}}"#,
        r#"{"condition": "true", "message": {"system_properties": {"a": {}}}}"#,
        r#"{"condition": "true", "message": {"body_b64": "*"}}"#,
        r#"{"condition": "true", "message": {"body": 1, "body_text": ""}}"#,
    ];
    for line in lines {
        let answer: Json = serde_json::from_str(&check_line(line)).unwrap();
        let error = answer.get("error").unwrap_or_else(|| panic!("{line}: {answer}"));
        assert!(error["message"].is_string() && error["column"].as_u64() >= Some(1), "{line}: {answer}");
        assert_eq!(answer.as_object().map(|answer| answer.len()), Some(1), "{line}: {answer}");
    }
    assert!(check_line(&" ".repeat(ROUTE_CHECK_LINE_BYTES_MAX + 1)).contains("longer than"));
    assert!(!check_line("{\"condition\":\n\"true\"}").contains('\n'));
}
