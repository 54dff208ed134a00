//! Columns to rows: the exact filter, and the decoder of one batch of a segment.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::ArrowError;

use super::layout::{COMPONENT, Column, DEVICE, ENQUEUED, MODULE, MORE, OFFSET, TEMPLATE, TS, ValueKind};
use crate::row::{Row, Value};
use crate::selection::{Names, Selection};

/// A column of the format is not there or of another type: not a segment of this version.
#[derive(Debug, thiserror::Error)]
#[error("column {0} is missing or of another type")]
pub(super) struct MissingColumn(pub &'static str);

/// Which rows of a batch of the key columns are selected.
pub(super) fn selected_rows(batch: &RecordBatch, selection: &Selection) -> Result<BooleanArray, ArrowError> {
    let missing = |error: MissingColumn| ArrowError::SchemaError(error.to_string());
    let device = text_column(batch, DEVICE).map_err(missing)?;
    let module = text_column(batch, MODULE).map_err(missing)?;
    let component = text_column(batch, COMPONENT).map_err(missing)?;
    let ts = time_column(batch, TS).map_err(missing)?;
    let is_selected = |row: usize| {
        selection.range.contains(ts.value(row))
            && selection.module.contains(text_at(module, row))
            && selection.component.contains(text_at(component, row))
            && selection.devices.contains(device.value(row))
    };
    Ok((0..batch.num_rows()).map(|row| Some(is_selected(row))).collect())
}

/// The columns of a batch, found once for all its rows.
pub(super) struct BatchDecoder<'a> {
    device: SharedText<'a>,
    module: SharedText<'a>,
    component: SharedText<'a>,
    ts: &'a TimestampMillisecondArray,
    enqueued: &'a TimestampMillisecondArray,
    offset: &'a Int64Array,
    template: SharedText<'a>,
    more: &'a StringArray,
    values: Vec<(Arc<str>, ValueColumn<'a>)>,
    rows: usize,
}

enum ValueColumn<'a> {
    Double(&'a Float64Array),
    Integer(&'a Int64Array),
    Boolean(&'a BooleanArray),
    Text(SharedText<'a>),
    Json(SharedText<'a>),
}

impl<'a> BatchDecoder<'a> {
    pub fn new(batch: &'a RecordBatch) -> Result<Self, MissingColumn> {
        let mut values = Vec::new();
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let Some(column) = Column::parse(field.name()) else { continue };
            values.push((column.name, ValueColumn::new(column.kind, array.as_ref())?));
        }
        Ok(Self {
            device: SharedText::new(text_column(batch, DEVICE)?),
            module: SharedText::new(text_column(batch, MODULE)?),
            component: SharedText::new(text_column(batch, COMPONENT)?),
            ts: time_column(batch, TS)?,
            enqueued: time_column(batch, ENQUEUED)?,
            offset: batch
                .column_by_name(OFFSET)
                .and_then(|array| array.as_primitive_opt::<Int64Type>())
                .ok_or(MissingColumn(OFFSET))?,
            template: SharedText::new(text_column(batch, TEMPLATE)?),
            more: text_column(batch, MORE)?,
            values,
            rows: batch.num_rows(),
        })
    }

    /// Appends the rows to `rows`, with the named values.
    pub fn decode(mut self, names: &Names, rows: &mut VecDeque<Row>) -> Result<(), MissingColumn> {
        for row in 0..self.rows {
            let mut values = Vec::new();
            for (name, column) in &mut self.values {
                if let Some(value) = column.at(row) {
                    values.push((name.clone(), value));
                }
            }
            if let Some(more) = text_at(self.more, row) {
                append_more(more, names, &mut values)?;
            }
            rows.push_back(Row {
                device: self.device.at(row).ok_or(MissingColumn(DEVICE))?,
                module: self.module.at(row),
                component: self.component.at(row),
                ts_ms: self.ts.value(row),
                enqueued_ms: self.enqueued.value(row),
                offset: u64::try_from(self.offset.value(row)).map_err(|_| MissingColumn(OFFSET))?,
                template: self.template.at(row),
                values,
            });
        }
        Ok(())
    }
}

/// The values that got no column of their own.
fn append_more(more: &str, names: &Names, values: &mut Vec<(Arc<str>, Value)>) -> Result<(), MissingColumn> {
    let members: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(more).map_err(|_| MissingColumn(MORE))?;
    for (name, json) in members {
        if let (true, Some(value)) = (names.contains(&name), Value::from_json(&json)) {
            values.push((Arc::from(name), value));
        }
    }
    Ok(())
}

impl<'a> ValueColumn<'a> {
    fn new(kind: ValueKind, array: &'a dyn Array) -> Result<Self, MissingColumn> {
        let wrong_type = MissingColumn("of a value");
        match kind {
            ValueKind::Double => array.as_primitive_opt::<Float64Type>().map(ValueColumn::Double),
            ValueKind::Integer => array.as_primitive_opt::<Int64Type>().map(ValueColumn::Integer),
            ValueKind::Boolean => array.as_boolean_opt().map(ValueColumn::Boolean),
            ValueKind::Text => array.as_string_opt::<i32>().map(|array| ValueColumn::Text(SharedText::new(array))),
            ValueKind::Json => array.as_string_opt::<i32>().map(|array| ValueColumn::Json(SharedText::new(array))),
        }
        .ok_or(wrong_type)
    }

    fn at(&mut self, row: usize) -> Option<Value> {
        match self {
            ValueColumn::Double(array) => array.is_valid(row).then(|| Value::Double(array.value(row))),
            ValueColumn::Integer(array) => array.is_valid(row).then(|| Value::Integer(array.value(row))),
            ValueColumn::Boolean(array) => array.is_valid(row).then(|| Value::Boolean(array.value(row))),
            ValueColumn::Text(text) => text.at(row).map(Value::Text),
            ValueColumn::Json(text) => text.at(row).map(Value::Json),
        }
    }
}

/// A text column whose neighbours are often equal: they then share one copy.
struct SharedText<'a> {
    array: &'a StringArray,
    last: Option<Arc<str>>,
}

impl<'a> SharedText<'a> {
    fn new(array: &'a StringArray) -> Self {
        Self { array, last: None }
    }

    fn at(&mut self, row: usize) -> Option<Arc<str>> {
        let text = text_at(self.array, row)?;
        if let Some(last) = &self.last
            && last.as_ref() == text
        {
            return Some(last.clone());
        }
        let shared: Arc<str> = Arc::from(text);
        self.last = Some(shared.clone());
        Some(shared)
    }
}

fn text_at(array: &StringArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}

fn text_column<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a StringArray, MissingColumn> {
    batch.column_by_name(name).and_then(|array| array.as_string_opt::<i32>()).ok_or(MissingColumn(name))
}

fn time_column<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a TimestampMillisecondArray, MissingColumn> {
    batch
        .column_by_name(name)
        .and_then(|array| array.as_primitive_opt::<TimestampMillisecondType>())
        .ok_or(MissingColumn(name))
}
