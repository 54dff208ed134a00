//! One message that was set aside, as bytes.
//!
//! ```text
//! version 1 (1) | number in log/ (8) | bytes in log/ (4) | a record as in log/, with the queue as its only target
//! ```
//! Numbers are big endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::hub::record::{StoredMessage, StoredRecord, Target, UnknownRecord, encode};

/// What the bytes start with.
pub const VERSION: u8 = 1;
/// Before the record as in `log/`.
const HEAD_BYTES: usize = 13;

/// A message that was set aside.
#[derive(Debug, Clone)]
pub struct AsideRecord {
    /// Its number in the one log.
    pub number: u64,
    /// What its record took there.
    pub bytes: u64,
    /// The queue it waits in.
    pub target: Target,
    /// The message, with this target only.
    pub stored: StoredRecord,
}

impl AsideRecord {
    /// Appends the bytes.
    pub fn encode(out: &mut BytesMut, number: u64, bytes: u64, target: &Target, message: &StoredMessage) {
        out.put_u8(VERSION);
        out.put_u64(number);
        // A message and its targets: less than a MiB.
        out.put_u32(bytes as u32);
        encode(out, std::slice::from_ref(target), message);
    }

    /// Looks at bytes. They keep the memory of whatever they are a slice of.
    pub fn parse(mut record: Bytes) -> Result<Self, UnknownRecord> {
        let version = record.first().copied().unwrap_or_default();
        let unknown = UnknownRecord { version, known: VERSION };
        if version != VERSION || record.len() < HEAD_BYTES {
            return Err(unknown);
        }
        record.advance(1);
        let (number, bytes) = (record.get_u64(), u64::from(record.get_u32()));
        let stored = StoredRecord::parse(record)?;
        let targets: Vec<Target> = stored.targets().collect();
        let [target]: [Target; 1] = targets.try_into().map_err(|_| unknown)?;
        Ok(Self { number, bytes, target, stored })
    }
}
