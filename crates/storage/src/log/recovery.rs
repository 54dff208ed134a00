//! Opening a log: find its segments, check that none is missing, cut what a crash left unfinished.
//!
//! ```text
//! every segment   header intact?  follows the one before, by name and by length?       no ─▶ refuse, naming the file
//! newest segment  header unfinished (no room for a group after it) ─▶ remove the file, it never held a record
//!                 groups in order and intact? first one that is not:
//!                     a valid group header later in the file ─▶ refuse: acknowledged records are damaged
//!                     none, but more was acknowledged ─▶ refuse as well
//!                     else ─▶ cut there: a torn write, never acknowledged
//! then            sync the newest segment and the folder: what is readable from now on is durable
//! ```
//!
//! Only the newest segment is read, so opening takes the same time however large the log is. Damage inside an older one is
//! found when it is read ([`ReadError::Corrupt`](super::ReadError::Corrupt)) or by [`verify`](super::verify()).
//!
//! Damage to the very last group that was acknowledged is told from a torn write by the mark `acknowledged`: a log must not end
//! before it. After a loss of power that mark may be behind; only then may the last group, if it is damaged as well, be cut.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::acknowledged::{self, Acknowledged};
use super::cursor::{CursorError, SegmentCursor, Step};
use super::lost::Lost;
use super::segment::{
    CreateSegmentError, DecodeSegmentError, SEGMENT_HEADER_BYTES, SegmentHeader, VERSION, contains_group_after,
    create_segment, parse_segment_name, segment_path,
};
use super::state::Segment;
use super::{Offset, OpenLogError};
use crate::file_layer::{FileLayer, LayerFile, RealFiles, read_exact_at};

/// What opening the log found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryReport {
    /// There was no log in the folder. If there should have been one, it was deleted.
    pub created: bool,
    /// The oldest offset.
    pub first: Offset,
    /// The offset the next record gets.
    pub next: Offset,
    /// The number of segments.
    pub segments: usize,
    /// Unfinished data at the end that was cut off.
    pub cut: Option<CutTail>,
    /// A segment whose creation a crash had interrupted, and which was removed or made anew.
    pub unfinished_segment: Option<PathBuf>,
}

/// Where a torn write was cut off. Nothing in it had been acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutTail {
    /// The segment.
    pub segment: PathBuf,
    /// Its length now.
    pub at_byte: u64,
    /// How many bytes were cut.
    pub bytes: u64,
}

#[derive(Debug)]
pub(super) struct Recovered {
    pub segments: VecDeque<Segment>,
    pub newest: Arc<dyn LayerFile>,
    pub acknowledged: Acknowledged,
    pub lost: Lost,
    pub report: RecoveryReport,
}

/// Refuses a log of which a segment was written by a newer program. Changes nothing, takes no lock, and says nothing of other
/// faults: [`Log::open`](super::Log::open) does.
pub fn refuse_later_version(dir: &Path) -> Result<(), OpenLogError> {
    // A folder that cannot be listed holds no log yet, or one that opening will say more about.
    let names = RealFiles.list(dir).unwrap_or_default();
    for base in names.iter().filter_map(|name| parse_segment_name(name)) {
        let path = segment_path(dir, base);
        let file = RealFiles.open(&path).map_err(failed("open", &path))?;
        if let Err(error @ OpenLogError::UnknownVersion { .. }) = read_header(&*file, &path) {
            return Err(error);
        }
    }
    Ok(())
}

/// A number nobody outside can guess, from the standard library's per-process random keys.
pub(super) fn draw_salt() -> u32 {
    RandomState::new().hash_one(0) as u32
}

/// Where a log begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnds {
    /// The oldest offset.
    pub first: Offset,
    /// The offset the next record gets.
    pub next: Offset,
}

/// Looks at the log of a folder as opening it would, and says why it could not be opened; `None` when there is no log. Changes
/// nothing and takes no lock: what must be known of a log before anything else is touched.
pub fn survey(dir: &Path) -> Result<Option<LogEnds>, OpenLogError> {
    if !dir.exists() {
        return Ok(None);
    }
    let Examined { segments, next, .. } = match examine(&RealFiles, dir)? {
        Found::Log(examined) => examined,
        Found::Unfinished(base) => return Ok(Some(LogEnds { first: base, next: base })),
        Found::Nothing => return Ok(None),
    };
    let first = segments.front().map_or(next, |segment| segment.base);
    Ok(Some(LogEnds { first, next }))
}

/// What a folder holds, before anything in it is changed.
pub(super) enum Found {
    Nothing,
    /// Nothing but a first segment whose creation was interrupted.
    Unfinished(Offset),
    Log(Examined),
}

pub(super) struct Examined {
    pub segments: VecDeque<Segment>,
    pub next: Offset,
    pub cut: Option<CutTail>,
    unfinished_segment: Option<PathBuf>,
    pub lost: Lost,
}

/// The first offset of each segment, in order.
pub(super) fn list_bases(files: &dyn FileLayer, dir: &Path) -> Result<Vec<Offset>, OpenLogError> {
    let names = files.list(dir).map_err(failed("list", dir))?;
    let mut bases: Vec<Offset> = names.iter().filter_map(|name| parse_segment_name(name)).collect();
    bases.sort_unstable();
    Ok(bases)
}

/// Reads what opening has to know. Whatever refuses a log is found here.
pub(super) fn examine(files: &dyn FileLayer, dir: &Path) -> Result<Found, OpenLogError> {
    let mut bases = list_bases(files, dir)?;
    let Some(&newest_base) = bases.last() else { return Ok(Found::Nothing) };
    let acknowledged = acknowledged::read(files, dir)?.unwrap_or_default();
    let missing = |segment: PathBuf, at_byte| {
        let what = "records that had been acknowledged are broken or missing at its end";
        OpenLogError::Corrupt { segment, at_byte, what }
    };
    let mut unfinished_segment = None;
    if is_unfinished(files, dir, newest_base)? {
        bases.pop();
        if bases.is_empty() {
            if acknowledged > newest_base {
                return Err(missing(segment_path(dir, newest_base), 0));
            }
            return Ok(Found::Unfinished(newest_base));
        }
        unfinished_segment = Some(segment_path(dir, newest_base));
    }
    let lost = Lost::read(files, dir)?;
    let mut segments = check_chain(files, dir, &bases, &lost)?;
    let newest = segments.back_mut().expect("there is a segment that is finished");
    let (next, cut) = check_newest(files, dir, newest, &lost)?;
    if acknowledged > next {
        return Err(missing(segment_path(dir, newest.base), newest.bytes));
    }
    Ok(Found::Log(Examined { segments, next, cut, unfinished_segment, lost }))
}

pub(super) fn recover(
    files: &dyn FileLayer,
    dir: &Path,
    now_ms: u64,
    first_offset: Offset,
) -> Result<Recovered, OpenLogError> {
    let Examined { segments, next, cut, unfinished_segment, lost } = match examine(files, dir)? {
        Found::Log(examined) => examined,
        Found::Nothing => return start_log(files, dir, first_offset, now_ms, None),
        // Made anew under the same name, without removing it first: the offsets go on where they were.
        Found::Unfinished(base) => return start_log(files, dir, base, now_ms, Some(segment_path(dir, base))),
    };
    // Only now is anything changed: nothing above refused the log.
    if let Some(path) = &unfinished_segment {
        files.remove(path).map_err(failed("remove", path))?;
    }
    let newest = segments.back().expect("there is a segment that is finished");
    let path = segment_path(dir, newest.base);
    let file = files.open_writable(&path).map_err(failed("open", &path))?;
    if let Some(cut) = &cut {
        file.truncate(cut.at_byte).map_err(failed("cut", &path))?;
    }
    // A process that was killed may have written this without syncing it. From now on readers see it.
    file.sync_data().map_err(failed("sync", &path))?;
    let acknowledged = Acknowledged::begin(files, dir, next);
    files.sync_dir(dir).map_err(failed("sync", dir))?;
    let first = segments.front().map_or(next, |segment| segment.base);
    let report = RecoveryReport { created: false, first, next, segments: segments.len(), cut, unfinished_segment };
    Ok(Recovered { segments, newest: file, acknowledged, lost, report })
}

fn start_log(
    files: &dyn FileLayer,
    dir: &Path,
    base: Offset,
    now_ms: u64,
    unfinished_segment: Option<PathBuf>,
) -> Result<Recovered, OpenLogError> {
    let header =
        SegmentHeader { salt: draw_salt(), base, created_at_ms: now_ms, previous_base: Offset(0), previous_bytes: 0 };
    let path = segment_path(dir, base);
    let newest = create_segment(files, dir, &header).map_err(|error| match error {
        CreateSegmentError::Write(source) => failed("create", &path)(source),
        CreateSegmentError::Sync(source) => failed("sync", &path)(source),
    })?;
    let segment = Segment { base, bytes: SEGMENT_HEADER_BYTES, salt: header.salt, created_at_ms: now_ms };
    let created = unfinished_segment.is_none();
    let report = RecoveryReport { created, first: base, next: base, segments: 1, cut: None, unfinished_segment };
    let acknowledged = Acknowledged::begin(files, dir, base);
    files.sync_dir(dir).map_err(failed("sync", dir))?;
    Ok(Recovered { segments: VecDeque::from([segment]), newest, acknowledged, lost: Lost::default(), report })
}

/// Whether a crash interrupted this segment's creation. Groups are written only after the header is durable, so a file
/// with a broken header and nothing after it has never held a record.
fn is_unfinished(files: &dyn FileLayer, dir: &Path, base: Offset) -> Result<bool, OpenLogError> {
    let path = segment_path(dir, base);
    let file = files.open(&path).map_err(failed("open", &path))?;
    let bytes = file.bytes().map_err(failed("read", &path))?;
    if bytes > SEGMENT_HEADER_BYTES {
        return Ok(false);
    }
    match read_header(&*file, &path) {
        Err(OpenLogError::Corrupt { .. }) => Ok(true),
        Err(error) => Err(error),
        Ok(_) => Ok(false),
    }
}

/// Reads every header and checks that each segment follows the one before.
fn check_chain(
    files: &dyn FileLayer,
    dir: &Path,
    bases: &[Offset],
    lost: &Lost,
) -> Result<VecDeque<Segment>, OpenLogError> {
    let mut segments: VecDeque<Segment> = VecDeque::with_capacity(bases.len());
    let mut previous_file_bytes = 0;
    for &base in bases {
        let path = segment_path(dir, base);
        let file = files.open(&path).map_err(failed("open", &path))?;
        let header = read_header(&*file, &path)?;
        let file_bytes = file.bytes().map_err(failed("read", &path))?;
        if header.base != base {
            return Err(OpenLogError::Corrupt { segment: path, at_byte: 16, what: "its name names another offset" });
        }
        if let Some(previous) = segments.back_mut() {
            let is_known = lost.ends_at(base);
            if header.previous_base != previous.base && !is_known {
                let missing = segment_path(dir, header.previous_base);
                return Err(OpenLogError::SegmentMissing { missing, follower: path });
            }
            // It may be longer: a failed write that was cut off, whose cut a crash undid. It must not be shorter.
            if previous_file_bytes < header.previous_bytes && !is_known {
                let segment = segment_path(dir, previous.base);
                return Err(OpenLogError::Corrupt {
                    segment,
                    at_byte: previous_file_bytes,
                    what: "its end is missing",
                });
            }
            // Of another one, where those between are lost.
            previous.bytes = match header.previous_base == previous.base {
                true => header.previous_bytes.min(previous_file_bytes),
                false => previous_file_bytes,
            };
        }
        let created_at_ms = header.created_at_ms;
        segments.push_back(Segment { base, bytes: file_bytes, salt: header.salt, created_at_ms });
        previous_file_bytes = file_bytes;
    }
    Ok(segments)
}

/// Reads the newest segment: where it ends, and what a torn write left after that.
fn check_newest(
    files: &dyn FileLayer,
    dir: &Path,
    newest: &mut Segment,
    lost: &Lost,
) -> Result<(Offset, Option<CutTail>), OpenLogError> {
    let path = segment_path(dir, newest.base);
    let mut cursor = SegmentCursor::at_start(path.clone(), newest.base, newest.salt, lost.holes(newest.base));
    let file_bytes = newest.bytes;
    let mut cut = None;
    loop {
        match cursor.step(file_bytes, Some(files)) {
            Ok(Step::Group(_)) => {}
            Ok(Step::End) => break,
            Ok(Step::NotBuffered) => unreachable!("a cursor with files reads what is not buffered"),
            Err(CursorError::Io(source)) => return Err(failed("read", &path)(source)),
            Err(CursorError::Corrupt { at_byte }) => {
                let rest = cursor.rest(file_bytes, files).map_err(failed("read", &path))?;
                if contains_group_after(&rest, newest.salt, cursor.offset()) {
                    let what = "records that had been acknowledged are broken";
                    return Err(OpenLogError::Corrupt { segment: path, at_byte, what });
                }
                cut = Some(CutTail { segment: path, at_byte, bytes: file_bytes - at_byte });
                break;
            }
        }
    }
    newest.bytes = cursor.at_byte();
    Ok((cursor.offset(), cut))
}

pub(super) fn read_header(file: &dyn LayerFile, path: &Path) -> Result<SegmentHeader, OpenLogError> {
    let corrupt = |what| OpenLogError::Corrupt { segment: path.to_owned(), at_byte: 0, what };
    let mut header = [0; SEGMENT_HEADER_BYTES as usize];
    read_exact_at(file, &mut header, 0).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => corrupt("its header is incomplete"),
        _ => failed("read", path)(source),
    })?;
    SegmentHeader::decode(&header).map_err(|error| match error {
        DecodeSegmentError::Damaged => corrupt("its header is broken"),
        DecodeSegmentError::Version(version) => {
            OpenLogError::UnknownVersion { segment: path.to_owned(), version, known: VERSION }
        }
    })
}

/// Turns a system error into [`OpenLogError::Io`].
pub(super) fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenLogError {
    let path = path.to_owned();
    move |source| OpenLogError::Io { act, path, source }
}
