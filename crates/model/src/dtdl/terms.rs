//! Words of the language. As a co-type, each means something, so none can be an undefined one.

use super::schema::Schema;
use super::semantic;

/// Classes and members of DTDL v2, sorted. Units, unit types and semantic types are in [`semantic`].
const TERMS: &[&str] = &[
    "Array",
    "BinaryPrefix",
    "BinaryUnit",
    "Boolean",
    "Command",
    "CommandPayload",
    "CommandType",
    "ComplexSchema",
    "Component",
    "Content",
    "Date",
    "DateTime",
    "DecimalPrefix",
    "DecimalUnit",
    "Double",
    "Duration",
    "Entity",
    "Enum",
    "EnumValue",
    "Field",
    "Float",
    "Integer",
    "Interface",
    "Long",
    "Map",
    "MapKey",
    "MapValue",
    "NamedEntity",
    "NumericSchema",
    "Object",
    "PrimitiveSchema",
    "Property",
    "QuantitativeType",
    "RatioUnit",
    "Relationship",
    "Schema",
    "SchemaField",
    "SemanticType",
    "SemanticUnit",
    "String",
    "Telemetry",
    "TemporalSchema",
    "Time",
    "Unit",
    "UnitAttribute",
    "asynchronous",
    "commandType",
    "comment",
    "contents",
    "description",
    "displayName",
    "elementSchema",
    "enumValue",
    "enumValues",
    "extends",
    "fields",
    "mapKey",
    "mapValue",
    "maxMultiplicity",
    "minMultiplicity",
    "name",
    "properties",
    "request",
    "response",
    "schema",
    "schemas",
    "synchronous",
    "target",
    "unit",
    "valueSchema",
    "writable",
];

/// Whether the language itself defines this word.
pub(super) fn is_reserved(word: &str) -> bool {
    TERMS.binary_search(&word).is_ok() || Schema::named(word).is_some() || semantic::is_term(word)
}

/// The word that an id of the language stands for in `@type`: `dtmi:dtdl:class:Enum;2` is `Enum`. Anything else stays.
pub(super) fn type_word(text: &str) -> &str {
    ["dtmi:dtdl:class:", "dtmi:standard:class:"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix)?.strip_suffix(";2"))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::{TERMS, is_reserved, type_word};

    #[test]
    fn lookups_find_every_term() {
        assert!(TERMS.is_sorted());
        for word in ["Enum", "writable", "Temperature", "TemperatureUnit", "kelvin", "double", "point"] {
            assert!(is_reserved(word), "{word}");
        }
        assert!(!is_reserved("Commercial"));
    }

    #[test]
    fn ids_of_types_are_words() {
        assert_eq!(type_word("dtmi:dtdl:class:Enum;2"), "Enum");
        assert_eq!(type_word("dtmi:standard:class:Mass;2"), "Mass");
        assert_eq!(type_word("dtmi:dtdl:class:Enum;3"), "dtmi:dtdl:class:Enum;3");
        assert_eq!(type_word("Enum"), "Enum");
    }
}
