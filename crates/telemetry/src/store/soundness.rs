//! Which files are as they were written: each is compared with its checksum when it is first read, and left out of every read while
//! it is not what it was.
//!
//! A file counts as whole until the process ends, or until somebody [checks it again](super::TelemetryStore::check): the
//! caller's scrub. So a bit that flips later is found by the next round of that.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of each file. Never more than the catalog lists.
#[derive(Default)]
pub(super) struct Soundness {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    whole: HashSet<String>,
    /// With what is wrong.
    damaged: BTreeMap<String, String>,
}

/// What is known of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Unknown,
    Whole,
    Damaged,
}

impl Soundness {
    pub fn of(&self, file_name: &str) -> State {
        let known = self.known();
        match (known.whole.contains(file_name), known.damaged.contains_key(file_name)) {
            (_, true) => State::Damaged,
            (true, false) => State::Whole,
            (false, false) => State::Unknown,
        }
    }

    /// Answers whether that changes what is damaged.
    pub fn is_whole(&self, file_name: &str) -> bool {
        let mut known = self.known();
        known.whole.insert(file_name.to_owned());
        known.damaged.remove(file_name).is_some()
    }

    /// Answers whether that changes what is damaged.
    pub fn is_damaged(&self, file_name: &str, problem: String) -> bool {
        let mut known = self.known();
        known.whole.remove(file_name);
        known.damaged.insert(file_name.to_owned(), problem).is_none()
    }

    /// Forgets files that are no longer listed. Answers whether that changes what is damaged.
    pub fn keep(&self, is_listed: impl Fn(&str) -> bool) -> bool {
        let mut known = self.known();
        known.whole.retain(|name| is_listed(name));
        let before = known.damaged.len();
        known.damaged.retain(|name, _| is_listed(name));
        known.damaged.len() != before
    }

    /// Every damaged file, with what is wrong.
    pub fn damaged(&self) -> BTreeMap<String, String> {
        self.known().damaged.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
