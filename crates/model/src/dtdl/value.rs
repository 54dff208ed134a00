//! Whether a JSON value fits a schema.
//!
//! | Schema | Takes |
//! |---|---|
//! | `boolean` | true, false |
//! | `integer` | a whole number of 32 bits (`5.0` is one) |
//! | `long` | a number in the range of 64 bits; a fraction passes, as in the field |
//! | `float`, `double` | any number |
//! | `string` | a text |
//! | `date`, `time`, `dateTime`, `duration` | an ISO 8601 text |
//! | Enum | one of the wire values, not a name |
//! | Object | an object of known fields; any may be absent |
//! | Map, Array | every value or element fits |
//! | `geopoint` | `{lat, lon, alt?}`, numbers |
//! | `vector` | `{x, y, z}`, numbers |
//! | `point` … `multiPolygon` | GeoJSON of that type |
//!
//! `null` fits every schema: it clears a value. Texts are never turned into numbers.

use serde_json::{Map, Value};
use thiserror::Error;

use super::iso8601;
use super::schema::{EnumSchema, Field, GeoShape, Schema};
use crate::pointer::Pointer;

/// A value does not fit its schema.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} (at \"{pointer}\")")]
pub struct SchemaError {
    /// JSON pointer to the part that does not fit; empty for the value itself.
    pub pointer: String,
    /// What it must be, starting with "must" or "has".
    pub message: String,
}

impl Schema {
    /// Checks a value.
    ///
    /// # Errors
    /// The first part that does not fit.
    pub fn validate(&self, value: &Value) -> Result<(), SchemaError> {
        self.check(value, &Pointer::root(""))
    }

    fn check(&self, value: &Value, at: &Pointer<'_>) -> Result<(), SchemaError> {
        if value.is_null() {
            return Ok(());
        }
        match self {
            Self::Boolean => must(value.is_boolean(), at, "must be true or false"),
            Self::Integer => must(is_integer(value), at, "must be a whole number of 32 bits"),
            Self::Long => must(is_long(value), at, "must be a number of 64 bits"),
            Self::Float | Self::Double => must(value.is_number(), at, "must be a number"),
            Self::String => must(value.is_string(), at, "must be a text"),
            Self::Date => must(is_text(value, iso8601::is_date), at, "must be a date such as 2024-03-05"),
            Self::Time => must(is_text(value, iso8601::is_time), at, "must be a time such as 09:12:44"),
            Self::DateTime => {
                must(is_text(value, iso8601::is_date_time), at, "must be a date and time such as 2024-03-05T09:12:44Z")
            }
            Self::Duration => must(is_text(value, iso8601::is_duration), at, "must be a duration such as PT1H30M"),
            Self::Geopoint => check_numbers(value, &["lat", "lon"], &["alt"], at),
            Self::Vector => check_numbers(value, &["x", "y", "z"], &[], at),
            Self::Geo(shape) => check_geo(*shape, value, at),
            Self::Enum(values) => check_enum(values, value, at),
            Self::Object(fields) => check_object(fields, value, at),
            Self::Map(inner) => {
                let members = object(value, at)?;
                members.iter().try_for_each(|(name, member)| inner.check(member, &at.key(name)))
            }
            Self::Array(inner) => match value {
                Value::Array(items) => {
                    items.iter().enumerate().try_for_each(|(index, item)| inner.check(item, &at.index(index)))
                }
                _ => must(false, at, "must be an array"),
            },
        }
    }
}

fn must(holds: bool, at: &Pointer<'_>, message: impl Into<String>) -> Result<(), SchemaError> {
    if holds { Ok(()) } else { Err(SchemaError { pointer: at.to_string(), message: message.into() }) }
}

fn object<'v>(value: &'v Value, at: &Pointer<'_>) -> Result<&'v Map<String, Value>, SchemaError> {
    value.as_object().ok_or_else(|| SchemaError { pointer: at.to_string(), message: "must be an object".to_owned() })
}

fn is_text(value: &Value, holds: fn(&str) -> bool) -> bool {
    value.as_str().is_some_and(holds)
}

fn is_integer(value: &Value) -> bool {
    match value.as_i64() {
        Some(integer) => i32::try_from(integer).is_ok(),
        None => value.as_f64().is_some_and(|number| {
            number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number)
        }),
    }
}

fn is_long(value: &Value) -> bool {
    // Bounds of 64 bits as floating point: the upper one is the first number that no longer fits.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    value.is_i64() || (!value.is_u64() && value.as_f64().is_some_and(|number| (-LIMIT..LIMIT).contains(&number)))
}

fn check_enum(schema: &EnumSchema, value: &Value, at: &Pointer<'_>) -> Result<(), SchemaError> {
    let found = schema.values.iter().any(|candidate| candidate.value == *value);
    if found {
        return Ok(());
    }
    let allowed: Vec<String> = schema.values.iter().map(|candidate| candidate.value.to_string()).collect();
    must(false, at, format!("must be one of {}", allowed.join(", ")))
}

fn check_object(fields: &[Field], value: &Value, at: &Pointer<'_>) -> Result<(), SchemaError> {
    for (name, member) in object(value, at)? {
        let at = at.key(name);
        match fields.iter().find(|field| field.name == *name) {
            Some(field) => field.schema.check(member, &at)?,
            None => must(false, &at, format!("has no field {name:?}"))?,
        }
    }
    Ok(())
}

/// An object of numbers: all of `required`, maybe `optional`, nothing else.
fn check_numbers(value: &Value, required: &[&str], optional: &[&str], at: &Pointer<'_>) -> Result<(), SchemaError> {
    let members = object(value, at)?;
    for name in required {
        must(members.contains_key(*name), at, format!("must have a member {name}"))?;
    }
    for (name, member) in members {
        let known = required.contains(&name.as_str()) || optional.contains(&name.as_str());
        must(known, &at.key(name), format!("has no field {name:?}"))?;
        let absent = member.is_null() && optional.contains(&name.as_str());
        must(member.is_number() || absent, &at.key(name), "must be a number")?;
    }
    Ok(())
}

fn check_geo(shape: GeoShape, value: &Value, at: &Pointer<'_>) -> Result<(), SchemaError> {
    let (name, levels) = match shape {
        GeoShape::Point => ("Point", 0),
        GeoShape::MultiPoint => ("MultiPoint", 1),
        GeoShape::LineString => ("LineString", 1),
        GeoShape::MultiLineString => ("MultiLineString", 2),
        GeoShape::Polygon => ("Polygon", 2),
        GeoShape::MultiPolygon => ("MultiPolygon", 3),
    };
    let members = object(value, at)?;
    let named = members.get("type").and_then(Value::as_str) == Some(name);
    must(named, at, format!("must be GeoJSON with type {name:?}"))?;
    let coordinates = members.get("coordinates").is_some_and(|coordinates| are_positions(coordinates, levels));
    must(coordinates, at, format!("must have the coordinates of a {name}"))
}

/// Whether a value is positions (arrays of two or more numbers) inside `levels` arrays.
fn are_positions(value: &Value, levels: u8) -> bool {
    let Some(items) = value.as_array() else { return false };
    match levels.checked_sub(1) {
        Some(inner) => items.iter().all(|item| are_positions(item, inner)),
        None => items.len() >= 2 && items.iter().all(Value::is_number),
    }
}

#[cfg(test)]
mod tests;
