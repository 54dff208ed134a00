//! Central's device plane: everything between the wire and the log or the registry.
//!
//! ```text
//!   transport ──► gateway ─┐
//!   front ──► device_http ─┼─► authenticate, provisioning ──► registry
//!                          ├─► twins ──► registry, sessions
//!                          ├─► files ──► registry, the data folder
//!                          ├─► kept_sessions ──► registry
//!                          └─► events (the log) ◄── relay ◄── registry (outbox)
//!   people's side ──► sessions (methods, desired properties), twins
//!   every door ──► revocation ◄── registry (what changed)
//! ```
//!
//! Whatever is answered to a device is decided here. It refuses to know people, the REST API, and what becomes of a record
//! after it is durable.

pub mod applications;
mod authenticate;
mod certificates;
pub mod device_http;
pub mod device_messages;
pub mod files;
pub mod gateway;
pub mod group_commit;
pub mod kept_sessions;
pub mod limits;
pub mod metrics;
pub mod provisioning;
pub mod relay;
pub mod revocation;
pub mod sessions;
pub mod twins;
