//! `block_list` for cargo-fuzz; the target itself is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::block_list::run(bytes));
