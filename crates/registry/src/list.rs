//! Lists: which rows, in which order, from where on. The same for every table.
//!
//! A filter is a tree over columns that exist; it becomes SQL text with parameters. Only the column names of a [`Field`] and
//! parameter numbers enter the text, never a caller's words.

use std::fmt::Write as _;

use super::engine::{Engine, Statement};
use crate::limits::LIST_TEXTS_MAX;

/// A column a filter may name.
pub trait Field: Copy + Send + Sync {
    /// Its name in the table.
    fn column(self) -> &'static str;
}

/// What a filter may name where a thing has nothing but its id to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdField;

impl Field for IdField {
    fn column(self) -> &'static str {
        "id"
    }
}

/// What a filter may name of a thing with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedField {
    /// Its id.
    Id,
    /// Name shown to people.
    DisplayName,
}

impl Field for NamedField {
    fn column(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::DisplayName => "display_name",
        }
    }
}

/// How a column is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the operators")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// Which rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFilter<F> {
    /// A text column compared with a text.
    Text(F, Comparison, String),
    /// A yes-or-no column equal to a value.
    Flag(F, bool),
    /// A column without a value.
    Absent(F),
    /// A text column equal to one of these texts, at most [`LIST_TEXTS_MAX`]; of none, no row.
    OneOf(F, Vec<String>),
    /// A text column that contains a text, whatever the case of ASCII letters.
    Contains(F, String),
    /// Both.
    And(Box<ListFilter<F>>, Box<ListFilter<F>>),
    /// Either.
    Or(Box<ListFilter<F>>, Box<ListFilter<F>>),
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct ListPage<F> {
    /// Which rows; all when absent.
    pub filter: Option<ListFilter<F>>,
    /// Ordered by display name (then id) instead of by id, where the table has names.
    pub by_display_name: bool,
    /// Order turned round.
    pub descending: bool,
    /// The sort keys (display name, id) of the last row of the page before.
    pub after: Option<(String, String)>,
    /// Rows wanted.
    pub limit: u32,
}

impl<F> Default for ListPage<F> {
    fn default() -> Self {
        Self { filter: None, by_display_name: false, descending: false, after: None, limit: 0 }
    }
}

/// SQL text under construction with the values of its parameters. `$1` is the application.
pub(crate) struct Condition {
    engine: Engine,
    sql: String,
    texts: Vec<String>,
}

impl Condition {
    /// The rows of an application that pass a filter.
    pub(crate) fn new<F: Field>(engine: &Engine, filter: Option<&ListFilter<F>>) -> Self {
        let mut condition = Self { engine: engine.clone(), sql: String::from("application = $1"), texts: Vec::new() };
        if let Some(filter) = filter {
            condition.sql.push_str(" AND ");
            condition.add(filter);
        }
        condition
    }

    /// A statement over the rows, with `{rows}` in its text replaced by the condition.
    pub(crate) fn statement<'q>(
        &'q self,
        act: &'static str,
        table: &'static str,
        sql: &str,
        application: &'q str,
    ) -> Statement<'q> {
        let statement = Statement::new(act, table, sql.replace("{rows}", &self.sql)).bind(application);
        self.texts.iter().fold(statement, |statement, text| statement.bind(text))
    }

    /// Restricts to the rows after the page before, and answers the order and the limit.
    pub(crate) fn page<F>(&mut self, page: &ListPage<F>, has_names: bool) -> String {
        let by_name = page.by_display_name && has_names;
        if let Some((name, id)) = &page.after {
            let sign = if page.descending { "<" } else { ">" };
            let id = self.bind(id);
            if by_name {
                let name = self.bind(name);
                // Compared as one value, which an index finds; spelled out with OR, every row before it is read.
                let _ = write!(self.sql, " AND (display_name, id) {sign} ({name}, {id})");
            } else {
                let _ = write!(self.sql, " AND id {sign} {id}");
            }
        }
        let way = if page.descending { "DESC" } else { "ASC" };
        let order = if by_name { format!("display_name {way}, id {way}") } else { format!("id {way}") };
        format!("ORDER BY {order} LIMIT {}", page.limit)
    }

    /// Adds a parameter and answers its placeholder.
    fn bind(&mut self, text: &str) -> String {
        self.texts.push(text.to_owned());
        format!("${}", self.texts.len() + 1)
    }

    fn add<F: Field>(&mut self, filter: &ListFilter<F>) {
        match filter {
            ListFilter::Text(field, comparison, text) => {
                let parameter = self.bind(text);
                let column = field.column();
                // An absent value differs from every text, as callers expect; SQL's NULL would drop the row.
                if *comparison == Comparison::NotEqual {
                    let _ = write!(self.sql, "({column} IS NULL OR {column} <> {parameter})");
                } else {
                    let _ = write!(self.sql, "{column} {} {parameter}", comparison.sql());
                }
            }
            ListFilter::Flag(field, value) => {
                let value = if *value { "TRUE" } else { "FALSE" };
                let _ = write!(self.sql, "{} = {value}", field.column());
            }
            ListFilter::Absent(field) => {
                let _ = write!(self.sql, "{} IS NULL", field.column());
            }
            ListFilter::OneOf(_, texts) if texts.is_empty() => self.sql.push_str("FALSE"),
            ListFilter::OneOf(field, texts) => {
                debug_assert!(texts.len() <= LIST_TEXTS_MAX, "callers keep to the limit");
                let parameters: Vec<_> = texts.iter().map(|text| self.bind(text)).collect();
                let _ = write!(self.sql, "{} IN ({})", field.column(), parameters.join(", "));
            }
            ListFilter::Contains(field, text) => {
                let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                let parameter = self.bind(&format!("%{}%", escaped.to_ascii_lowercase()));
                let column = self.engine.without_case(field.column());
                let _ = write!(self.sql, "{column} LIKE {parameter} ESCAPE '\\'");
            }
            ListFilter::And(left, right) => self.join(left, "AND", right),
            ListFilter::Or(left, right) => self.join(left, "OR", right),
        }
    }

    fn join<F: Field>(&mut self, left: &ListFilter<F>, word: &str, right: &ListFilter<F>) {
        self.sql.push('(');
        self.add(left);
        let _ = write!(self.sql, " {word} ");
        self.add(right);
        self.sql.push(')');
    }
}
