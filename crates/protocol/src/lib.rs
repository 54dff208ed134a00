//! The device protocols as pure state machines: bytes and time in, events and bytes out.
//!
//! Written once, used four times: Central's gateway and the edge's hub take the hub role, the edge's upstream link and the
//! simulators take the device role. The crate knows no socket, no clock and no source of randomness: the caller passes
//! `now`, bytes and request ids, so that both roles can be paired in memory, run in virtual time and be fuzzed.
//!
//! | Module | Knows |
//! | --- | --- |
//! | [`event`] | what clients and hub say to each other, whatever protocol carries it; the [`event::Face`] of a protocol |
//! | [`mqtt`] | MQTT 3.1.1: packets and their bytes, hub role and device role |
//! | [`hub`] | topics, property bags, user names: the one place where they are spelled |
//! | [`auth`] | shared access signatures, and the judgement of who may speak as whom |
//! | [`dps`] | the provisioning exchange: bodies, states, topics |
//! | [`web_socket`] | the frames of a WebSocket, which carries any of the protocols |
//! | [`limits`] | every bound, by name |
pub mod auth;
pub mod dps;
pub mod event;
pub mod hub;
pub mod limits;
pub mod mqtt;
pub mod web_socket;
