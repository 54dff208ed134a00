//! Co-types: what `@type` says beside the kind of an element.
//!
//! A co-type is a semantic type of the language, an adjunct type of the IoT Central extension, or *undefined*: a word
//! nobody knows here. The last is legal, and so is then any further member of the element, because the unknown
//! definition may add it. A word or id that the language does define cannot be an undefined co-type.

use super::schema::Described;
use super::{Reader, Rules, code};
use crate::dtdl::element::Element;
use crate::dtdl::schema::Schema;
use crate::dtdl::{semantic, terms};
use crate::pointer::Pointer;

/// Types the IoT Central extension adds to telemetry and properties.
const ADJUNCTS: &[&str] = &["AccelerationVector", "Event", "Location", "State", "VelocityVector"];

/// What the types of a telemetry or property say about its values.
#[derive(Default)]
pub(super) struct Semantics {
    /// Semantic type of the language, or adjunct type of IoT Central.
    pub(super) semantic_type: Option<String>,
    /// Types nobody defines here: their elements may have members nobody defines.
    pub(super) has_undefined: bool,
}

impl Reader<'_> {
    /// Sorts the co-types of a telemetry or property, and checks that the schema suits them.
    pub(super) fn semantics(
        &mut self,
        element: &Element,
        kind: &str,
        described: Option<&Described>,
        at: &Pointer<'_>,
    ) -> Semantics {
        let mut semantics = Semantics::default();
        let schema = described.map(|described| &described.schema);
        for name in element.types.iter().filter(|name| *name != kind) {
            let fits: fn(&Schema) -> bool = match name.as_str() {
                _ if semantic::unit_type(name).is_some() => Schema::is_numeric,
                adjunct if self.iot_central && ADJUNCTS.contains(&adjunct) => suits_adjunct(adjunct),
                _ => {
                    semantics.has_undefined |= self.is_undefined(name, kind, at);
                    continue;
                }
            };
            if schema.is_some_and(|schema| !fits(schema)) {
                let message = format!("a schema {} does not suit the type {name}", schema.map_or("", Schema::kind));
                self.add(&at.key("schema"), code::BAD_SCHEMA, message);
            }
            if let Some(other) = semantics.semantic_type.replace(name.clone()) {
                let message = format!("an element has one semantic type, not {other} and {name}");
                self.add(&at.key("@type"), code::BAD_COTYPE, message);
            }
        }
        semantics
    }

    /// Checks the co-types of an element that has no values: none of those about values may stand there. Returns
    /// whether there are undefined ones.
    pub(super) fn plain_cotypes(&mut self, types: &[String], kind: &str, at: &Pointer<'_>) -> bool {
        let mut has_undefined = false;
        for name in types.iter().filter(|name| *name != kind) {
            let is_adjunct = self.iot_central && ADJUNCTS.contains(&name.as_str());
            if semantic::unit_type(name).is_some() || is_adjunct {
                let message = format!("the type {name} is for telemetry and properties, not for {kind}");
                self.add(&at.key("@type"), code::BAD_COTYPE, message);
            } else {
                has_undefined |= self.is_undefined(name, kind, at);
            }
        }
        has_undefined
    }

    /// Whether a co-type is an undefined one, which is legal; a word or id of the language is not.
    fn is_undefined(&mut self, name: &str, kind: &str, at: &Pointer<'_>) -> bool {
        let refused = name.starts_with("dtmi:") || terms::is_reserved(name);
        if refused && self.rules == Rules::Language {
            self.add(&at.key("@type"), code::BAD_COTYPE, format!("the type {name} cannot be added to {kind}"));
        }
        !refused
    }
}

/// Which schemas an adjunct type of IoT Central allows.
fn suits_adjunct(adjunct: &str) -> fn(&Schema) -> bool {
    match adjunct {
        "Event" => |schema| schema.is_numeric() || *schema == Schema::String,
        "State" => |schema| matches!(schema, Schema::Enum(_)),
        "Location" => |schema| matches!(schema, Schema::Geopoint | Schema::Geo(_)),
        _ => |schema| *schema == Schema::Vector,
    }
}
