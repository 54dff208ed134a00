//! IoT Central's query language over telemetry.
//!
//! ```text
//! query     = "SELECT" [ "TOP" n ] item { "," item } "FROM" template
//!             [ "WHERE" cond ] [ "GROUP BY WINDOW(" duration ")" ] [ "ORDER BY" name [ "ASC" | "DESC" ] { "," … } ]
//! item      = ( column | aggregate ) [ "AS" alias ]
//! column    = name { "." name } | "$id" | "$ts" | "$provisioned" | "$simulated"
//! aggregate = ( "AVG" | "COUNT" | "FIRST" | "LAST" | "MAX" | "MIN" | "SUM" ) "(" column ")"
//! cond      = cond "AND" cond | cond "OR" cond | "(" cond ")" | column op literal
//!           | column "IN" "[" literal { "," literal } "]" | "WITHIN_WINDOW(" window ")"
//! op        = "=" | "!=" | "<>" | ">" | "<" | ">=" | "<="
//! literal   = number | "'" text "'" (a quote in it is doubled) | "TRUE" | "FALSE"
//! window    = duration | "'" duration "'" | "'" from "/" to "'"
//! ```
//!
//! Keywords in any case; `AND` binds tighter than `OR`. Columns of modules are `module.name` and `module.component.name`; what a
//! column means is asked of the caller's [`QueryColumns`], which knows the template.
//!
//! # What a query answers
//!
//! - One row is one message. It has the values of one module and component, so a `SELECT` over several gives rows with only those
//!   values that the message has; messages with none of the selected telemetry are left out. `$ts` is always in the answer.
//! - A comparison with a value that the message does not have is false, also for `!=`. Numbers compare as numbers whether the
//!   device sent `21` or `21.0`; a value of another type than the literal does not match.
//! - Aggregates give one row, with `GROUP BY WINDOW` one for each window that has messages (`$ts` is its start; windows are aligned to
//!   multiples of their length since 1970). Plain `$id`, `$provisioned` or `$simulated` beside them make it one row for each device.
//!   `MIN`, `MAX`, `AVG`, `SUM` take numbers, `FIRST`, `LAST` (by time) and `COUNT` any value. Without alias `AVG(f)` is called `avg_f`.
//! - `WITHIN_WINDOW(PT1H)` is the last hour, both ends included; `'from/to'` is without `to`, and either side may be a duration.
//! - Without `ORDER BY` the newest come first, so that the limit of [`QUERY_ROWS_MAX`] rows cuts the oldest.
//!
//! # Limits
//!
//! IoT Central's own are [`QueryLimits::IOT_CENTRAL`]. The default here is wider, since nothing here suffers from a longer query:
//! what ran there runs here. Property queries are recognised and answered with [`RunQueryError::Unsupported`].

mod aggregate;
mod condition;
mod parse;
mod plan;
mod rows;
mod run;
mod syntax;
mod token;

use std::fmt;
use std::sync::Arc;

#[cfg(doc)]
use crate::limits::QUERY_ROWS_MAX;
use crate::limits::SCAN_ROWS_MAX;
use crate::store::ScanError;

pub use run::PlannedQuery;
pub(crate) use run::run;
pub use syntax::{AggregateFunction, Column, Comparison, Condition, Expression, Item, Literal, OrderBy, Query, Window};

/// How long and how complicated a query may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// Items in `SELECT`.
    pub items_max: usize,
    /// `AND`s and `OR`s in `WHERE`.
    pub operators_max: usize,
    /// Characters of the query.
    pub characters_max: usize,
}

impl QueryLimits {
    /// Those of IoT Central.
    pub const IOT_CENTRAL: QueryLimits = QueryLimits { items_max: 15, operators_max: 10, characters_max: 350 };
}

impl Default for QueryLimits {
    /// Wide enough for a list of device ids, narrow enough to be parsed in microseconds.
    fn default() -> Self {
        QueryLimits { items_max: 64, operators_max: 64, characters_max: 8 * 1024 }
    }
}

/// A query is not well-formed, or beyond a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at character {position}")]
pub struct ParseQueryError {
    /// Character it is about, counted from 1.
    pub position: usize,
    /// What is wrong with it.
    pub message: String,
}

impl Query {
    /// Parses a query. It is not yet known whether its columns exist.
    pub fn parse(text: &str, limits: QueryLimits) -> Result<Query, ParseQueryError> {
        parse::parse(text, limits)
    }
}

/// What the caller knows about a column of the template in `FROM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedColumn {
    /// Module that sends it; `None` is the device itself.
    pub module: Option<Arc<str>>,
    /// Component it belongs to; `None` is the root.
    pub component: Option<Arc<str>>,
    /// Its name there.
    pub name: Arc<str>,
    /// Telemetry or property.
    pub kind: ColumnKind,
    /// What its values are.
    pub schema: ColumnSchema,
}

/// Whether a column is telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Telemetry.
    Telemetry,
    /// A reported or cloud property.
    Property,
}

/// What the values of a column are, as far as comparisons care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnSchema {
    /// Numbers.
    Number,
    /// Text, also times and enumerations of text.
    Text,
    /// Booleans.
    Boolean,
    /// Objects, maps, arrays, places: can be selected, not compared.
    Structured,
    /// Not known: compared value by value.
    Unknown,
}

/// What the caller knows about a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceFacts {
    /// `$provisioned`.
    pub provisioned: bool,
    /// `$simulated`.
    pub simulated: bool,
}

/// What planning a query asks of its caller: the template.
pub trait QueryColumns {
    /// The column of the template in `FROM` that the query calls `path`; `None` when it has none of that name.
    fn column(&self, path: &str) -> Option<ResolvedColumn>;
}

/// What running a query asks of its caller: the devices.
pub trait QueryDevices {
    /// The device, if it is of that template and the user may see it; rows of others are left out. Asked once a device and query.
    fn device(&self, id: &str) -> Option<DeviceFacts>;
}

/// The answer: one map a row, ready for the `results` of the API.
pub type Answer = Vec<serde_json::Map<String, serde_json::Value>>;

/// A query could not be answered. All but [`RunQueryError::Scan`] are the user's to correct.
#[derive(Debug, thiserror::Error)]
pub enum RunQueryError {
    /// The template has no such column.
    #[error("unknown column {name} at character {position}")]
    UnknownColumn {
        /// As written in the query.
        name: String,
        /// Where.
        position: usize,
    },
    /// The parts do not fit together.
    #[error("{message} at character {position}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// Where.
        position: usize,
    },
    /// A query of IoT Central's language that is not answered here.
    #[error("{part} cannot be queried here at character {position}")]
    Unsupported {
        /// Which part.
        part: String,
        /// Where.
        position: usize,
    },
    /// Aggregation would need more groups than the limit.
    #[error("the query has more than {max} groups: use longer windows or fewer devices")]
    TooManyGroups {
        /// The limit.
        max: usize,
    },
    /// More rows than one query may look at.
    #[error("more than {SCAN_ROWS_MAX} rows would have to be read: ask for fewer devices or a shorter time")]
    TooManyRows,
    /// The telemetry could not be read.
    #[error("cannot read telemetry for the query")]
    Scan(#[source] ScanError),
}

impl RunQueryError {
    fn scan(error: ScanError) -> Self {
        match error {
            ScanError::TooManyRows => RunQueryError::TooManyRows,
            error => RunQueryError::Scan(error),
        }
    }

    fn invalid(position: usize, message: impl fmt::Display) -> Self {
        RunQueryError::Invalid { message: message.to_string(), position }
    }
}

#[cfg(test)]
mod tests;
