//! The grammar of list filters, a subset of OData.
//!
//! ```text
//! filter   = and { "or" and }
//! and      = clause { "and" clause }
//! clause   = "(" filter ")" | field op literal | "contains(" field "," string ")"
//! op       = "eq" | "ne" | "lt" | "le" | "gt" | "ge"
//! literal  = 'text' (a quote in it is doubled) | true | false
//! ```
//!
//! Operators and `and`, `or` are read in any case, fields as they are.

use super::AppError;
use crate::limits::{FILTER_CHARS_MAX, FILTER_CLAUSES_MAX, FILTER_DEPTH_MAX};

pub use registry::Comparison;

/// A filter, not yet bound to the fields of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// A field compared with a literal.
    Compare(String, Comparison, Literal),
    /// A field that contains a text.
    Contains(String, String),
    /// Both.
    And(Box<Filter>, Box<Filter>),
    /// Either.
    Or(Box<Filter>, Box<Filter>),
}

/// A value in a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// A text.
    Text(String),
    /// Yes or no.
    Flag(bool),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    Comma,
}

/// Reads a filter.
pub fn parse(text: &str) -> Result<Filter, AppError> {
    if text.len() > FILTER_CHARS_MAX {
        return Err(refused("it is too long"));
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), clauses: 0 };
    let filter = parser.filter(0)?;
    match parser.tokens.next() {
        None => Ok(filter),
        Some(token) => Err(refused(&format!("{token:?} is one word too many"))),
    }
}

/// Reads an order: whether it is descending. `displayName` is the only field lists are ordered by.
pub fn parse_order(text: &str) -> Result<bool, AppError> {
    let words: Vec<_> = text.split_whitespace().collect();
    match words.as_slice() {
        ["displayName"] => Ok(false),
        ["displayName", way] if way.eq_ignore_ascii_case("asc") => Ok(false),
        ["displayName", way] if way.eq_ignore_ascii_case("desc") => Ok(true),
        _ => Err(AppError::BadRequest(format!("'{text}' is not an order; lists are ordered by displayName."))),
    }
}

fn refused(why: &str) -> AppError {
    AppError::BadRequest(format!("The filter is not valid: {why}."))
}

fn tokens(text: &str) -> Result<Vec<Token>, AppError> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '\'' => {
                let mut content = String::new();
                loop {
                    match chars.next() {
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => content.push('\''),
                        Some('\'') => break,
                        Some(c) => content.push(c),
                        None => return Err(refused("a text has no end")),
                    }
                }
                tokens.push(Token::Text(content));
            }
            c => {
                let mut word = String::from(c);
                let ends = |c: &char| !(c.is_whitespace() || matches!(c, '(' | ')' | ',' | '\''));
                while let Some(c) = chars.next_if(ends) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    clauses: usize,
}

impl Parser {
    fn filter(&mut self, depth: usize) -> Result<Filter, AppError> {
        let mut left = self.and(depth)?;
        while self.takes_word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.and(depth)?));
        }
        Ok(left)
    }

    fn and(&mut self, depth: usize) -> Result<Filter, AppError> {
        let mut left = self.clause(depth)?;
        while self.takes_word("and") {
            left = Filter::And(Box::new(left), Box::new(self.clause(depth)?));
        }
        Ok(left)
    }

    fn clause(&mut self, depth: usize) -> Result<Filter, AppError> {
        self.clauses += 1;
        if self.clauses > FILTER_CLAUSES_MAX || depth > FILTER_DEPTH_MAX {
            return Err(refused("it is too complicated"));
        }
        match self.tokens.next() {
            Some(Token::Open) => {
                let filter = self.filter(depth + 1)?;
                self.expect(&Token::Close)?;
                Ok(filter)
            }
            Some(Token::Word(word)) if self.tokens.peek() == Some(&Token::Open) => self.contains(&word),
            Some(Token::Word(field)) => {
                let comparison = self.comparison()?;
                let literal = self.literal()?;
                if matches!(literal, Literal::Flag(_))
                    && !matches!(comparison, Comparison::Equal | Comparison::NotEqual)
                {
                    return Err(refused("true and false are compared with eq and ne only"));
                }
                Ok(Filter::Compare(field, comparison, literal))
            }
            _ => Err(refused("a field is missing")),
        }
    }

    fn contains(&mut self, function: &str) -> Result<Filter, AppError> {
        if !function.eq_ignore_ascii_case("contains") {
            return Err(refused(&format!("there is no function {function}")));
        }
        self.expect(&Token::Open)?;
        let Some(Token::Word(field)) = self.tokens.next() else { return Err(refused("contains needs a field")) };
        self.expect(&Token::Comma)?;
        let Some(Token::Text(text)) = self.tokens.next() else { return Err(refused("contains needs a text")) };
        self.expect(&Token::Close)?;
        Ok(Filter::Contains(field, text))
    }

    fn comparison(&mut self) -> Result<Comparison, AppError> {
        let Some(Token::Word(word)) = self.tokens.next() else { return Err(refused("an operator is missing")) };
        Ok(match word.to_ascii_lowercase().as_str() {
            "eq" => Comparison::Equal,
            "ne" => Comparison::NotEqual,
            "lt" => Comparison::Less,
            "le" => Comparison::LessOrEqual,
            "gt" => Comparison::Greater,
            "ge" => Comparison::GreaterOrEqual,
            _ => return Err(refused(&format!("there is no operator {word}"))),
        })
    }

    fn literal(&mut self) -> Result<Literal, AppError> {
        match self.tokens.next() {
            Some(Token::Text(text)) => Ok(Literal::Text(text)),
            Some(Token::Word(word)) if word == "true" => Ok(Literal::Flag(true)),
            Some(Token::Word(word)) if word == "false" => Ok(Literal::Flag(false)),
            _ => Err(refused("a 'text', true or false is missing")),
        }
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word))).is_some()
    }

    fn expect(&mut self, token: &Token) -> Result<(), AppError> {
        if self.tokens.next().as_ref() == Some(token) { Ok(()) } else { Err(refused(&format!("{token:?} is missing"))) }
    }
}

impl Filter {
    /// Whether an item passes, given the values of its fields. Unknown fields are refused.
    pub fn passes(&self, field: &impl Fn(&str) -> Option<String>) -> Result<bool, AppError> {
        let value = |name: &str| field(name).ok_or_else(|| unknown_field(name));
        Ok(match self {
            Self::And(left, right) => left.passes(field)? & right.passes(field)?,
            Self::Or(left, right) => left.passes(field)? | right.passes(field)?,
            Self::Contains(name, text) => value(name)?.to_lowercase().contains(&text.to_lowercase()),
            Self::Compare(name, _, Literal::Flag(_)) => {
                value(name)?;
                return Err(refused(&format!("{name} is a text")));
            }
            Self::Compare(name, comparison, Literal::Text(text)) => {
                let order = value(name)?.as_str().cmp(text.as_str());
                match comparison {
                    Comparison::Equal => order.is_eq(),
                    Comparison::NotEqual => order.is_ne(),
                    Comparison::Less => order.is_lt(),
                    Comparison::LessOrEqual => order.is_le(),
                    Comparison::Greater => order.is_gt(),
                    Comparison::GreaterOrEqual => order.is_ge(),
                }
            }
        })
    }
}

/// The refusal of a field a list does not have.
pub fn unknown_field(name: &str) -> AppError {
    refused(&format!("this list cannot be filtered by {name}"))
}

/// The refusal of a literal of the wrong kind.
pub fn wrong_literal(name: &str) -> AppError {
    refused(&format!("{name} cannot be compared like this"))
}

#[cfg(test)]
mod tests;
