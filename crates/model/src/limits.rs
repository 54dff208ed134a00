//! Named bounds of the model: what a document or text may hold at the most.

/// Desired or reported properties of one twin, as [`crate::twin::document_bytes`] counts.
pub const TWIN_SECTION_BYTES_MAX: usize = 32 * 1024;
/// JSON text of desired or reported properties: what [`TWIN_SECTION_BYTES_MAX`] does not count is there too. Six times as much,
/// for a section all of whose text has to be escaped.
pub const TWIN_SECTION_TEXT_BYTES_MAX: usize = 6 * TWIN_SECTION_BYTES_MAX;
/// Members and items of desired or reported properties, at all depths: each has its times in the metadata.
pub const TWIN_ELEMENTS_MAX: usize = 8 * 1024;
/// Tags of one twin.
pub const TWIN_TAGS_BYTES_MAX: usize = 8 * 1024;
/// Objects and arrays inside one another below a twin section.
pub const TWIN_DEPTH_MAX: usize = 10;
/// One key of a twin.
pub const TWIN_KEY_BYTES_MAX: usize = 1024;
/// One string of a twin.
pub const TWIN_STRING_BYTES_MAX: usize = 4 * 1024;
/// Smallest integer of a twin (−2^52).
pub const TWIN_INTEGER_MIN: i64 = -4_503_599_627_370_496;
/// Largest integer of a twin (2^52 − 1).
pub const TWIN_INTEGER_MAX: i64 = 4_503_599_627_370_495;

/// Parts of a module's create options: `createOptions`, `createOptions01` … `createOptions99`.
pub const CREATE_OPTIONS_PARTS_MAX: usize = 100;
/// Highest number of a route's priority.
pub const ROUTE_PRIORITY_MAX: u64 = 9;
/// Modules of one deployment.
pub const MANIFEST_MODULES_MAX: usize = 50;
/// Characters of a module's name.
pub const MODULE_NAME_CHARS_MAX: usize = 128;
/// Problems reported about one document; further ones are not listed.
pub const PROBLEMS_MAX: usize = 200;

/// Characters of a DTDL name.
pub const DTDL_NAME_CHARS_MAX: usize = 64;
/// Characters of a DTDL display name, in each language.
pub const DTDL_DISPLAY_NAME_CHARS_MAX: usize = 64;
/// Characters of a DTDL description or comment.
pub const DTDL_DESCRIPTION_CHARS_MAX: usize = 512;
/// Characters of an interface's id.
pub const DTDL_INTERFACE_ID_CHARS_MAX: usize = 128;
/// Characters of any other id.
pub const DTDL_ID_CHARS_MAX: usize = 2048;
/// Contents of an interface, with what it inherits; also the properties of a relationship.
pub const DTDL_CONTENTS_MAX: usize = 300;
/// Interfaces one interface extends directly.
pub const DTDL_EXTENDS_MAX: usize = 2;
/// Levels of inheritance.
pub const DTDL_EXTENDS_DEPTH_MAX: usize = 10;
/// Complex schemas inside one another.
pub const DTDL_SCHEMA_DEPTH_MAX: usize = 5;
/// Fields of an object schema.
pub const DTDL_FIELDS_MAX: usize = 30;
/// Values of an enum schema.
pub const DTDL_ENUM_VALUES_MAX: usize = 100;
/// Largest `maxMultiplicity` of a relationship.
pub const DTDL_MULTIPLICITY_MAX: u64 = 500;

/// Text of a route, or of a condition alone.
pub const ROUTE_TEXT_BYTES_MAX: usize = 32 * 1024;
/// Parentheses, prefix operators and calls inside one another in a condition.
pub const ROUTE_NESTING_MAX: usize = 128;
/// One line given to `route check`.
pub const ROUTE_CHECK_LINE_BYTES_MAX: usize = 1024 * 1024;
/// Characters of a template's display name or description.
pub const TEMPLATE_TEXT_CHARS_MAX: usize = 1024;
