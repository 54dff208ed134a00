//! Edge modules of our own, and what any module needs to start: its identity from the environment, its tokens and trust
//! from the workload API.
//!
//! | Module | Is |
//! | --- | --- |
//! | [`bootstrap`] | environment → a connected module client |
//! | [`workload`] | the calls to the workload API |
//! | [`thermometer`] | the simulated machine behind the temperature sensor |
//! | [`sensor`] | what the simulated temperature sensor does on the wire |

pub mod bootstrap;
pub mod sensor;
mod thermometer;
mod workload;
