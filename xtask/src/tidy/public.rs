//! Public items have a caller, and modules are public only when somebody outside uses them.
//!
//! Found by words, not by types: an item whose name stands nowhere else in shipped code has no caller. Names that also stand
//! for something else escape; the compiler finds those once their module is private.

use std::collections::{BTreeSet, HashMap};

use super::source::{Source, words};

const KINDS: &[&str] = &["fn", "struct", "enum", "trait", "type", "const", "static"];

pub fn check_all(sources: &[Source], breaches: &mut Vec<String>) {
    let found = unused_items(sources).into_iter().chain(unused_modules(sources));
    breaches.extend(
        found.map(|Unused { path, name, number, what }| format!("{path}:{number}: `{name}` is public and {what}")),
    );
}

/// Something public that need not be.
#[derive(Debug, PartialEq, Eq)]
struct Unused<'a> {
    path: &'a str,
    number: usize,
    name: &'a str,
    what: &'static str,
}

fn unused_items(sources: &[Source]) -> Vec<Unused<'_>> {
    let mut count: HashMap<&str, usize> = HashMap::new();
    for source in sources {
        for (_, line) in source.shipped_code() {
            for word in words(line) {
                *count.entry(word).or_default() += 1;
            }
        }
    }
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with("crates/")) {
        for (number, line) in source.shipped_code() {
            let Some(name) = public_item(line).filter(|name| count.get(name) == Some(&1)) else { continue };
            found.push(Unused { path: &source.path, number, name, what: "nobody calls it" });
        }
    }
    found
}

fn public_item(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let mut words = words(rest).skip_while(|word| matches!(*word, "async" | "unsafe"));
    let (first, second) = (words.next()?, words.next()?);
    // `pub const fn name`
    let name = if first == "const" && second == "fn" { words.next()? } else { second };
    KINDS.contains(&first).then_some(name)
}

/// `pub mod` in a crate's root that no other crate, test, example or benchmark names.
fn unused_modules(sources: &[Source]) -> Vec<Unused<'_>> {
    let mut found = Vec::new();
    for root in sources.iter().filter(|source| source.path.ends_with("/src/lib.rs")) {
        let Some(crate_name) = root.crate_name() else { continue };
        let inside = format!("crates/{crate_name}/src/");
        let is_program =
            |path: &str| path.starts_with(&inside) && (path.ends_with("/main.rs") || path.contains("/bin/"));
        let outside = sources.iter().filter(|other| !other.path.starts_with(&inside) || is_program(&other.path));
        let named: BTreeSet<String> = outside.flat_map(|other| modules_named(&other.text, crate_name)).collect();
        for (number, line) in root.shipped_code() {
            let module = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';'));
            let Some(name) = module.filter(|module| !named.contains(*module)) else { continue };
            found.push(Unused { path: &root.path, number, name, what: "used by nobody outside" });
        }
    }
    found
}

/// What follows `name::` in a text, whether alone or in a list in braces.
fn modules_named(text: &str, crate_name: &str) -> Vec<String> {
    let prefix = format!("{crate_name}::");
    let mut found = Vec::new();
    for (at, _) in text.match_indices(&prefix) {
        if text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            // The list's end is not looked for: a word too many only makes a module count as used.
            Some(list) => found.extend(list.split(';').next().into_iter().flat_map(words).map(str::to_owned)),
            None => found.extend(words(rest.lines().next().unwrap_or_default()).next().map(str::to_owned)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Vec<Source> {
        files.iter().map(|(path, text)| Source::new((*path).into(), (*text).into())).collect()
    }

    #[test]
    fn an_item_without_a_caller_is_found() {
        let used = "pub fn called() {}\npub const fn idle() {}\npub struct Idle;\nfn x() { called() }\n";
        let sources = sources(&[("crates/a/src/a.rs", used), ("crates/a/src/tests.rs", "idle(); Idle")]);
        let names: Vec<&str> = unused_items(&sources).iter().map(|unused| unused.name).collect();
        assert_eq!(names, ["idle", "Idle"]);
    }

    #[test]
    fn a_module_nobody_names_is_found() {
        let root = ("crates/a/src/lib.rs", "pub mod one;\npub mod two;\npub mod three;\nmod four;\n");
        let user = ("crates/b/src/lib.rs", "use a::{\n    one::X,\n};\nfn f() { a::two::g(); ba::three::h() }\n");
        let sources = sources(&[root, user]);
        let names: Vec<&str> = unused_modules(&sources).iter().map(|unused| unused.name).collect();
        assert_eq!(names, ["three"]);
    }
}
