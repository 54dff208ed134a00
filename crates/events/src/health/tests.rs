//! Names, and that only a change is news.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn ready_means_that_every_condition_holds() {
    let health = Health::default();
    assert!(health.problems().is_empty());
    let log = health.condition("log");
    assert!(log.break_with("it is full"));
    assert!(!log.break_with("it is still full"), "only the change is news");
    health.condition("reader x").break_with("it panicked");
    let told: Vec<String> = health.problems().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["log: it is still full", "reader x: it panicked"]);
    assert!(health.condition("log").restore(), "a name is one condition, whoever asks");
    assert!(!log.restore());
    assert_eq!(health.problems().len(), 1);
}
