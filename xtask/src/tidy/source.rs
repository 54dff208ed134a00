//! The Rust files of the tree, and which of their lines are shipped and which are tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Deepest nesting of folders searched.
const FOLDER_DEPTH_MAX: usize = 16;

/// Files that are compiled for tests only although neither name nor folder says so.
const TEST_FILES: &[&str] = &[
    "crates/edge/src/runtime/contract.rs",
    "crates/edge/src/runtime/fake.rs",
    "crates/storage/src/testing.rs",
    "crates/transport/src/client/dps/mqtt.rs",
];

/// A Rust file.
pub struct Source {
    /// Path from the root, with `/`.
    pub path: String,
    /// Everything.
    pub text: String,
    /// Length of the part that is shipped: none of a file of tests, all before an inline module of tests.
    shipped_bytes: usize,
}

impl Source {
    /// A file at `path` from the root.
    pub fn new(path: String, text: String) -> Self {
        let shipped_bytes = if is_test_path(&path) { 0 } else { inline_tests_start(&text) };
        Self { path, text, shipped_bytes }
    }

    /// The part that is shipped.
    pub fn shipped(&self) -> &str {
        &self.text[..self.shipped_bytes]
    }

    /// The part that is compiled for tests only.
    pub fn tests(&self) -> &str {
        &self.text[self.shipped_bytes..]
    }

    /// Name of the crate's folder, when the file is of one.
    pub fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// Lines of the shipped part that are not comments, with their numbers.
    pub fn shipped_code(&self) -> impl Iterator<Item = (usize, &str)> {
        code(self.shipped())
    }
}

/// Lines that are not comments, with their numbers from 1.
pub fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The identifiers of a line.
pub fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// All Rust files below the folders of `root`, in order.
pub fn read_all(root: &Path, folders: &[&str]) -> Result<Vec<Source>> {
    let mut paths = Vec::new();
    for folder in folders {
        rust_files(&root.join(folder), 0, &mut paths)?;
    }
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        let shown = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        Ok(Source::new(shown, text))
    };
    paths.into_iter().map(read).collect()
}

fn is_test_path(path: &str) -> bool {
    path.contains("/tests/")
        || path.contains("/examples/")
        || path.ends_with("/tests.rs")
        || path.starts_with("crates/testkit/")
        || TEST_FILES.contains(&path)
}

/// Where an inline module of tests begins; it is the last thing in a file.
fn inline_tests_start(text: &str) -> usize {
    let mut start = 0;
    while let Some(found) = text[start..].find("#[cfg(test)]\n") {
        let at = start + found;
        let next = text[at..].lines().nth(1).unwrap_or_default();
        if (at == 0 || text[..at].ends_with('\n')) && next.starts_with("mod ") && next.ends_with('{') {
            return at;
        }
        start = at + 1;
    }
    text.len()
}

fn rust_files(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    if depth > FOLDER_DEPTH_MAX {
        bail!("{} is nested deeper than {FOLDER_DEPTH_MAX} folders", folder.display());
    }
    for entry in fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            rust_files(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_from_what_is_shipped() {
        let inline = "//! Doc.\n#[cfg(test)]\nmod tests;\nfn a() {}\n\n#[cfg(test)]\nmod more {\n    fn b() {}\n}\n";
        let source = Source::new("crates/edge/src/a.rs".into(), inline.into());
        assert!(source.shipped().ends_with("fn a() {}\n\n"));
        assert!(source.tests().contains("fn b"));
        for path in ["crates/a/tests/it/b.rs", "crates/a/src/b/tests.rs", "crates/testkit/src/a.rs", TEST_FILES[0]] {
            assert_eq!(Source::new(path.into(), inline.into()).shipped(), "", "{path}");
        }
    }

    #[test]
    fn the_named_test_files_are_there() {
        for path in TEST_FILES {
            assert!(crate::root().join(path).is_file(), "{path}");
        }
    }
}
