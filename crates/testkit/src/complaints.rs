//! What the code under test said as a warning or an error: a test that did not expect it fails.
//!
//! The record is the process's, which is the test's own under cargo-nextest. Under `cargo test`, where the tests of a program
//! share a process, nothing is held against a test.

use std::fmt::Write as _;
use std::sync::{Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
static START: Once = Once::new();

struct Recorder;

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let name = if field.name() == "message" { String::new() } else { format!("{}=", field.name()) };
        // Writing to a String cannot fail.
        let _ = write!(self.0, " {name}{value:?}");
    }
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > Level::WARN {
            return;
        }
        let mut text = Text(level.to_string());
        event.record(&mut text);
        SAID.lock().unwrap_or_else(PoisonError::into_inner).push(text.0);
    }
}

/// Begins to record; of no effect when it was begun.
///
/// # Panics
/// When something else of the process records already.
pub fn record() {
    START.call_once(|| tracing_subscriber::registry().with(Recorder).init());
}

/// What was said since the last call.
pub fn take() -> Vec<String> {
    std::mem::take(&mut SAID.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Fails the test when something was said since the last call that holds none of the `expected` texts.
///
/// # Panics
/// Then, with what was said.
pub fn check(expected: &[&str]) {
    let said = take();
    let unexpected: Vec<_> = said.iter().filter(|said| !expected.iter().any(|text| said.contains(text))).collect();
    let alone = std::env::var_os("NEXTEST").is_some();
    assert!(!alone || unexpected.is_empty(), "unexpected complaints: {unexpected:#?}");
}

/// What a harness holds for as long as its test runs: records from the start, and checks when it is dropped.
#[must_use]
pub struct Complaints {
    expected: Mutex<Vec<&'static str>>,
}

impl Complaints {
    /// Begins to record; nothing is expected.
    ///
    /// # Panics
    /// When something else of the process records already.
    pub fn watch() -> Self {
        record();
        Self { expected: Mutex::default() }
    }

    /// A complaint that holds this text is no fault.
    pub fn expect(&self, text: &'static str) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

impl Drop for Complaints {
    fn drop(&mut self) {
        // A test that failed already says why itself, and a second panic would end the process without a word.
        if std::thread::panicking() {
            eprintln!("said until the test failed: {:#?}", take());
        } else {
            check(self.expected.get_mut().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    /// These tests share what is said when they share a process.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    #[test]
    fn warnings_and_errors_are_kept_and_lesser_words_are_not() {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        record();
        tracing::info!("fine");
        tracing::warn!(peer = "d1", "strange");
        tracing::error!(code = 7, "broken");
        let said = take();
        assert_eq!(said, ["WARN strange peer=\"d1\"", "ERROR broken code=7"]);
        assert!(take().is_empty());
        tracing::warn!("expected");
        check(&["expected"]);
    }

    #[test]
    fn a_watch_fails_its_test_for_what_it_did_not_expect_and_only_once() {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = std::env::var_os("NEXTEST").is_some();
        let watched = |expected: &'static str, fails: bool| {
            let test = move || {
                let complaints = Complaints::watch();
                complaints.expect(expected);
                tracing::error!("broken");
                assert!(!fails, "by itself");
            };
            catch_unwind(test).err().map(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
        };
        assert_eq!(watched("broken", false), None);
        let words = watched("other", false).unwrap_or_default();
        assert_eq!(words.starts_with("unexpected complaints"), counts, "{words}");
        // The process would end if it complained as well.
        assert!(watched("other", true).is_some());
        take();
    }
}
