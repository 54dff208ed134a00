//! Tidegate Central: the platform.
//!
//! ```text
//!   front ──► http/ ──► app/ ──► registry, hub, readers        people and scripts
//!     └─────► hub::device_http                                 devices over HTTPS
//! ```
//!
//! - [`serve`] puts the parts together and stops them in order; [`cli`] is the program around it.
//! - [`data_folder`], [`certificates`], [`config`]: what is on the disk.
//! - [`app`] and [`http`]: the REST side; every access is authorized in one place.
//!
//! It refuses to know the wire (`protocol`, `transport`), what is answered to a device (`hub`), what models and twins mean
//! (`model`), SQL (`registry`), and how rows become files (`telemetry`). It never imports the edge, nor the edge it.

pub mod app;
pub mod backup;
mod certificates;
pub mod cli;
pub mod config;
mod core;
pub mod data_folder;
pub mod database;
mod demo;
mod front;
pub mod generation;
mod http;
pub mod limits;
pub mod serve;

pub use serve::{shutdown_signal, shutdown_signal_unless};
