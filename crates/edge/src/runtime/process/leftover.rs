//! Processes an earlier daemon left behind when it was killed.
//!
//! ```text
//! runtime/<module>.pid     <process id> <start time in clock ticks since boot> <boot id>
//! ```
//! A process id alone may have been given to somebody else since. Together with the start time, which the kernel keeps in
//! `/proc/<pid>/stat`, it names one process of this boot. The module leads its process group, so ending the group ends what
//! the module started as well.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use storage::state_file::{self, Access};

use super::signal_group;
use crate::limits::STOP_GRACE;

const RECORD_BYTES_MAX: u64 = 4096;
const POLL: Duration = Duration::from_millis(20);

/// Notes the process of a module. One that has ended already needs no note.
pub(super) fn record(dir: &Path, name: &str, pid: u32) -> io::Result<()> {
    let Some(started) = start_ticks(pid) else { return Ok(()) };
    let text = format!("{pid} {started} {}\n", boot_id()?);
    state_file::replace(&record_path(dir, name), text.as_bytes(), Access::Private).map_err(io::Error::other)
}

/// Forgets the process of a module. If that fails the record names a process that is gone, which is harmless.
pub(super) fn forget(dir: &Path, name: &str) {
    let _ = std::fs::remove_file(record_path(dir, name));
}

/// Ends every recorded process group that still runs.
pub(super) async fn end_all(dir: &Path) -> io::Result<()> {
    let boot_id = boot_id()?;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "pid") {
            continue;
        }
        let record = state_file::read(&path, RECORD_BYTES_MAX).map_err(io::Error::other)?.unwrap_or_default();
        if let Some((pid, started)) = parse(&String::from_utf8_lossy(&record), &boot_id)
            && start_ticks(pid) == Some(started)
        {
            tracing::info!(pid, record = %path.display(), "ending a module that an earlier daemon left running");
            end(pid, started).await;
        }
        std::fs::remove_file(&path)?;
    }
    Ok(())
}

async fn end(pid: u32, started: u64) {
    signal_group(pid, Signal::TERM);
    let gone = async {
        while start_ticks(pid) == Some(started) {
            tokio::time::sleep(POLL).await;
        }
    };
    if tokio::time::timeout(STOP_GRACE, gone).await.is_err() {
        signal_group(pid, Signal::KILL);
    }
}

fn record_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.pid"))
}

fn parse(record: &str, boot_id: &str) -> Option<(u32, u64)> {
    let mut words = record.split_whitespace();
    let (pid, started) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (words.next()? == boot_id && pid > 1).then_some((pid, started))
}

fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Field 22 of `/proc/<pid>/stat`; the program's name in field 2 may hold anything, so counting starts after its bracket.
/// A zombie has ended: it has no start time here.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_record_of_another_boot_or_without_sense_is_ignored() {
        assert_eq!(parse("12 34 boot", "boot"), Some((12, 34)));
        for record in ["", "12", "12 34", "12 34 other", "1 34 boot", "x 34 boot", "-5 34 boot"] {
            assert_eq!(parse(record, "boot"), None, "{record:?}");
        }
    }

    #[test]
    fn our_own_process_has_a_start_time() {
        assert!(start_ticks(std::process::id()).is_some());
        assert_eq!(start_ticks(u32::MAX), None);
    }

    #[test]
    fn a_process_that_ended_at_once_needs_no_note() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").stdout(std::process::Stdio::piped()).spawn().unwrap();
        // Its output closes when it ends; until it is awaited it is a zombie.
        io::Read::read_to_end(child.stdout.as_mut().unwrap(), &mut Vec::new()).unwrap();
        while start_ticks(child.id()).is_some() {
            std::thread::yield_now();
        }
        record(dir.path(), "m", child.id()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn a_process_left_behind_is_ended_with_its_children_and_its_record_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", "sleep 1000 & echo ready; wait"])
            .process_group(0)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        tokio::io::AsyncReadExt::read_exact(child.stdout.as_mut().unwrap(), &mut ready).await.unwrap();
        record(dir.path(), "m", child.id().unwrap()).unwrap();
        let (ended, status) = tokio::join!(end_all(dir.path()), child.wait());
        ended.unwrap();
        assert!(!status.unwrap().success());
        // The pipe closes only when the last of the group is gone.
        let mut rest = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(child.stdout.as_mut().unwrap(), &mut rest).await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
