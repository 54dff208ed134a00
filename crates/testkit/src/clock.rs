//! Time that moves only when told to.

use std::time::{Duration, Instant};

/// A clock for state machines that are given `now`.
#[derive(Debug, Clone)]
pub struct FakeClock {
    now: Instant,
    start: Instant,
}

impl Default for FakeClock {
    /// Starts at any moment: only differences mean something.
    fn default() -> Self {
        let start = Instant::now();
        Self { now: start, start }
    }
}

impl FakeClock {
    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Lets time pass.
    pub fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    /// Goes on to a moment; never back.
    pub fn advance_to(&mut self, to: Instant) {
        self.now = self.now.max(to);
    }
}
