//! Processes an earlier daemon left behind when it was killed.
//!
//! ```text
//! runtime/<module>.json    {"pid":4711,"start_ticks":812345,"boot_id":"…"}     in the envelope of crate::state
//! runtime/<module>.pid     <process id> <start time> <boot id>                 until version 0.1, read once more
//! ```
//! A process id alone may have been given to somebody else since. Together with the start time in clock ticks since boot, which
//! the kernel keeps in `/proc/<pid>/stat`, it names one process of this boot. The module leads its process group, so ending
//! the group ends what the module started as well.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::module_name::ModuleName;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use storage::state_file;

use super::signal_group;
use crate::limits::{STATE_BYTES_MAX, STOP_GRACE};
use crate::state::{self, State, StateKind};

const POLL: Duration = Duration::from_millis(20);

/// One process of one boot.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    pid: u32,
    start_ticks: u64,
    boot_id: String,
}

impl State for Record {
    const KIND: &'static StateKind = &state::PROCESS;
}

impl Record {
    /// As version 0.1 wrote it.
    fn read_text(path: &Path) -> io::Result<Option<Self>> {
        let text = state_file::read(path, STATE_BYTES_MAX).map_err(io::Error::other)?.unwrap_or_default();
        Ok(Self::from_text(&String::from_utf8_lossy(&text)))
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (pid, start_ticks) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { pid, start_ticks, boot_id: words.next()?.to_owned() })
    }

    fn still_runs(&self, boot_id: &str) -> bool {
        // Process 1 is nobody's module, whatever a file says.
        self.boot_id == boot_id && self.pid > 1 && start_ticks(self.pid) == Some(self.start_ticks)
    }
}

/// Notes the process of a module. One that has ended already needs no note.
pub(super) fn record(dir: &Path, name: &ModuleName, pid: u32) -> io::Result<()> {
    let Some(start_ticks) = start_ticks(pid) else { return Ok(()) };
    let record = Record { pid, start_ticks, boot_id: boot_id()? };
    state::write(&record_path(dir, name), &record).map_err(io::Error::other)
}

/// Forgets the process of a module. If that fails the record names a process that is gone, which is harmless.
pub(super) fn forget(dir: &Path, name: &ModuleName) {
    let _ = std::fs::remove_file(record_path(dir, name));
}

/// Ends every recorded process group that still runs.
pub(super) async fn end_all(dir: &Path) -> io::Result<()> {
    let boot_id = boot_id()?;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let record = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => match state::open(&path).map_err(io::Error::other)? {
                Some(record) => Some(record),
                // It was damaged, and is set aside.
                None => continue,
            },
            Some("pid") => Record::read_text(&path)?,
            _ => continue,
        };
        if let Some(record) = record.filter(|record| record.still_runs(&boot_id)) {
            let Record { pid, start_ticks, .. } = record;
            tracing::info!(pid, record = %path.display(), "ending a module that an earlier daemon left running");
            end(pid, start_ticks).await;
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

fn record_path(dir: &Path, name: &ModuleName) -> PathBuf {
    dir.join(format!("{name}.json"))
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
    use crate::runtime::named;

    #[test]
    fn a_record_of_another_boot_or_process_or_without_sense_names_nothing_that_runs() {
        let pid = std::process::id();
        let started = start_ticks(pid).unwrap();
        let runs = |text: &str| Record::from_text(text).is_some_and(|record| record.still_runs("boot"));
        assert!(runs(&format!("{pid} {started} boot\n")));
        let first = start_ticks(1).unwrap_or_default();
        let other =
            [format!("{pid} {started} other"), format!("{pid} {} boot", started + 1), format!("1 {first} boot")];
        let senseless = ["", "12", "12 34", "x 34 boot", "-5 34 boot"].map(str::to_owned);
        for record in other.into_iter().chain(senseless) {
            assert!(!runs(&record), "{record:?}");
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
        record(dir.path(), &named("m"), child.id()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        child.wait().unwrap();
    }

    /// Leads a group of two; its output ends when both have ended.
    async fn left_behind() -> tokio::process::Child {
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", "sleep 1000 & echo ready; wait"])
            .process_group(0)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        tokio::io::AsyncReadExt::read_exact(child.stdout.as_mut().unwrap(), &mut ready).await.unwrap();
        child
    }

    async fn check_ended_by_record(dir: &Path, mut child: tokio::process::Child) {
        let (ended, status) = tokio::join!(end_all(dir), child.wait());
        ended.unwrap();
        assert!(!status.unwrap().success());
        // The pipe closes only when the last of the group is gone.
        let mut rest = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(child.stdout.as_mut().unwrap(), &mut rest).await.unwrap();
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_process_left_behind_is_ended_with_its_children_and_its_record_goes() {
        let dir = tempfile::tempdir().unwrap();
        let child = left_behind().await;
        record(dir.path(), &named("m"), child.id().unwrap()).unwrap();
        let written: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.path().join("m.json")).unwrap()).unwrap();
        assert_eq!(written["kind"], "edge.runtime.process");
        check_ended_by_record(dir.path(), child).await;
    }

    #[tokio::test]
    async fn so_is_one_that_version_0_1_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let child = left_behind().await;
        let pid = child.id().unwrap();
        let text = format!("{pid} {} {}\n", start_ticks(pid).unwrap(), boot_id().unwrap());
        std::fs::write(dir.path().join("m.pid"), text).unwrap();
        std::fs::write(dir.path().join("senseless.pid"), "senseless").unwrap();
        check_ended_by_record(dir.path(), child).await;
    }

    #[tokio::test]
    async fn a_damaged_record_is_set_aside_and_keeps_no_daemon_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("m.json"), "{\"pid\":").unwrap();
        end_all(dir.path()).await.unwrap();
        end_all(dir.path()).await.unwrap();
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["m.json.damaged"]);
    }
}
