//! The columns of a segment: fixed ones, and one for each telemetry name and type. The format and its version are described in
//! [`super`].

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::limits::{COLUMN_NAME_BYTES_MAX, SEGMENT_COLUMNS_MAX};
use crate::row::{Row, Value};

pub(super) const DEVICE: &str = "device";
pub(super) const MODULE: &str = "module";
pub(super) const COMPONENT: &str = "component";
pub(super) const TS: &str = "ts";
pub(super) const ENQUEUED: &str = "enqueued";
pub(super) const OFFSET: &str = "offset";
pub(super) const TEMPLATE: &str = "template";
pub(super) const MORE: &str = "more";

/// Version of the format, in the file's metadata.
pub(super) const FORMAT_VERSION: &str = "1";
pub(super) const FORMAT_KEY: &str = "tidegate.segment";
pub(super) const APPLICATION_KEY: &str = "tidegate.application";

/// The type of a telemetry column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ValueKind {
    /// [`Value::Double`]
    Double,
    /// [`Value::Integer`]
    Integer,
    /// [`Value::Boolean`]
    Boolean,
    /// [`Value::Text`]
    Text,
    /// [`Value::Json`]
    Json,
}

impl ValueKind {
    pub(super) const ALL: [ValueKind; 5] =
        [ValueKind::Double, ValueKind::Integer, ValueKind::Boolean, ValueKind::Text, ValueKind::Json];

    /// The kind of `value`.
    pub fn of(value: &Value) -> ValueKind {
        match value {
            Value::Double(_) => ValueKind::Double,
            Value::Integer(_) => ValueKind::Integer,
            Value::Boolean(_) => ValueKind::Boolean,
            Value::Text(_) => ValueKind::Text,
            Value::Json(_) => ValueKind::Json,
        }
    }

    /// What follows the name in the column's name, with the underscore.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            ValueKind::Double => "_double",
            ValueKind::Integer => "_integer",
            ValueKind::Boolean => "_boolean",
            ValueKind::Text => "_text",
            ValueKind::Json => "_json",
        }
    }

    pub(super) fn data_type(self) -> DataType {
        match self {
            ValueKind::Double => DataType::Float64,
            ValueKind::Integer => DataType::Int64,
            ValueKind::Boolean => DataType::Boolean,
            ValueKind::Text | ValueKind::Json => DataType::Utf8,
        }
    }
}

/// A telemetry name with one of its types.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Column {
    pub name: Arc<str>,
    pub kind: ValueKind,
}

impl Column {
    pub fn physical_name(&self) -> String {
        format!("{}{}", self.name, self.kind.suffix())
    }

    /// The name and type of a value column, `None` for a fixed column or one that is not ours.
    pub fn parse(physical: &str) -> Option<Column> {
        let kind = ValueKind::ALL.into_iter().find(|kind| physical.ends_with(kind.suffix()))?;
        let name = physical.strip_suffix(kind.suffix())?;
        Some(Column { name: Arc::from(name), kind })
    }
}

/// How often each column has a value, to choose the columns of a segment.
#[derive(Debug, Default)]
pub(super) struct ColumnCounts {
    counts: HashMap<Arc<str>, [u64; ValueKind::ALL.len()]>,
}

impl ColumnCounts {
    pub fn add_row(&mut self, row: &Row) {
        for (name, value) in &row.values {
            self.add(name, ValueKind::of(value), 1);
        }
    }

    pub fn add(&mut self, name: &Arc<str>, kind: ValueKind, values: u64) {
        match self.counts.get_mut(name.as_ref()) {
            Some(counts) => counts[kind as usize] += values,
            None => {
                let mut counts = [0; ValueKind::ALL.len()];
                counts[kind as usize] = values;
                self.counts.insert(name.clone(), counts);
            }
        }
    }

    /// The columns that are most often filled, up to the limit, sorted by name and type.
    pub fn into_columns(self) -> Vec<Column> {
        let mut counted: Vec<(u64, Column)> = Vec::new();
        for (name, counts) in self.counts {
            if name.len() > COLUMN_NAME_BYTES_MAX {
                continue;
            }
            for kind in ValueKind::ALL {
                if counts[kind as usize] > 0 {
                    counted.push((counts[kind as usize], Column { name: name.clone(), kind }));
                }
            }
        }
        counted.sort_unstable_by(|(left_count, left), (right_count, right)| {
            right_count.cmp(left_count).then_with(|| left.cmp(right))
        });
        counted.truncate(SEGMENT_COLUMNS_MAX);
        let mut columns: Vec<Column> = counted.into_iter().map(|(_, column)| column).collect();
        columns.sort_unstable();
        columns
    }
}

/// The Arrow schema of a segment with these value columns.
pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new(DEVICE, DataType::Utf8, false),
        Field::new(MODULE, DataType::Utf8, true),
        Field::new(COMPONENT, DataType::Utf8, true),
        Field::new(TS, timestamp.clone(), false),
        Field::new(ENQUEUED, timestamp, false),
        Field::new(OFFSET, DataType::Int64, false),
        Field::new(TEMPLATE, DataType::Utf8, true),
        Field::new(MORE, DataType::Utf8, true),
    ];
    fields.extend(columns.iter().map(|column| Field::new(column.physical_name(), column.kind.data_type(), true)));
    Arc::new(Schema::new(fields))
}
