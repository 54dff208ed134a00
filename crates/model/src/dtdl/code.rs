//! The rules, each under its own stable code. Programs compare these texts; they never change meaning.

/// A value has another JSON type than it must have.
pub const WRONG_TYPE: &str = "wrongType";
/// A document is neither an interface nor an array of interfaces.
pub const NOT_AN_INTERFACE: &str = "notAnInterface";
/// The document names no DTDL context, so no version.
pub const MISSING_CONTEXT: &str = "missingContext";
/// The DTDL context is not the first one.
pub const BAD_CONTEXT: &str = "badContext";
/// The document is of a DTDL version that is not checked here: only version 2 is.
pub const UNSUPPORTED_VERSION: &str = "unsupportedVersion";
/// A context other than DTDL v2 and the IoT Central extension v2.
pub const UNKNOWN_CONTEXT: &str = "unknownContext";
/// `@type` is missing.
pub const MISSING_TYPE: &str = "missingType";
/// `@type` names nothing that may stand at this place.
pub const UNKNOWN_TYPE: &str = "unknownType";
/// A type that cannot be added to this element, or two that exclude each other.
pub const BAD_COTYPE: &str = "badCotype";
/// `@id` is missing.
pub const MISSING_ID: &str = "missingId";
/// An id that is no user DTMI: `dtmi:<segment>[:<segment>…];<version>`.
pub const BAD_DTMI: &str = "badDtmi";
/// The same id is defined twice.
pub const DUPLICATE_ID: &str = "duplicateId";
/// `name` is missing.
pub const MISSING_NAME: &str = "missingName";
/// A name with other characters than letters, digits and inner underscores, or not starting with a letter.
pub const BAD_NAME: &str = "badName";
/// Two elements of one interface (inherited ones included), object, enum or relationship have the same name.
pub const DUPLICATE_NAME: &str = "duplicateName";
/// A name the platform keeps for itself. Templates only.
pub const RESERVED_NAME: &str = "reservedName";
/// A required member is missing.
pub const MISSING_PROPERTY: &str = "missingProperty";
/// A member this element does not have.
pub const UNKNOWN_PROPERTY: &str = "unknownProperty";
/// A text or id is longer than it may be.
pub const TOO_LONG: &str = "tooLong";
/// A set holds more elements than it may.
pub const TOO_MANY: &str = "tooMany";
/// Schemas or inheritance nested too deeply.
pub const TOO_DEEP: &str = "tooDeep";
/// An interface inherits from itself, or a schema contains itself.
pub const CYCLE: &str = "cycle";
/// A schema that does not exist, or not for this place.
pub const BAD_SCHEMA: &str = "badSchema";
/// An array in the schema of a property.
pub const ARRAY_IN_PROPERTY: &str = "arrayInProperty";
/// An id that none of the given documents defines.
pub const UNRESOLVED_REFERENCE: &str = "unresolvedReference";
/// A unit that does not belong to the semantic type, or without one.
pub const BAD_UNIT: &str = "badUnit";
/// A semantic type without a unit.
pub const MISSING_UNIT: &str = "missingUnit";
/// An enum value of the wrong type, or given twice.
pub const BAD_ENUM_VALUE: &str = "badEnumValue";
/// `minMultiplicity` or `maxMultiplicity` out of range.
pub const BAD_MULTIPLICITY: &str = "badMultiplicity";
/// A relationship's target of the wrong kind.
pub const BAD_TARGET: &str = "badTarget";
/// A key of a language map that is no language tag.
pub const BAD_LANGUAGE: &str = "badLanguage";
/// `commandType` is neither `synchronous` nor `asynchronous`.
pub const BAD_COMMAND_TYPE: &str = "badCommandType";
/// A component whose interface has components.
pub const NESTED_COMPONENT: &str = "nestedComponent";
/// `initialValue` does not fit the schema.
pub const BAD_INITIAL_VALUE: &str = "badInitialValue";
