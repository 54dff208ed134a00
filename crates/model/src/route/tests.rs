//! Tables of the route language, one file per part of the reference: grammar, types, values, functions, bodies, tables.
#![allow(clippy::unwrap_used)]
mod bodies;
mod checks;
mod functions;
mod generated;
mod grammar;
mod sources;
mod tables;
mod types;
mod values;

use super::{Condition, OwnedMessage, RouteError, RouteErrorKind, Verdict};

const T: Verdict = Verdict::True;
const F: Verdict = Verdict::False;
const U: Verdict = Verdict::Undefined;

/// A message with text properties `name=value`; a name alone has no value.
fn message(properties: &[&str]) -> OwnedMessage {
    let properties = properties.iter().map(|property| match property.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => ((*property).to_owned(), None),
    });
    OwnedMessage { properties: properties.collect(), ..OwnedMessage::default() }
}

/// The same with a JSON body a condition may look into.
fn with_body(mut message: OwnedMessage, body: &str) -> OwnedMessage {
    message.body = body.as_bytes().to_vec();
    message.system_properties.push(("contentType".to_owned(), "application/json".to_owned()));
    message.system_properties.push(("contentEncoding".to_owned(), "utf-8".to_owned()));
    message
}

/// Evaluates every row on one message and names the row that is wrong.
fn assert_verdicts(message: &OwnedMessage, rows: &[(&str, Verdict)]) {
    for (text, expected) in rows {
        let condition = Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(condition.evaluate(message), *expected, "{text}");
    }
}

/// Refuses every row at its column.
fn assert_refused(kind: RouteErrorKind, rows: &[(&str, usize)]) {
    for (text, column) in rows {
        let error = refusal(text);
        assert_eq!((error.column, error.kind), (*column, kind), "{text}: {error}");
    }
}

fn refusal(text: &str) -> RouteError {
    match Condition::parse(text) {
        Ok(condition) => panic!("{text} compiles: {condition:?}"),
        Err(error) => error,
    }
}
