//! The device protocols as pure state machines: bytes and time in, events and bytes out.
//!
//! Written once, used four times: Central's gateway and the edge's hub take the hub role, the edge's upstream link and the
//! simulators take the device role. The crate knows no socket, no clock and no source of randomness: the caller passes
//! `now`, bytes and request ids, so that both roles can be paired in memory, run in virtual time and be fuzzed.
//!
//! | Module | Knows |
//! | --- | --- |
//! | [`mqtt`] | MQTT 3.1.1 packets and their bytes, both directions |
//! | [`hub`] | topics, property bags, user names: the one place where they are spelled |
//! | [`auth`] | shared access signatures |
//! | [`dps`] | the provisioning exchange: bodies, states, topics |
//! | [`connection`] | one connection as a state machine, hub role and device role |
//! | [`limits`] | every bound, by name |
pub mod auth;
pub mod connection;
pub mod dps;
pub mod hub;
pub mod limits;
pub mod mqtt;
