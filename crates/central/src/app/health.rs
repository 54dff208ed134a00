//! How the installation is: what the process knows of itself, gathered when somebody asks.

use std::time::Duration;

use api::health::{DiskHealth, DiskRoom, HealthProblem, InstallationHealth, LogHealth, ReaderHealth, ReaderState};
use events::clock::{now_ms, rfc3339_ms};
use events::health::Problem;
use readers::positions::Standing;
use readers::runner::condition_name;

use super::{Access, App};
use crate::data_folder::{Disk, Room};

#[cfg(test)]
mod tests;

/// A reader is behind when a record has waited for it this long. One that follows takes milliseconds.
const BEHIND_AFTER: Duration = Duration::from_secs(10);

impl App {
    /// Readiness with its reasons, the readers, the log, the disk.
    pub async fn health(&self, _access: &Access) -> InstallationHealth {
        let core = &self.inner.core;
        // In this order: a reader is known to have ended before its problem is told.
        let problems = core.health.problems();
        let standings = core.readers.standings();
        let now_ms = now_ms();
        let folder = core.folder.clone();
        // A disk that is far away may take its time.
        let disk = tokio::task::spawn_blocking(move || folder.disk()).await.ok().flatten();
        InstallationHealth {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: problems.is_empty(),
            readers: standings.iter().map(|standing| reader(standing, &problems, now_ms)).collect(),
            problems: problems
                .into_iter()
                .map(|Problem { condition, text }| HealthProblem { condition, message: text })
                .collect(),
            log: LogHealth {
                bytes: core.log.bytes(),
                bytes_max: core.log_bytes_max,
                first_offset: core.log.first_offset().0,
                next_offset: core.log.next_offset().0,
            },
            disk: disk.map(disk_health),
        }
    }
}

fn reader(standing: &Standing, problems: &[Problem], now_ms: i64) -> ReaderHealth {
    let condition = condition_name(standing.reader.name);
    let problem = problems.iter().find(|problem| problem.condition == condition).map(|problem| problem.text.clone());
    ReaderHealth {
        name: standing.reader.name.to_owned(),
        about: standing.reader.about.to_owned(),
        state: state(standing, problem.is_some(), now_ms),
        problem,
        lag: standing.lag,
        uncommitted: standing.uncommitted,
        log_waits: standing.reader.counts,
        last_moved: standing.moved_ms.map(rfc3339_ms),
        unread_since: standing.unread_since_ms.map(rfc3339_ms),
    }
}

fn state(standing: &Standing, has_problem: bool, now_ms: i64) -> ReaderState {
    let has_waited = |since_ms: i64| now_ms.saturating_sub(since_ms) >= BEHIND_AFTER.as_millis() as i64;
    match (has_problem, standing.has_ended) {
        (true, true) => ReaderState::Stopped,
        (true, false) => ReaderState::NotStoring,
        // What waits since nobody knows when was there before this process.
        (false, _) if standing.lag > 0 && standing.unread_since_ms.is_none_or(has_waited) => ReaderState::Behind,
        (false, _) => ReaderState::Following,
    }
}

fn disk_health(disk: Disk) -> DiskHealth {
    let room = match disk.room() {
        Room::Enough => DiskRoom::Enough,
        Room::Low => DiskRoom::Low,
        Room::Full => DiskRoom::Full,
    };
    DiskHealth { free_bytes: disk.free_bytes, total_bytes: disk.total_bytes, room }
}
