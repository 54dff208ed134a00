//! Records on their way into the log, already laid out as in the body of a group.
//!
//! One buffer for a whole batch: a busy connection appends a few dozen records at a time, and an allocation for each of them,
//! freed by another thread, costs more than the copy into the group.

use bytes::{BufMut, Bytes, BytesMut};

use super::APPEND_OVERHEAD_BYTES;
use super::segment::RECORD_HEADER_BYTES;

/// Records to append together, in order.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// For each record its length and its bytes, as in `segment`.
    body: BytesMut,
    count: usize,
}

impl Records {
    /// None yet, with room for records of `bytes` bytes together.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Records { body: BytesMut::with_capacity(count * RECORD_HEADER_BYTES + bytes), count: 0 }
    }

    /// Adds a record.
    pub fn push(&mut self, record: &[u8]) {
        self.body.put_u32_le(record.len() as u32);
        self.body.put_slice(record);
        self.count += 1;
    }

    /// Adds the record that `write` appends to the buffer. If it fails, nothing is added. What was in the buffer before must be
    /// left alone.
    pub fn push_with<E>(&mut self, write: impl FnOnce(&mut BytesMut) -> Result<(), E>) -> Result<(), E> {
        let start = self.body.len();
        self.body.put_u32_le(0);
        if let Err(error) = write(&mut self.body) {
            self.body.truncate(start);
            return Err(error);
        }
        let bytes = self.body.len() - start - RECORD_HEADER_BYTES;
        self.body[start..start + RECORD_HEADER_BYTES].copy_from_slice(&(bytes as u32).to_le_bytes());
        self.count += 1;
        Ok(())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the records together.
    pub fn bytes(&self) -> usize {
        self.body.len() - self.count * RECORD_HEADER_BYTES
    }

    /// What the log grows by when they are appended, at most.
    pub fn disk_bytes_max(&self) -> u64 {
        self.body.len() as u64 + APPEND_OVERHEAD_BYTES
    }

    /// As in the body of a group.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(records: Vec<Bytes>) -> Self {
        let mut all = Records::with_capacity(records.len(), records.iter().map(Bytes::len).sum());
        records.iter().for_each(|record| all.push(record));
        all
    }
}

impl<R: AsRef<[u8]>> FromIterator<R> for Records {
    fn from_iter<I: IntoIterator<Item = R>>(records: I) -> Self {
        let mut all = Records::default();
        for record in records {
            all.push(record.as_ref());
        }
        all
    }
}

#[cfg(test)]
mod tests;
