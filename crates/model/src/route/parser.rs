//! Tokens into a route: source, condition in postfix order, endpoint.
//!
//! ```text
//! route     = [ SELECT * ] FROM source [ WHERE condition ] INTO sink     text after the sink is ignored
//! source    = { "/" ( "*" | name ) }                                     one or more
//! sink      = "$upstream" | "BrokeredEndpoint" "(" text ")"
//! condition = operand { operator operand }                               grouped by strength, then to the left
//! operand   = literal | name | $name | "{" $name "}" | name "(" [ condition { "," condition } ] ")"
//!           | "(" condition ")" | "-" operand | "not" operand
//! ```
//! Strength, weak to strong: `??` · `or` · `and` · `= != <>` · `< <= > >=` · `+ - ||` · `* / %`. Both prefixes bind
//! tighter than any of them, hence `not a = b` is `(not a) = b`.
use std::ops::Range;

use super::error::Fault;
use super::lexer::{Token, TokenKind, tokenize};
use super::literal;
use super::syntax::{Arithmetic, BinaryOperator, Comparison, Element, Literal, Node};
use super::{Endpoint, Source};
use crate::limits::{ROUTE_NESTING_MAX, ROUTE_TEXT_BYTES_MAX};

/// A parsed route whose condition is not compiled yet.
#[derive(Debug)]
pub(super) struct RouteSyntax {
    pub(super) source: Source,
    /// The condition as written; `None` without WHERE.
    pub(super) condition: Option<(Range<usize>, Vec<Node>)>,
    pub(super) endpoint: Endpoint,
}

/// Parses a whole route.
pub(super) fn parse_route(text: &str) -> Result<RouteSyntax, Fault> {
    Parser::new(text)?.route()
}

/// Parses a condition standing alone. An empty one is allowed; it has no elements and is undefined.
pub(super) fn parse_condition(text: &str) -> Result<Vec<Node>, Fault> {
    let mut parser = Parser::new(text)?;
    if parser.peek().kind != TokenKind::End {
        parser.expression(0)?;
    }
    if parser.peek().kind != TokenKind::End {
        return Err(parser.unexpected("an operator or the end of the condition"));
    }
    Ok(parser.nodes)
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    next: usize,
    nesting: usize,
    nodes: Vec<Node>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Result<Self, Fault> {
        if text.len() > ROUTE_TEXT_BYTES_MAX {
            let message = format!("longer than {ROUTE_TEXT_BYTES_MAX} bytes");
            return Err(Fault::syntax(text.floor_char_boundary(ROUTE_TEXT_BYTES_MAX), message));
        }
        Ok(Self { text, tokens: tokenize(text), next: 0, nesting: 0, nodes: Vec::new() })
    }

    fn route(mut self) -> Result<RouteSyntax, Fault> {
        if self.peek().kind == TokenKind::Select {
            self.advance();
            self.expect(TokenKind::Star, "'*' after SELECT")?;
        }
        self.expect(TokenKind::From, "FROM")?;
        let source = self.source()?;
        let condition = if self.peek().kind == TokenKind::Where {
            self.advance();
            let first = self.next;
            self.expression(0)?;
            let written = self.tokens[first].start..self.tokens[self.next - 1].end;
            Some((written, std::mem::take(&mut self.nodes)))
        } else {
            None
        };
        let expected = if condition.is_some() { "an operator or INTO" } else { "'/', WHERE or INTO" };
        self.expect(TokenKind::Into, expected)?;
        let endpoint = self.sink()?;
        Ok(RouteSyntax { source, condition, endpoint })
    }

    fn source(&mut self) -> Result<Source, Fault> {
        let mut written = String::new();
        loop {
            self.expect(TokenKind::Slash, "a source that begins with '/'")?;
            let segment = self.peek();
            if !matches!(segment.kind, TokenKind::Star | TokenKind::Name) {
                return Err(self.unexpected("'*' or a name in the source"));
            }
            self.advance();
            written.push('/');
            written.push_str(self.written(segment));
            if self.peek().kind != TokenKind::Slash {
                return Ok(Source::from_written(&written));
            }
        }
    }

    fn sink(&mut self) -> Result<Endpoint, Fault> {
        let sink = self.peek();
        let written = self.written(sink);
        match sink.kind {
            TokenKind::System if written.eq_ignore_ascii_case("$upstream") => Ok(Endpoint::Upstream),
            TokenKind::System => {
                Err(Fault::syntax(sink.start, format!("unknown endpoint '{written}'; only $upstream")))
            }
            TokenKind::Name => {
                self.advance();
                self.expect(TokenKind::OpenParenthesis, "'(' after the endpoint's name")?;
                let address = self.expect(TokenKind::Text, "the quoted address of the endpoint")?;
                self.expect(TokenKind::CloseParenthesis, "')' after the endpoint's address")?;
                if !written.eq_ignore_ascii_case("BrokeredEndpoint") {
                    let message = format!("unknown endpoint '{written}'; only BrokeredEndpoint");
                    return Err(Fault::syntax(sink.start, message));
                }
                module_endpoint(self.written(address).trim_matches(['"', '\''])).ok_or_else(|| {
                    let message = "the endpoint's address must be /modules/MODULE/inputs/INPUT";
                    Fault::syntax(address.start, message)
                })
            }
            _ => Err(self.unexpected("$upstream or BrokeredEndpoint(…)")),
        }
    }

    fn expression(&mut self, weakest: u8) -> Result<(), Fault> {
        self.operand()?;
        while let Some((operator, strength)) = binary_operator(self.peek().kind)
            && strength >= weakest
        {
            let offset = self.advance().start;
            self.expression(strength + 1)?;
            self.push(offset, Element::Binary(operator));
        }
        Ok(())
    }

    fn operand(&mut self) -> Result<(), Fault> {
        let token = self.peek();
        if self.nesting >= ROUTE_NESTING_MAX {
            return Err(Fault::syntax(token.start, format!("nested deeper than {ROUTE_NESTING_MAX} levels")));
        }
        self.nesting += 1;
        match token.kind {
            TokenKind::OpenParenthesis => {
                self.advance();
                self.expression(0)?;
                if self.peek().kind == TokenKind::End {
                    return Err(Fault::syntax(token.start, "missing closing ')'"));
                }
                self.expect(TokenKind::CloseParenthesis, "an operator or ')'")?;
            }
            TokenKind::Minus | TokenKind::Not => {
                self.advance();
                self.operand()?;
                let prefix = if token.kind == TokenKind::Not { Element::Not } else { Element::Negate };
                self.push(token.start, prefix);
            }
            TokenKind::OpenBrace => {
                self.advance();
                let name = self.expect(TokenKind::System, "a name that begins with '$'")?;
                self.expect(TokenKind::CloseBrace, "'}'")?;
                self.push(name.start, Element::System { name: self.written(name).to_owned(), escaped: true });
            }
            TokenKind::Name => self.property_or_call()?,
            TokenKind::System => {
                self.advance();
                self.push(token.start, Element::System { name: self.written(token).to_owned(), escaped: false });
            }
            _ => match literal_value(token.kind, self.written(token)) {
                Some(value) => {
                    self.advance();
                    self.push(token.start, Element::Literal(value));
                }
                None => return Err(self.unexpected("a value")),
            },
        }
        self.nesting -= 1;
        Ok(())
    }

    fn property_or_call(&mut self) -> Result<(), Fault> {
        let name = self.advance();
        let written = self.written(name).to_owned();
        if self.peek().kind != TokenKind::OpenParenthesis {
            self.push(name.start, Element::Property(written));
            return Ok(());
        }
        self.advance();
        let mut arguments = 0;
        if self.peek().kind != TokenKind::CloseParenthesis {
            loop {
                self.expression(0)?;
                arguments += 1;
                if self.peek().kind != TokenKind::Comma {
                    break;
                }
                self.advance();
            }
        }
        self.expect(TokenKind::CloseParenthesis, "an operator, ',' or ')'")?;
        self.push(name.start, Element::Call { function: written, arguments });
        Ok(())
    }

    fn peek(&self) -> Token {
        self.tokens[self.next]
    }

    /// Takes the next token; the end is never passed.
    fn advance(&mut self) -> Token {
        let token = self.peek();
        if token.kind != TokenKind::End {
            self.next += 1;
        }
        token
    }

    fn expect(&mut self, kind: TokenKind, expected: &str) -> Result<Token, Fault> {
        if self.peek().kind == kind { Ok(self.advance()) } else { Err(self.unexpected(expected)) }
    }

    fn written(&self, token: Token) -> &'t str {
        &self.text[token.start..token.end]
    }

    fn push(&mut self, offset: usize, element: Element) {
        self.nodes.push(Node { offset, element });
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let token = self.peek();
        let written = self.written(token);
        let message = match token.kind {
            TokenKind::End => format!("ends where {expected} is expected"),
            TokenKind::Unknown => format!("invalid symbol '{written}'"),
            TokenKind::UnterminatedText => "unterminated text".to_owned(),
            TokenKind::CloseParenthesis => "unmatched closing ')'".to_owned(),
            TokenKind::Path => format!("'{written}' is not a name: only $body paths may hold '[' and ']'"),
            _ => format!("expected {expected}, found '{written}'"),
        };
        Fault::syntax(token.start, message)
    }
}

fn binary_operator(kind: TokenKind) -> Option<(BinaryOperator, u8)> {
    use BinaryOperator as Operator;
    Some(match kind {
        TokenKind::Coalesce => (Operator::Coalesce, 1),
        TokenKind::Or => (Operator::Or, 2),
        TokenKind::And => (Operator::And, 3),
        TokenKind::Equal => (Operator::Compare(Comparison::Equal), 4),
        TokenKind::NotEqual => (Operator::Compare(Comparison::NotEqual), 4),
        TokenKind::Less => (Operator::Compare(Comparison::Less), 5),
        TokenKind::LessOrEqual => (Operator::Compare(Comparison::LessOrEqual), 5),
        TokenKind::Greater => (Operator::Compare(Comparison::Greater), 5),
        TokenKind::GreaterOrEqual => (Operator::Compare(Comparison::GreaterOrEqual), 5),
        TokenKind::Plus => (Operator::Arithmetic(Arithmetic::Add), 6),
        TokenKind::Minus => (Operator::Arithmetic(Arithmetic::Subtract), 6),
        TokenKind::Concat => (Operator::Concat, 6),
        TokenKind::Star => (Operator::Arithmetic(Arithmetic::Multiply), 7),
        TokenKind::Slash => (Operator::Arithmetic(Arithmetic::Divide), 7),
        TokenKind::Percent => (Operator::Arithmetic(Arithmetic::Remainder), 7),
        _ => return None,
    })
}

fn literal_value(kind: TokenKind, written: &str) -> Option<Literal> {
    Some(match kind {
        TokenKind::True => Literal::Bool(true),
        TokenKind::False => Literal::Bool(false),
        TokenKind::Null => Literal::Null,
        TokenKind::Undefined => Literal::Undefined,
        TokenKind::Text => Literal::Text(literal::unescape(&written[1..written.len() - 1])),
        TokenKind::Integer | TokenKind::Real => literal::decimal(written).map_or(Literal::Undefined, Literal::Number),
        TokenKind::Hex => literal::hexadecimal(&written[2..]).map_or(Literal::Undefined, Literal::Number),
        _ => return None,
    })
}

/// Reads `/modules/MODULE/inputs/INPUT`. The two fixed words are not checked; the original does not either.
fn module_endpoint(address: &str) -> Option<Endpoint> {
    let address = address.trim();
    let address = address.strip_prefix('/').unwrap_or(address);
    let address = address.strip_suffix('/').unwrap_or(address);
    let mut parts = address.split('/');
    let (_, module, _, input) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let complete = parts.next().is_none() && !module.trim().is_empty() && !input.trim().is_empty();
    complete.then(|| Endpoint::Module { module: module.to_owned(), input: input.to_owned() })
}
