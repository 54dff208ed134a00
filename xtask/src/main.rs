//! The project's own automation, run as `cargo xtask COMMAND`.
//!
//! | Command | Does |
//! | --- | --- |
//! | `demo [ARGS]` | builds the console and the programs, then starts `tidegate demo` |
//! | `test [STEP…]` | every check there is, in order; with names, only those steps |
//! | `tidy` | the house rules a compiler does not check |
//! | `codegen [--check]` | refreshes the OpenAPI file, the console's client and `docs/reference/` |
//! | `bench [SCENARIO]` | the load scenarios of `bench/` |

mod codegen;
mod console;
mod reference;
mod steps;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let result = match command.as_str() {
        "demo" => demo(&rest),
        "test" => steps::run(&rest),
        "tidy" => tidy::run(&root()),
        "codegen" => codegen::run(rest.iter().any(|argument| argument == "--check")),
        "bench" => run(Command::new("python3").arg("bench/run.py").args(&rest)),
        _ => {
            eprintln!("usage: cargo xtask demo|test|tidy|codegen|bench");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root, from where every path in this program starts.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies one folder below the root").to_owned()
}

/// Runs a command in the root with its output passed through; an exit code other than 0 is an error that names it.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.current_dir(root()).status().with_context(|| format!("could not start {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// The profile the demo is built with: optimised, and soon there.
const RUN_PROFILE: &str = "quick";

/// Folder of the programs that are built with a profile; `debug` is that of tests.
pub fn programs(profile: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join(profile)
}

/// Builds the console and every program for tests.
pub fn build() -> Result<()> {
    console::build()?;
    run(Command::new("cargo").args(["build", "--quiet", "--workspace", "--bins"]))
}

fn demo(arguments: &[String]) -> Result<()> {
    use std::os::unix::process::CommandExt;
    eprintln!("building (up to ten minutes the first time on two cores, seconds after that)");
    console::build()?;
    let packages = ["--package", "tidegate-central", "--package", "tidegate-edge", "--package", "tidegate-modules"];
    run(Command::new("cargo").args(["build", "--quiet", "--profile", RUN_PROFILE, "--bins"]).args(packages))?;
    // Replaces this process, so that Ctrl-C and signals reach the demo itself.
    let error = Command::new(programs(RUN_PROFILE).join("tidegate")).arg("demo").args(arguments).exec();
    Err(error).context("could not start `tidegate demo`")
}
