//! `tidegate`: see [`central::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    central::cli::main()
}
