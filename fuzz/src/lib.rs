//! Fuzz targets: whatever reads bytes that somebody else wrote, one module a target, and what holds for any bytes.
//!
//! The same functions run twice. `cargo test -p tidegate-fuzz` runs each seed of `corpus/TARGET/` and a fixed number of
//! mutations of it, always the same ones, with any compiler. For as long as one likes, with a nightly compiler and
//! cargo-fuzz: `cargo +nightly fuzz run --features libfuzzer TARGET`.
//!
//! A new target: a module here, its line in [`TARGETS`], its program in `fuzz_targets/` and `Cargo.toml`, a seed in `corpus/`.

pub mod bag;
pub mod block_list;
pub mod dps_body;
pub mod dtdl;
pub mod edge_aside_record;
pub mod edge_record;
pub mod event_record;
pub mod hub_side;
pub mod hub_topic;
pub mod log_acknowledged;
pub mod log_checkpoints;
pub mod log_segment;
pub mod manifest;
pub mod mqtt_decode;
pub mod query;
pub mod route;
pub mod sas_token;
pub mod state_envelope;
pub mod telemetry_segment;
pub mod web_socket;

pub mod mutate;

/// A target: its name, and what runs it.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("bag", bag::run),
    ("block_list", block_list::run),
    ("dps_body", dps_body::run),
    ("dtdl", dtdl::run),
    ("edge_aside_record", edge_aside_record::run),
    ("edge_record", edge_record::run),
    ("event_record", event_record::run),
    ("hub_side", hub_side::run),
    ("hub_topic", hub_topic::run),
    ("log_acknowledged", log_acknowledged::run),
    ("log_checkpoints", log_checkpoints::run),
    ("log_segment", log_segment::run),
    ("manifest", manifest::run),
    ("mqtt_decode", mqtt_decode::run),
    ("query", query::run),
    ("route", route::run),
    ("sas_token", sas_token::run),
    ("state_envelope", state_envelope::run),
    ("telemetry_segment", telemetry_segment::run),
    ("web_socket", web_socket::run),
];
