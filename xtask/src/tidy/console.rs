//! The console has no privilege: what it knows it asks the REST API for, through the client that is generated from the API's
//! description, so that nothing it does is closed to others.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Deepest nesting of folders searched.
const FOLDER_DEPTH_MAX: usize = 8;
/// Where requests are made.
const CLIENT: &str = "web/src/api/";
/// What makes a request.
const REQUESTS: &[&str] = &["fetch(", "EventSource(", "XMLHttpRequest", "WebSocket("];

pub fn check(root: &Path, breaches: &mut Vec<String>) -> Result<()> {
    check_folder(root, &root.join("web/src"), 0, breaches)
}

fn check_folder(root: &Path, folder: &Path, depth: usize, breaches: &mut Vec<String>) -> Result<()> {
    anyhow::ensure!(depth <= FOLDER_DEPTH_MAX, "{} is nested too deep", folder.display());
    for entry in fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))? {
        let path = entry?.path();
        let shown = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if path.is_dir() {
            check_folder(root, &path, depth + 1, breaches)?;
        } else if (shown.ends_with(".ts") || shown.ends_with(".tsx")) && !shown.starts_with(CLIENT) {
            let text = fs::read_to_string(&path).with_context(|| format!("could not read {shown}"))?;
            check_file(&shown, &text, breaches);
        }
    }
    Ok(())
}

fn check_file(path: &str, text: &str, breaches: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        if let Some(request) = REQUESTS.iter().find(|request| called(line, request)) {
            breaches.push(format!("{path}:{}: `{request}`: requests are made in {CLIENT}", number + 1));
        }
    }
}

/// Whether the word stands there, and not only the end of a longer one (`refetch(`).
fn called(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_past_the_client_is_found() {
        for (line, found) in
            [("await fetch('/api/x')", true), ("void query.refetch()", false), ("new EventSource(u)", true)]
        {
            let mut breaches = Vec::new();
            check_file("web/src/pages/A.tsx", line, &mut breaches);
            assert_eq!(!breaches.is_empty(), found, "{line}");
        }
    }
}
