//! Generated files that are checked in: the OpenAPI documents of the REST API, the console's client made from them, and
//! the reference pages.

use std::process::Command;

use anyhow::Result;

/// Writes the generated files. With `check`, fails instead when the console's client or a page of the reference is stale;
/// that the documents are not is a test of the crate `api`.
pub fn run(check: bool) -> Result<()> {
    if !check {
        crate::run(Command::new("cargo").args([
            "run",
            "--quiet",
            "--package",
            "tidegate-api",
            "--example",
            "openapi",
        ]))?;
    }
    crate::reference::run(check)?;
    let script = if check { "check-api" } else { "gen-api" };
    crate::run(Command::new("npm").args(["--prefix", "web", "run", "--silent", script]))
}
