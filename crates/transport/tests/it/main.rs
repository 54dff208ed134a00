//! Server and client over real TLS on free ports of this machine.
#![allow(clippy::unwrap_used)]

mod dps;
mod faults;
mod https;
mod lifecycle;
mod limits;
mod methods;
mod rig;
mod telemetry;
mod tls;
mod twin;
mod web_socket;
