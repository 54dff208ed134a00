//! The input and output half of the gateway: listeners, TLS, limits, reconnecting clients.
//!
//! The protocol itself is `protocol`'s: this crate moves its bytes, keeps its time and bounds what it may cost.
//!
//! | Module | Is |
//! | --- | --- |
//! | [`server`] | the hub's side: listener, connection task, and [`server::HubHandler`], where Central and Edge differ |
//! | [`client`] | the device's side: reconnecting hub client, provisioning, a small HTTPS client |
//! | [`tls`] | configurations for both sides, certificates that can be swapped, a small authority |
//! | [`descriptors`] | how many connections the system lets the process have |
//! | [`limits`] | every bound, by name |
//! | [`log`] | what strangers may write into the program's log |
pub mod client;
pub mod descriptors;
pub mod limits;
pub mod log;
pub mod server;
mod stream;
pub mod tls;
mod web_socket;
