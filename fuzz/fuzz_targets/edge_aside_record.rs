//! `edge_aside_record` for cargo-fuzz; the target itself is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::edge_aside_record::run(bytes));
