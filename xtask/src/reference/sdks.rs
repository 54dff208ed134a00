//! The page of the official SDKs, from what their tests last recorded; that it still is so, the tests see.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// What `tests/sdk/parity` recorded.
const RESULTS: &str = "tests/sdk/parity/results.json";
const WORKS: &str = "works";

/// Outcomes by member or situation, then by way of connecting.
type Rows = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Deserialize)]
struct Results {
    /// Versions of the packages, by name.
    packages: BTreeMap<String, String>,
    /// By test, then by the title of the table.
    parts: BTreeMap<String, BTreeMap<String, Rows>>,
    differences: Vec<Difference>,
}

/// Something that is not as in the original.
#[derive(Deserialize)]
struct Difference {
    what: String,
    member: String,
    way: String,
    outcome: String,
    original: String,
    why: String,
}

pub fn page(note: &str) -> Result<String> {
    let results = serde_json::from_str(&super::read(RESULTS)?).with_context(|| format!("could not read {RESULTS}"))?;
    render(note, &results)
}

fn render(note: &str, results: &Results) -> Result<String> {
    let mut text = format!(
        "# Device SDKs\n\n{note}\n\
         What the public methods of the official, unmodified packages do against Tidegate, by transport and credential, as the \
         tests last recorded it. A method that no test exercises fails the tests, and so does an outcome that is neither that \
         of Azure nor under *Differences*.\n\n\
         `✓`: works; `–`: there is no such combination, or it is not tried; a name is that of the error which comes out. \
         `NotImplementedError` is the SDK's own word, whatever it is connected to. Node's `ModuleClient` \
         is not in these tables yet.\n\n\
         | Package | Version |\n| --- | --- |\n"
    );
    for (name, version) in &results.packages {
        writeln!(text, "| `{name}` | {version} |")?;
    }
    for (title, rows) in results.parts.values().flatten() {
        add_table(&mut text, title, rows)?;
    }
    text.push_str("\n## Differences\n");
    if results.differences.is_empty() {
        text.push_str("\nNone is known.\n");
        return Ok(text);
    }
    text.push_str("\n| Where | What | Over | Here | Azure | Why |\n| --- | --- | --- | --- | --- | --- |\n");
    for Difference { what, member, way, outcome, original, why } in &results.differences {
        ensure!(!why.is_empty(), "{RESULTS}: the difference in {what}, {member} has no reason");
        let over = if way.is_empty() { "all" } else { way };
        writeln!(text, "| {what} | {member} | {over} | {outcome} | {original} | {why} |")?;
    }
    Ok(text)
}

fn add_table(text: &mut String, title: &str, rows: &Rows) -> Result<()> {
    let ways: BTreeSet<&str> = rows.values().flat_map(|ways| ways.keys().map(String::as_str)).collect();
    let first = if title.ends_with(" errors") { "Situation" } else { "Member" };
    write!(text, "\n## {title}\n\n| {first} |")?;
    for way in &ways {
        write!(text, " {way} |")?;
    }
    writeln!(text, "\n| --- |{}", " --- |".repeat(ways.len()))?;
    for (member, outcomes) in rows {
        let name = if first == "Member" { format!("`{member}`") } else { member.clone() };
        write!(text, "| {name} |")?;
        for way in &ways {
            let outcome = outcomes.get(*way).map_or("–", |outcome| if outcome == WORKS { "✓" } else { outcome });
            write!(text, " {outcome} |")?;
        }
        text.push('\n');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_every_way_and_a_difference_has_its_reason() {
        let text = r#"{"packages": {"sdk": "1.2"}, "parts": {"Python": {"C": {
            "send": {"MQTT": "works", "HTTP": "NotImplementedError"}, "twin": {"MQTT": "works"}}}},
            "differences": [{"what": "C", "member": "send", "way": "", "outcome": "a", "original": "b", "why": "so"}]}"#;
        let mut results: Results = serde_json::from_str(text).expect("it is whole");
        let page = render("NOTE", &results).expect("it has reasons");
        assert!(page.contains("| Member | HTTP | MQTT |\n| --- | --- | --- |\n| `send` | NotImplementedError | ✓ |\n"));
        assert!(page.contains("| `twin` | – | ✓ |\n"), "{page}");
        assert!(page.contains("| C | send | all | a | b | so |\n"));
        results.differences[0].why.clear();
        render("NOTE", &results).expect_err("a difference without a reason is a fault");
    }
}
