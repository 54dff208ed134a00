//! Tidegate Central: the platform.
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
