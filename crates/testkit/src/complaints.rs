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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_and_errors_are_kept_and_lesser_words_are_not() {
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
}
