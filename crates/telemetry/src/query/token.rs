//! The words of a query, each with its place.

use super::ParseQueryError;

/// A word of a query.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A keyword or a name, with its dots: `SELECT`, `$ts`, `motor.temperature`.
    Word(String),
    Number(f64),
    Text(String),
    /// `( ) [ ] , = != <> > < >= <=`
    Symbol(&'static str),
}

/// A word and where it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub token: Token,
    /// Character it begins at, counted from 1.
    pub position: usize,
}

/// Symbols, those that begin with another one first.
const SYMBOLS: [&str; 13] = ["!=", "<>", ">=", "<=", "(", ")", "[", "]", ",", "=", ">", "<", "*"];

/// Splits a query into words. After `FROM`, whatever is not white space is one word: template ids have colons and semicolons.
pub(super) fn tokenize(text: &str) -> Result<Vec<Placed>, ParseQueryError> {
    let mut tokens: Vec<Placed> = Vec::new();
    let mut rest = text;
    let mut position = 1;
    loop {
        let trimmed = rest.trim_start();
        position += rest[..rest.len() - trimmed.len()].chars().count();
        rest = trimmed;
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let after_from = tokens.last().is_some_and(|last| is_word(&last.token, "FROM"));
        let (token, length) = if after_from {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            (Token::Word(rest[..end].to_owned()), end)
        } else {
            read_token(rest, first).map_err(|message| ParseQueryError { position, message })?
        };
        tokens.push(Placed { token, position });
        position += rest[..length].chars().count();
        rest = &rest[length..];
    }
}

/// Whether the token is the keyword, in any case.
pub(super) fn is_word(token: &Token, keyword: &str) -> bool {
    matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
}

/// The token that `rest` begins with, and its bytes.
fn read_token(rest: &str, first: char) -> Result<(Token, usize), String> {
    if first == '\'' {
        return read_text(rest);
    }
    if first.is_ascii_digit() || first == '-' || first == '+' || first == '.' {
        return read_number(rest);
    }
    if first.is_alphabetic() || first == '_' || first == '$' {
        let end = rest.find(|c: char| !is_part_of_word(c)).unwrap_or(rest.len());
        return Ok((Token::Word(rest[..end].to_owned()), end));
    }
    match SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
        Some(symbol) => Ok((Token::Symbol(symbol), symbol.len())),
        None => Err(format!("unexpected '{first}'")),
    }
}

/// Module names may have hyphens; the language has no subtraction that could be meant instead.
fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | '-')
}

fn read_text(rest: &str) -> Result<(Token, usize), String> {
    let mut text = String::new();
    let mut from = 1;
    loop {
        let end = from + rest[from..].find('\'').ok_or("text without closing quote")?;
        text.push_str(&rest[from..end]);
        from = end + 1;
        if !rest[from..].starts_with('\'') {
            return Ok((Token::Text(text), from));
        }
        text.push('\'');
        from += 1;
    }
}

fn read_number(rest: &str) -> Result<(Token, usize), String> {
    let mut previous = 'e';
    let mut is_part = |c: char| {
        let is_sign = matches!(c, '-' | '+') && matches!(previous, 'e' | 'E');
        previous = c;
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || is_sign
    };
    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    match rest[..end].parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((Token::Number(number), end)),
        _ => Err(format!("'{}' is not a number", &rest[..end])),
    }
}
