//! Templates that were parsed, by what they were parsed from: a template is parsed once, however many devices use it.
//!
//! The etag changes with every write, so an entry is never out of date: it is only no longer asked for, and goes when the
//! template is read again or the cache starts over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::template::DeviceTemplate;
use registry::TemplateRow;

use super::read;
use crate::app::AppError;
use crate::limits::TEMPLATES_PARSED_BYTES_MAX;

/// The cache. Bounded by the bytes of the documents in it.
#[derive(Default)]
pub(in crate::app) struct ParsedTemplates {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    templates: HashMap<(String, String), Entry>,
    bytes: usize,
}

struct Entry {
    etag: String,
    bytes: usize,
    template: Arc<DeviceTemplate>,
}

impl ParsedTemplates {
    /// The template of a row of an application.
    pub(super) fn of(&self, application: &str, row: &TemplateRow) -> Result<Arc<DeviceTemplate>, AppError> {
        let key = (application.to_owned(), row.id.clone());
        let held = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = held().templates.get(&key).filter(|entry| entry.etag == row.etag) {
            return Ok(Arc::clone(&entry.template));
        }
        let template = Arc::new(read(row)?);
        held().enter(key, Entry { etag: row.etag.clone(), bytes: row.document.len(), template: Arc::clone(&template) });
        Ok(template)
    }
}

impl Held {
    fn enter(&mut self, key: (String, String), entry: Entry) {
        if self.bytes + entry.bytes > TEMPLATES_PARSED_BYTES_MAX {
            self.templates.clear();
            self.bytes = 0;
        }
        self.bytes += entry.bytes;
        if let Some(gone) = self.templates.insert(key, entry) {
            self.bytes -= gone.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn row(id: &str, etag: &str, padding: usize) -> TemplateRow {
        let document = json!({
            "@type": ["ModelDefinition", "DeviceModel"],
            "displayName": "T",
            "capabilityModel": {
                "@id": "dtmi:t:m;1", "@type": "Interface", "contents": [], "description": "x".repeat(padding),
            },
        });
        TemplateRow {
            id: id.to_owned(),
            etag: etag.to_owned(),
            display_name: "T".to_owned(),
            capability_model_id: "dtmi:t:m;1".to_owned(),
            document: document.to_string(),
            created_ms: 0,
            updated_ms: 0,
        }
    }

    #[test]
    fn a_template_is_parsed_once_until_it_changes() {
        let parsed = ParsedTemplates::default();
        let first = parsed.of("a", &row("t", "1", 0)).unwrap();
        assert!(Arc::ptr_eq(&first, &parsed.of("a", &row("t", "1", 0)).unwrap()));
        assert!(!Arc::ptr_eq(&first, &parsed.of("a", &row("t", "2", 0)).unwrap()));
        assert!(!Arc::ptr_eq(&first, &parsed.of("b", &row("t", "1", 0)).unwrap()), "another application's");
    }

    #[test]
    fn the_bytes_are_bounded_and_counted() {
        let parsed = ParsedTemplates::default();
        let size = row("t", "1", 500).document.len();
        let fit = TEMPLATES_PARSED_BYTES_MAX / size;
        for n in 0..=fit {
            parsed.of("a", &row(&format!("t{n}"), "1", 500)).unwrap();
            let held = parsed.held.lock().unwrap();
            let sum: usize = held.templates.values().map(|entry| entry.bytes).sum();
            assert!(held.bytes == sum && sum <= TEMPLATES_PARSED_BYTES_MAX);
        }
        assert!(parsed.held.lock().unwrap().templates.len() < fit, "it started over");
        parsed.of("a", &row("t1", "2", 500)).unwrap();
        let held = parsed.held.lock().unwrap();
        assert_eq!(held.bytes, held.templates.values().map(|entry| entry.bytes).sum::<usize>());
    }
}
