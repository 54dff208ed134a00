//! The log's files, byte by byte.
//!
//! # Files
//!
//! ```text
//! log.lock                       locked as long as a process uses the folder
//! acknowledged                   how far records were acknowledged, see `acknowledged`
//! lost                           parts that are damaged and passed over, if an operator gave them up, see `lost`
//! 00000000000000000000.log       the segment whose first record has offset 0
//! 00000000000000314159.log       the next one; the name is its first offset, 20 decimal digits
//! ```
//!
//! # Segment, version 1
//!
//! All numbers are little-endian. A segment is a header and then groups, without gaps. One group is what one write and one
//! `fdatasync` made durable. The file ends with a group; whatever else is at the end of the newest segment was never
//! acknowledged and is cut off when the log is opened.
//!
//! ```text
//! segment header, 52 bytes                          group header, 36 bytes
//!  0  8  magic "TIDELOG\n"                            0  4  CRC-32 of bytes 4..36, begun with the segment's salt
//!  8  4  version, 1                                   4  4  magic "GRUP"
//! 12  4  salt                                         8  8  offset of the first record
//! 16  8  offset of the first record                  16  8  appended at, milliseconds since 1970
//! 24  8  created at, milliseconds since 1970         24  4  number of records, at least 1
//! 32  8  first offset of the segment before          28  4  length of the body
//! 40  8  length of the segment before in bytes       32  4  CRC-32 of the body
//! 48  4  CRC-32 of bytes 0..48                       36  …  body: for each record its length (4 bytes) and its bytes
//! ```
//!
//! Why these fields:
//! - *The segment before*, with its length, makes a chain: a missing or shortened file in the middle is found by reading 52
//!   bytes a segment, not the whole log. In the very first segment both are zero. In the oldest one still there they name
//!   a file that was trimmed, and are not looked at.
//! - *Created at* is no earlier than any record of the segment before, which is what trimming by age needs to know.
//! - *The salt* is drawn for each segment and not known outside the file. Neither old disk blocks nor a payload crafted to look
//!   like a group can pass for one.
//! - *Two checksums*: a valid header that follows a broken group proves that the broken group had been acknowledged (the
//!   next write starts only after a sync), so it is damage to be reported, not a torn write to be cut.
//!
//! # Version history
//!
//! - 1: the first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc32fast::Hasher;

use super::{Offset, Record};
use crate::file_layer::{Access, FileLayer, LayerFile, write_all_at};

pub(super) const SEGMENT_HEADER_BYTES: u64 = 52;
pub(super) const GROUP_HEADER_BYTES: usize = 36;
pub(super) const VERSION: u32 = 1;
/// What a record costs in a body beyond its payload.
pub(super) const RECORD_HEADER_BYTES: usize = 4;

const SEGMENT_MAGIC: &[u8; 8] = b"TIDELOG\n";
pub(super) const GROUP_MAGIC: &[u8; 4] = b"GRUP";

pub(super) fn segment_path(dir: &Path, base: Offset) -> PathBuf {
    dir.join(format!("{:020}.log", base.0))
}

/// The first offset that a file's name promises; `None` when the file is not a segment.
pub(super) fn parse_segment_name(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".log")?;
    let well_formed = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    well_formed.then(|| digits.parse().ok().map(Offset))?
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub salt: u32,
    pub base: Offset,
    pub created_at_ms: u64,
    pub previous_base: Offset,
    pub previous_bytes: u64,
}

/// The salt as it stands in a segment whose header may be damaged.
pub(super) fn stored_salt(segment: &[u8]) -> Option<u32> {
    let bytes = segment.get(12..SEGMENT_HEADER_BYTES as usize)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecodeSegmentError {
    Damaged,
    Version(u32),
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES as usize] {
        let mut header = [0; SEGMENT_HEADER_BYTES as usize];
        let mut rest = &mut header[..];
        rest.put_slice(SEGMENT_MAGIC);
        rest.put_u32_le(VERSION);
        rest.put_u32_le(self.salt);
        rest.put_u64_le(self.base.0);
        rest.put_u64_le(self.created_at_ms);
        rest.put_u64_le(self.previous_base.0);
        rest.put_u64_le(self.previous_bytes);
        let crc = crc32fast::hash(&header[..48]);
        header[48..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    pub(super) fn decode(header: &[u8; SEGMENT_HEADER_BYTES as usize]) -> Result<Self, DecodeSegmentError> {
        let mut rest = &header[..];
        let mut magic = [0; 8];
        rest.copy_to_slice(&mut magic);
        let version = rest.get_u32_le();
        // There is no version 0: those are bytes that never reached the disk.
        if &magic != SEGMENT_MAGIC || version == 0 {
            return Err(DecodeSegmentError::Damaged);
        }
        // Before the checksum: a later version may have put it elsewhere.
        if version != VERSION {
            return Err(match is_ours_but_for_a_byte(header, version) {
                true => DecodeSegmentError::Damaged,
                false => DecodeSegmentError::Version(version),
            });
        }
        let decoded = SegmentHeader {
            salt: rest.get_u32_le(),
            base: Offset(rest.get_u64_le()),
            created_at_ms: rest.get_u64_le(),
            previous_base: Offset(rest.get_u64_le()),
            previous_bytes: rest.get_u64_le(),
        };
        let intact = rest.get_u32_le() == crc32fast::hash(&header[..48]);
        if intact { Ok(decoded) } else { Err(DecodeSegmentError::Damaged) }
    }
}

/// Whether one byte of the version is damaged: with the one of ours in its place the checksum fits, which a program of a later
/// version would not have written. Where more than a byte differs it counts as later, as then everything is left as it is.
fn is_ours_but_for_a_byte(header: &[u8; SEGMENT_HEADER_BYTES as usize], version: u32) -> bool {
    let differing =
        version.to_le_bytes().iter().zip(VERSION.to_le_bytes()).filter(|(found, ours)| **found != *ours).count();
    let mut ours = *header;
    ours[8..12].copy_from_slice(&VERSION.to_le_bytes());
    differing == 1 && ours[48..] == crc32fast::hash(&ours[..48]).to_le_bytes()
}

/// Why a new segment is not there. The difference decides whether the log may go on.
#[derive(Debug)]
pub(super) enum CreateSegmentError {
    /// Nothing was promised, and the file is gone again if it could be removed.
    Write(io::Error),
    /// A sync failed: what is on the disk is unknown.
    Sync(io::Error),
}

/// Makes a segment's file with its header, durable in contents and in name.
pub(super) fn create_segment(
    files: &dyn FileLayer,
    dir: &Path,
    header: &SegmentHeader,
) -> Result<Arc<dyn LayerFile>, CreateSegmentError> {
    let path = segment_path(dir, header.base);
    let file = files.create(&path, Access::Private).map_err(CreateSegmentError::Write)?;
    let created = write_all_at(&*file, &header.encode(), 0)
        .map_err(CreateSegmentError::Write)
        .and_then(|()| file.sync_data().map_err(CreateSegmentError::Sync))
        .and_then(|()| files.sync_dir(dir).map_err(CreateSegmentError::Sync));
    if let Err(error) = created {
        // An unfinished header would be recognized when the log is opened. One whose sync failed would not: the system
        // shows it although it may never reach the disk.
        let _ = files.remove(&path);
        return Err(error);
    }
    Ok(file)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupHeader {
    pub first: Offset,
    pub appended_at_ms: u64,
    pub records: u32,
    pub body_bytes: u32,
    pub body_crc: u32,
}

impl GroupHeader {
    pub(super) fn encode(&self, salt: u32) -> [u8; GROUP_HEADER_BYTES] {
        let mut header = [0; GROUP_HEADER_BYTES];
        let mut rest = &mut header[4..];
        rest.put_slice(GROUP_MAGIC);
        rest.put_u64_le(self.first.0);
        rest.put_u64_le(self.appended_at_ms);
        rest.put_u32_le(self.records);
        rest.put_u32_le(self.body_bytes);
        rest.put_u32_le(self.body_crc);
        let crc = salted_crc(salt, &header[4..]);
        header[..4].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// `None` when these bytes are not a group header of the segment with this salt.
    pub(super) fn decode(header: &[u8], salt: u32) -> Option<Self> {
        let mut rest = header.get(..GROUP_HEADER_BYTES)?;
        let crc = rest.get_u32_le();
        if !rest.starts_with(GROUP_MAGIC) || crc != salted_crc(salt, rest) {
            return None;
        }
        rest.advance(GROUP_MAGIC.len());
        Some(GroupHeader {
            first: Offset(rest.get_u64_le()),
            appended_at_ms: rest.get_u64_le(),
            records: rest.get_u32_le(),
            body_bytes: rest.get_u32_le(),
            body_crc: rest.get_u32_le(),
        })
    }
}

fn salted_crc(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

/// The salt of the segment this group header is from, if the header is whole: a checksum can be followed backwards.
pub(super) fn salt_of_group(header: &[u8; GROUP_HEADER_BYTES]) -> u32 {
    let [c0, c1, c2, c3, covered @ ..] = header;
    let mut state = !u32::from_le_bytes([*c0, *c1, *c2, *c3]);
    let table: Vec<u32> =
        (0..256_u32).map(|byte| (0..8).fold(byte, |crc, _| (crc >> 1) ^ ((crc & 1) * 0xedb8_8320))).collect();
    for byte in covered.iter().rev() {
        // The highest byte of a table entry is unlike that of all others.
        let entry = (0_u32..).zip(&table).find(|(_, entry)| **entry >> 24 == state >> 24);
        let (index, entry) = entry.expect("each highest byte is in the table");
        state = ((state ^ entry) << 8) | (index ^ u32::from(*byte));
    }
    !state
}

/// Whether `bytes` contain the start of a group of this segment that was written later than the one that begins at `broken`.
pub(super) fn contains_group_after(bytes: &[u8], salt: u32, broken: Offset) -> bool {
    bytes
        .windows(GROUP_HEADER_BYTES)
        .filter(|window| &window[4..8] == GROUP_MAGIC)
        .any(|window| GroupHeader::decode(window, salt).is_some_and(|header| header.first > broken))
}

/// Writes a whole group, header and body, into one contiguous buffer of exactly the right size. The bodies are pieces of the
/// group's body, which has `count` records and `body_bytes` bytes.
pub(super) fn encode_group<'a>(
    bodies: impl Iterator<Item = &'a [u8]>,
    (count, body_bytes): (u32, usize),
    first: Offset,
    appended_at_ms: u64,
    salt: u32,
) -> Bytes {
    let mut group = BytesMut::with_capacity(GROUP_HEADER_BYTES + body_bytes);
    group.put_bytes(0, GROUP_HEADER_BYTES);
    for body in bodies {
        group.put_slice(body);
    }
    let body = &group[GROUP_HEADER_BYTES..];
    assert_eq!(body.len(), body_bytes, "the caller adds up the bytes of what it passes");
    let header = GroupHeader {
        first,
        appended_at_ms,
        records: count,
        body_bytes: body_bytes as u32,
        body_crc: crc32fast::hash(body),
    };
    group[..GROUP_HEADER_BYTES].copy_from_slice(&header.encode(salt));
    group.freeze()
}

/// The records of one intact group, handed out one after the other. Payloads share the group's memory.
#[derive(Debug, Clone)]
pub(super) struct GroupRecords {
    body: Bytes,
    next: Offset,
    end: Offset,
    appended_at_ms: u64,
}

impl GroupRecords {
    /// `None` when the body is not what the header says.
    pub(super) fn new(header: &GroupHeader, body: Bytes) -> Option<Self> {
        let intact = crc32fast::hash(&body) == header.body_crc && count_records(&body) == Some(header.records);
        intact.then(|| Self::trusted(header.first, header.records, header.appended_at_ms, body))
    }

    /// The records of a group this process encoded itself.
    pub(super) fn trusted(first: Offset, records: u32, appended_at_ms: u64, body: Bytes) -> Self {
        GroupRecords { body, next: first, end: Offset(first.0 + u64::from(records)), appended_at_ms }
    }

    pub(super) fn appended_at_ms(&self) -> u64 {
        self.appended_at_ms
    }

    pub(super) fn next_offset(&self) -> Offset {
        self.next
    }

    pub(super) fn end(&self) -> Offset {
        self.end
    }

    /// The payload length of the next record; `None` at the end.
    pub(super) fn peek_bytes(&self) -> Option<usize> {
        let length = self.body.first_chunk::<RECORD_HEADER_BYTES>()?;
        Some(u32::from_le_bytes(*length) as usize)
    }

    pub(super) fn take_next(&mut self) -> Option<Record> {
        let bytes = self.peek_bytes()?;
        self.body.advance(RECORD_HEADER_BYTES);
        let payload = self.body.split_to(bytes);
        let offset = self.next;
        self.next = Offset(offset.0 + 1);
        Some(Record { offset, appended_at_ms: self.appended_at_ms, payload })
    }

    /// Drops the records before `offset`.
    pub(super) fn skip_to(&mut self, offset: Offset) {
        while self.next < offset {
            let Some(bytes) = self.peek_bytes() else { return };
            self.body.advance(RECORD_HEADER_BYTES + bytes);
            self.next = Offset(self.next.0 + 1);
        }
    }
}

/// The number of records in a body; `None` when their lengths do not add up to it.
fn count_records(mut body: &[u8]) -> Option<u32> {
    let mut count: u32 = 0;
    while !body.is_empty() {
        let (length, rest) = body.split_first_chunk::<RECORD_HEADER_BYTES>()?;
        body = rest.get(u32::from_le_bytes(*length) as usize..)?;
        count = count.checked_add(1)?;
    }
    (count > 0).then_some(count)
}

#[cfg(test)]
mod tests;
