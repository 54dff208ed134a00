//! Restart counts, kept on disk so that a module that keeps failing does not start over after the daemon does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::plan::{ModuleHistory, StepFailure};
use crate::state::{self, State, StateError, StateKind};

/// What happened to every module. Only restarts are written down; the rest is of this daemon's life.
pub struct Histories {
    path: PathBuf,
    modules: BTreeMap<String, ModuleHistory>,
}

/// What is on disk of a module, by its name.
#[derive(Serialize, Deserialize)]
struct Stored {
    restarts: u32,
    #[serde(with = "time::serde::rfc3339::option")]
    last_restart: Option<OffsetDateTime>,
}

impl State for BTreeMap<String, Stored> {
    const KIND: &'static StateKind = &state::RESTARTS;
}

impl Histories {
    /// Reads what is kept.
    pub fn open(path: PathBuf) -> Result<Self, StateError> {
        let stored: BTreeMap<String, Stored> = state::open(&path)?.unwrap_or_default();
        let history = |stored: Stored| ModuleHistory {
            restarts: stored.restarts,
            last_restart: stored.last_restart,
            ..ModuleHistory::default()
        };
        Ok(Self { path, modules: stored.into_iter().map(|(name, stored)| (name, history(stored))).collect() })
    }

    /// All of them.
    pub fn modules(&self) -> &BTreeMap<String, ModuleHistory> {
        &self.modules
    }

    /// A policy's restart. The count is durable before the module starts; if that fails the restart still happens.
    pub fn restarted(&mut self, name: &str, now: OffsetDateTime) {
        let history = self.modules.entry(name.to_owned()).or_default();
        history.restarts = history.restarts.saturating_add(1);
        history.last_restart = Some(now);
        self.write();
    }

    /// The module is well, new or gone.
    pub fn forget_restarts(&mut self, name: &str) {
        if self.modules.remove(name).is_some_and(|history| history.restarts > 0) {
            self.write();
        }
    }

    /// It was stopped because somebody said so.
    pub fn stopped_on_request(&mut self, name: &str) {
        self.modules.entry(name.to_owned()).or_default().stopped_on_request = true;
    }

    /// A step succeeded.
    pub fn succeeded(&mut self, name: &str) {
        if let Some(history) = self.modules.get_mut(name) {
            history.failure = None;
            history.stopped_on_request = false;
        }
    }

    /// A step failed.
    pub fn failed(&mut self, name: &str, reason: String, now: OffsetDateTime) {
        let history = self.modules.entry(name.to_owned()).or_default();
        let count = history.failure.as_ref().map_or(0, |failure| failure.count).saturating_add(1);
        history.failure = Some(StepFailure { count, at: now, reason });
    }

    /// A new deployment: what failed is tried again at once.
    pub fn forget_failures(&mut self) {
        for history in self.modules.values_mut() {
            history.failure = None;
        }
    }

    fn write(&self) {
        let counted = self.modules.iter().filter(|(_, history)| history.restarts > 0);
        let stored =
            |history: &ModuleHistory| Stored { restarts: history.restarts, last_restart: history.last_restart };
        let stored: BTreeMap<_, _> = counted.map(|(name, history)| (name.clone(), stored(history))).collect();
        if let Err(error) = state::write(&self.path, &stored) {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot keep restart counts");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn restarts_survive_and_are_forgotten_when_well() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("restarts.json");
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let mut histories = Histories::open(path.clone()).unwrap();
        histories.restarted("m", now);
        histories.restarted("m", now);
        histories.failed("n", "no".into(), now);
        let mut again = Histories::open(path.clone()).unwrap();
        let expected = ModuleHistory { restarts: 2, last_restart: Some(now), ..ModuleHistory::default() };
        assert_eq!(again.modules(), &BTreeMap::from([("m".to_owned(), expected)]));
        again.forget_restarts("m");
        assert!(Histories::open(path).unwrap().modules().is_empty());
    }

    #[test]
    fn failures_count_until_a_success() {
        let dir = tempfile::tempdir().unwrap();
        let mut histories = Histories::open(dir.path().join("restarts.json")).unwrap();
        let now = OffsetDateTime::UNIX_EPOCH;
        histories.failed("m", "a".into(), now);
        histories.failed("m", "b".into(), now);
        let failure = StepFailure { count: 2, at: now, reason: "b".into() };
        assert_eq!(histories.modules()["m"].failure, Some(failure));
        histories.succeeded("m");
        assert_eq!(histories.modules()["m"].failure, None);
    }
}
