//! The house rules a compiler does not check; run in `make test` and as a unit test of this crate.
//!
//! - floors: a crate imports only what ARCHITECTURE.md allows it;
//! - [`bans`]: text that may not stand in some part of the tree, and leftovers (marks of unfinished work, ignored tests);
//! - [`limits`]: each named limit has a test, each queue a named limit;
//! - [`public`]: public items have a caller, public modules somebody outside;
//! - [`formats`]: stored formats are documented where they are written and start with a version;
//! - [`console`]: the console asks the REST API and nothing else;
//! - every Rust file opens with a module doc, has at most 1,000 lines and no function over 70 lines; no vague module names;
//! - decision records are numbered without gaps.

mod bans;
mod console;
mod formats;
mod limits;
mod public;
mod source;

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use source::Source;

/// Longest file, in lines.
const FILE_LINES_MAX: usize = 1_000;
/// Longest function, in lines from signature to closing brace.
const FUNCTION_LINES_MAX: usize = 70;

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

const VAGUE_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc"];

/// Checks the tree at `root`; the error lists every breach with its place.
pub fn run(root: &Path) -> Result<()> {
    let mut breaches = Vec::new();
    check_floors(root, &mut breaches)?;
    check_decisions(root, &mut breaches)?;
    let sources = source::read_all(root, &["crates", "bench", "xtask", "fuzz"])?;
    for source in
        sources.iter().filter(|source| source.path.starts_with("crates/") || source.path.starts_with("xtask/"))
    {
        check_file(source, &mut breaches);
    }
    let product: Vec<Source> = sources.into_iter().filter(|source| !source.path.starts_with("xtask/")).collect();
    bans::check_all(&product, &mut breaches);
    limits::check(&product, &mut breaches);
    public::check_all(&product, &mut breaches);
    formats::check_all(&product, &mut breaches);
    console::check(root, &mut breaches)?;
    if breaches.is_empty() {
        return Ok(());
    }
    bail!("{} breaches of the house rules:\n{}", breaches.len(), breaches.join("\n"))
}

fn check_file(source: &Source, breaches: &mut Vec<String>) {
    let (path, text) = (source.path.as_str(), source.text.as_str());
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
            ("crates/edge/src/a.rs", long.as_str(), "a function of"),
            ("crates/model/src/a.rs", "//! Doc.\nuse std::fs;\n", "the caller passes"),
            ("crates/central/src/app/a.rs", "//! Doc.\nuse sqlx::query;\n", "SQL belongs"),
            ("crates/central/src/a.rs", "const T: &str = \"$iothub/twin\";\n", "are spelled in"),
            ("crates/edge/src/lifecycle/plan.rs", "async fn plan() {}\n", "pure function"),
            ("crates/edge/src/hub/a.rs", "//! Doc.\nlet key = enrollment.key.reveal()?;\n", "ask the `Signer`"),
            ("crates/edge/src/workload.rs", "//! Doc.\nlet token = sas::sign(audience, key);\n", "ask the `Signer`"),
            ("crates/edge/src/a/tests.rs", "#[test]\n#[ignore]\nfn a() {}\n", "fix the test"),
        ] {
            let mut breaches = Vec::new();
            let source = Source::new(path.into(), text.into());
            check_file(&source, &mut breaches);
            bans::check_all(&[source], &mut breaches);
            assert!(breaches.iter().any(|breach| breach.contains(expected)), "{path}: {breaches:?}");
        }
    }
}
