//! A catalog that is older than its folder is brought up to date from the files themselves.
//!
//! A file says everything its entry would say, but its checksum from when it was written: that is taken as it is found. Of two files
//! that hold the same messages, one is listed: the one that holds more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;

use super::folder::{measure, verify_segment};
use super::layout::{Column, ValueKind};
use super::read::{ReadSegmentError, SegmentReader};
use super::write::SegmentName;
use super::{ColumnMeta, DeviceSet, SegmentMeta};
use crate::limits::SEGMENT_DEVICES_LISTED_MAX;
use crate::selection::{Names, Selection};

/// How an older catalog differs from what it is to be.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// Files it does not list.
    pub entered: Vec<SegmentMeta>,
    /// Entries whose messages are in those files.
    pub superseded: Vec<String>,
    /// Files it does not list that cannot be used, and why.
    pub unusable: Vec<(String, String)>,
}

/// The folder cannot be looked through.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// It cannot be listed.
    #[error("the telemetry folder cannot be listed")]
    List(#[from] io::Error),
    /// A file cannot be opened, or a later version of the program wrote it.
    #[error("a telemetry file cannot be read")]
    Read(#[source] ReadSegmentError),
}

/// The log offset before which everything was committed, as far as merged files tell: only what was committed is merged.
///
/// # Errors
/// When the folder cannot be listed. One that is not there tells nothing.
pub fn committed_before(folder: &Path) -> io::Result<u64> {
    let merged = names_in(folder)?.into_iter().filter(|(_, name)| name.generation > 0);
    Ok(merged.map(|(_, name)| name.offset_last.saturating_add(1)).max().unwrap_or(0))
}

/// Whether a folder has any segment.
///
/// # Errors
/// When it cannot be listed.
pub fn holds_any(folder: &Path) -> io::Result<bool> {
    Ok(!names_in(folder)?.is_empty())
}

/// Compares an older catalog of a folder with its files. Those that begin at log offset `before` or later were not committed: their
/// messages come from the log again. Changes nothing.
///
/// # Errors
/// When a file cannot be opened, or is of a later version. One that is damaged is [`Reconciled::unusable`].
pub fn reconcile(folder: &Path, catalog: &[SegmentMeta], before: u64) -> Result<Reconciled, ReconcileError> {
    let listed: HashSet<&str> = catalog.iter().map(|meta| meta.file_name.as_str()).collect();
    let mut unlisted = names_in(folder)?;
    unlisted.retain(|(file_name, name)| !listed.contains(file_name.as_str()) && name.offset_first < before);
    // The largest first: what it holds need not be taken from others.
    unlisted.sort_by_key(|(_, name)| (u32::MAX - name.generation, name.offset_first));
    let mut reconciled = Reconciled::default();
    let mut whole: Vec<(SegmentMeta, Option<Offsets>)> = Vec::new();
    for meta in catalog.iter().filter(|meta| unlisted.iter().any(|(_, name)| overlaps(meta, name))) {
        if verify_segment(folder, meta).is_ok() {
            whole.push((meta.clone(), None));
        }
    }
    for (file_name, name) in unlisted {
        match describe(folder, &file_name, name) {
            Ok((meta, offsets)) => enter(folder, &mut whole, &mut reconciled, meta, offsets)?,
            Err(error) if error.is_damage() => reconciled.unusable.push((file_name, error.to_string())),
            Err(error) => return Err(ReconcileError::Read(error)),
        }
    }
    let is_merged = |old: &SegmentMeta| {
        let holds = |new: &&SegmentMeta| {
            new.generation > old.generation
                && new.offset_first <= old.offset_first
                && old.offset_last <= new.offset_last
        };
        reconciled.entered.iter().any(|new| holds(&new)) && !folder.join(&old.file_name).exists()
    };
    let merged: Vec<String> = catalog.iter().filter(|old| is_merged(old)).map(|old| old.file_name.clone()).collect();
    reconciled.superseded.extend(merged);
    reconciled.superseded.retain(|name| listed.contains(name.as_str()));
    Ok(reconciled)
}

/// Enters a file, unless others hold all of it, in the place of those that hold nothing else.
fn enter(
    folder: &Path,
    whole: &mut Vec<(SegmentMeta, Option<Offsets>)>,
    reconciled: &mut Reconciled,
    meta: SegmentMeta,
    offsets: Offsets,
) -> Result<(), ReconcileError> {
    let (mut covered, mut within, mut crossing) = (Offsets::default(), Vec::new(), None);
    for (other, known) in whole.iter_mut() {
        if other.offset_last < meta.offset_first || meta.offset_last < other.offset_first {
            continue;
        }
        let known = match known {
            Some(known) => known,
            None => known.insert(offsets_of(folder, other).map_err(ReconcileError::Read)?),
        };
        let shared = known.shared(&offsets);
        if shared.len() == known.len() {
            within.push(other.file_name.clone());
        } else if shared.len() > 0 {
            crossing = Some(other.file_name.clone());
        }
        covered.extend(&shared);
    }
    if covered.len() == offsets.len() {
        return Ok(());
    }
    if let Some(crossing) = crossing {
        reconciled.unusable.push((meta.file_name, format!("it holds some of the messages of {crossing}, and others")));
        return Ok(());
    }
    whole.retain(|(other, _)| !within.contains(&other.file_name));
    reconciled.entered.retain(|other| !within.contains(&other.file_name));
    reconciled.superseded.append(&mut within);
    whole.push((meta.clone(), Some(offsets)));
    reconciled.entered.push(meta);
    Ok(())
}

fn overlaps(meta: &SegmentMeta, name: &SegmentName) -> bool {
    meta.offset_first <= name.offset_last && name.offset_first <= meta.offset_last
}

/// The files of a folder that have the name of a segment.
fn names_in(folder: &Path) -> io::Result<Vec<(String, SegmentName)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(file_name) = entry?.file_name().into_string()
            && let Some(name) = SegmentName::parse(&file_name)
        {
            names.push((file_name, name));
        }
    }
    names.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(names)
}

/// What the catalog would say of a file, and the messages in it. Reads all of it.
fn describe(folder: &Path, file_name: &str, name: SegmentName) -> Result<(SegmentMeta, Offsets), ReadSegmentError> {
    let path = folder.join(file_name);
    let (bytes, crc32) = measure(&path).map_err(|source| ReadSegmentError::open(&path, source))?;
    let mut meta = SegmentMeta {
        file_name: file_name.to_owned(),
        generation: name.generation,
        rows: 0,
        bytes,
        crc32,
        ts_min_ms: i64::MAX,
        ts_max_ms: i64::MIN,
        offset_first: name.offset_first,
        offset_last: name.offset_last,
        devices: DeviceSet::Listed(Vec::new()),
        columns: Vec::new(),
    };
    let reader = SegmentReader::open(folder, &meta)?;
    let columns = reader.columns();
    let mut values: HashMap<(String, ValueKind), u64> = HashMap::new();
    let mut offsets = Offsets::default();
    let mut last_device = None;
    for row in reader.rows(&Selection::everything(), &Names::All)? {
        let row = row?;
        if !(name.offset_first..=name.offset_last).contains(&row.offset) {
            return Err(ReadSegmentError::damaged(&path, "it holds other messages than its name says"));
        }
        meta.rows += 1;
        meta.ts_min_ms = meta.ts_min_ms.min(row.ts_ms);
        meta.ts_max_ms = meta.ts_max_ms.max(row.ts_ms);
        offsets.insert(row.offset);
        for (name, value) in &row.values {
            *values.entry((name.to_string(), ValueKind::of(value))).or_default() += 1;
        }
        if last_device.as_ref() != Some(&row.device) {
            meta.devices = with_device(meta.devices, &row.device);
            last_device = Some(row.device);
        }
    }
    if meta.rows == 0 {
        return Err(ReadSegmentError::damaged(&path, "it has no rows"));
    }
    meta.columns = columns
        .into_iter()
        .map(|Column { name, kind }| {
            let values = values.get(&(name.to_string(), kind)).copied().unwrap_or(0);
            ColumnMeta { name: name.to_string(), kind, values }
        })
        .collect();
    Ok((meta, offsets))
}

/// Rows come sorted by device.
fn with_device(devices: DeviceSet, device: &str) -> DeviceSet {
    match devices {
        DeviceSet::Listed(mut listed) if listed.len() < SEGMENT_DEVICES_LISTED_MAX => {
            listed.push(device.to_owned());
            DeviceSet::Listed(listed)
        }
        _ => DeviceSet::Many,
    }
}

fn offsets_of(folder: &Path, meta: &SegmentMeta) -> Result<Offsets, ReadSegmentError> {
    let mut offsets = Offsets::default();
    for row in SegmentReader::open(folder, meta)?.rows(&Selection::everything(), &Names::listed([]))? {
        offsets.insert(row?.offset);
    }
    Ok(offsets)
}

/// A set of log offsets, 64 of them in a word: they are mostly neighbours.
#[derive(Debug, Default)]
struct Offsets(BTreeMap<u64, u64>);

impl Offsets {
    fn insert(&mut self, offset: u64) {
        *self.0.entry(offset / 64).or_default() |= 1 << (offset % 64);
    }

    fn extend(&mut self, other: &Offsets) {
        other.0.iter().for_each(|(word, bits)| *self.0.entry(*word).or_default() |= bits);
    }

    fn shared(&self, other: &Offsets) -> Offsets {
        let both = |(word, bits): (&u64, &u64)| other.0.get(word).map(|others| (*word, bits & others));
        Offsets(self.0.iter().filter_map(both).collect())
    }

    fn len(&self) -> u64 {
        self.0.values().map(|bits| u64::from(bits.count_ones())).sum()
    }
}

#[cfg(test)]
mod tests;
