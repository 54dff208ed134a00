//! One statement as data: written once, run by either engine, and run again where a write is tried again.

use std::borrow::Cow;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Encode, FromRow, SqlSafeStr as _, SqlStr, Type};

use crate::{Act, StoreError};

/// What a row is mapped to; derived, and so the same for both engines.
pub trait FromEitherRow: Send + Unpin + for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> {}

impl<T> FromEitherRow for T where T: Send + Unpin + for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> {}

/// A parameter. An absent one keeps its kind: PostgreSQL checks the kinds of parameters.
#[derive(Debug, Clone)]
pub enum Value<'q> {
    /// A text.
    Text(Option<Cow<'q, str>>),
    /// A whole number.
    Number(Option<i64>),
    /// Yes or no.
    Flag(bool),
    /// Bytes of any meaning.
    Bytes(&'q [u8]),
}

/// SQL text with `$1` parameters that both engines take, the parameters, and what it is for.
///
/// Only column names, fragments of the engine and parameter numbers are ever formatted into the text, never a caller's words.
#[derive(Debug, Clone)]
pub struct Statement<'q> {
    pub(super) act: Act,
    sql: SqlStr,
    values: Vec<Value<'q>>,
    pub(super) must_change: bool,
}

impl<'q> Statement<'q> {
    /// A statement that does `act`, a phrase with a verb, to `table`.
    pub(crate) fn new(act: &'static str, table: &'static str, sql: impl Into<Cow<'static, str>>) -> Self {
        let sql = AssertSqlSafe(sql.into()).into_sql_str();
        Self { act: Act { act, table }, sql, values: Vec::new(), must_change: false }
    }

    /// Gives the next parameter its value.
    pub(crate) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// When it changes no row, the transaction is rolled back with `Missing`.
    pub(crate) fn must_change(self) -> Self {
        Self { must_change: true, ..self }
    }

    /// What it does, for errors.
    pub(crate) fn act(&self) -> Act {
        self.act
    }

    /// Refuses what one of the engines cannot take.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let has_nul = |value: &Value<'_>| matches!(value, Value::Text(Some(text)) if text.contains('\0'));
        if self.values.iter().any(has_nul) { Err(StoreError::NulCharacter(self.act)) } else { Ok(()) }
    }

    pub(super) fn sql(&self) -> SqlStr {
        self.sql.clone()
    }

    /// How many parameters it has.
    pub(super) fn parameters(&self) -> usize {
        self.values.len()
    }

    pub(super) fn sqlite_arguments(&self) -> Result<SqliteArguments, sqlx::Error> {
        arguments(&self.values)
    }

    /// The parameters of several statements, one after the other.
    pub(super) fn all_sqlite_arguments(statements: &[Statement<'_>]) -> Result<SqliteArguments, sqlx::Error> {
        arguments(statements.iter().flat_map(|statement| &statement.values))
    }

    pub(super) fn postgres_arguments(&self) -> Result<PgArguments, sqlx::Error> {
        arguments(&self.values)
    }
}

fn arguments<'v, A>(values: impl IntoIterator<Item = &'v Value<'v>>) -> Result<A, sqlx::Error>
where
    A: Arguments + Default,
    for<'a> Option<&'a str>: Encode<'a, A::Database> + Type<A::Database>,
    for<'a> Option<i64>: Encode<'a, A::Database> + Type<A::Database>,
    for<'a> bool: Encode<'a, A::Database> + Type<A::Database>,
    for<'a> &'a [u8]: Encode<'a, A::Database> + Type<A::Database>,
{
    let mut arguments = A::default();
    for value in values {
        let added = match value {
            Value::Text(text) => arguments.add(text.as_deref()),
            Value::Number(number) => arguments.add(*number),
            Value::Flag(flag) => arguments.add(*flag),
            Value::Bytes(bytes) => arguments.add(*bytes),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

impl<'q> From<&'q str> for Value<'q> {
    fn from(text: &'q str) -> Self {
        Self::Text(Some(Cow::Borrowed(text)))
    }
}

impl<'q> From<&'q String> for Value<'q> {
    fn from(text: &'q String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(Cow::Owned(text)))
    }
}

impl<'q> From<Option<&'q str>> for Value<'q> {
    fn from(text: Option<&'q str>) -> Self {
        Self::Text(text.map(Cow::Borrowed))
    }
}

impl<'q> From<&'q Option<String>> for Value<'q> {
    fn from(text: &'q Option<String>) -> Self {
        Self::from(text.as_deref())
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::from(i64::try_from(number).expect("offsets, sizes and versions stay below 2^63"))
    }
}

impl<'q> From<&'q [u8]> for Value<'q> {
    fn from(bytes: &'q [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
