//! Nouns and pure rules both programs must agree on: identities, messages, twins, templates, manifests, routes.
//!
//! This crate knows no socket, clock, file or database. What it decides (how a patch merges, whether a route takes a
//! message, what a manifest means) is therefore decided once, for Central and Edge alike, and tested in milliseconds.
pub mod dtdl;
pub mod identity;
pub mod limits;
pub mod manifest;
pub mod message;
pub mod module_name;
#[cfg(test)]
mod mutation;
mod pointer;
pub mod route;
pub mod template;
pub mod timestamp;
pub mod twin;
