//! The tables are sorted (lookups rely on it) and complete.
#![allow(clippy::unwrap_used)]

use super::{SEMANTIC_TYPES, UNIT_TYPES, unit_type, units};

#[test]
fn tables_are_sorted_and_every_type_has_units() {
    assert!(SEMANTIC_TYPES.is_sorted_by(|a, b| a.0 < b.0));
    assert!(UNIT_TYPES.is_sorted_by(|a, b| a.0 < b.0));
    for (name, unit) in SEMANTIC_TYPES {
        assert!(!units(unit).is_empty(), "{name} has no units");
    }
}

#[test]
fn humidity_is_a_density_and_relative_humidity_has_no_dimension() {
    assert!(units(unit_type("Humidity").unwrap()).contains(&"gramPerCubicMetre"));
    assert!(units(unit_type("RelativeHumidity").unwrap()).contains(&"percent"));
    assert_eq!(unit_type("Warmth"), None);
    assert!(units("WarmthUnit").is_empty());
}
