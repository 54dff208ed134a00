//! Fakes, virtual networks and builders, for tests only.
//!
//! | Module | Gives |
//! | --- | --- |
//! | [`clock`] | time that moves only when told to |
//! | [`pair`] | both MQTT roles in memory, on that clock, over a network with latency, cuts and odd packet sizes |
//! | [`authority`] | certificates for a listener on this machine, and clients that trust them |
//! | [`complaints`] | the warnings and errors of the code under test, which fail a test that did not expect them |
//! | [`openapi`] | whether an answer is what an OpenAPI document says |
//! | [`postgres`] | a PostgreSQL server of the test's own |
//! | [`limits_page`] | the tables of the page of limits |
//! | [`proxy`] | a proxy of HTTP, with credentials or without |
//! | [`memory_hub`] | a hub that keeps everything in memory, for tests of clients |
pub mod authority;
pub mod certificates;
pub mod clock;
pub mod complaints;
pub mod limits_page;
pub mod memory_hub;
pub mod message;
pub mod openapi;
pub mod pair;
pub mod postgres;
pub mod proxy;
