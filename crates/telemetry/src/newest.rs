//! The rows that are in the log but not yet in a segment, in memory, by device.
//!
//! Bounded: when it is full, [`Newest::insert`] refuses, and the reader of the log has to write a segment first. The rows it could
//! not insert are safe in the log, so this slows nothing but the view.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::limits::{NEWEST_BYTES_MAX, NEWEST_ROWS_MAX};
use crate::row::Row;
use crate::selection::{Devices, Selection};

/// How much [`Newest`] may hold.
#[derive(Debug, Clone, Copy)]
pub struct NewestLimits {
    /// Rows.
    pub rows_max: usize,
    /// Estimated bytes of memory.
    pub bytes_max: usize,
}

impl Default for NewestLimits {
    fn default() -> Self {
        Self { rows_max: NEWEST_ROWS_MAX, bytes_max: NEWEST_BYTES_MAX }
    }
}

/// There is no room for the rows: write a segment, [`Newest::release`] what it covers, and insert again.
#[derive(Debug, thiserror::Error)]
#[error("the newest telemetry rows fill their memory ({rows} rows, {bytes} bytes)")]
pub struct InsertRowsError {
    /// The rows that were not inserted: all of them.
    pub rejected: Vec<Row>,
    /// Rows held.
    pub rows: usize,
    /// Bytes held.
    pub bytes: usize,
}

/// What waits to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// Rows held.
    pub rows: usize,
    /// Estimated bytes held.
    pub bytes: usize,
    /// Highest offset ever inserted.
    pub offset_last: Option<u64>,
}

/// Rows not yet in a segment. Shared between the reader of the log, which inserts and releases, and queries.
#[derive(Debug, Default)]
pub struct Newest {
    limits: NewestLimits,
    held: RwLock<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// In log order for each device.
    devices: HashMap<Arc<str>, Vec<Arc<Row>>>,
    pending: Pending,
}

impl Newest {
    /// Empty, with these limits.
    pub fn new(limits: NewestLimits) -> Self {
        Self { limits, held: RwLock::default() }
    }

    /// Adds rows in log order, all or none. Rows at or before an offset inserted earlier are known and skipped, so that reading the
    /// log again is harmless. A single insert larger than the limits never fits: insert in smaller pieces.
    pub fn insert(&self, rows: Vec<Row>) -> Result<(), InsertRowsError> {
        let mut held = self.write();
        if !held.has_room(&rows, self.limits) {
            let Pending { rows: held_rows, bytes: held_bytes, .. } = held.pending;
            return Err(InsertRowsError { rejected: rows, rows: held_rows, bytes: held_bytes });
        }
        let known = held.pending.offset_last;
        for row in rows.into_iter().filter(|row| known.is_none_or(|known| row.offset > known)) {
            held.push(row);
        }
        Ok(())
    }

    /// Whether [`Newest::insert`] would take the rows.
    pub fn has_room(&self, rows: &[Row]) -> bool {
        self.read().has_room(rows, self.limits)
    }

    /// What waits to be written.
    pub fn pending(&self) -> Pending {
        self.read().pending
    }

    /// All rows, to write them.
    pub fn rows(&self) -> Vec<Arc<Row>> {
        self.read().devices.values().flatten().cloned().collect()
    }

    /// The selected rows, in log order for each device.
    pub fn select(&self, selection: &Selection) -> Vec<Arc<Row>> {
        let held = self.read();
        let matching = |rows: &Vec<Arc<Row>>| -> Vec<Arc<Row>> {
            rows.iter().filter(|row| selection.contains(row)).cloned().collect()
        };
        match &selection.devices {
            Devices::Any => held.devices.values().flat_map(matching).collect(),
            Devices::Listed(listed) => {
                listed.iter().filter_map(|device| held.devices.get(device)).flat_map(matching).collect()
            }
        }
    }

    /// Forgets the rows up to and including `through`: a segment in the catalog has them.
    pub fn release(&self, through: u64) {
        let mut held = self.write();
        let mut pending = Pending { rows: 0, bytes: 0, ..held.pending };
        held.devices.retain(|_, rows| {
            rows.retain(|row| row.offset > through);
            rows.shrink_to(rows.len() * 2);
            pending.rows += rows.len();
            pending.bytes += rows.iter().map(|row| row.memory_bytes()).sum::<usize>();
            !rows.is_empty()
        });
        held.pending = pending;
    }

    /// Forgets everything, also which offsets are known: the log is read again from an earlier position.
    pub fn clear(&self) {
        *self.write() = Held::default();
    }

    // A panic while the lock is held leaves at worst counts that are too low by one row; refusing every later query would be worse.
    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn has_room(&self, rows: &[Row], limits: NewestLimits) -> bool {
        let Pending { rows: held_rows, bytes: held_bytes, offset_last } = self.pending;
        let is_new = |row: &&Row| offset_last.is_none_or(|known| row.offset > known);
        let new_rows = rows.iter().filter(is_new).count();
        let new_bytes: usize = rows.iter().filter(is_new).map(Row::memory_bytes).sum();
        held_rows + new_rows <= limits.rows_max && held_bytes + new_bytes <= limits.bytes_max
    }

    fn push(&mut self, row: Row) {
        self.pending.rows += 1;
        self.pending.bytes += row.memory_bytes();
        self.pending.offset_last = Some(self.pending.offset_last.map_or(row.offset, |last| last.max(row.offset)));
        self.devices.entry(row.device.clone()).or_default().push(Arc::new(row));
    }
}

#[cfg(test)]
mod tests;
