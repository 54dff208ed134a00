//! Every queue, buffer, retry, page and body has a named limit in its crate's `limits.rs`, and a test that meets it.

use std::collections::BTreeSet;

use super::source::{Source, code, words};

/// Channels are made with a named capacity.
const CHANNELS: &[&str] = &["mpsc::channel(", "broadcast::channel(", "sync_channel("];

pub fn check(sources: &[Source], breaches: &mut Vec<String>) {
    for (crate_name, limit) in untested(sources) {
        breaches.push(format!(
            "crates/{crate_name}/src/limits.rs: no test names {limit}: test at it, or remove it if it bounds nothing"
        ));
    }
    for source in sources {
        check_channels(source, breaches);
    }
}

/// Limits that no test of their crate names, and no test of another that imports them.
fn untested(sources: &[Source]) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with("/src/limits.rs")) {
        let Some(crate_name) = source.crate_name() else { continue };
        let imported = format!("{crate_name}::limits");
        let tested: BTreeSet<&str> = sources
            .iter()
            .filter(|other| other.crate_name() == Some(crate_name) || other.text.contains(&imported))
            .flat_map(|other| code(other.tests()).flat_map(|(_, line)| words(line)))
            .collect();
        let limits = source.shipped_code().filter_map(|(_, line)| constant(line));
        found.extend(limits.filter(|limit| !tested.contains(limit)).map(|limit| (crate_name, limit)));
    }
    found
}

fn constant(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub const ").or_else(|| line.strip_prefix("pub(crate) const "))?;
    rest.split(':').next()
}

fn check_channels(source: &Source, breaches: &mut Vec<String>) {
    for (number, line) in source.shipped_code() {
        let unbounded = line.contains("unbounded_channel(") || line.contains("unbounded()");
        let capacity = CHANNELS.iter().find_map(|channel| line.split_once(channel)).map(|(_, after)| after);
        if unbounded || capacity.and_then(leading_number).is_some_and(|capacity| capacity > 1) {
            breaches.push(format!("{}:{number}: a queue without a named limit", source.path));
        }
    }
}

/// The number a text starts with. One is no queue: whoever sends waits for whoever takes.
fn leading_number(text: &str) -> Option<usize> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_tested_where_its_crate_or_an_importer_names_it() {
        let source = |path: &str, text: &str| Source::new(path.into(), text.into());
        let limits = "pub const A_MAX: usize = 1;\npub const B_MAX: usize = 1;\npub(crate) const C_MAX: u8 = 1;\n";
        let mut sources = vec![
            source("crates/a/src/limits.rs", limits),
            source("crates/a/src/x/tests.rs", "use crate::limits::A_MAX;\n// B_MAX\n"),
            source("crates/b/src/x/tests.rs", "const C_MAX: usize = 2;\n"),
        ];
        assert_eq!(untested(&sources), [("a", "B_MAX"), ("a", "C_MAX")]);
        sources.push(source("crates/b/tests/it/x.rs", "use a::limits::{B_MAX, C_MAX};\n"));
        assert_eq!(untested(&sources), []);
    }

    #[test]
    fn a_queue_has_a_named_limit() {
        for (line, breach) in [
            ("mpsc::channel(16)", true),
            ("mpsc::unbounded_channel()", true),
            ("mpsc::channel(FRAMES_MAX)", false),
            ("mpsc::channel(1)", false),
        ] {
            let mut breaches = Vec::new();
            check_channels(&Source::new("crates/a/src/b.rs".into(), format!("let x = {line};\n")), &mut breaches);
            assert_eq!(!breaches.is_empty(), breach, "{line}");
        }
    }
}
