//! Builds `web/` into `web/dist`, which Central embeds; skipped while nothing it is made from has changed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};

/// What the bundle is made from, below `web/`.
const SOURCES: &[&str] = &["src", "public", "index.html", "package-lock.json", "vite.config.ts", "tsconfig.json"];

/// Builds the console if needed. The packages have been installed by `setup.sh`.
pub fn build() -> Result<()> {
    let web = crate::root().join("web");
    let built = modified(&web.join("dist/index.html"));
    let changed = SOURCES.iter().filter_map(|source| newest(&web.join(source))).max();
    if built.is_some() && changed <= built {
        return Ok(());
    }
    let status = Command::new("npm")
        .args(["run", "--silent", "build", "--", "--logLevel", "warn"])
        .current_dir(&web)
        .status()
        .context("could not start npm")?;
    anyhow::ensure!(status.success(), "the console's build ended with {status}");
    Ok(())
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// The newest modification at or below `path`.
fn newest(path: &Path) -> Option<SystemTime> {
    let mut latest = modified(path);
    if let Ok(entries) = fs::read_dir(path) {
        for entry in entries.flatten() {
            latest = latest.max(newest(&entry.path()));
        }
    }
    latest
}
