//! Tidegate Central: the platform.
//!
//! ```text
//!   front ──► http/ ──► app/ ──► store/                    people and scripts
//!     └─────► hub_http/ ─┐         ▲
//!   gateway ─────────────┼─► authenticate, provisioning    devices, over the transport's listener
//!                        ▼
//!                     ingest ──► log ──► timeseries/       rows, Parquet, last values, live updates
//! ```
//!
//! - [`serve`] puts the parts together and stops them in order; [`cli`] is the program around it.
//! - [`data_folder`], [`certificates`], [`config`]: what is on the disk.
//! - [`gateway`] and [`hub_http`]: the device side. Nothing is acknowledged before it is durable.
//! - [`app`] and [`http`]: the REST side; every access is authorized in one place.
//!
//! It refuses to know the wire (that is `protocol` and `transport`), what models and twins mean (`model`), and how rows become
//! files (`telemetry`). It never imports the edge, nor the edge it.
pub mod app;
pub mod authenticate;
pub mod certificates;
pub mod cli;
pub mod clock;
pub mod config;
pub mod data_folder;
pub mod demo;
pub mod front;
pub mod gateway;
pub mod http;
pub mod hub_http;
pub mod ingest;
pub mod limits;
pub mod live;
pub mod metrics;
pub mod provisioning;
pub mod record;
pub mod serve;
pub mod sessions;
pub mod store;
pub mod timeseries;

pub use serve::{shutdown_signal, shutdown_signal_unless};
