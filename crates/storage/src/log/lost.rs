//! Going on without what is damaged: exactly the broken parts of a log are noted as lost, and passed over from then on.
//!
//! Nothing is rewritten but a broken segment header, all of which can be told from what is around it. The bytes of a broken group
//! stay where they are; a segment of which nothing can be read is renamed. The notes are the state file `lost` in the log's
//! folder, of kind `storage.log.lost`.
//!
//! ```text
//!   segment   header broken ─▶ written again (its salt follows from the checksum of its first group) or, if that is broken too,
//!             the whole segment is lost
//!             group broken  ─▶ the next one that is whole is searched for; what lies between is lost
//!             missing, or shorter than its follower says ─▶ lost up to the follower
//!   newest    ends before what was acknowledged ─▶ lost, and a new segment begins after it
//! ```

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::acknowledged;
use super::cursor::{CursorError, Hole, SegmentCursor, Step};
use super::recovery::{draw_salt, failed, list_bases, read_header};
use super::segment::{
    CreateSegmentError, DecodeSegmentError, GROUP_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader, VERSION,
    create_segment, salt_of_group, segment_path,
};
use super::whole_group::{WholeGroup, next_whole_group};
use super::{Environment, Offset, OpenLogError};
use crate::envelope::{self, Kind};
use crate::file_layer::{Access, FileLayer, LayerFile, read_exact_at, write_all_at};
use crate::limits::{LOST_FILE_BYTES_MAX, LOST_PARTS_MAX};
use crate::state_file;

/// Its name in the log's folder.
pub(super) const FILE_NAME: &str = "lost";

const KIND: Kind = Kind { name: "storage.log.lost", version: 2 };

/// A part of a log that is gone for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostPart {
    /// The first offset that is lost.
    pub first: u64,
    /// The first one after it that is there; the same where no record was lost.
    pub next: u64,
    /// First offset of the segment it was in.
    pub segment: u64,
    /// Where the broken bytes begin.
    pub from_byte: u64,
    /// Where what follows begins.
    pub to_byte: u64,
    /// What was wrong.
    pub what: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Body {
    parts: Vec<LostPart>,
}

/// The parts of a log that are passed over.
#[derive(Debug, Clone, Default)]
pub(super) struct Lost {
    parts: Vec<LostPart>,
}

impl Lost {
    pub(super) fn read(files: &dyn FileLayer, dir: &Path) -> Result<Self, OpenLogError> {
        let path = dir.join(FILE_NAME);
        let corrupt = |what| OpenLogError::Corrupt { segment: path.clone(), at_byte: 0, what };
        let contents = state_file::read_on(files, &path, LOST_FILE_BYTES_MAX).map_err(|error| match error {
            state_file::ReadFileError::Io { path, source } => failed("read", &path)(source),
            state_file::ReadFileError::TooLarge { .. } => corrupt("it is too large"),
        })?;
        let Some(contents) = contents else { return Ok(Self::default()) };
        let body = match envelope::open(KIND, &contents) {
            Ok(body) if body.version == KIND.version => serde_json::from_str::<Body>(body.json).ok(),
            Err(envelope::OpenEnvelopeError::Newer { found: version, known }) => {
                return Err(OpenLogError::UnknownVersion { segment: path, version, known });
            }
            _ => None,
        };
        Ok(Self { parts: body.ok_or_else(|| corrupt("the notes of what is lost are damaged"))?.parts })
    }

    fn write(&self, files: &dyn FileLayer, dir: &Path) -> Result<(), OpenLogError> {
        let contents = envelope::seal(KIND, &Body { parts: self.parts.clone() }).expect("numbers always serialize");
        let written = state_file::replace_on(files, &dir.join(FILE_NAME), &contents, Access::Private);
        written.map_err(|error| OpenLogError::Io { act: error.act, path: error.path, source: error.source })
    }

    /// Where the next record is that is not lost.
    pub(super) fn after(&self, position: Offset) -> Offset {
        let mut position = position;
        while let Some(part) = self.parts.iter().find(|part| part.first <= position.0 && position.0 < part.next) {
            position = Offset(part.next);
        }
        position
    }

    /// Whether what lies before a segment that begins at `base` is known to be lost.
    pub(super) fn ends_at(&self, base: Offset) -> bool {
        self.parts.iter().any(|part| part.next == base.0)
    }

    /// The bytes to pass over in a segment.
    pub(super) fn holes(&self, segment: Offset) -> Vec<Hole> {
        let in_it = self.parts.iter().filter(|part| part.segment == segment.0);
        in_it.map(|part| Hole { from_byte: part.from_byte, to_byte: part.to_byte, next: Offset(part.next) }).collect()
    }
}

/// Goes on without what is damaged or missing in the log of a folder, which must not be open: notes exactly that as lost, so that
/// the log opens and its readers pass over it, and answers what was found now. A log that should go up to `reached` at least begins
/// there again. Reads the whole log; a sound one is left as it is.
pub fn accept_loss(dir: &Path, reached: Offset) -> Result<Vec<LostPart>, OpenLogError> {
    accept_loss_in(dir, reached, &Environment::default())
}

/// [`accept_loss`] with given files and clock.
pub(super) fn accept_loss_in(
    dir: &Path,
    reached: Offset,
    environment: &Environment,
) -> Result<Vec<LostPart>, OpenLogError> {
    let files = &*environment.files;
    let lock_path = dir.join("log.lock");
    let locked = files.lock(&lock_path).map_err(failed("lock", &lock_path))?;
    let _folder = locked.ok_or_else(|| OpenLogError::InUse { dir: dir.to_owned() })?;
    let bases = list_bases(files, dir)?;
    for &base in &bases {
        let path = segment_path(dir, base);
        let file = files.open(&path).map_err(failed("open", &path))?;
        if let Err(error @ OpenLogError::UnknownVersion { .. }) = read_header(&*file, &path) {
            return Err(error);
        }
    }
    let acknowledged = acknowledged::read(files, dir)?.unwrap_or_default();
    let mut search = Search { files, dir, lost: Lost::read(files, dir)?, found: Vec::new(), end: None };
    for (index, &base) in bases.iter().enumerate() {
        search.segment(base, bases.get(index + 1).copied())?;
    }
    search.finish(acknowledged.max(reached), (environment.clock)())
}

struct Search<'a> {
    files: &'a dyn FileLayer,
    dir: &'a Path,
    lost: Lost,
    found: Vec<LostPart>,
    /// The segment that was looked at last: its base, where its whole groups end, and the offset there.
    end: Option<(Offset, u64, Offset)>,
}

impl Search<'_> {
    fn segment(&mut self, base: Offset, follower: Option<Offset>) -> Result<(), OpenLogError> {
        if let Some((last, at_byte, reached)) = self.end
            && reached < base
            && !self.lost.ends_at(base)
        {
            self.lose(last, (at_byte, at_byte), (reached, base), "its end, or what followed it, is missing")?;
        }
        let path = segment_path(self.dir, base);
        let file = self.files.open_writable(&path).map_err(failed("open", &path))?;
        let file_bytes = file.bytes().map_err(failed("read", &path))?;
        let Some(header) = self.header(&*file, &path, base)? else {
            if follower.is_some() || file_bytes > SEGMENT_HEADER_BYTES {
                self.take_out(&path)?;
                self.lose(base, (0, 0), (base, base), "nothing of the segment can be read")?;
                let reached = self.end.map_or(base, |(_, _, reached)| reached);
                self.end.get_or_insert((base, 0, reached));
            }
            return Ok(());
        };
        self.groups(&path, base, header.salt, file_bytes, follower)
    }

    /// The segment's header, written again if it was broken; `None` if it cannot be told.
    fn header(&self, file: &dyn LayerFile, path: &Path, base: Offset) -> Result<Option<SegmentHeader>, OpenLogError> {
        let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
        match read_exact_at(file, &mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read.map_err(failed("read", path))?,
        }
        match SegmentHeader::decode(&bytes) {
            Ok(header) if header.base == base => return Ok(Some(header)),
            // Whatever its groups look like: it is left as it is.
            Err(DecodeSegmentError::Version(version)) => {
                return Err(OpenLogError::UnknownVersion { segment: path.to_owned(), version, known: VERSION });
            }
            Ok(_) => return Ok(None),
            Err(DecodeSegmentError::Damaged) => {}
        }
        let Some((salt, appended_at_ms)) = self.first_group(file, path, base)? else { return Ok(None) };
        let (previous_base, previous_bytes) = self.end.map_or((Offset(0), 0), |(base, at_byte, _)| (base, at_byte));
        let header = SegmentHeader { salt, base, created_at_ms: appended_at_ms, previous_base, previous_bytes };
        write_all_at(file, &header.encode(), 0).map_err(failed("write", path))?;
        file.sync_data().map_err(failed("sync", path))?;
        tracing::error!(segment = %path.display(), "the header of a log segment was broken and is written again");
        Ok(Some(header))
    }

    /// Salt and time of the segment's first group, if that is whole.
    fn first_group(&self, file: &dyn LayerFile, path: &Path, base: Offset) -> Result<Option<(u32, u64)>, OpenLogError> {
        let bytes = file.bytes().map_err(failed("read", path))?;
        let mut group = [0; GROUP_HEADER_BYTES];
        if bytes < SEGMENT_HEADER_BYTES + GROUP_HEADER_BYTES as u64 {
            return Ok(None);
        }
        read_exact_at(file, &mut group, SEGMENT_HEADER_BYTES).map_err(failed("read", path))?;
        let salt = salt_of_group(&group);
        let mut cursor = SegmentCursor::at_start(path.to_owned(), base, salt, Vec::new());
        match cursor.step(bytes, Some(self.files)) {
            Ok(Step::Group(records)) => Ok(Some((salt, records.appended_at_ms()))),
            Err(CursorError::Io(source)) => Err(failed("read", path)(source)),
            _ => Ok(None),
        }
    }

    fn groups(
        &mut self,
        path: &Path,
        base: Offset,
        salt: u32,
        file_bytes: u64,
        follower: Option<Offset>,
    ) -> Result<(), OpenLogError> {
        let mut cursor = SegmentCursor::at_start(path.to_owned(), base, salt, self.lost.holes(base));
        loop {
            match cursor.step(file_bytes, Some(self.files)) {
                Ok(Step::Group(_) | Step::NotBuffered) => {
                    if follower.is_some_and(|follower| cursor.offset() >= follower) {
                        break;
                    }
                }
                Ok(Step::End) => break,
                Err(CursorError::Io(source)) => return Err(failed("read", path)(source)),
                Err(CursorError::Corrupt { at_byte }) => {
                    let rest = cursor.rest(file_bytes, self.files).map_err(failed("read", path))?;
                    let found = next_whole_group(&Bytes::from(rest), 0, salt, cursor.offset());
                    let Some(WholeGroup { at, records, .. }) = found else { break };
                    let (to_byte, next) = (at_byte + at as u64, records.next_offset());
                    self.lose(base, (at_byte, to_byte), (cursor.offset(), next), "its records are broken")?;
                    cursor.jump_to(to_byte, next);
                }
            }
        }
        self.end = Some((base, cursor.at_byte(), cursor.offset()));
        Ok(())
    }

    /// What goes beyond the end is lost; a new segment begins after it.
    fn finish(mut self, reached: Offset, now_ms: u64) -> Result<Vec<LostPart>, OpenLogError> {
        let Some((base, at_byte, end)) = self.end else { return Ok(self.found) };
        if end < reached {
            self.lose(base, (at_byte, at_byte), (end, reached), "its end is broken or missing")?;
            let header = SegmentHeader {
                salt: draw_salt(),
                base: reached,
                created_at_ms: now_ms,
                previous_base: base,
                previous_bytes: at_byte,
            };
            let path = segment_path(self.dir, reached);
            create_segment(self.files, self.dir, &header).map_err(|error| match error {
                CreateSegmentError::Write(source) => failed("create", &path)(source),
                CreateSegmentError::Sync(source) => failed("sync", &path)(source),
            })?;
        }
        Ok(self.found)
    }

    /// Notes a loss, durably, before anything relies on it.
    fn lose(
        &mut self,
        segment: Offset,
        (from_byte, to_byte): (u64, u64),
        (first, next): (Offset, Offset),
        what: &str,
    ) -> Result<(), OpenLogError> {
        let path = segment_path(self.dir, segment);
        if self.lost.parts.len() >= LOST_PARTS_MAX {
            return Err(OpenLogError::Corrupt {
                segment: path,
                at_byte: from_byte,
                what: "too much of the log is broken",
            });
        }
        let (first, next, segment) = (first.0, next.0, segment.0);
        let part = LostPart { first, next, segment, from_byte, to_byte, what: what.to_owned() };
        self.lost.parts.push(part.clone());
        self.lost.write(self.files, self.dir)?;
        tracing::error!(segment = %path.display(), first, next, "records of the log are lost: {what}");
        self.found.push(part);
        Ok(())
    }

    /// Takes a segment of which nothing can be read out of the log; it keeps its contents.
    fn take_out(&self, path: &Path) -> Result<(), OpenLogError> {
        let mut place = path.as_os_str().to_owned();
        place.push(".damaged");
        let place = PathBuf::from(place);
        self.files.rename(path, &place).map_err(failed("rename", path))?;
        self.files.sync_dir(self.dir).map_err(failed("sync", self.dir))?;
        tracing::error!(segment = %path.display(), now = %place.display(), "a log segment cannot be read");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    //! How much may be given up.

    use super::*;
    use crate::testing::FaultyFiles;

    #[test]
    fn more_than_so_many_parts_are_not_given_up() {
        let (files, dir) = (FaultyFiles::new(1), Path::new("/log"));
        files.create_dir(dir).unwrap();
        let mut search = Search { files: &files, dir, lost: Lost::default(), found: Vec::new(), end: None };
        let what = "nothing of the segment can be read";
        let part = |n: u64| LostPart {
            first: u64::MAX - n,
            next: u64::MAX,
            segment: u64::MAX,
            from_byte: u64::MAX,
            to_byte: u64::MAX,
            what: what.to_owned(),
        };
        search.lost.parts = (1..LOST_PARTS_MAX as u64).map(part).collect();
        search.lose(Offset(0), (0, 1), (Offset(0), Offset(1)), what).unwrap();
        let notes = files.contents(&dir.join(FILE_NAME)).unwrap();
        assert!(notes.len() as u64 <= LOST_FILE_BYTES_MAX, "{}", notes.len());
        assert_eq!(Lost::read(&files, dir).unwrap().parts.len(), LOST_PARTS_MAX);
        assert!(search.lose(Offset(1), (0, 1), (Offset(1), Offset(2)), what).is_err());

        for at in 0..notes.len().min(300) {
            let mut damaged = notes.clone();
            damaged[at] ^= 1;
            files.put(&dir.join(FILE_NAME), damaged);
            assert!(Lost::read(&files, dir).is_err(), "byte {at}");
        }
    }
}
