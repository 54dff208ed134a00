//! The syntax tree of a query. Every position is that of a character in the query's text, counted from 1.

use crate::selection::TimeRange;

/// A parsed query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// `TOP n`.
    pub top: Option<u64>,
    /// What is selected.
    pub items: Vec<Item>,
    /// Id of the template in `FROM`.
    pub template: String,
    /// `WHERE`.
    pub condition: Option<Condition>,
    /// Length of `GROUP BY WINDOW` in milliseconds.
    pub group_window_ms: Option<i64>,
    /// `ORDER BY`.
    pub order: Vec<OrderBy>,
}

/// One item of `SELECT`.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What it is.
    pub expression: Expression,
    /// `AS`.
    pub alias: Option<String>,
}

impl Item {
    /// What the item is called in the answer.
    pub fn output_name(&self) -> String {
        match (&self.alias, &self.expression) {
            (Some(alias), _) => alias.clone(),
            (None, Expression::Column(column)) => column.path.clone(),
            (None, Expression::Aggregate(function, column)) => format!("{}_{}", function.name(), column.path),
        }
    }

    /// The column it takes its values from.
    pub fn column(&self) -> &Column {
        match &self.expression {
            Expression::Column(column) | Expression::Aggregate(_, column) => column,
        }
    }
}

/// What an item selects.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A value of each message.
    Column(Column),
    /// A value computed from many messages.
    Aggregate(AggregateFunction, Column),
}

/// A column as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name with all parts, or `$id` and the like.
    pub path: String,
    /// Where it is written.
    pub position: usize,
}

/// The aggregate functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateFunction {
    /// Average of numbers.
    Avg,
    /// How many messages have a value.
    Count,
    /// The earliest value.
    First,
    /// The latest value.
    Last,
    /// The largest number.
    Max,
    /// The smallest number.
    Min,
    /// The sum of numbers.
    Sum,
}

impl AggregateFunction {
    pub(super) const ALL: [AggregateFunction; 7] = [
        AggregateFunction::Avg,
        AggregateFunction::Count,
        AggregateFunction::First,
        AggregateFunction::Last,
        AggregateFunction::Max,
        AggregateFunction::Min,
        AggregateFunction::Sum,
    ];

    /// Its name, in the lower case that names of columns without alias begin with.
    pub fn name(self) -> &'static str {
        match self {
            AggregateFunction::Avg => "avg",
            AggregateFunction::Count => "count",
            AggregateFunction::First => "first",
            AggregateFunction::Last => "last",
            AggregateFunction::Max => "max",
            AggregateFunction::Min => "min",
            AggregateFunction::Sum => "sum",
        }
    }
}

/// A condition of `WHERE`.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All of them.
    And(Vec<Condition>),
    /// Any of them.
    Or(Vec<Condition>),
    /// A value compared with a literal.
    Compare {
        /// Whose value.
        column: Column,
        /// How.
        comparison: Comparison,
        /// With what.
        literal: Literal,
    },
    /// A value that is one of several.
    In {
        /// Whose value.
        column: Column,
        /// The several.
        literals: Vec<Literal>,
    },
    /// `WITHIN_WINDOW`.
    WithinWindow {
        /// Which time.
        window: Window,
        /// Where it is written.
        position: usize,
    },
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=` or `<>`
    NotEqual,
    /// `>`
    Greater,
    /// `<`
    Less,
    /// `>=`
    GreaterOrEqual,
    /// `<=`
    LessOrEqual,
}

/// A value in the query's text.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A number.
    Number(f64),
    /// A text in quotes.
    Text(String),
    /// `TRUE` or `FALSE`.
    Boolean(bool),
}

/// The time of `WITHIN_WINDOW`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last so many milliseconds.
    Last(i64),
    /// A fixed time.
    Fixed(TimeRange),
}

/// One key of `ORDER BY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBy {
    /// A column, or the name of an item.
    pub column: Column,
    /// `DESC`.
    pub descending: bool,
}
