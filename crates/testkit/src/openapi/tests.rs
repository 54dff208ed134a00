//! The checker finds what is wrong and passes what is right.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::Document;

fn document() -> Document {
    let json = json!({
        "basePath": "/api",
        "paths": { "/things/{id}": { "get": { "responses": {
            "200": { "schema": { "$ref": "#/definitions/Thing" } },
            "204": {},
            "default": { "schema": { "type": "object", "required": ["error"], "properties": { "error": {} } } } } } } },
        "definitions": {
            "Base": { "type": "object", "properties": { "roles": { "type": "array", "minItems": 1 } }, "required": ["roles"] },
            "Thing": { "type": "object", "allOf": [{ "$ref": "#/definitions/Base" }], "discriminator": "type",
                "properties": { "type": { "type": "string" }, "at": { "type": "string", "format": "date-time" },
                                "free": { "type": "object" }, "level": { "type": "integer", "enum": [1, 2] } },
                "required": ["type"] },
            "Sub": { "x-ms-discriminator-value": "sub", "allOf": [{ "$ref": "#/definitions/Thing" }],
                "properties": { "extra": { "type": "boolean" } }, "required": ["extra"] },
            "Open": { "type": "object", "properties": { "a": {} } },
        },
    });
    Document::new(&json.to_string(), &["Open"])
}

fn faults(body: &Value) -> Vec<String> {
    document().check_answer("GET", "/api/things/7", 200, body).err().unwrap_or_default()
}

#[test]
fn right_answers_pass() {
    let right = [
        json!({ "type": "other", "roles": [1] }),
        json!({ "type": "sub", "roles": [1], "extra": true, "free": { "any": "thing" } }),
        json!({ "type": "other", "roles": [1], "at": "2024-03-05T09:12:44.0100000Z", "level": 2 }),
    ];
    for body in right {
        assert_eq!(faults(&body), Vec::<String>::new(), "{body}");
    }
    assert!(document().check_answer("GET", "/api/things/7", 204, &Value::Null).is_ok());
    assert!(document().check_answer("GET", "/api/things/7", 404, &json!({ "error": 1 })).is_ok());
}

#[test]
fn wrong_answers_are_told_with_their_place() {
    let wrong = [
        (json!([]), " is []"),
        (json!({ "roles": [1] }), "lacks \"type\""),
        (json!({ "type": "sub", "roles": [1] }), "lacks \"extra\""),
        (json!({ "type": "other", "roles": [] }), "/roles is out of"),
        (json!({ "type": "other", "roles": [1], "at": "yesterday" }), "/at is"),
        (json!({ "type": "other", "roles": [1], "level": 3 }), "/level is 3"),
        (json!({ "type": "other", "roles": [1], "lewel": 1 }), "/lewel is not declared"),
    ];
    for (body, expected) in wrong {
        let faults = faults(&body);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{body}: {faults:?}");
    }
    assert!(document().check_answer("GET", "/api/things/7", 201, &json!({})).is_err());
    assert!(document().check_answer("PUT", "/api/things/7", 200, &json!({})).is_err());
    assert!(document().check_answer("GET", "/api/things/7", 404, &json!({})).is_err());
}
