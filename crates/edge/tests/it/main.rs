//! The daemon as a program: started, asked, killed and started again. Needs no network: identities and the last good
//! deployment are on disk, as after a first start.
#![allow(clippy::unwrap_used, missing_docs)]

mod commands;
mod daemon;
mod durability;
mod metrics;
mod state;
