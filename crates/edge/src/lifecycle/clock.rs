//! The wall clock of the lifecycle, which a test may replace.

use std::sync::Arc;

use time::OffsetDateTime;

/// Says what time it is. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> OffsetDateTime + Send + Sync>);

impl Clock {
    /// The machine's.
    pub fn system() -> Self {
        Self(Arc::new(OffsetDateTime::now_utc))
    }

    /// What time it is.
    pub fn now(&self) -> OffsetDateTime {
        (self.0)()
    }

    /// One that goes with the virtual time of a paused runtime, from now on.
    #[cfg(test)]
    pub(crate) fn of_runtime() -> Self {
        let (wall, start) = (OffsetDateTime::now_utc(), tokio::time::Instant::now());
        Self(Arc::new(move || wall + start.elapsed()))
    }
}
