//! Text to syntax tree, by recursive descent. The grammar is in [`super`]; one function for each of its rules.

use super::syntax::{
    AggregateFunction, Column, Comparison, Condition, Expression, Item, Literal, OrderBy, Query, Window,
};
use super::token::{Placed, Token, is_word, tokenize};
use super::{ParseQueryError, QueryLimits};
use crate::limits::QUERY_PARENTHESES_DEPTH_MAX;
use crate::selection::TimeRange;
use model::timestamp::{parse_duration, parse_timestamp};

/// Words that cannot name a column: they would be taken for the next part of the query.
const RESERVED: [&str; 8] = ["SELECT", "FROM", "WHERE", "GROUP", "ORDER", "AND", "OR", "AS"];

pub(super) fn parse(text: &str, limits: QueryLimits) -> Result<Query, ParseQueryError> {
    let characters = text.chars().count();
    if characters > limits.characters_max {
        let message = format!("the query has {characters} characters, {} are allowed", limits.characters_max);
        return Err(ParseQueryError { position: limits.characters_max + 1, message });
    }
    let tokens = tokenize(text)?;
    let mut parser = Parser { tokens, next: 0, end: characters + 1, limits, operators: 0, depth: 0, windows: 0 };
    parser.query()
}

struct Parser {
    tokens: Vec<Placed>,
    next: usize,
    /// Position after the last character.
    end: usize,
    limits: QueryLimits,
    operators: usize,
    depth: usize,
    windows: usize,
}

type Parsed<T> = Result<T, ParseQueryError>;

impl Parser {
    fn query(&mut self) -> Parsed<Query> {
        self.expect_word("SELECT")?;
        let top = self.top()?;
        let items = self.items()?;
        self.expect_word("FROM")?;
        let template = match self.take() {
            Some(Placed { token: Token::Word(template), .. }) => template,
            _ => return Err(self.error_before("expected the id of a device template")),
        };
        let condition = if self.take_word("WHERE") { Some(self.any_of()?) } else { None };
        let group_window_ms = if self.take_word("GROUP") { Some(self.group_window()?) } else { None };
        let order = if self.take_word("ORDER") { self.order()? } else { Vec::new() };
        match self.peek() {
            None => Ok(Query { top, items, template, condition, group_window_ms, order }),
            Some(_) => Err(self.error_here("expected the end of the query")),
        }
    }

    /// `TOP 5`; a column of that name is not followed by a number.
    fn top(&mut self) -> Parsed<Option<u64>> {
        let number = match (self.peek(), self.tokens.get(self.next + 1)) {
            (Some(word), Some(Placed { token: Token::Number(number), .. })) if is_word(word, "TOP") => *number,
            _ => return Ok(None),
        };
        self.next += 1;
        if number < 1.0 || number.fract() != 0.0 {
            return Err(self.error_here("TOP takes a whole number from 1"));
        }
        self.next += 1;
        // Far above any limit on rows the exact number does not matter.
        Ok(Some(number as u64))
    }

    fn items(&mut self) -> Parsed<Vec<Item>> {
        if self.take_symbol("*") {
            return Err(self.error_before("SELECT * is not possible: name the columns"));
        }
        let mut items: Vec<Item> = Vec::new();
        loop {
            let position = self.position();
            if items.len() >= self.limits.items_max {
                return Err(self.error_here(&format!("more than {} items are selected", self.limits.items_max)));
            }
            let item = self.item()?;
            if items.iter().any(|other| other.output_name() == item.output_name()) {
                let message = format!("{} is selected twice", item.output_name());
                return Err(ParseQueryError { position, message });
            }
            items.push(item);
            if !self.take_symbol(",") {
                return Ok(items);
            }
        }
    }

    fn item(&mut self) -> Parsed<Item> {
        let function = match (self.peek(), self.tokens.get(self.next + 1)) {
            (Some(Token::Word(word)), Some(Placed { token: Token::Symbol("("), .. })) => {
                let function = AggregateFunction::ALL.into_iter().find(|own| own.name().eq_ignore_ascii_case(word));
                Some(function.ok_or_else(|| self.error_here(&format!("{word} is not an aggregate function")))?)
            }
            _ => None,
        };
        let expression = match function {
            Some(function) => {
                self.next += 2;
                let column = self.column()?;
                self.expect_symbol(")")?;
                Expression::Aggregate(function, column)
            }
            None => Expression::Column(self.column()?),
        };
        let alias = if self.take_word("AS") { Some(self.column()?.path) } else { None };
        Ok(Item { expression, alias })
    }

    fn column(&mut self) -> Parsed<Column> {
        let position = self.position();
        match self.take() {
            Some(Placed { token: Token::Word(path), .. })
                if !RESERVED.iter().any(|reserved| path.eq_ignore_ascii_case(reserved)) =>
            {
                Ok(Column { path, position })
            }
            _ => Err(self.error_before("expected the name of a column")),
        }
    }

    fn any_of(&mut self) -> Parsed<Condition> {
        let mut conditions = vec![self.all_of()?];
        while self.take_operator("OR")? {
            conditions.push(self.all_of()?);
        }
        Ok(single_or(conditions, Condition::Or))
    }

    fn all_of(&mut self) -> Parsed<Condition> {
        let mut conditions = vec![self.condition()?];
        while self.take_operator("AND")? {
            conditions.push(self.condition()?);
        }
        Ok(single_or(conditions, Condition::And))
    }

    fn take_operator(&mut self, word: &str) -> Parsed<bool> {
        if !self.take_word(word) {
            return Ok(false);
        }
        self.operators += 1;
        if self.operators > self.limits.operators_max {
            return Err(self.error_before(&format!("more than {} logical operators", self.limits.operators_max)));
        }
        Ok(true)
    }

    fn condition(&mut self) -> Parsed<Condition> {
        if self.take_symbol("(") {
            self.depth += 1;
            if self.depth > QUERY_PARENTHESES_DEPTH_MAX {
                return Err(self.error_before(&format!("parentheses deeper than {QUERY_PARENTHESES_DEPTH_MAX}")));
            }
            let condition = self.any_of()?;
            self.expect_symbol(")")?;
            self.depth -= 1;
            return Ok(condition);
        }
        let position = self.position();
        if self.take_word("WITHIN_WINDOW") {
            self.windows += 1;
            if self.windows > 1 {
                return Err(self.error_before("WITHIN_WINDOW can be given once"));
            }
            self.expect_symbol("(")?;
            let window = self.window()?;
            self.expect_symbol(")")?;
            return Ok(Condition::WithinWindow { window, position });
        }
        let column = self.column()?;
        if self.take_word("IN") {
            return Ok(Condition::In { column, literals: self.literals()? });
        }
        let comparison = self.comparison()?;
        Ok(Condition::Compare { column, comparison, literal: self.literal()? })
    }

    fn comparison(&mut self) -> Parsed<Comparison> {
        let comparison = match self.take() {
            Some(Placed { token: Token::Symbol(symbol), .. }) => match symbol {
                "=" => Some(Comparison::Equal),
                "!=" | "<>" => Some(Comparison::NotEqual),
                ">" => Some(Comparison::Greater),
                "<" => Some(Comparison::Less),
                ">=" => Some(Comparison::GreaterOrEqual),
                "<=" => Some(Comparison::LessOrEqual),
                _ => None,
            },
            _ => None,
        };
        comparison.ok_or_else(|| self.error_before("expected a comparison or IN"))
    }

    fn literals(&mut self) -> Parsed<Vec<Literal>> {
        self.expect_symbol("[")?;
        let mut literals = vec![self.literal()?];
        while self.take_symbol(",") {
            literals.push(self.literal()?);
        }
        self.expect_symbol("]")?;
        Ok(literals)
    }

    fn literal(&mut self) -> Parsed<Literal> {
        match self.take().map(|placed| placed.token) {
            Some(Token::Number(number)) => Ok(Literal::Number(number)),
            Some(Token::Text(text)) => Ok(Literal::Text(text)),
            Some(word) if is_word(&word, "TRUE") => Ok(Literal::Boolean(true)),
            Some(word) if is_word(&word, "FALSE") => Ok(Literal::Boolean(false)),
            _ => Err(self.error_before("expected a number, a text in single quotes, TRUE or FALSE")),
        }
    }

    fn window(&mut self) -> Parsed<Window> {
        let text = match self.take().map(|placed| placed.token) {
            Some(Token::Word(text) | Token::Text(text)) => text,
            _ => return Err(self.error_before("expected a duration or 'start/end'")),
        };
        match text.split_once('/') {
            None => match parse_duration(&text) {
                Some(duration_ms) => Ok(Window::Last(duration_ms)),
                None => {
                    Err(self.error_before(&format!("{text} is not a duration of weeks, days, hours, minutes, seconds")))
                }
            },
            Some((start, end)) => match interval(start, end) {
                Some(range) if range.from_ms <= range.to_ms => Ok(Window::Fixed(range)),
                Some(_) => Err(self.error_before("the window ends before it starts")),
                None => Err(self.error_before(&format!("'{text}' is not a window of two times"))),
            },
        }
    }

    fn group_window(&mut self) -> Parsed<i64> {
        self.expect_word("BY")?;
        self.expect_word("WINDOW")?;
        self.expect_symbol("(")?;
        let duration_ms = match self.take().map(|placed| placed.token) {
            Some(Token::Word(text) | Token::Text(text)) => parse_duration(&text).filter(|length| *length > 0),
            _ => None,
        };
        let duration_ms = duration_ms.ok_or_else(|| self.error_before("expected a duration such as PT10M"))?;
        self.expect_symbol(")")?;
        Ok(duration_ms)
    }

    fn order(&mut self) -> Parsed<Vec<OrderBy>> {
        self.expect_word("BY")?;
        let mut order = Vec::new();
        loop {
            if order.len() >= self.limits.items_max {
                return Err(self.error_here(&format!("more than {} items to order by", self.limits.items_max)));
            }
            let column = self.column()?;
            let descending = self.take_word("DESC") || {
                self.take_word("ASC");
                false
            };
            order.push(OrderBy { column, descending });
            if !self.take_symbol(",") {
                return Ok(order);
            }
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|placed| &placed.token)
    }

    fn take(&mut self) -> Option<Placed> {
        let placed = self.tokens.get(self.next).cloned();
        // Also past the end, so that `error_before` points there.
        self.next += 1;
        placed
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| is_word(token, word));
        self.next += usize::from(found);
        found
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(own)) if *own == symbol);
        self.next += usize::from(found);
        found
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.take_word(word) { Ok(()) } else { Err(self.error_here(&format!("expected {word}"))) }
    }

    fn expect_symbol(&mut self, symbol: &str) -> Parsed<()> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.error_here(&format!("expected '{symbol}'"))) }
    }

    fn position(&self) -> usize {
        self.position_of(self.next)
    }

    fn position_of(&self, token: usize) -> usize {
        self.tokens.get(token).map_or(self.end, |placed| placed.position)
    }

    /// An error about the next token.
    fn error_here(&self, message: &str) -> ParseQueryError {
        ParseQueryError { position: self.position(), message: message.to_owned() }
    }

    /// An error about the token just taken.
    fn error_before(&self, message: &str) -> ParseQueryError {
        ParseQueryError { position: self.position_of(self.next.saturating_sub(1)), message: message.to_owned() }
    }
}

fn single_or(mut conditions: Vec<Condition>, combine: fn(Vec<Condition>) -> Condition) -> Condition {
    match (conditions.pop(), conditions.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            conditions.extend(last);
            combine(conditions)
        }
    }
}

/// `start/end`, where one side may be a duration.
fn interval(start: &str, end: &str) -> Option<TimeRange> {
    let (from_ms, to_ms) = match (parse_timestamp(start), parse_timestamp(end)) {
        (Some(from_ms), Some(to_ms)) => (from_ms, to_ms),
        (Some(from_ms), None) => (from_ms, from_ms.checked_add(parse_duration(end)?)?),
        (None, Some(to_ms)) => (to_ms.checked_sub(parse_duration(start)?)?, to_ms),
        (None, None) => return None,
    };
    Some(TimeRange { from_ms, to_ms })
}
