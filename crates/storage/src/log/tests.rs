#![allow(clippy::unwrap_used)]
//! The log from outside, on a faulty disk. `rig` sets one up; `model` runs random actions against a simple model.

mod damage;
mod faults;
mod limits;
mod model;
mod rig;
mod running;
