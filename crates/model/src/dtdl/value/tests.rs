//! Which values fit which schemas.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use serde_json::{Value, json};

use crate::dtdl::{EnumSchema, EnumValue, Field, GeoShape, Schema};

fn check(schema: &Schema, good: &[Value], bad: &[(Value, &str)]) {
    for value in good.iter().chain([&Value::Null]) {
        assert_eq!(schema.validate(value), Ok(()), "{} should take {value}", schema.kind());
    }
    for (value, pointer) in bad {
        let error = schema.validate(value).expect_err(&format!("{} should not take {value}", schema.kind()));
        assert_eq!(error.pointer, *pointer, "{value}: {}", error.message);
    }
}

#[test]
fn primitives() {
    check(&Schema::Boolean, &[json!(true)], &[(json!(1), ""), (json!("true"), "")]);
    check(
        &Schema::Integer,
        &[json!(i32::MAX), json!(i32::MIN), json!(5.0)],
        &[
            (json!(2_147_483_648_i64), ""),
            (json!(-2_147_483_649_i64), ""),
            (json!(1.5), ""),
            (json!("1"), ""),
            (json!(1e300), ""),
        ],
    );
    check(
        &Schema::Long,
        &[json!(i64::MAX), json!(i64::MIN), json!(1.5)],
        &[(json!(u64::MAX), ""), (json!(1e19), ""), (json!("1"), "")],
    );
    check(&Schema::Double, &[json!(1), json!(-1.5), json!(u64::MAX)], &[(json!("1.5"), ""), (json!(true), "")]);
    check(&Schema::Float, &[json!(1e30)], &[(json!([]), "")]);
    check(&Schema::String, &[json!(""), json!("a")], &[(json!(1), ""), (json!({}), "")]);
}

#[test]
fn times() {
    check(&Schema::Date, &[json!("2024-03-05")], &[(json!("5.3.2024"), ""), (json!(20240305), "")]);
    check(&Schema::Time, &[json!("09:12:44")], &[(json!("nine"), "")]);
    check(&Schema::DateTime, &[json!("2024-03-05T09:12:44Z")], &[(json!("2024-03-05"), "")]);
    check(&Schema::Duration, &[json!("PT30S")], &[(json!("30"), "")]);
}

#[test]
fn enums_take_wire_values_not_names() {
    let value = |name: &str, value: Value| EnumValue { name: name.to_owned(), display_name: None, value };
    let schema = EnumSchema { integer: true, values: vec![value("good", json!(0)), value("worn", json!(1))] };
    check(&Schema::Enum(Arc::new(schema)), &[json!(0), json!(1)], &[(json!(2), ""), (json!("good"), "")]);
}

#[test]
fn complex_values_are_checked_in_depth() {
    let field = |name: &str, schema| Field { name: name.to_owned(), display_name: None, schema };
    let inner = Schema::Object(Arc::from([field("ok", Schema::Boolean)]));
    let object = Schema::Object(Arc::from([field("warn", Schema::Double), field("inner", inner)]));
    check(
        &object,
        &[json!({}), json!({"warn": 4.5}), json!({"warn": null, "inner": {"ok": true}})],
        &[
            (json!([]), ""),
            (json!({"warn": "4"}), "/warn"),
            (json!({"wran": 4}), "/wran"),
            (json!({"inner": {"ok": 1}}), "/inner/ok"),
        ],
    );
    let map = Schema::Map(Arc::new(Schema::Integer));
    check(&map, &[json!({}), json!({"any key": 1})], &[(json!({"a": 1, "b": "x"}), "/b"), (json!([1]), "")]);
    let array = Schema::Array(Arc::new(Schema::String));
    check(&array, &[json!([]), json!(["a", null])], &[(json!(["a", 1]), "/1"), (json!({}), "")]);
}

#[test]
fn places() {
    check(
        &Schema::Geopoint,
        &[
            json!({"lat": 47.6, "lon": -122.1}),
            json!({"lat": 1, "lon": 2, "alt": 3}),
            json!({"lat": 1, "lon": 2, "alt": null}),
        ],
        &[
            (json!({"lat": 1}), ""),
            (json!({"lat": "1", "lon": 2}), "/lat"),
            (json!({"lat": 1, "lon": 2, "up": 3}), "/up"),
        ],
    );
    check(
        &Schema::Vector,
        &[json!({"x": 1, "y": 2, "z": 3})],
        &[(json!({"x": 1, "y": 2}), ""), (json!([1, 2, 3]), "")],
    );
    let point = json!({"type": "Point", "coordinates": [47.6, -122.1]});
    check(
        &Schema::Geo(GeoShape::Point),
        std::slice::from_ref(&point),
        &[(json!({"type": "Polygon", "coordinates": [1, 2]}), ""), (json!({"type": "Point", "coordinates": [1]}), "")],
    );
    let polygon = json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]});
    check(&Schema::Geo(GeoShape::Polygon), &[polygon], &[(point, "")]);
}
