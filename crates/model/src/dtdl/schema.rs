//! Schemas: the types of values.

use std::sync::Arc;

use serde_json::Value;

use super::element::LocalText;

/// The type of a telemetry, property or command payload. Cheap to clone: complex schemas are shared.
#[derive(Debug, Clone, PartialEq)]
pub enum Schema {
    /// true or false
    Boolean,
    /// Signed 32-bit whole number.
    Integer,
    /// Signed 64-bit number.
    Long,
    /// Single-precision number.
    Float,
    /// Double-precision number.
    Double,
    /// Text.
    String,
    /// ISO 8601 date.
    Date,
    /// ISO 8601 time of day.
    Time,
    /// ISO 8601 date and time.
    DateTime,
    /// ISO 8601 duration.
    Duration,
    /// IoT Central: `{lat, lon, alt?}`.
    Geopoint,
    /// IoT Central: `{x, y, z}`.
    Vector,
    /// GeoJSON.
    Geo(GeoShape),
    /// One of a list of values.
    Enum(Arc<EnumSchema>),
    /// Named fields.
    Object(Arc<[Field]>),
    /// Free keys, values of one type.
    Map(Arc<Schema>),
    /// Elements of one type.
    Array(Arc<Schema>),
}

/// A geometry of GeoJSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeoShape {
    /// One position.
    Point,
    /// Several positions.
    MultiPoint,
    /// A line.
    LineString,
    /// Several lines.
    MultiLineString,
    /// An area.
    Polygon,
    /// Several areas.
    MultiPolygon,
}

/// The values of an enum.
#[derive(Debug, Clone, PartialEq)]
pub struct EnumSchema {
    /// Whether values are whole numbers; they are texts otherwise.
    pub integer: bool,
    /// The values, in order.
    pub values: Vec<EnumValue>,
}

/// One value of an enum.
#[derive(Debug, Clone, PartialEq)]
pub struct EnumValue {
    /// Programming name; not what is on the wire.
    pub name: String,
    /// Text for people.
    pub display_name: Option<LocalText>,
    /// What is on the wire.
    pub value: Value,
}

/// One field of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its key.
    pub name: String,
    /// Text for people.
    pub display_name: Option<LocalText>,
    /// Type of its value.
    pub schema: Schema,
}

/// Schemas that a single word names, with the id that means the same.
const NAMED: &[(&str, &str, Schema)] = &[
    ("boolean", "dtmi:dtdl:instance:Schema:boolean;2", Schema::Boolean),
    ("integer", "dtmi:dtdl:instance:Schema:integer;2", Schema::Integer),
    ("long", "dtmi:dtdl:instance:Schema:long;2", Schema::Long),
    ("float", "dtmi:dtdl:instance:Schema:float;2", Schema::Float),
    ("double", "dtmi:dtdl:instance:Schema:double;2", Schema::Double),
    ("string", "dtmi:dtdl:instance:Schema:string;2", Schema::String),
    ("date", "dtmi:dtdl:instance:Schema:date;2", Schema::Date),
    ("time", "dtmi:dtdl:instance:Schema:time;2", Schema::Time),
    ("dateTime", "dtmi:dtdl:instance:Schema:dateTime;2", Schema::DateTime),
    ("duration", "dtmi:dtdl:instance:Schema:duration;2", Schema::Duration),
    ("geopoint", "dtmi:iotcentral:schema:geopoint;2", Schema::Geopoint),
    ("vector", "dtmi:iotcentral:schema:vector;2", Schema::Vector),
    ("point", "dtmi:standard:schema:geospatial:point;2", Schema::Geo(GeoShape::Point)),
    ("multiPoint", "dtmi:standard:schema:geospatial:multiPoint;2", Schema::Geo(GeoShape::MultiPoint)),
    ("lineString", "dtmi:standard:schema:geospatial:lineString;2", Schema::Geo(GeoShape::LineString)),
    ("multiLineString", "dtmi:standard:schema:geospatial:multiLineString;2", Schema::Geo(GeoShape::MultiLineString)),
    ("polygon", "dtmi:standard:schema:geospatial:polygon;2", Schema::Geo(GeoShape::Polygon)),
    ("multiPolygon", "dtmi:standard:schema:geospatial:multiPolygon;2", Schema::Geo(GeoShape::MultiPolygon)),
];

impl Schema {
    /// The schema that a word (`double`) or its id (`dtmi:dtdl:instance:Schema:double;2`) names.
    pub fn named(text: &str) -> Option<Self> {
        NAMED.iter().find(|(word, id, _)| *word == text || *id == text).map(|(.., schema)| schema.clone())
    }

    /// The word for its kind, as templates write it: `double`, `Enum`, `geopoint` …
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Enum(_) => "Enum",
            Self::Object(_) => "Object",
            Self::Map(_) => "Map",
            Self::Array(_) => "Array",
            simple => NAMED.iter().find(|(.., schema)| schema == simple).map_or("", |(word, ..)| word),
        }
    }

    /// Whether its values are numbers.
    pub fn is_numeric(&self) -> bool {
        matches!(self, Self::Integer | Self::Long | Self::Float | Self::Double)
    }

    /// Whether it exists only with the IoT Central extension.
    pub(super) fn is_iot_central(&self) -> bool {
        matches!(self, Self::Geopoint | Self::Vector)
    }
}
