//! What the parser hands to the compiler: a condition in postfix order (`a = 'x' and not b` becomes `a 'x' = b not and`).
//!
//! Postfix keeps type check and evaluation plain loops over a stack: a chain of a thousand `or` is as deep as one.

/// One element of a condition and the byte of the text it stands at.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) offset: usize,
    pub(super) element: Element,
}

/// An element: a value is pushed, an operator or call takes its operands from the stack and pushes its result.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Element {
    Literal(Literal),
    /// A bare name: an application property.
    Property(String),
    /// `$name` with its `$`; `escaped` when written `{$name}`.
    System {
        name: String,
        escaped: bool,
    },
    Negate,
    Not,
    Binary(BinaryOperator),
    Call {
        function: String,
        arguments: usize,
    },
}

/// A value written in the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Bool(bool),
    Number(f64),
    Text(String),
    Null,
    Undefined,
}

/// A binary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryOperator {
    Arithmetic(Arithmetic),
    Concat,
    Compare(Comparison),
    And,
    Or,
    Coalesce,
}

/// An arithmetic operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl BinaryOperator {
    /// The sign as written in messages.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Arithmetic(Arithmetic::Add) => "+",
            Self::Arithmetic(Arithmetic::Subtract) => "-",
            Self::Arithmetic(Arithmetic::Multiply) => "*",
            Self::Arithmetic(Arithmetic::Divide) => "/",
            Self::Arithmetic(Arithmetic::Remainder) => "%",
            Self::Concat => "||",
            Self::Compare(Comparison::Equal) => "=",
            Self::Compare(Comparison::NotEqual) => "<>",
            Self::Compare(Comparison::Less) => "<",
            Self::Compare(Comparison::LessOrEqual) => "<=",
            Self::Compare(Comparison::Greater) => ">",
            Self::Compare(Comparison::GreaterOrEqual) => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Coalesce => "??",
        }
    }
}
