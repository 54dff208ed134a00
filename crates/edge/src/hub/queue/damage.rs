//! What is done with a part of the queues that is damaged: it is set aside, kept as it is, and another one begun. When the
//! operator accepts the loss, what is intact in it is delivered after all.
//!
//! ```text
//! queues/damaged/1/log/         a log as it was found
//! queues/damaged/1/positions    how far each queue had been delivered then
//! queues/damaged/1.salvaged/    the same, once what is intact in it waits in queues/log/ again
//! ```
//! Nothing here is removed: that is for whoever looked into it. It does not count for the room the queues may take. Killed while
//! it is salvaged, it is salvaged anew: what was taken over by then is delivered twice, none is lost.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use storage::file_layer::FileLayer;
use storage::log::{
    AppendError, CheckpointError, Checkpoints, Environment, Log, OpenLogError, ReadError, Record, salvage,
};

use super::super::record::{StoredRecord, Target};
use super::aside::record::AsideRecord;
use super::{Batch, LOG, OpenQueuesError, POSITIONS};
use crate::limits::{PUMP_BATCH_BYTES, PUMP_BATCH_MESSAGES};

/// The folder of all of them.
pub(super) const DAMAGED: &str = "damaged";
const SALVAGED: &str = ".salvaged";

impl OpenQueuesError {
    /// The part that is damaged, when that is what is wrong.
    pub(super) fn damaged_part(&self) -> Option<&Path> {
        match self {
            Self::Log { dir, source: OpenLogError::Corrupt { .. } | OpenLogError::SegmentMissing { .. } }
            | Self::Read { dir, source: ReadError::Corrupt { .. } } => Some(dir),
            // What a later version wrote is not damaged.
            Self::Record { dir, source, .. } if source.version <= source.known => Some(dir),
            Self::Positions { path, source: CheckpointError::Corrupt { .. } } => Some(path),
            _ => None,
        }
    }
}

/// Sets a part aside, with the positions as they are. Says what was done. Blocks.
pub(super) fn set_aside(
    dir: &Path,
    part: &Path,
    environment: &Environment,
    why: &OpenQueuesError,
) -> Result<String, OpenQueuesError> {
    let files = &*environment.files;
    let folder = dir.join(DAMAGED);
    let failed = |source| OpenQueuesError::Folder { path: folder.clone(), source };
    files.create_dir(&folder).map_err(failed)?;
    let taken = files.list(&folder).map_err(failed)?;
    let is_free = |number: &usize| {
        let name = number.to_string();
        !taken.iter().any(|taken| *taken == name || *taken == format!("{name}{SALVAGED}"))
    };
    let number = (1..).find(is_free).unwrap_or_default();
    let place = folder.join(number.to_string());
    files.create_dir(&place).map_err(failed)?;
    let name = part.file_name().unwrap_or(OsStr::new(LOG));
    // Its copy of the positions first: without it, what was delivered long ago would be delivered again.
    let path = place.join(POSITIONS);
    if let Ok(positions) = Checkpoints::open_on(&dir.join(POSITIONS), Arc::clone(&environment.files)) {
        Checkpoints::open_on(&path, Arc::clone(&environment.files))
            .and_then(|copy| copy.replace_all(positions.all()))
            .map_err(|source| OpenQueuesError::Positions { path: path.clone(), source })?;
    }
    files.rename(part, &place.join(name)).map_err(failed)?;
    for dir in [part.parent().unwrap_or(dir), &place, &folder, dir] {
        files.sync_dir(dir).map_err(failed)?;
    }
    let (why, place) = (crate::error_chain(why), place.display());
    Ok(match name == POSITIONS {
        true => format!(
            "{why}; it was set aside as {place}. How far the queues were delivered is not known any more: everything they still \
             hold is delivered, and some of it may come twice"
        ),
        false => format!(
            "{why}; it was set aside as {place}, and another one begun. Start once with --accept-data-loss to deliver what is \
             intact in it"
        ),
    })
}

/// What cannot be salvaged now stays where it is.
#[derive(Debug, thiserror::Error)]
enum SalvageError {
    #[error(transparent)]
    Open(#[from] OpenLogError),
    #[error("the log takes no more")]
    Append(#[from] AppendError),
    #[error("how far it had been delivered cannot be told")]
    Positions(#[from] CheckpointError),
}

/// How far what was set aside had been delivered. Where that is damaged, all of it counts as not delivered, which is said.
fn positions_of(
    place: &Path,
    environment: &Environment,
    told: &mut Vec<String>,
) -> Result<Option<Checkpoints>, CheckpointError> {
    match Checkpoints::open_on(&place.join(POSITIONS), Arc::clone(&environment.files)) {
        Ok(positions) => Ok(Some(positions)),
        Err(error @ CheckpointError::Corrupt { .. }) => {
            told.push(format!(
                "{}: how far {} had been delivered is not known; everything in it is delivered, and some of it may come twice",
                crate::error_chain(&error),
                place.display()
            ));
            Ok(None)
        }
        // What a later version wrote, or what the disk does not give now, is left where it is.
        Err(error) => Err(error),
    }
}

/// Takes everything that is intact in what was set aside into the log, and says what is lost. Blocks.
pub(super) fn salvage_all(dir: &Path, environment: &Environment, log: &Log) -> Result<Vec<String>, OpenQueuesError> {
    // Blocking appends must not be made on a thread that may belong to a runtime.
    std::thread::scope(|scope| match scope.spawn(|| salvage_each(dir, environment, log)).join() {
        Ok(told) => told,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn salvage_each(dir: &Path, environment: &Environment, log: &Log) -> Result<Vec<String>, OpenQueuesError> {
    let (files, folder) = (&*environment.files, dir.join(DAMAGED));
    let failed = |source| OpenQueuesError::Folder { path: folder.clone(), source };
    if !files.list(dir).map_err(failed)?.iter().any(|name| name == DAMAGED) {
        return Ok(Vec::new());
    }
    let names = files.list(&folder).map_err(failed)?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    let mut told = Vec::new();
    for number in numbers {
        let place = folder.join(number.to_string());
        let parts = files.list(&place).map_err(failed)?;
        let Some(part) = parts.iter().find(|name| *name != POSITIONS) else { continue };
        let salvaged = positions_of(&place, environment, &mut told).map_err(SalvageError::from).and_then(|positions| {
            let mut salvaging = Salvaging::new(positions, part == LOG, log);
            let lost = salvaging.run(files, &place.join(part))?;
            Ok((lost, salvaging.messages))
        });
        let messages = match salvaged {
            Ok((lost, messages)) => {
                told.extend(lost);
                messages
            }
            Err(error) => {
                told.push(format!("{} cannot be read: {}", place.display(), crate::error_chain(&error)));
                continue;
            }
        };
        let done = folder.join(format!("{number}{SALVAGED}"));
        files.rename(&place, &done).map_err(failed)?;
        files.sync_dir(&folder).map_err(failed)?;
        told.push(format!("{messages} messages of {} wait again; it is kept as {}", place.display(), done.display()));
    }
    Ok(told)
}

/// One part on its way back into the log.
struct Salvaging<'a> {
    /// Whether its records are those of the one log.
    is_log: bool,
    positions: Option<Checkpoints>,
    log: &'a Log,
    batch: Batch,
    batched: usize,
    messages: u64,
    unknown: u64,
}

impl<'a> Salvaging<'a> {
    fn new(positions: Option<Checkpoints>, is_log: bool, log: &'a Log) -> Self {
        Self { is_log, positions, log, batch: Batch::default(), batched: 0, messages: 0, unknown: 0 }
    }

    /// Says what is lost.
    fn run(&mut self, files: &dyn FileLayer, part: &Path) -> Result<Vec<String>, SalvageError> {
        let lost = salvage(files, part, |record| self.take(record))?;
        self.append()?;
        let mut told: Vec<_> = lost.iter().map(|lost| format!("lost: {lost}")).collect();
        if self.unknown > 0 {
            told.push(format!("lost: {} records of {} of no known version", self.unknown, part.display()));
        }
        Ok(told)
    }

    fn take(&mut self, record: Record) -> Result<(), SalvageError> {
        let bytes = record.payload.len();
        let parsed = match self.is_log {
            true => StoredRecord::parse(record.payload).map(|stored| (record.offset.0, stored)),
            false => AsideRecord::parse(record.payload).map(|aside| (aside.number, aside.stored)),
        };
        let Ok((number, stored)) = parsed else {
            self.unknown += 1;
            return Ok(());
        };
        let waits = |target: &Target| {
            let position = self.positions.as_ref().and_then(|known| known.get(&target.queue.position_name()));
            position.is_none_or(|position| number >= position.0)
        };
        let targets: Vec<_> = stored.targets().filter(waits).collect();
        if targets.is_empty() {
            return Ok(());
        }
        self.batch.add(&targets, &stored.message());
        self.messages += 1;
        self.batched += bytes;
        let is_full = self.batch.records.len() >= PUMP_BATCH_MESSAGES || self.batched >= PUMP_BATCH_BYTES;
        if is_full { self.append() } else { Ok(()) }
    }

    fn append(&mut self) -> Result<(), SalvageError> {
        self.batched = 0;
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            self.log.append_blocking(batch.records)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
