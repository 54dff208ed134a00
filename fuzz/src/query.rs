//! Queries: no text makes the parser panic, an error points into the text or just behind it, and limits hold.

use telemetry::query::{Query, QueryLimits};

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let limits = QueryLimits::default();
    match Query::parse(text, limits) {
        Ok(query) => assert!(!query.items.is_empty() && query.items.len() <= limits.items_max),
        Err(error) => assert!((1..=text.chars().count() + 1).contains(&error.position), "{error}"),
    }
}
