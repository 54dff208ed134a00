//! What keeps Central from being ready, as named conditions: each is set and cleared in one place.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

#[cfg(test)]
mod tests;

/// The conditions of this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Health {
    conditions: Arc<Mutex<BTreeMap<String, Condition>>>,
}

/// One condition; clones are the same one. That it holds is seen without a lock: every message looks.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    is_broken: AtomicBool,
    problem: Mutex<Option<String>>,
}

/// A condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Name of the condition, such as `log` or `reader telemetry`.
    pub condition: String,
    /// What is wrong, for people.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.condition, self.text)
    }
}

impl Health {
    /// The condition of this name; made, and holding, when it is new.
    pub fn condition(&self, name: impl Into<String>) -> Condition {
        self.conditions().entry(name.into()).or_default().clone()
    }

    /// What does not hold, by name; empty when Central is ready.
    pub fn problems(&self) -> Vec<Problem> {
        let conditions = self.conditions();
        let broken = conditions.iter().filter_map(|(name, condition)| Some((name, condition.problem()?)));
        broken.map(|(condition, text)| Problem { condition: condition.clone(), text }).collect()
    }

    fn conditions(&self) -> MutexGuard<'_, BTreeMap<String, Condition>> {
        self.conditions.lock().expect("nothing panics while it holds the conditions")
    }
}

impl Condition {
    /// It does not hold. Answers whether that is news.
    pub fn break_with(&self, problem: impl Into<String>) -> bool {
        let mut text = self.text();
        let is_news = text.is_none();
        self.inner.is_broken.store(true, Ordering::Release);
        *text = Some(problem.into());
        is_news
    }

    /// It holds. Answers whether that is news.
    pub fn restore(&self) -> bool {
        if !self.inner.is_broken.load(Ordering::Acquire) {
            return false;
        }
        let mut text = self.text();
        self.inner.is_broken.store(false, Ordering::Release);
        text.take().is_some()
    }

    /// What is wrong, if it does not hold.
    pub fn problem(&self) -> Option<String> {
        self.text().clone()
    }

    fn text(&self) -> MutexGuard<'_, Option<String>> {
        self.inner.problem.lock().expect("nothing panics while it holds a problem")
    }
}

/// An error with its causes, in one line for people.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
