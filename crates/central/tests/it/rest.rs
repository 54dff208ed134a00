//! The REST interface, over TLS, with every answer held against the OpenAPI document that promises it.

mod access;
pub mod client;
mod commands;
mod defaults;
mod devices;
mod edge_device;
mod enrollment;
mod extensions;
mod health;
mod limits;
mod lists;
mod manifests;
mod preconditions;
mod properties;
mod session;
mod telemetry;
mod templates;
