//! Routes of the edge hub: `FROM /messages/* WHERE $body.temperature > 30 INTO $upstream`.
//!
//! A route takes a message when its source covers the message's source and its condition is *true*; false and undefined
//! are the same. The language is the one of the runtime we replace, oddities included, because users' routes were
//! written against what it does. Each oddity kept is listed in `docs/decisions/0003-route-quirks.md`.
//!
//! A text becomes a route in four steps, each in its module: `lexer` (tokens, longest match), `parser` (grammar; the
//! condition comes out in postfix order), `compile` (types; a program for a stack machine), `evaluate` (the program run on
//! a message). No step recurses over the length of a text, and nesting is bounded.
//!
//! ```
//! use model::route::{Endpoint, OwnedMessage, Route};
//!
//! let route = Route::parse("FROM /messages/* WHERE level = 'high' INTO $upstream")?;
//! let message = OwnedMessage { properties: vec![("Level".into(), Some("high".into()))], ..OwnedMessage::default() };
//! assert!(route.matches("/messages/modules/filter/outputs/alarms", &message));
//! assert_eq!(route.endpoint, Endpoint::Upstream);
//! # Ok::<(), model::route::RouteError>(())
//! ```
mod body;
pub mod check;
mod compile;
mod date;
mod error;
mod evaluate;
mod function;
mod lexer;
mod literal;
mod message;
mod parser;
mod syntax;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod value;

use body::Subject;
use compile::Program;
use error::Fault;
use syntax::{Element, Literal, Node};

pub use error::{RouteError, RouteErrorKind};
pub use message::{MessageView, OwnedMessage};
pub use table::{CompileTableError, Delivery, NamedRoute, PRIORITY_WITHOUT_NUMBER, RouteTable};
pub use text::names_equal;

/// A route: which messages go where.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The sources it takes.
    pub source: Source,
    /// What must be true of a message; `true` when the route has no WHERE.
    pub condition: Condition,
    /// Where it sends them.
    pub endpoint: Endpoint,
}

impl Route {
    /// Parses and compiles a route. Text after the endpoint is ignored.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        Self::parse_faulting(text).map_err(|fault| fault.located_in(text))
    }

    fn parse_faulting(text: &str) -> Result<Self, Fault> {
        let syntax = parser::parse_route(text)?;
        let condition = match syntax.condition {
            Some((written, nodes)) => Condition { program: compile::compile(nodes)?, text: text[written].to_owned() },
            None => Condition::always()?,
        };
        Ok(Self { source: syntax.source, condition, endpoint: syntax.endpoint })
    }

    /// Whether the route takes a message of this source.
    #[must_use]
    pub fn matches(&self, source: &str, message: &dyn MessageView) -> bool {
        self.takes(source, &Subject::new(message))
    }

    fn takes(&self, source: &str, subject: &Subject) -> bool {
        self.source.covers(source) && self.condition.evaluate_subject(subject) == Verdict::True
    }
}

/// The source of a route: a prefix of message sources, in whole segments, ignoring case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    text: String,
    /// `text` with exactly one `/` at its end.
    prefix: String,
}

impl Source {
    /// Cuts trailing stars, then trailing slashes: only a star at the very end means anything.
    fn from_written(written: &str) -> Self {
        let starless = written.trim_end_matches('*');
        let slashless = starless.trim_end_matches('/');
        let text = if starless.len() > 1 { slashless } else { starless };
        Self { text: text.to_owned(), prefix: format!("{slashless}/") }
    }

    /// The text after FROM without trailing star: `/`, `/messages`, `/messages/modules/filter/outputs/out`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether messages of this source are taken.
    #[must_use]
    pub fn covers(&self, message_source: &str) -> bool {
        let segments = message_source.trim().trim_end_matches('/');
        text::starts_with_any_case(segments.chars().chain(['/']), &self.prefix)
    }
}

/// The target of a route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// `$upstream`: Central, or the parent edge device.
    Upstream,
    /// `BrokeredEndpoint("/modules/MODULE/inputs/INPUT")`: an input of a module of this device.
    Module {
        /// The module's id.
        module: String,
        /// The name of its input.
        input: String,
    },
}

/// A compiled condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    text: String,
    program: Program,
}

/// What a condition says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The message is taken.
    True,
    /// It is not.
    False,
    /// It is not either: something the condition needs is absent or of the wrong type.
    Undefined,
}

impl Condition {
    /// Parses and compiles a condition. A blank one is undefined for every message.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        let program = parser::parse_condition(text).and_then(compile::compile);
        Ok(Self { program: program.map_err(|fault| fault.located_in(text))?, text: text.to_owned() })
    }

    fn always() -> Result<Self, Fault> {
        let nodes = vec![Node { offset: 0, element: Element::Literal(Literal::Bool(true)) }];
        Ok(Self { text: "true".to_owned(), program: compile::compile(nodes)? })
    }

    /// The condition as written; `true` where a route has none.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates the condition on a message.
    #[must_use]
    pub fn evaluate(&self, message: &dyn MessageView) -> Verdict {
        self.evaluate_subject(&Subject::new(message))
    }

    fn evaluate_subject(&self, subject: &Subject) -> Verdict {
        evaluate::evaluate(&self.program, subject)
    }
}
