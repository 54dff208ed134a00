//! The program's log, where strangers write into it.
//!
//! One event is one line, whatever is in it: [`PlainFields`] writes control characters, line breaks and what turns the direction
//! of text as escapes, and cuts what is too long. And there are so many lines about clients that did not prove who they are,
//! and no more ([`may_tell_of_stranger`]).

use std::env::VarError;
use std::error::Error;
use std::fmt::{self, Debug, Write};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::limits::{LOG_VALUE_CHARS_MAX, STRANGER_LINES_MAX, STRANGER_LINES_WINDOW};

/// The variable that says what is written to the log.
const VARIABLE: &str = "RUST_LOG";

/// Why it cannot be known what shall be written to the log.
#[derive(Debug, thiserror::Error)]
pub enum ReadFilterError {
    /// A directive means nothing.
    #[error(
        "RUST_LOG cannot be read: `{directive}` is neither a level nor a target=level, as in RUST_LOG=info,hub=debug"
    )]
    Directive {
        /// The directive.
        directive: String,
        /// Why.
        #[source]
        source: Option<ParseError>,
    },
    /// It is no text.
    #[error("RUST_LOG cannot be read: it is no UTF-8")]
    NotText,
}

/// What is written to the log: what `RUST_LOG` says, or everything from this level on when it says nothing. One that cannot be
/// read is refused: whoever set it waits for lines that would never come.
pub fn filter(default: LevelFilter) -> Result<Targets, ReadFilterError> {
    match std::env::var(VARIABLE) {
        Ok(asked) => read_filter(&asked, default),
        Err(VarError::NotPresent) => Ok(Targets::new().with_default(default)),
        Err(VarError::NotUnicode(_)) => Err(ReadFilterError::NotText),
    }
}

fn read_filter(asked: &str, default: LevelFilter) -> Result<Targets, ReadFilterError> {
    let directives: Vec<&str> = asked.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    if directives.is_empty() {
        return Ok(Targets::new().with_default(default));
    }
    // One by one first, to know which of them is wrong.
    for directive in &directives {
        let refused = |source| ReadFilterError::Directive { directive: (*directive).to_owned(), source };
        // Taken for the name of a target that there is not: filters by span, and a level of nothing.
        let is_of_spans = directive.contains('[') && !directive.contains("[{");
        if directive.starts_with('=') || is_of_spans {
            return Err(refused(None));
        }
        directive.parse::<Targets>().map_err(|source| refused(Some(source)))?;
    }
    let all = directives.join(",");
    all.parse().map_err(|source| ReadFilterError::Directive { directive: all, source: Some(source) })
}

static STRANGERS: Mutex<StrangerLines> = Mutex::new(StrangerLines { since: None, told: 0, left_out: 0 });

/// Whether one more line about a client that did not prove who it is may be written. Says how many were not, when there is room
/// again.
pub fn may_tell_of_stranger() -> bool {
    let told = STRANGERS.lock().unwrap_or_else(PoisonError::into_inner).tell(Instant::now());
    if let Some(Told { left_out: 1.. }) = told {
        let left_out = told.map(|told| told.left_out);
        tracing::info!(left_out, "further lines about clients that did not prove who they are were left out");
    }
    told.is_some()
}

/// Counts lines.
#[derive(Debug)]
struct StrangerLines {
    since: Option<Instant>,
    told: u32,
    left_out: u64,
}

/// A line may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    /// So many before it were not.
    left_out: u64,
}

impl StrangerLines {
    fn tell(&mut self, now: Instant) -> Option<Told> {
        if self.since.is_none_or(|since| now.duration_since(since) >= STRANGER_LINES_WINDOW) {
            (self.since, self.told) = (Some(now), 0);
        }
        if self.told >= STRANGER_LINES_MAX {
            self.left_out += 1;
            return None;
        }
        self.told += 1;
        Some(Told { left_out: std::mem::take(&mut self.left_out) })
    }
}

/// Writes the fields of an event as the usual format does, with nothing in them that could look like another line.
#[derive(Debug, Default)]
pub struct PlainFields;

impl<'w> FormatFields<'w> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_first: true, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    is_first: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.result.is_ok() {
            self.result = self.try_field(field.name(), value);
        }
    }

    fn try_field(&mut self, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
        if !std::mem::replace(&mut self.is_first, false) {
            self.writer.write_char(' ')?;
        }
        let is_styled = self.writer.has_ansi_escapes();
        match name {
            "message" => {}
            name if is_styled => write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
            name => write!(self.writer, "{name}=")?,
        }
        let mut plain = Plain { writer: &mut self.writer, left: LOG_VALUE_CHARS_MAX };
        plain.write_fmt(value)
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.field(field, format_args!("{value}")),
            _ => self.field(field, format_args!("{value:?}")),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.field(field, format_args!("{}", Chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, format_args!("{value:?}"));
    }
}

/// An error and its causes, as the usual format writes them.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut causes = Vec::new();
        let mut deeper = self.0.source();
        while let Some(cause) = deeper {
            causes.push(cause.to_string());
            deeper = cause.source();
        }
        if causes.is_empty() { Ok(()) } else { write!(f, " sources=[{}]", causes.join(", ")) }
    }
}

/// Lets so many characters through, the plain ones as they are.
struct Plain<'a, 'w> {
    writer: &'a mut Writer<'w>,
    left: usize,
}

impl Write for Plain<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match self.left {
                0 => return Ok(()),
                1 => self.writer.write_char('…')?,
                _ if turns_or_breaks(c) => write!(self.writer, "{}", c.escape_default())?,
                _ => self.writer.write_char(c)?,
            }
            self.left -= 1;
        }
        Ok(())
    }
}

/// Whether a character does more on a terminal, or in what reads the log, than to be seen.
fn turns_or_breaks(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::time::Duration;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[test]
    fn so_many_lines_and_then_their_number() {
        let mut lines = StrangerLines { since: None, told: 0, left_out: 0 };
        let start = Instant::now();
        let told = |lines: &mut StrangerLines, after: Duration| lines.tell(start + after).map(|told| told.left_out);
        for _ in 0..STRANGER_LINES_MAX {
            assert_eq!(told(&mut lines, Duration::ZERO), Some(0));
        }
        for _ in 0..3 {
            assert_eq!(told(&mut lines, STRANGER_LINES_WINDOW - Duration::from_nanos(1)), None);
        }
        assert_eq!(told(&mut lines, STRANGER_LINES_WINDOW), Some(3));
        assert_eq!(told(&mut lines, STRANGER_LINES_WINDOW), Some(0));
    }

    #[test]
    fn a_filter_is_read_whole_or_refused_with_the_directive_that_is_wrong() {
        let read = |asked: &str| read_filter(asked, LevelFilter::INFO);
        for nothing in ["", " ", ",", " , "] {
            assert_eq!(read(nothing).unwrap(), Targets::new().with_default(LevelFilter::INFO), "{nothing:?}");
        }
        let both = Targets::new().with_default(LevelFilter::WARN).with_target("hub", LevelFilter::DEBUG);
        for asked in ["warn,hub=debug", " hub=debug , WARN ,", "2,hub=4"] {
            assert_eq!(read(asked).unwrap(), both, "{asked}");
        }
        for wrong in ["hub=loud", "[span]=debug", "hub[span]=debug", "=", "=debug", "hub=debug=x"] {
            let refused = read(&format!("info,{wrong}")).unwrap_err();
            assert!(refused.to_string().contains(&format!("`{wrong}`")), "{refused}");
        }
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn written(event: impl FnOnce()) -> String {
        let written = Written::default();
        let format = tracing_subscriber::fmt().with_writer(written.clone()).with_ansi(false).without_time();
        let format = format.with_target(false).fmt_fields(PlainFields).finish();
        tracing::subscriber::with_default(format, event);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_client_writes_no_line_of_its_own() {
        let id = "d\n2026-01-01T00:00:00Z  INFO signed in actor=\"admin\"\r\u{1b}[2K\u{202e}\u{9b}1A";
        let line = written(|| tracing::info!(identity = %id, text = id, "refused: {id}"));
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.trim_end().chars().any(turns_or_breaks), "{line:?}");
        assert!(line.starts_with(" INFO refused: d\\n2026-01-01"), "{line}");
        assert!(line.contains("identity=d\\n2026") && line.contains("\\u{202e}"), "{line}");
    }

    #[test]
    fn a_value_is_so_long() {
        let text = "x".repeat(2 * LOG_VALUE_CHARS_MAX);
        let line = written(|| tracing::info!(%text, after = 1, "m"));
        let kept = "x".repeat(LOG_VALUE_CHARS_MAX - 1);
        assert_eq!(line, format!(" INFO m text={kept}… after=1\n"));
    }

    #[test]
    fn an_error_keeps_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::num::ParseIntError);
        let error = Outer("x".parse::<u8>().unwrap_err());
        let line = written(|| tracing::warn!(error = &error as &dyn Error, count = 3, "m"));
        assert_eq!(line, " WARN m error=outer sources=[invalid digit found in string] count=3\n");
    }
}
