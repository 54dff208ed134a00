//! Past damage: the salt of a segment whose header may be broken, and the next group that is whole.
//!
//! The salt tells a group from anything that looks like one, old contents of the disk or a payload made to be taken for it.

use bytes::Bytes;

use super::Offset;
use super::segment::{
    GROUP_HEADER_BYTES, GROUP_MAGIC, GroupHeader, GroupRecords, SEGMENT_HEADER_BYTES, SegmentHeader, salt_of_group,
    stored_salt,
};

/// A group that is whole, and where in the bytes it lies.
pub(super) struct WholeGroup {
    pub at: usize,
    pub end: usize,
    pub records: GroupRecords,
}

/// The group that begins at `at`, if it is whole.
pub(super) fn whole_group(bytes: &Bytes, at: usize, salt: u32) -> Option<WholeGroup> {
    let body_at = at.checked_add(GROUP_HEADER_BYTES)?;
    let header = GroupHeader::decode(bytes.get(at..body_at)?, salt)?;
    // The length is believed only as far as there are bytes.
    let end = body_at.checked_add(header.body_bytes as usize).filter(|end| *end <= bytes.len())?;
    let records = GroupRecords::new(&header, bytes.slice(body_at..end))?;
    Some(WholeGroup { at, end, records })
}

/// The first whole group that begins at `from` or later, none of whose records lies before `position`.
pub(super) fn next_whole_group(bytes: &Bytes, from: usize, salt: u32, position: Offset) -> Option<WholeGroup> {
    let mut from = from;
    loop {
        let group = whole_group(bytes, from, salt).filter(|group| group.records.next_offset() >= position);
        if group.is_some() {
            return group;
        }
        // The magic stands behind the checksum.
        let magic = bytes.get(from + 5..)?.windows(GROUP_MAGIC.len()).position(|window| window == GROUP_MAGIC)?;
        from += magic + 1;
    }
}

/// The salt of a segment: from its header; where that is broken from its first group, whose checksum can be followed backwards; where
/// that is broken, too, as it stands there.
pub(super) fn salt_of_segment(segment: &Bytes) -> Option<u32> {
    let header = segment.first_chunk::<{ SEGMENT_HEADER_BYTES as usize }>()?;
    if let Ok(header) = SegmentHeader::decode(header) {
        return Some(header.salt);
    }
    let first = segment.get(SEGMENT_HEADER_BYTES as usize..).and_then(|rest| rest.first_chunk::<GROUP_HEADER_BYTES>());
    let of_first = first.map(salt_of_group);
    of_first
        .filter(|salt| whole_group(segment, SEGMENT_HEADER_BYTES as usize, *salt).is_some())
        .or_else(|| stored_salt(segment))
}
