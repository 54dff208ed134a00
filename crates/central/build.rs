//! Makes the program follow the console: when `web/dist` is built anew, the files embedded by `http/console.rs` are too.
//!
//! The folder is made when it is missing, empty: Cargo can only watch what exists, and would otherwise build this crate each time.

use std::path::Path;

#[allow(clippy::print_stdout, reason = "the way to speak to Cargo")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let web = Path::new("../../web");
    if !web.is_dir() {
        return;
    }
    let dist = web.join("dist");
    if let Err(error) = std::fs::create_dir_all(&dist) {
        println!("cargo::warning=cannot make {}: {error}", dist.display());
        return;
    }
    println!("cargo::rerun-if-changed={}", dist.display());
}
