//! Named bounds of the registry.

/// Events of changes that may wait for the event log. Beyond it changes are refused, and nothing is lost.
pub const OUTBOX_EVENTS_MAX: u64 = 10_000;

/// Events written with one statement: nine parameters each, and a statement takes 32,766.
pub const OUTBOX_EVENTS_PER_STATEMENT_MAX: usize = 256;
