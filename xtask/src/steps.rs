//! `cargo xtask test`: every check of the project, in the order in which a failure is cheapest to learn.
//!
//! All steps run even when one fails, and the last lines say which did: one run shows everything there is to mend.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{codegen, console, programs, root, tidy};

/// A named check.
struct Step {
    name: &'static str,
    check: fn() -> Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "format", check: format },
    Step { name: "tidy", check: || tidy::run(&root()) },
    Step { name: "dependencies", check: dependencies },
    Step { name: "console", check: console_checks },
    Step { name: "lints", check: lints },
    Step { name: "codegen", check: || codegen::run(true) },
    Step { name: "rust", check: rust_tests },
    Step { name: "sdk", check: sdk_tests },
    Step { name: "browser", check: browser_tests },
];

/// Runs all steps, or the named ones.
pub fn run(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let known: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        bail!("no step `{unknown}`; there are {}", known.join(", "));
    }
    let mut failed = Vec::new();
    for step in STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)) {
        eprintln!("\n==> {}", step.name);
        let started = Instant::now();
        let result = (step.check)();
        let seconds = started.elapsed().as_secs();
        match result {
            Ok(()) => eprintln!("==> {}: fine ({seconds} s)", step.name),
            Err(error) => {
                eprintln!("==> {}: FAILED ({seconds} s): {error:#}", step.name);
                failed.push(step.name);
            }
        }
    }
    if failed.is_empty() {
        eprintln!("\nall steps passed");
        return Ok(());
    }
    bail!("failed steps: {}", failed.join(", "))
}

fn format() -> Result<()> {
    crate::run(Command::new("cargo").args(["fmt", "--all", "--check"]))
}

fn dependencies() -> Result<()> {
    let deny =
        |arguments: &[&str]| crate::run(Command::new("cargo-deny").args(["--log-level", "error"]).args(arguments));
    deny(&["check", "licenses", "bans", "sources"])?;
    // The database of known faults is a repository: without a way to it, and without a copy, nothing can be said.
    let fetched = Command::new("cargo-deny").args(["fetch", "db"]).current_dir(root()).output();
    if fetched.is_ok_and(|output| output.status.success()) {
        return deny(&["check", "--disable-fetch", "advisories"]);
    }
    eprintln!("dependencies: the database of known faults is not to be had: advisories NOT checked");
    Ok(())
}

fn console_checks() -> Result<()> {
    crate::run(Command::new("npm").args(["--prefix", "web", "run", "--silent", "check"]))?;
    console::build()
}

fn lints() -> Result<()> {
    crate::run(Command::new("cargo").args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
    // The programs of cargo-fuzz: what they run is run by a test, and here it is seen that they can be built.
    let fuzz = [
        "--quiet",
        "--package",
        "tidegate-fuzz",
        "--features",
        "libfuzzer-build",
        "--bins",
        "--",
        "--deny",
        "warnings",
    ];
    crate::run(Command::new("cargo").arg("clippy").args(fuzz))
}

fn rust_tests() -> Result<()> {
    let nextest =
        Command::new("cargo").args(["nextest", "--version"]).output().is_ok_and(|output| output.status.success());
    if nextest {
        crate::run(Command::new("cargo").args([
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--show-progress=none",
            "--status-level=fail",
        ]))
    } else {
        crate::run(Command::new("cargo").args(["test", "--workspace", "--no-fail-fast", "--quiet"]))
    }
}

/// The SDK tests need the fixed ports 443 and 8883 and host names of their own, so they get a network namespace in
/// which these are free and an `/etc/hosts` that nobody else sees.
fn sdk_tests() -> Result<()> {
    crate::run(Command::new("cargo").args(["build", "--quiet", "--workspace", "--bins"]))?;
    let python =
        std::env::var("TIDEGATE_TEST_PYTHON").context("TIDEGATE_TEST_PYTHON is not set: start with `make test`")?;
    let inside = "ip link set lo up && mount --bind tests/hosts /etc/hosts && exec \"$0\" -m pytest -c tests/pytest.ini tests/sdk tests/faults";
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]);
    if !is_root() {
        command.arg("--map-root-user");
    }
    crate::run(command.args(["sh", "-c", inside, &python]).env("TIDEGATE_PROGRAMS", programs("debug")))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn browser_tests() -> Result<()> {
    crate::build()?;
    crate::run(
        Command::new("npm")
            .args(["--prefix", "web", "run", "--silent", "e2e"])
            .env("TIDEGATE_PROGRAMS", programs("debug")),
    )
}
