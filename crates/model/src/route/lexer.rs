//! Text into tokens, by the longest match; of two equally long matches the earlier rule of this list wins.
//!
//! ```text
//! select from where into            any case, whole word
//! "text"  'text'                    escapes \" \' \\ \uXXXX
//! 12 -12 · 0x1F · .5 1.5e-3 1e3     digits before the exponent may be missing: e5 is a (useless) number
//! true false null undefined         lower case only
//! ( ) { } , + - * / % = != <> < <= > >= || ??   and or not (any case)
//! $name[0]                          `$` and path characters
//! name                              name characters
//! name[0]                           path characters, no token of the grammar
//! blank, /* … */                    skipped
//! ```
//!
//! Name characters are all but `( ) < > @ , ; : \ " / [ ] ? = { }`, blank, tab and line ends; path characters may also be
//! `[` and `]`. The longest match makes names greedy: `a-b`, `-a`, `a||b`, `a!` (of `a!=b`) and even `'a'b` are names, and
//! the `/*` of a source opens a comment as soon as a `*/` follows anywhere. Users' routes were written against that.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Select,
    From,
    Where,
    Into,
    Text,
    UnterminatedText,
    Integer,
    Hex,
    Real,
    True,
    False,
    Null,
    Undefined,
    OpenParenthesis,
    CloseParenthesis,
    OpenBrace,
    CloseBrace,
    Comma,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    And,
    Or,
    Not,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Concat,
    Coalesce,
    System,
    Name,
    Path,
    Unknown,
    End,
}

/// A token and the bytes of the text it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Reads all tokens; the last one is always [`TokenKind::End`]. Every text has tokens: what fits no rule is `Unknown`.
pub(super) fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let rest = &text[start..];
        if let Some(skipped) = blank_or_comment(rest) {
            start += skipped;
            continue;
        }
        let (kind, length) = longest_match(rest);
        tokens.push(Token { kind, start, end: start + length });
        start += length;
    }
    tokens.push(Token { kind: TokenKind::End, start, end: start });
    tokens
}

fn blank_or_comment(rest: &str) -> Option<usize> {
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    if blanks > 0 {
        return Some(blanks);
    }
    let inside = rest.strip_prefix("/*")?;
    inside.find("*/").map(|end| end + 4)
}

fn longest_match(rest: &str) -> (TokenKind, usize) {
    if let Some(found) = symbol(rest) {
        return found;
    }
    let path_length = run_length(rest, is_path_character);
    let quoted = match rest.as_bytes()[0] {
        quote @ (b'"' | b'\'') => Some(quoted_text(rest, quote)),
        _ => None,
    };
    if let Some((kind, length)) = quoted
        && length >= path_length
    {
        return (kind, length);
    }
    if path_length == 0 {
        let length = rest.chars().next().map_or(0, char::len_utf8);
        return (TokenKind::Unknown, length);
    }
    let name_length = run_length(rest, is_name_character);
    let kind = if rest.starts_with('$') && path_length > 1 {
        TokenKind::System
    } else if path_length > name_length {
        TokenKind::Path
    } else {
        word(&rest[..name_length])
    };
    (kind, path_length)
}

/// Signs no name can hold, and `!=`, which is longer than the name `!` before it.
fn symbol(rest: &str) -> Option<(TokenKind, usize)> {
    const SYMBOLS: [(&str, TokenKind); 14] = [
        ("!=", TokenKind::NotEqual),
        ("<>", TokenKind::NotEqual),
        ("<=", TokenKind::LessOrEqual),
        (">=", TokenKind::GreaterOrEqual),
        ("??", TokenKind::Coalesce),
        ("<", TokenKind::Less),
        (">", TokenKind::Greater),
        ("=", TokenKind::Equal),
        ("(", TokenKind::OpenParenthesis),
        (")", TokenKind::CloseParenthesis),
        ("{", TokenKind::OpenBrace),
        ("}", TokenKind::CloseBrace),
        (",", TokenKind::Comma),
        ("/", TokenKind::Slash),
    ];
    SYMBOLS.iter().find(|(sign, _)| rest.starts_with(sign)).map(|(sign, kind)| (*kind, sign.len()))
}

/// The length of a quoted text with its quotes, or up to where it stops being one.
fn quoted_text(rest: &str, quote: u8) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            byte if byte == quote => return (TokenKind::Text, at + 1),
            b'\\' => match escape_length(&bytes[at..]) {
                Some(length) => at += length,
                None => break,
            },
            _ => at += 1,
        }
    }
    (TokenKind::UnterminatedText, at)
}

fn escape_length(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\'' | b'\\' => Some(2),
        b'u' if bytes.get(2..6)?.iter().all(u8::is_ascii_hexdigit) => Some(6),
        _ => None,
    }
}

fn run_length(rest: &str, belongs: impl Fn(char) -> bool) -> usize {
    rest.find(|character| !belongs(character)).unwrap_or(rest.len())
}

fn is_path_character(character: char) -> bool {
    !matches!(
        character,
        '(' | ')'
            | '<'
            | '>'
            | '@'
            | ','
            | ';'
            | ':'
            | '\\'
            | '"'
            | '/'
            | '?'
            | '='
            | '{'
            | '}'
            | ' '
            | '\t'
            | '\n'
            | '\r'
    )
}

fn is_name_character(character: char) -> bool {
    is_path_character(character) && !matches!(character, '[' | ']')
}

/// Classifies a run of name characters: only a rule that matches the whole of it can win over the name.
fn word(run: &str) -> TokenKind {
    const WORDS: [(&str, TokenKind); 7] = [
        ("select", TokenKind::Select),
        ("from", TokenKind::From),
        ("where", TokenKind::Where),
        ("into", TokenKind::Into),
        ("and", TokenKind::And),
        ("or", TokenKind::Or),
        ("not", TokenKind::Not),
    ];
    if let Some((_, kind)) = WORDS.iter().find(|(word, _)| run.eq_ignore_ascii_case(word)) {
        return *kind;
    }
    match run {
        "true" => TokenKind::True,
        "false" => TokenKind::False,
        "null" => TokenKind::Null,
        "undefined" => TokenKind::Undefined,
        "+" => TokenKind::Plus,
        "-" => TokenKind::Minus,
        "*" => TokenKind::Star,
        "%" => TokenKind::Percent,
        "||" => TokenKind::Concat,
        _ => number(run.as_bytes()).unwrap_or(TokenKind::Name),
    }
}

fn number(run: &[u8]) -> Option<TokenKind> {
    if let [b'0', b'x' | b'X', digits @ ..] = run {
        return (!digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit)).then_some(TokenKind::Hex);
    }
    let unsigned = run.strip_prefix(b"-").unwrap_or(run);
    let (whole, rest) = split_digits(unsigned);
    if rest.is_empty() {
        return (!whole.is_empty()).then_some(TokenKind::Integer);
    }
    let exponent = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let (digits, rest) = split_digits(fraction);
            if digits.is_empty() {
                return None;
            }
            rest
        }
        None => rest,
    };
    (exponent.is_empty() || is_exponent(exponent)).then_some(TokenKind::Real)
}

fn split_digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn is_exponent(bytes: &[u8]) -> bool {
    let Some(power) = bytes.strip_prefix(b"e").or_else(|| bytes.strip_prefix(b"E")) else { return false };
    let digits = power.strip_prefix(b"+").or_else(|| power.strip_prefix(b"-")).unwrap_or(power);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
