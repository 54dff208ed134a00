//! Central's device plane: everything between the wire and the log or the registry.
//!
//! ```text
//!   transport ──► gateway ─┐
//!   front ──► device_http ─┼─► authenticate, provisioning ──► registry
//!                          ├─► twins ──► registry, sessions, events
//!                          └─► events (the log)
//!   people's side ──► sessions (methods, desired properties, disconnect), twins
//! ```
//!
//! Whatever is answered to a device is decided here. It refuses to know people, the REST API, and what becomes of a record
//! after it is durable.

pub mod applications;
mod authenticate;
pub mod device_http;
pub mod gateway;
pub mod limits;
pub mod provisioning;
pub mod sessions;
pub mod twins;
