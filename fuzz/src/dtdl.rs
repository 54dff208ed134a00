//! DTDL documents and templates: no input panics, and every finding points to a place in its document.

use model::dtdl::validate_documents;
use model::template::DeviceTemplate;
use serde_json::Value;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else { return };
    let documents = [("fuzz.json".to_owned(), document)];
    for report in validate_documents(&documents) {
        for error in report.errors {
            assert!(documents[0].1.pointer(&error.pointer).is_some(), "{error:?}");
        }
    }
    let [(_, document)] = documents;
    if let Err(errors) = DeviceTemplate::parse(document.clone()) {
        for error in errors {
            assert!(document.pointer(&error.pointer).is_some(), "{error:?}");
        }
    }
}
