//! Walks the groups of one segment in order, with one bounded buffer. Readers and recovery share it.
//!
//! A cursor knows a place where a group starts (byte and offset). It may be asked to use only what its buffer already
//! holds, which is how an asynchronous reader avoids blocking for data it has.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::Offset;
use super::segment::{GROUP_HEADER_BYTES, GroupHeader, GroupRecords, SEGMENT_HEADER_BYTES};
use crate::file_layer::{FileLayer, LayerFile, read_exact_at};
use crate::limits::READ_BUFFER_BYTES;

/// Why the next group could not be had.
#[derive(Debug)]
pub(super) enum CursorError {
    Io(io::Error),
    /// The bytes from here on are not the group that must be here.
    Corrupt {
        at_byte: u64,
    },
}

pub(super) enum Step {
    Group(GroupRecords),
    /// Only when no file operations were allowed.
    NotBuffered,
    End,
}

/// Bytes of a segment that were given up, and the offset that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    pub from_byte: u64,
    pub to_byte: u64,
    pub next: Offset,
}

#[derive(Debug)]
pub(super) struct SegmentCursor {
    base: Offset,
    path: PathBuf,
    salt: u32,
    file: Option<Arc<dyn LayerFile>>,
    /// Where the next group starts, and the offset of its first record.
    at_byte: u64,
    offset: Offset,
    chunk: Bytes,
    chunk_at_byte: u64,
    holes: Vec<Hole>,
}

impl SegmentCursor {
    /// A cursor at the first group of a segment.
    pub(super) fn at_start(path: PathBuf, base: Offset, salt: u32, holes: Vec<Hole>) -> Self {
        SegmentCursor {
            base,
            path,
            salt,
            file: None,
            at_byte: SEGMENT_HEADER_BYTES,
            offset: base,
            chunk: Bytes::new(),
            chunk_at_byte: 0,
            holes,
        }
    }

    pub(super) fn base(&self) -> Offset {
        self.base
    }

    pub(super) fn offset(&self) -> Offset {
        self.offset
    }

    pub(super) fn at_byte(&self) -> u64 {
        self.at_byte
    }

    /// Jumps to another group start of the same segment, and gives the buffer back.
    pub(super) fn jump_to(&mut self, at_byte: u64, offset: Offset) {
        self.at_byte = at_byte;
        self.offset = offset;
        self.chunk = Bytes::new();
    }

    /// The next group, where the segment's data ends at byte `end`. Without `files`, only from the buffer.
    pub(super) fn step(&mut self, end: u64, files: Option<&dyn FileLayer>) -> Result<Step, CursorError> {
        self.pass_holes();
        let at_byte = self.at_byte;
        let corrupt = || CursorError::Corrupt { at_byte };
        let remaining = end.checked_sub(at_byte).ok_or_else(corrupt)?;
        if remaining == 0 {
            return Ok(Step::End);
        }
        if remaining < GROUP_HEADER_BYTES as u64 {
            return Err(corrupt());
        }
        let Some(header) = self.bytes_at(at_byte, GROUP_HEADER_BYTES, end, files)? else {
            return Ok(Step::NotBuffered);
        };
        let header = GroupHeader::decode(&header, self.salt).ok_or_else(corrupt)?;
        let group_bytes = GROUP_HEADER_BYTES as u64 + u64::from(header.body_bytes);
        // The length is believed only as far as the file reaches, which also bounds what is allocated for it.
        if header.first != self.offset || group_bytes > remaining {
            return Err(corrupt());
        }
        let body_at = at_byte + GROUP_HEADER_BYTES as u64;
        let Some(body) = self.bytes_at(body_at, header.body_bytes as usize, end, files)? else {
            return Ok(Step::NotBuffered);
        };
        let group = GroupRecords::new(&header, body).ok_or_else(corrupt)?;
        self.at_byte += group_bytes;
        self.offset = group.end();
        Ok(Step::Group(group))
    }

    fn pass_holes(&mut self) {
        let ahead = |at_byte| move |hole: &&Hole| hole.from_byte == at_byte && hole.to_byte > at_byte;
        while let Some(hole) = self.holes.iter().find(ahead(self.at_byte)) {
            self.at_byte = hole.to_byte;
            self.offset = hole.next;
        }
    }

    /// Goes on until the group that holds `position`, which must not lie before the cursor.
    pub(super) fn step_to(
        &mut self,
        position: Offset,
        end: u64,
        files: Option<&dyn FileLayer>,
    ) -> Result<Step, CursorError> {
        loop {
            match self.step(end, files)? {
                Step::Group(group) if group.end() <= position => {}
                Step::Group(mut group) => {
                    group.skip_to(position);
                    return Ok(Step::Group(group));
                }
                other => return Ok(other),
            }
        }
    }

    /// Everything from the cursor to `end`, unchecked.
    pub(super) fn rest(&mut self, end: u64, files: &dyn FileLayer) -> io::Result<Vec<u8>> {
        let mut rest = vec![0; end.saturating_sub(self.at_byte) as usize];
        read_exact_at(&*self.file(files)?, &mut rest, self.at_byte)?;
        Ok(rest)
    }

    fn bytes_at(
        &mut self,
        at_byte: u64,
        bytes: usize,
        end: u64,
        files: Option<&dyn FileLayer>,
    ) -> Result<Option<Bytes>, CursorError> {
        if let Some(slice) = self.buffered(at_byte, bytes) {
            return Ok(Some(slice));
        }
        let Some(files) = files else { return Ok(None) };
        let wanted = (bytes.max(READ_BUFFER_BYTES) as u64).min(end - at_byte) as usize;
        let mut chunk = vec![0; wanted];
        let file = self.file(files).map_err(CursorError::Io)?;
        read_exact_at(&*file, &mut chunk, at_byte).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => CursorError::Corrupt { at_byte },
            _ => CursorError::Io(error),
        })?;
        self.chunk = Bytes::from(chunk);
        self.chunk_at_byte = at_byte;
        Ok(self.buffered(at_byte, bytes))
    }

    fn buffered(&self, at_byte: u64, bytes: usize) -> Option<Bytes> {
        let start = usize::try_from(at_byte.checked_sub(self.chunk_at_byte)?).ok()?;
        let end = start.checked_add(bytes)?;
        (end <= self.chunk.len()).then(|| self.chunk.slice(start..end))
    }

    fn file(&mut self, files: &dyn FileLayer) -> io::Result<Arc<dyn LayerFile>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = files.open(&self.path)?;
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }
}
