//! What an operator sees from outside: counters for `/metrics`, and whether Central is ready.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

#[cfg(test)]
mod tests;

/// Counters and conditions of this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    messages_accepted: AtomicU64,
    bytes_accepted: AtomicU64,
    messages_read: AtomicU64,
    messages_unreadable: AtomicU64,
    events_dropped: AtomicU64,
    connects_accepted: AtomicU64,
    connects_refused: AtomicU64,
    registrations_assigned: AtomicU64,
    registrations_refused: AtomicU64,
    rows_flushed: AtomicU64,
    segments_written: AtomicU64,
    reader_position: AtomicU64,
    listening: AtomicBool,
    log_problem: Mutex<Option<String>>,
    reader_problem: Mutex<Option<String>>,
}

/// Values that are asked for when the text is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gauges {
    /// Live device sessions.
    pub sessions: usize,
    /// Bytes the log takes.
    pub log_bytes: u64,
    /// Offset the next record gets.
    pub log_next_offset: u64,
}

impl Metrics {
    pub(crate) fn messages_accepted(&self, messages: usize, bytes: usize) {
        self.inner.messages_accepted.fetch_add(messages as u64, Ordering::Relaxed);
        self.inner.bytes_accepted.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn messages_read(&self, messages: usize, position: u64) {
        self.inner.messages_read.fetch_add(messages as u64, Ordering::Relaxed);
        self.inner.reader_position.store(position, Ordering::Relaxed);
    }

    pub(crate) fn message_unreadable(&self) {
        self.inner.messages_unreadable.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn event_dropped(&self) {
        self.inner.events_dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connect(&self, accepted: bool) {
        let counter = if accepted { &self.inner.connects_accepted } else { &self.inner.connects_refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn registration(&self, assigned: bool) {
        let counter = if assigned { &self.inner.registrations_assigned } else { &self.inner.registrations_refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn flushed(&self, rows: u64, segments: usize) {
        self.inner.rows_flushed.fetch_add(rows, Ordering::Relaxed);
        self.inner.segments_written.fetch_add(segments as u64, Ordering::Relaxed);
    }

    /// Whether the log takes messages. Answers whether that changed.
    pub(crate) fn set_log_problem(&self, problem: Option<String>) -> bool {
        set(&self.inner.log_problem, problem)
    }

    /// Whether the telemetry reader works. Answers whether that changed.
    pub(crate) fn set_reader_problem(&self, problem: Option<String>) -> bool {
        set(&self.inner.reader_problem, problem)
    }

    /// Every listener is up.
    pub(crate) fn set_listening(&self, listening: bool) {
        self.inner.listening.store(listening, Ordering::Release);
    }

    /// What keeps Central from being ready; empty when it is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.inner.listening.load(Ordering::Acquire) {
            problems.push("the listeners are not up".to_owned());
        }
        for problem in [&self.inner.log_problem, &self.inner.reader_problem] {
            problems.extend(problem.lock().expect("nothing panics while it holds a problem").clone());
        }
        problems
    }

    /// Prometheus text format 0.0.4.
    pub fn to_prometheus(&self, gauges: Gauges) -> String {
        let inner = &self.inner;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let lag = gauges.log_next_offset.saturating_sub(read(&inner.reader_position));
        let rows: [(&str, &str, &str, u64); 16] = [
            (
                "counter",
                "tidegate_messages_accepted_total",
                "Messages stored in the log.",
                read(&inner.messages_accepted),
            ),
            (
                "counter",
                "tidegate_message_bytes_accepted_total",
                "Bytes of them, as stored.",
                read(&inner.bytes_accepted),
            ),
            (
                "counter",
                "tidegate_messages_read_total",
                "Log records taken by the telemetry reader.",
                read(&inner.messages_read),
            ),
            (
                "counter",
                "tidegate_messages_unreadable_total",
                "Log records it could not read.",
                read(&inner.messages_unreadable),
            ),
            (
                "counter",
                "tidegate_events_dropped_total",
                "Events that did not reach the log.",
                read(&inner.events_dropped),
            ),
            (
                "counter",
                "tidegate_connects_accepted_total",
                "Device connections let in.",
                read(&inner.connects_accepted),
            ),
            (
                "counter",
                "tidegate_connects_refused_total",
                "Device connections refused.",
                read(&inner.connects_refused),
            ),
            (
                "counter",
                "tidegate_registrations_assigned_total",
                "Devices provisioned.",
                read(&inner.registrations_assigned),
            ),
            (
                "counter",
                "tidegate_registrations_refused_total",
                "Provisioning refusals.",
                read(&inner.registrations_refused),
            ),
            ("counter", "tidegate_telemetry_rows_flushed_total", "Rows written to Parquet.", read(&inner.rows_flushed)),
            (
                "counter",
                "tidegate_telemetry_segments_written_total",
                "Parquet files written.",
                read(&inner.segments_written),
            ),
            ("gauge", "tidegate_sessions", "Live device sessions.", gauges.sessions as u64),
            ("gauge", "tidegate_log_bytes", "Size of the log.", gauges.log_bytes),
            ("gauge", "tidegate_log_next_offset", "Offset the next record gets.", gauges.log_next_offset),
            ("gauge", "tidegate_telemetry_reader_lag", "Records the telemetry reader is behind.", lag),
            ("gauge", "tidegate_ready", "1 when ready.", u64::from(self.problems().is_empty())),
        ];
        rows.iter().fold(String::with_capacity(2_048), |mut text, (kind, name, help, value)| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
            text
        })
    }
}

fn set(slot: &Mutex<Option<String>>, problem: Option<String>) -> bool {
    let mut slot = slot.lock().expect("nothing panics while it holds a problem");
    let changed = slot.is_some() != problem.is_some();
    *slot = problem;
    changed
}
