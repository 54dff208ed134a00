//! Rows to columns: the encoder of one batch of a segment.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};

use super::layout::{Column, ValueKind, schema};
use crate::row::{Row, Value};

/// Turns rows into record batches of one schema.
pub(super) struct Encoder {
    schema: SchemaRef,
    names: HashMap<Arc<str>, usize>,
    slots: Vec<NameSlot>,
    builders: Vec<ValueBuilder>,
    /// The name found at each place of the previous row: rows of one device repeat their names in order.
    hints: Vec<(Arc<str>, usize)>,
    fixed: FixedBuilders,
    rows: usize,
}

/// The columns of one name.
struct NameSlot {
    columns: [Option<usize>; ValueKind::ALL.len()],
    /// Row (counted from 1) in which the name was last given, to keep only the last of equal names.
    given_in_row: usize,
}

struct FixedBuilders {
    device: StringBuilder,
    module: StringBuilder,
    component: StringBuilder,
    ts: TimestampMillisecondBuilder,
    enqueued: TimestampMillisecondBuilder,
    offset: Int64Builder,
    template: StringBuilder,
    more: StringBuilder,
}

enum ValueBuilder {
    Double(Float64Builder),
    Integer(Int64Builder),
    Boolean(BooleanBuilder),
    Text(StringBuilder),
}

impl Encoder {
    pub fn new(columns: &[Column]) -> Self {
        let mut names: HashMap<Arc<str>, usize> = HashMap::new();
        let mut slots: Vec<NameSlot> = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            let slot = *names.entry(column.name.clone()).or_insert_with(|| {
                slots.push(NameSlot { columns: [None; ValueKind::ALL.len()], given_in_row: 0 });
                slots.len() - 1
            });
            slots[slot].columns[column.kind as usize] = Some(index);
        }
        Self {
            schema: schema(columns),
            names,
            slots,
            builders: columns.iter().map(|column| ValueBuilder::new(column.kind)).collect(),
            hints: Vec::new(),
            fixed: FixedBuilders::new(),
            rows: 0,
        }
    }

    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row. `offset` is the row's, known to fit the column.
    pub fn append(&mut self, row: &Row, offset: i64) {
        self.fixed.append(row, offset);
        self.rows += 1;
        let mut more: Option<serde_json::Map<String, serde_json::Value>> = None;
        for (place, (name, value)) in row.values.iter().rev().enumerate() {
            let column = match self.slot(place, name) {
                Some(slot) if self.slots[slot].given_in_row == self.rows => continue,
                Some(slot) => {
                    self.slots[slot].given_in_row = self.rows;
                    self.slots[slot].columns[ValueKind::of(value) as usize]
                }
                None => None,
            };
            match column {
                Some(column) => self.builders[column].append(value, self.rows - 1),
                None => {
                    more.get_or_insert_default().entry(name.as_ref()).or_insert_with(|| value.to_json());
                }
            }
        }
        self.fixed.more.append_option(more.map(|more| serde_json::Value::Object(more).to_string()));
    }

    fn slot(&mut self, place: usize, name: &Arc<str>) -> Option<usize> {
        if let Some((hint, slot)) = self.hints.get(place)
            && (Arc::ptr_eq(hint, name) || hint == name)
        {
            return Some(*slot);
        }
        let slot = *self.names.get(name.as_ref())?;
        match self.hints.get_mut(place) {
            Some(hint) => *hint = (name.clone(), slot),
            // A gap (an earlier place without column) is filled with the same name: hints are only guesses.
            None => self.hints.resize_with(place + 1, || (name.clone(), slot)),
        }
        Some(slot)
    }

    /// The rows added since the last batch.
    pub fn finish_batch(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        for slot in &mut self.slots {
            slot.given_in_row = 0;
        }
        let mut arrays = self.fixed.finish();
        arrays.extend(self.builders.iter_mut().map(|builder| builder.finish(rows)));
        RecordBatch::try_new(self.schema.clone(), arrays)
    }
}

impl FixedBuilders {
    fn new() -> Self {
        Self {
            device: StringBuilder::new(),
            module: StringBuilder::new(),
            component: StringBuilder::new(),
            ts: TimestampMillisecondBuilder::new().with_timezone("UTC"),
            enqueued: TimestampMillisecondBuilder::new().with_timezone("UTC"),
            offset: Int64Builder::new(),
            template: StringBuilder::new(),
            more: StringBuilder::new(),
        }
    }

    fn append(&mut self, row: &Row, offset: i64) {
        self.device.append_value(&row.device);
        self.module.append_option(row.module.as_deref());
        self.component.append_option(row.component.as_deref());
        self.ts.append_value(row.ts_ms);
        self.enqueued.append_value(row.enqueued_ms);
        self.offset.append_value(offset);
        self.template.append_option(row.template.as_deref());
    }

    /// In the order of the schema.
    fn finish(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.device.finish()),
            Arc::new(self.module.finish()),
            Arc::new(self.component.finish()),
            Arc::new(self.ts.finish()),
            Arc::new(self.enqueued.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.template.finish()),
            Arc::new(self.more.finish()),
        ]
    }
}

impl ValueBuilder {
    fn new(kind: ValueKind) -> Self {
        match kind {
            ValueKind::Double => ValueBuilder::Double(Float64Builder::new()),
            ValueKind::Integer => ValueBuilder::Integer(Int64Builder::new()),
            ValueKind::Boolean => ValueBuilder::Boolean(BooleanBuilder::new()),
            ValueKind::Text | ValueKind::Json => ValueBuilder::Text(StringBuilder::new()),
        }
    }

    /// Sets the value of row `row`; rows between are without one.
    fn append(&mut self, value: &Value, row: usize) {
        self.fill_to(row);
        match (self, value) {
            (ValueBuilder::Double(builder), Value::Double(value)) => builder.append_value(*value),
            (ValueBuilder::Integer(builder), Value::Integer(value)) => builder.append_value(*value),
            (ValueBuilder::Boolean(builder), Value::Boolean(value)) => builder.append_value(*value),
            (ValueBuilder::Text(builder), Value::Text(value) | Value::Json(value)) => builder.append_value(value),
            _ => unreachable!("a column is chosen by the kind of the value"),
        }
    }

    fn fill_to(&mut self, rows: usize) {
        use arrow_array::builder::ArrayBuilder;
        match self {
            ValueBuilder::Double(builder) => builder.append_nulls(rows - builder.len()),
            ValueBuilder::Integer(builder) => builder.append_nulls(rows - builder.len()),
            ValueBuilder::Boolean(builder) => builder.append_nulls(rows - builder.len()),
            ValueBuilder::Text(builder) => builder.append_nulls(rows - builder.len()),
        }
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        self.fill_to(rows);
        match self {
            ValueBuilder::Double(builder) => Arc::new(builder.finish()),
            ValueBuilder::Integer(builder) => Arc::new(builder.finish()),
            ValueBuilder::Boolean(builder) => Arc::new(builder.finish()),
            ValueBuilder::Text(builder) => Arc::new(builder.finish()),
        }
    }
}
