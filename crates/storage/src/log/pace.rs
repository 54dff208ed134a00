//! Whether the writer waits for more appends before it commits.
//!
//! A disk that syncs in a tenth of a millisecond makes a commit of every message: a thousand syncs a second, each with its
//! wake-ups, for what a slower disk does in a hundred. Waiting a little collects them. It must not cost where it gains nothing:
//! a caller that sends one record and waits for its answer would only be slowed down. So the writer waits only while commits
//! follow each other closely, and when waits brought nothing together it does without for the next [`COMMITS_WITHOUT_WAIT`]
//! commits. Two waits in a row, because what a first one collects may still be with a caller who has one append under way at
//! a time.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::COMMITS_WITHOUT_WAIT;

#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    committed_at: Option<Instant>,
    /// Waits in a row that brought nothing together.
    in_vain: u32,
    without_wait: u32,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Pace { interval, committed_at: None, in_vain: 0, without_wait: 0 }
    }

    /// Until when to wait for more, now that there is something to commit.
    pub(super) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let until = self.committed_at? + self.interval;
        (until > now && self.without_wait == 0).then_some(until)
    }

    /// A commit of this many records is done, after a wait or at once.
    pub(super) fn committed(&mut self, records: usize, waited: bool, now: Instant) {
        self.committed_at = Some(now);
        self.in_vain = if waited && records < 2 { self.in_vain + 1 } else { 0 };
        self.without_wait = match self.in_vain {
            0 | 1 => self.without_wait.saturating_sub(1),
            _ => COMMITS_WITHOUT_WAIT,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(2);

    #[test]
    fn a_quiet_log_and_one_without_interval_wait_for_nothing() {
        let now = Instant::now();
        let mut pace = Pace::new(INTERVAL);
        assert_eq!(pace.wait_until(now), None);
        pace.committed(1, false, now);
        assert_eq!(pace.wait_until(now + INTERVAL), None);
        let mut pace = Pace::new(Duration::ZERO);
        pace.committed(5, false, now);
        assert_eq!(pace.wait_until(now), None);
    }

    #[test]
    fn waiting_goes_on_as_long_as_it_brings_records_together() {
        let now = Instant::now();
        let mut pace = Pace::new(INTERVAL);
        pace.committed(1, false, now);
        for _ in 0..3 {
            assert_eq!(pace.wait_until(now + INTERVAL / 2), Some(now + INTERVAL));
            pace.committed(1, true, now);
            assert!(pace.wait_until(now).is_some(), "one wait in vain proves nothing");
            pace.committed(2, true, now);
        }
        pace.committed(1, true, now);
        pace.committed(1, true, now);
        for _ in 0..COMMITS_WITHOUT_WAIT {
            assert_eq!(pace.wait_until(now), None);
            pace.committed(1, false, now);
        }
        assert!(pace.wait_until(now).is_some(), "it is tried again");
    }
}
