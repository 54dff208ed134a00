//! How long to wait before trying again.

use std::time::Duration;

use crate::limits::{BACK_OFF_MAX, BACK_OFF_MIN};

/// Doubling pauses from `limits::BACK_OFF_MIN` to `limits::BACK_OFF_MAX`, each shortened by up to half at random, so that a
/// fleet that lost its hub at once does not come back at once.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause. `chance` is a random number, e.g. [`random`].
    pub fn next(&mut self, chance: u32) -> Duration {
        let full = BACK_OFF_MIN.saturating_mul(1 << self.failures.min(16)).min(BACK_OFF_MAX);
        self.failures = self.failures.saturating_add(1);
        jittered(full, chance)
    }

    /// The longest pause, for when trying soon makes no sense.
    pub fn longest(&self, chance: u32) -> Duration {
        jittered(BACK_OFF_MAX, chance)
    }

    /// Starts again with the shortest pause.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A pause shortened by up to half at random.
pub(super) fn jittered(full: Duration, chance: u32) -> Duration {
    full - full.mul_f64(0.5 * f64::from(chance) / f64::from(u32::MAX))
}

/// A random number. Without a source of randomness there is no jitter, which is no reason to stop.
pub fn random() -> u32 {
    getrandom::u32().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_start_again() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..9).map(|_| backoff.next(0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.next(0), BACK_OFF_MIN);
    }

    #[test]
    fn jitter_takes_away_at_most_half() {
        assert_eq!(Backoff::default().next(u32::MAX), BACK_OFF_MIN / 2);
        assert_eq!(Backoff::default().longest(u32::MAX), BACK_OFF_MAX / 2);
    }
}
