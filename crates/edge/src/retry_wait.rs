//! How long to wait before the next attempt of something that is retried for ever.

use std::time::Duration;

use crate::limits::{RETRY_WAIT_FIRST, RETRY_WAIT_MAX};

/// Doubles from [`RETRY_WAIT_FIRST`] to [`RETRY_WAIT_MAX`].
#[derive(Debug)]
pub(crate) struct RetryWait {
    next: Duration,
}

impl Default for RetryWait {
    fn default() -> Self {
        Self { next: RETRY_WAIT_FIRST }
    }
}

impl RetryWait {
    /// The wait after a failure.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(RETRY_WAIT_MAX);
        wait
    }

    /// From here on the longest: somebody has to mend something first.
    pub(crate) fn lengthen(&mut self) {
        self.next = RETRY_WAIT_MAX;
    }

    /// It succeeded: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_longest_and_begin_anew_after_a_success() {
        let mut wait = RetryWait::default();
        for expected in
            [1, 2, 4, 8, 16, 32].map(|times| RETRY_WAIT_FIRST * times).into_iter().chain([RETRY_WAIT_MAX; 3])
        {
            assert_eq!(wait.next(), expected);
        }
        wait.reset();
        assert_eq!(wait.next(), RETRY_WAIT_FIRST);
        wait.lengthen();
        assert_eq!([wait.next(), wait.next()], [RETRY_WAIT_MAX; 2]);
    }
}
