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
    log_problem: Problem,
    reader_problem: Problem,
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
    /// Messages became durable, with their size as stored.
    pub fn messages_accepted(&self, messages: usize, bytes: usize) {
        self.inner.messages_accepted.fetch_add(messages as u64, Ordering::Relaxed);
        self.inner.bytes_accepted.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The telemetry reader took records and is at a position.
    pub fn messages_read(&self, messages: usize, position: u64) {
        self.inner.messages_read.fetch_add(messages as u64, Ordering::Relaxed);
        self.inner.reader_position.store(position, Ordering::Relaxed);
    }

    /// The telemetry reader passed over a record.
    pub fn message_unreadable(&self) {
        self.inner.messages_unreadable.fetch_add(1, Ordering::Relaxed);
    }

    /// An event did not reach the log.
    pub fn event_dropped(&self) {
        self.inner.events_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// A device connection was let in, or refused.
    pub fn connect(&self, accepted: bool) {
        let counter = if accepted { &self.inner.connects_accepted } else { &self.inner.connects_refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A device was provisioned, or refused.
    pub fn registration(&self, assigned: bool) {
        let counter = if assigned { &self.inner.registrations_assigned } else { &self.inner.registrations_refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Rows were written to segments.
    pub fn flushed(&self, rows: u64, segments: usize) {
        self.inner.rows_flushed.fetch_add(rows, Ordering::Relaxed);
        self.inner.segments_written.fetch_add(segments as u64, Ordering::Relaxed);
    }

    /// Whether the log takes messages. Answers whether that changed.
    pub fn set_log_problem(&self, problem: Option<String>) -> bool {
        self.inner.log_problem.set(problem)
    }

    /// Whether the telemetry reader works. Answers whether that changed.
    pub fn set_reader_problem(&self, problem: Option<String>) -> bool {
        self.inner.reader_problem.set(problem)
    }

    /// Every listener is up.
    pub fn set_listening(&self, listening: bool) {
        self.inner.listening.store(listening, Ordering::Release);
    }

    /// What keeps Central from being ready; empty when it is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.inner.listening.load(Ordering::Acquire) {
            problems.push("the listeners are not up".to_owned());
        }
        for problem in [&self.inner.log_problem, &self.inner.reader_problem] {
            problems.extend(problem.get());
        }
        problems
    }

    /// Prometheus text format 0.0.4.
    pub fn to_prometheus(&self, gauges: Gauges) -> String {
        let position = self.inner.reader_position.load(Ordering::Relaxed);
        let gauges = [
            ("tidegate_sessions", "Live device sessions.", gauges.sessions as u64),
            ("tidegate_log_bytes", "Size of the log.", gauges.log_bytes),
            ("tidegate_log_next_offset", "Offset the next record gets.", gauges.log_next_offset),
            (
                "tidegate_telemetry_reader_lag",
                "Records the telemetry reader is behind.",
                gauges.log_next_offset.saturating_sub(position),
            ),
            ("tidegate_ready", "1 when ready.", u64::from(self.problems().is_empty())),
        ];
        let mut text = String::with_capacity(2_048);
        for (name, help, counter) in self.counters() {
            write_metric(&mut text, "counter", (name, help), counter.load(Ordering::Relaxed));
        }
        for (name, help, value) in gauges {
            write_metric(&mut text, "gauge", (name, help), value);
        }
        text
    }

    fn counters(&self) -> [(&'static str, &'static str, &AtomicU64); 11] {
        let inner = &self.inner;
        [
            ("tidegate_messages_accepted_total", "Messages stored in the log.", &inner.messages_accepted),
            ("tidegate_message_bytes_accepted_total", "Bytes of them, as stored.", &inner.bytes_accepted),
            ("tidegate_messages_read_total", "Log records taken by the telemetry reader.", &inner.messages_read),
            ("tidegate_messages_unreadable_total", "Log records it could not read.", &inner.messages_unreadable),
            ("tidegate_events_dropped_total", "Events that did not reach the log.", &inner.events_dropped),
            ("tidegate_connects_accepted_total", "Device connections let in.", &inner.connects_accepted),
            ("tidegate_connects_refused_total", "Device connections refused.", &inner.connects_refused),
            ("tidegate_registrations_assigned_total", "Devices provisioned.", &inner.registrations_assigned),
            ("tidegate_registrations_refused_total", "Provisioning refusals.", &inner.registrations_refused),
            ("tidegate_telemetry_rows_flushed_total", "Rows written to Parquet.", &inner.rows_flushed),
            ("tidegate_telemetry_segments_written_total", "Parquet files written.", &inner.segments_written),
        ]
    }
}

fn write_metric(text: &mut String, kind: &str, (name, help): (&str, &str), value: u64) {
    // Writing to a String cannot fail.
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}

/// Something that keeps Central from being ready. That it is not there is seen without a lock: every message looks.
#[derive(Debug, Default)]
struct Problem {
    is_there: AtomicBool,
    text: Mutex<Option<String>>,
}

impl Problem {
    /// Answers whether the problem came or went.
    fn set(&self, problem: Option<String>) -> bool {
        if problem.is_none() && !self.is_there.load(Ordering::Acquire) {
            return false;
        }
        let mut text = self.text.lock().expect("nothing panics while it holds a problem");
        let changed = text.is_some() != problem.is_some();
        self.is_there.store(problem.is_some(), Ordering::Release);
        *text = problem;
        changed
    }

    fn get(&self) -> Option<String> {
        self.text.lock().expect("nothing panics while it holds a problem").clone()
    }
}
