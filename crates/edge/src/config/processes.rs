//! `[tidegate.processes]`: programs that stand in for images where no container engine is.
//!
//! ```toml
//! [tidegate.processes]
//! "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor" = "/usr/bin/simulated-temperature-sensor"
//! "example.com/filter:2" = { program = "python3", args = ["/opt/filter.py"] }
//! ```
//! An entry without tag stands for every tag of the image; an entry with the exact tag is preferred.

use std::collections::BTreeMap;

use model::manifest::image::ImageName;
use serde::Deserialize;

use super::BadValue;

/// An entry as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum ProcessEntry {
    /// Only the program.
    Program(String),
    /// Program and arguments.
    Full(FullEntry),
}

/// The long form of an entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FullEntry {
    program: String,
    #[serde(default)]
    args: Vec<String>,
}

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// A path, or a name looked up beside this executable and then in `PATH`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// The table from image to program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes(BTreeMap<String, Process>);

impl Processes {
    pub(super) fn check(entries: BTreeMap<String, ProcessEntry>) -> Result<Self, BadValue> {
        let mut processes = BTreeMap::new();
        for (image, entry) in entries {
            let process = match entry {
                ProcessEntry::Program(program) => Process { program, args: Vec::new() },
                ProcessEntry::Full(FullEntry { program, args }) => Process { program, args },
            };
            if process.program.trim().is_empty() {
                return Err(BadValue::new("tidegate.processes", format!("names no program for {image:?}")));
            }
            processes.insert(image.trim().to_owned(), process);
        }
        Ok(Self(processes))
    }

    /// A table of given entries.
    #[cfg(test)]
    pub(crate) fn from_entries(entries: impl IntoIterator<Item = (String, Process)>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// The program for an image, if one is named.
    pub fn find(&self, image: &str) -> Option<&Process> {
        let image = image.trim();
        let by_name = || self.0.get(ImageName::parse(image).ok()?.without_tag());
        self.0.get(image).or_else(by_name)
    }

    /// All entries, by image.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Process)> {
        self.0.iter().map(|(image, process)| (image.as_str(), process))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_matches_with_and_without_tag() {
        let process = |program: &str| Process { program: program.into(), args: vec![] };
        let table = Processes::from_entries([
            ("example.com:5000/sensor".to_owned(), process("any")),
            ("example.com:5000/sensor:2".to_owned(), process("two")),
        ]);
        let cases = [
            ("example.com:5000/sensor", Some("any")),
            ("example.com:5000/sensor:1.0", Some("any")),
            ("example.com:5000/sensor:2", Some("two")),
            (" example.com:5000/sensor@sha256:00ff ", Some("any")),
            ("sensor", None),
            ("example.com/sensor", None),
        ];
        for (image, expected) in cases {
            assert_eq!(table.find(image).map(|p| p.program.as_str()), expected, "{image}");
        }
    }
}
