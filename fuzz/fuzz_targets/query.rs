//! Queries: no text makes the parser panic, an error points into the text or just behind it, and limits hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::query::{Query, QueryLimits};

fuzz_target!(|text: &str| {
    let limits = QueryLimits::default();
    match Query::parse(text, limits) {
        Ok(query) => assert!(!query.items.is_empty() && query.items.len() <= limits.items_max),
        Err(error) => assert!((1..=text.chars().count() + 1).contains(&error.position), "{error}"),
    }
});
