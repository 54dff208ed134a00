//! What happens to devices, as records of one log: the way in, and what is told at once.
//!
//! ```text
//!   telemetry ─────────────────────► publish ──► log ──► readers (each with a position of its own)
//!   twins, lifecycle (outbox relay) ──►  │
//!   connections ──► queue ───────────►   └────► live     whoever watches right now
//! ```
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`record`] | the format of a log record |
//! | [`publish`] | the one way into the log and to live listeners |
//! | [`queue`] | events whose state is in memory: bounded, in order, never dropped |
//! | [`live`] | what just happened, to whoever watches |
//! | [`last_seen`] | when identities were last heard of |
//! | [`health`] | what keeps Central from being ready |
//! | [`metrics`] | what an operator sees of the log |
//! | [`clock`] | the wall clock, read in one place |
//!
//! It refuses to know who may send, what a message means, and who reads.

pub mod clock;
mod config;
pub mod health;
pub mod last_seen;
mod limits;
pub mod live;
pub mod metrics;
mod publish;
pub mod queue;
pub mod record;

pub use config::LogConfig;
pub use publish::{Batch, Event, Events};
