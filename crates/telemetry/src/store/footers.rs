//! The footers parsed last: a chart that refreshes reads the same few files again and again.

use std::sync::{Mutex, PoisonError};

use crate::limits::FOOTERS_CACHED_MAX;
use crate::segment::Footer;

/// Footers by file name, the most recently used last. Few enough to be searched in a row. An entry cannot be stale: a
/// segment's name is never given to other rows, and the reader checks the size.
#[derive(Default)]
pub(super) struct Footers {
    entries: Mutex<Vec<(String, Footer)>>,
}

impl Footers {
    pub fn get(&self, file_name: &str) -> Option<Footer> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let found = entries.iter().position(|(name, _)| name == file_name)?;
        let entry = entries.remove(found);
        let footer = entry.1.clone();
        entries.push(entry);
        Some(footer)
    }

    pub fn put(&self, file_name: &str, footer: &Footer) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|(name, _)| name != file_name);
        if entries.len() >= FOOTERS_CACHED_MAX {
            entries.remove(0);
        }
        entries.push((file_name.to_owned(), footer.clone()));
    }
}
