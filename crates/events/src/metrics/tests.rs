//! Readiness and the text form.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn ready_only_with_listeners_and_a_log_that_takes_messages() {
    let metrics = Metrics::default();
    assert_eq!(metrics.problems().len(), 1);
    metrics.set_listening(true);
    assert!(metrics.problems().is_empty());
    assert!(metrics.set_log_problem(Some("the log is full".into())));
    assert!(!metrics.set_log_problem(Some("the log is full".into())), "only the change is news");
    assert_eq!(metrics.problems(), ["the log is full"]);
    assert!(metrics.set_log_problem(None));
    assert!(metrics.problems().is_empty());
}

#[test]
fn the_text_has_help_type_and_value_for_each() {
    let metrics = Metrics::default();
    metrics.messages_accepted(3, 100);
    metrics.messages_read(2, 7);
    let text = metrics.to_prometheus(Gauges { sessions: 1, log_bytes: 2, log_next_offset: 10 });
    assert!(text.contains("# TYPE tidegate_messages_accepted_total counter\ntidegate_messages_accepted_total 3\n"));
    assert!(text.contains("\ntidegate_telemetry_reader_lag 3\n"));
    assert_eq!(text.matches("# HELP").count(), text.matches("# TYPE").count());
}
