//! Why a route or a condition was refused, and where.
use thiserror::Error;

/// A refused route or condition: what is wrong and the place in the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {message}")]
pub struct RouteError {
    /// What is wrong, for the person who wrote the route.
    pub message: String,
    /// Line of the place, from 1.
    pub line: usize,
    /// Column of the place in its line, in characters, from 1. One past the last character when the text ends too early.
    pub column: usize,
    /// Which of the two steps refused the text.
    pub kind: RouteErrorKind,
}

/// The step that refused: the edge hub answers the two differently (400, or 200 with the old routes kept).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteErrorKind {
    /// The text is not of the grammar, names an unknown endpoint, or exceeds a limit.
    Syntax,
    /// The grammar is kept but the condition does not compile: types, functions, body paths.
    Compile,
}

/// An error still knowing its byte offset only; the text that it counts in is added where it is known.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) message: String,
    pub(super) kind: RouteErrorKind,
}

impl Fault {
    pub(super) fn syntax(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), kind: RouteErrorKind::Syntax }
    }

    pub(super) fn compile(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), kind: RouteErrorKind::Compile }
    }

    /// Counts line and column of the offset in the text.
    pub(super) fn located_in(self, text: &str) -> RouteError {
        let before = text.get(..self.offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        RouteError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: self.message,
            kind: self.kind,
        }
    }
}
