//! `tidegate-edge`: see the library's documentation.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    edge::cli::run(edge::cli::Cli::parse())
}
