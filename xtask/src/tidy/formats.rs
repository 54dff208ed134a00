//! Stored formats are documented in the module that writes them and start with a version, and any bytes in their place are
//! tried in `fuzz/`.

use super::source::Source;

/// The modules that write a format of ours, each with its target in `fuzz/`. A new one is entered here; one that moved is entered
/// anew.
const FORMATS: &[(&str, &str)] = &[
    ("crates/storage/src/log/segment.rs", "log_segment"),
    ("crates/storage/src/log/checkpoint.rs", "log_checkpoints"),
    ("crates/storage/src/log/acknowledged.rs", "log_acknowledged"),
    ("crates/storage/src/envelope.rs", "state_envelope"),
    ("crates/telemetry/src/segment/layout.rs", "telemetry_segment"),
    ("crates/events/src/record.rs", "event_record"),
    ("crates/edge/src/hub/record.rs", "edge_record"),
    ("crates/edge/src/hub/queue/aside/record.rs", "edge_aside_record"),
];

pub fn check_all(sources: &[Source], breaches: &mut Vec<String>) {
    for (path, target) in FORMATS {
        let target = format!("fuzz/src/{target}.rs");
        if sources.iter().all(|source| source.path != target) {
            breaches.push(format!("{path}: its bytes are read without a fuzz target: {target} is not there"));
        }
        let Some(source) = sources.iter().find(|source| source.path == *path) else {
            breaches.push(format!(
                "{path}: a stored format is written here, says xtask/src/tidy/formats.rs; where is it now?"
            ));
            continue;
        };
        let documented = source.text.lines().take_while(|line| line.starts_with("//!")).any(|line| {
            let line = line.to_lowercase();
            line.contains("version")
        });
        if !documented {
            breaches.push(format!("{path}: the module doc does not describe the stored format and its version"));
        }
        let constant = source.shipped_code().any(|(_, line)| line.contains("const ") && line.contains("VERSION"));
        if !constant {
            breaches.push(format!("{path}: no constant `…VERSION` that the stored format starts with"));
        }
    }
}
