//! Generated files that are checked in: the OpenAPI document of the REST API, and the console's client made from it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::root;

/// Writes the generated files; with `check`, fails instead when one of them is stale.
pub fn run(check: bool) -> Result<()> {
    let document = root().join("openapi/central.json");
    let before = fs::read(&document).unwrap_or_default();
    let output = Command::new("cargo")
        .args(["run", "--quiet", "--package", "tidegate-api", "--example", "openapi"])
        .current_dir(root())
        .output()
        .context("could not start cargo")?;
    anyhow::ensure!(output.status.success(), "openapi example failed: {}", String::from_utf8_lossy(&output.stderr));
    if output.stdout != before {
        if check {
            bail!("openapi/central.json is stale: run `cargo xtask codegen`");
        }
        fs::write(&document, &output.stdout).context("could not write openapi/central.json")?;
    }
    let script = if check { "check-api" } else { "gen-api" };
    crate::run(Command::new("npm").args(["--prefix", "web", "run", "--silent", script]))
}
