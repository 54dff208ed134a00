//! Moves the queues of the first version, a log each, into the one log.
//!
//! ```text
//! upstream.default/     ─ read from where it was delivered to ─▶ append to log/ ─▶ note in upstream.default/sent ─▶ free
//!   when empty: rename to upstream.default.moved ─▶ remove its files ─▶ remove the folder
//! ```
//! Nothing is noted as moved before it is durable in the one log, and nothing is freed before it is noted. So whenever this is
//! killed, the next start goes on: at worst the last batch is in the one log twice, in order. Nobody stores or delivers
//! meanwhile. The one log may become larger than it may be later; then new messages are refused until it has shrunk, and
//! beyond it the disk needs room for one segment.

use std::path::Path;

use storage::log::{Checkpoints, Environment, Log, LogOptions, Offset};

use super::super::record::{Target, decode_first_version};
use super::damage::DAMAGED;
use super::{ASIDE, Batch, LOG, OpenQueuesError, POSITIONS, QueueId, open_log, remove_folder};
use crate::limits::{PUMP_BATCH_BYTES, PUMP_BATCH_MESSAGES};

/// The first version's file in a queue's folder, and its name for the position in it.
pub(super) const SENT: &str = "sent";
const MOVED: &str = ".moved";

/// Moves what there is. `options` are those of the one log. Blocks.
pub(super) fn run(dir: &Path, options: &LogOptions, environment: &Environment) -> Result<(), OpenQueuesError> {
    // Blocking appends must not be made on a thread that may belong to a runtime.
    std::thread::scope(|scope| match scope.spawn(|| move_all(dir, options, environment)).join() {
        Ok(moved) => moved,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn move_all(dir: &Path, options: &LogOptions, environment: &Environment) -> Result<(), OpenQueuesError> {
    let files = &*environment.files;
    let mut names = files.list(dir).map_err(|source| OpenQueuesError::Folder { path: dir.to_owned(), source })?;
    names.sort();
    let mut queues = Vec::new();
    for name in names {
        match QueueId::of_name(&name) {
            Some(queue) => queues.push((queue, name)),
            None if name.ends_with(MOVED) => remove_folder(files, &dir.join(name))?,
            None if [LOG, ASIDE, POSITIONS, DAMAGED].contains(&&*name) || name.starts_with('.') => {}
            None => tracing::warn!(name, "not a queue of ours"),
        }
    }
    if queues.is_empty() {
        return Ok(());
    }
    let unlimited = LogOptions { total_bytes_max: None, ..options.clone() };
    let log = open_log(&dir.join(LOG), unlimited, environment)?;
    for (queue, name) in queues {
        let old = dir.join(&name);
        let moved = move_queue(&log, queue, &name, &old, environment)?;
        tracing::info!(queue = name, messages = moved, "moved a queue of an earlier version into the one log");
        let gone = dir.join(format!("{name}{MOVED}"));
        let failed = |source| OpenQueuesError::Folder { path: old.clone(), source };
        files.rename(&old, &gone).map_err(failed)?;
        files.sync_dir(dir).map_err(failed)?;
        remove_folder(files, &gone)?;
    }
    Ok(())
}

fn move_queue(
    log: &Log,
    queue: QueueId,
    name: &str,
    old: &Path,
    environment: &Environment,
) -> Result<u64, OpenQueuesError> {
    let path = old.join(SENT);
    let positions_failed = |source| OpenQueuesError::Positions { path: path.clone(), source };
    let old_log = open_log(old, LogOptions::default(), environment)?;
    let sent = Checkpoints::open_on(&path, environment.files.clone()).map_err(positions_failed)?;
    let (first, end) = (old_log.first_offset(), old_log.next_offset());
    let mut reader = old_log.reader(sent.get(SENT).unwrap_or(first).clamp(first, end));
    let mut moved = 0;
    loop {
        let records = reader
            .try_next_batch(PUMP_BATCH_MESSAGES, PUMP_BATCH_BYTES)
            .map_err(|source| OpenQueuesError::Read { dir: old.to_owned(), source })?;
        let Some(last) = records.last() else { return Ok(moved) };
        let after = Offset(last.offset.0 + 1);
        let mut batch = Batch::default();
        for record in &records {
            match decode_first_version(&record.payload, record.appended_at_ms) {
                Some((lifetime_secs, message)) => {
                    batch.add(&[Target { queue: queue.clone(), lifetime_secs }], &message);
                    moved += 1;
                }
                None => tracing::error!(queue = name, offset = record.offset.0, "a message of no version is skipped"),
            }
        }
        if !batch.is_empty() {
            log.append_blocking(batch.records)
                .map_err(|source| OpenQueuesError::Move { name: name.to_owned(), source })?;
        }
        sent.set(SENT, after).map_err(positions_failed)?;
        if let Err(error) = old_log.trim_before(after) {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot free moved messages yet");
        }
    }
}

#[cfg(test)]
mod tests;
