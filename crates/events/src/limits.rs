//! Named bounds of the event log and of live updates.

use std::time::Duration;

/// Live events waiting for one slow subscriber before that subscriber is cut.
pub const LIVE_EVENTS_PER_SUBSCRIBER_MAX: usize = 256;

/// Live subscribers at the same time, over all applications.
pub const LIVE_SUBSCRIBERS_MAX: usize = 1_024;

/// Connection events waiting for the log; beyond it connections wait. Telemetry never goes this way.
pub const EVENTS_QUEUED_MAX: usize = 4_096;

/// The least time between two appends of connection events.
pub const EVENTS_APPEND_INTERVAL: Duration = Duration::from_millis(10);

/// Events appended to the log at a time.
pub const EVENTS_PER_APPEND_MAX: usize = 256;
