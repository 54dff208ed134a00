//! The house rules a compiler does not check; run in `make test` and as a unit test of this crate.
//!
//! - floors: a crate imports only what ARCHITECTURE.md allows it;
//! - `protocol` and `model` have no I/O, clock or randomness; SQL stays in `registry`; topics are spelled in
//!   `protocol/src/hub` only; private keys of an edge device stay in `edge/src/identity`;
//! - every Rust file opens with a module doc, has at most 1,000 lines and no function over 70 lines;
//! - no leftovers (marks of unfinished work, ignored tests), no vague module names;
//! - decision records are numbered without gaps.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Longest file, in lines.
const FILE_LINES_MAX: usize = 1_000;
/// Longest function, in lines from signature to closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Deepest nesting of folders searched.
const FOLDER_DEPTH_MAX: usize = 16;

/// Which of our crates a crate may import; a crate that is not listed may not exist.
const FLOORS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("protocol", &["model"]),
    ("storage", &[]),
    ("api", &["model"]),
    ("telemetry", &["model"]),
    ("transport", &["model", "protocol"]),
    ("testkit", &["model", "protocol", "storage", "api", "transport"]),
    ("registry", &["model"]),
    ("events", &["model", "protocol", "storage"]),
    ("hub", &["model", "protocol", "storage", "transport", "registry", "events"]),
    ("readers", &["model", "protocol", "storage", "telemetry", "registry", "events"]),
    ("modules", &["model", "protocol", "transport"]),
    (
        "central",
        &["model", "protocol", "storage", "api", "telemetry", "transport", "registry", "events", "hub", "readers"],
    ),
    ("edge", &["model", "protocol", "storage", "transport"]),
];

/// Text that may not stand in a file below `folder`, unless the path holds `except`, and what to do instead.
struct Ban {
    folder: &'static str,
    text: &'static str,
    except: &'static str,
    instead: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        folder: "crates/protocol/src",
        text: "SystemTime::now",
        except: "/tests",
        instead: "the caller passes `now`",
    },
    Ban { folder: "crates/protocol/src", text: "Instant::now", except: "/tests", instead: "the caller passes `now`" },
    Ban {
        folder: "crates/protocol/src",
        text: "std::net::Tcp",
        except: "\0",
        instead: "sockets belong to `transport`",
    },
    Ban { folder: "crates/model/src", text: "std::fs", except: "\0", instead: "`model` does no I/O" },
    Ban { folder: "crates/model/src", text: "SystemTime::now", except: "/tests", instead: "the caller passes `now`" },
    Ban { folder: "crates", text: "sqlx::", except: "crates/registry", instead: "SQL belongs to `registry`" },
    edge_key("MasterKey"),
    edge_key("SharedKey"),
    edge_key("primary_key"),
    edge_key(".key.reveal("),
    edge_key("sas::sign("),
    edge_key("tls::authority"),
    Ban { folder: "crates", text: "todo!(", except: "\0", instead: "finish it, or leave it out" },
    Ban { folder: "crates", text: "unimplemented!(", except: "\0", instead: "finish it, or leave it out" },
    Ban { folder: "crates", text: "#[ignore", except: "\0", instead: "fix the test, or delete it" },
    Ban {
        folder: "crates",
        text: "\"$iothub/",
        except: "crates/protocol/src/hub",
        instead: "spell topics in `protocol::hub`",
    },
    Ban {
        folder: "crates",
        text: "messages/events/",
        except: "crates/protocol/src/hub",
        instead: "spell topics in `protocol::hub`",
    },
];

/// Private keys of an edge device stay in its identity room (invariant 8 of ARCHITECTURE.md): what would hold, read or use
/// one elsewhere.
const fn edge_key(text: &'static str) -> Ban {
    let instead = "keys stay in `edge/src/identity`: ask the `Signer`";
    Ban { folder: "crates/edge/src", text, except: "crates/edge/src/identity", instead }
}

const VAGUE_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc"];

/// Checks the tree at `root`; the error lists every breach with its place.
pub fn run(root: &Path) -> Result<()> {
    let mut breaches = Vec::new();
    check_floors(root, &mut breaches)?;
    check_decisions(root, &mut breaches)?;
    let mut files = Vec::new();
    for folder in ["crates", "xtask"] {
        rust_files(&root.join(folder), 0, &mut files)?;
    }
    files.sort();
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
        let shown = file.strip_prefix(root).unwrap_or(file).display().to_string();
        check_file(&shown, &text, &mut breaches);
    }
    if breaches.is_empty() {
        return Ok(());
    }
    bail!("{} breaches of the house rules:\n{}", breaches.len(), breaches.join("\n"))
}

fn check_file(path: &str, text: &str, breaches: &mut Vec<String>) {
    let lines = text.lines().count();
    if !text.starts_with("//!") && !path.contains("/tests") && !path.contains("/examples/") {
        breaches.push(format!("{path}: no module doc (`//!`) at the top"));
    }
    if lines > FILE_LINES_MAX {
        breaches.push(format!("{path}: {lines} lines; cut it below {FILE_LINES_MAX}"));
    }
    let name = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if VAGUE_NAMES.contains(&name) {
        breaches.push(format!("{path}: `{name}` says nothing; name what is in it"));
    }
    if !path.starts_with("xtask") {
        for ban in BANS.iter().filter(|ban| path.starts_with(ban.folder) && !path.contains(ban.except)) {
            for (number, line) in text.lines().enumerate() {
                if line.contains(ban.text) && !line.trim_start().starts_with("//") && !path.contains("tests") {
                    breaches.push(format!("{path}:{}: `{}`: {}", number + 1, ban.text, ban.instead));
                }
            }
        }
    }
    if !path.contains("tests") {
        check_functions(path, text, breaches);
    }
}

/// Measures functions by indentation, which rustfmt makes reliable: a function ends at the first `}` as deep as its `fn`.
fn check_functions(path: &str, text: &str, breaches: &mut Vec<String>) {
    let mut open: Option<(usize, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match open {
            None if starts_function(line) && !line.trim_end().ends_with(';') && !line.trim_end().ends_with('}') => {
                open = Some((number, indent));
            }
            Some((start, depth)) if indent == depth && (line.trim() == "}" || line.trim_end().ends_with(';')) => {
                let length = number - start + 1;
                if length > FUNCTION_LINES_MAX {
                    breaches.push(format!(
                        "{path}:{}: a function of {length} lines; at most {FUNCTION_LINES_MAX}",
                        start + 1
                    ));
                }
                open = None;
            }
            _ => {}
        }
    }
}

fn starts_function(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words
        .by_ref()
        .find(|word| !matches!(*word, "pub" | "pub(crate)" | "pub(super)" | "async" | "const"))
        .is_some_and(|word| word == "fn")
}

fn check_floors(root: &Path, breaches: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(root.join("crates"))? {
        let folder = entry?.path();
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let Some((_, allowed)) = FLOORS.iter().find(|(known, _)| *known == name) else {
            breaches.push(format!("crates/{name}: not in the list of floors (xtask/src/tidy.rs, ARCHITECTURE.md)"));
            continue;
        };
        let manifest = fs::read_to_string(folder.join("Cargo.toml"))?;
        let shipped = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for (other, _) in FLOORS {
            let imported = shipped
                .lines()
                .any(|line| line.starts_with(&format!("{other}.")) || line.starts_with(&format!("{other} =")));
            if imported && !allowed.contains(other) {
                breaches.push(format!("crates/{name}/Cargo.toml: `{name}` may not import `{other}`"));
            }
        }
    }
    Ok(())
}

fn check_decisions(root: &Path, breaches: &mut Vec<String>) -> Result<()> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(root.join("docs/decisions"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        match name.split('-').next().and_then(|number| number.parse::<usize>().ok()) {
            Some(number) => numbers.push(number),
            None => breaches.push(format!("docs/decisions/{name}: the name starts with a four-digit number")),
        }
    }
    numbers.sort_unstable();
    if numbers != (1..=numbers.len()).collect::<Vec<_>>() {
        breaches.push(format!("docs/decisions: numbers have gaps or doubles: {numbers:?}"));
    }
    Ok(())
}

fn rust_files(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    if depth > FOLDER_DEPTH_MAX {
        bail!("{} is nested deeper than {FOLDER_DEPTH_MAX} folders", folder.display());
    }
    for entry in fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
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
    fn the_tree_keeps_the_house_rules() {
        if let Err(error) = run(&crate::root()) {
            panic!("{error:#}");
        }
    }

    #[test]
    fn breaches_are_found() {
        let long = format!("//! Doc.\nfn long() {{\n{}}}\n", "    step();\n".repeat(FUNCTION_LINES_MAX));
        for (path, text, expected) in [
            ("crates/model/src/a.rs", "fn a() {}\n", "no module doc"),
            ("crates/model/src/utils.rs", "//! Doc.\n", "says nothing"),
            ("crates/model/src/a.rs", "//! Doc.\nuse std::fs;\n", "no I/O"),
            ("crates/central/src/app/a.rs", "//! Doc.\nuse sqlx::query;\n", "SQL belongs"),
            ("crates/edge/src/a.rs", long.as_str(), "a function of"),
            ("crates/edge/src/hub/a.rs", "//! Doc.\nlet key = enrollment.key.reveal()?;\n", "ask the `Signer`"),
            ("crates/edge/src/workload.rs", "//! Doc.\nlet token = sas::sign(audience, key);\n", "ask the `Signer`"),
        ] {
            let mut breaches = Vec::new();
            check_file(path, text, &mut breaches);
            assert!(breaches.iter().any(|breach| breach.contains(expected)), "{path}: {breaches:?}");
        }
    }
}
