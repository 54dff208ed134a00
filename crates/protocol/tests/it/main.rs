//! Both roles of a connection, paired in memory and in virtual time.
#![allow(clippy::unwrap_used)]

mod connect;
mod deliveries;
mod exchange;
mod faults;
mod provisioning;
mod raw;
mod segments;
mod telemetry;
