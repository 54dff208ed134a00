//! The two engines behind the registry: which one it is, is known here and nowhere else.
//!
//! A [`Statement`] is data, not a query of one engine: text both take, and parameters. It is therefore written once, and a
//! write that PostgreSQL refuses because of other writes is simply run again, here, at most [`WRITE_ATTEMPTS_MAX`] times. What
//! cannot be said in a text both take is a method of [`Engine`] that answers a fragment of SQL.

mod lock;
pub(crate) mod postgres;
pub(crate) mod sqlite;
mod statement;
mod transaction;

use std::path::Path;

use sqlx::{query_as_with, query_with};

pub(crate) use lock::Locks;

pub use statement::{FromEitherRow, Statement, Value};
pub(crate) use transaction::Transaction;

use self::postgres::PostgresEngine;
use self::sqlite::{Ran, SqliteEngine};
use crate::limits::{STATEMENTS_TOGETHER_MAX, WRITE_ATTEMPTS_MAX};
use crate::{Act, DatabaseUrl, OpenRegistryError, StoreError};

/// Runs the body of a change, which begins a transaction and commits it, again while PostgreSQL refuses it because of others.
macro_rules! retried {
    ($engine:expr, $body:block) => {{
        let mut attempt = 1;
        loop {
            match async { $body }.await {
                Err(error) if $engine.is_worth_another(attempt, &error) => attempt += 1,
                done => break done,
            }
        }
    }};
}
pub(crate) use retried;

/// One of the two. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Engine {
    Sqlite(SqliteEngine),
    Postgres(PostgresEngine),
}

impl Engine {
    pub(crate) async fn open_file(path: &Path) -> Result<Self, OpenRegistryError> {
        Ok(Self::Sqlite(SqliteEngine::open(path).await?))
    }

    pub(crate) async fn connect(database: &DatabaseUrl) -> Result<Self, OpenRegistryError> {
        Ok(Self::Postgres(PostgresEngine::connect(database).await?))
    }

    /// Waits until no statement runs and closes every connection. Later calls fail.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(engine) => engine.close().await,
            Self::Postgres(engine) => engine.pool.close().await,
        }
    }

    /// Ends a `SELECT` whose rows must still be there when the transaction ends. SQLite has no other writer meanwhile.
    pub(crate) fn keep_rows(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => "FOR KEY SHARE",
        }
    }

    /// A column for `LIKE`, whatever the case of ASCII letters: SQLite compares that way by itself, and faster.
    pub(crate) fn without_case(&self, column: &str) -> String {
        match self {
            Self::Sqlite(_) => column.to_owned(),
            Self::Postgres(_) => format!("lower({column})"),
        }
    }

    /// Every row a statement that only reads answers.
    pub(crate) async fn fetch_all<T: FromEitherRow>(&self, statement: Statement<'_>) -> Result<Vec<T>, StoreError> {
        statement.check()?;
        let act = statement.act;
        match self {
            Self::Sqlite(engine) => {
                let rows = async {
                    let mut lent = engine.readers.lend().await?;
                    query_as_with(statement.sql(), statement.sqlite_arguments()?).fetch_all(lent.connection()).await
                };
                rows.await.map_err(|error| sqlite::classify(act, error))
            }
            Self::Postgres(engine) => {
                let rows = async {
                    query_as_with(statement.sql(), statement.postgres_arguments()?).fetch_all(&engine.pool).await
                };
                postgres::in_time(&engine.home, act, rows).await
            }
        }
    }

    /// The one row a statement that only reads answers, if there is one.
    pub(crate) async fn fetch_optional<T: FromEitherRow>(
        &self,
        statement: Statement<'_>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.fetch_all(statement).await?.into_iter().next())
    }

    /// Runs one statement that changes something and answers how many rows it changed.
    pub(crate) async fn execute(&self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let changed = self.write(&Locks::none(), std::slice::from_ref(&statement)).await?;
        Ok(changed.into_iter().sum())
    }

    /// Runs statements in one transaction, and answers how many rows each of them changed.
    pub(crate) async fn write(&self, locks: &Locks, statements: &[Statement<'_>]) -> Result<Vec<u64>, StoreError> {
        for statement in statements {
            statement.check()?;
        }
        retried!(self, { self.write_once(locks, statements).await })
    }

    async fn write_once(&self, locks: &Locks, statements: &[Statement<'_>]) -> Result<Vec<u64>, StoreError> {
        let [first, ..] = statements else { return Ok(Vec::new()) };
        let may_change_nothing = statements.iter().all(|statement| !statement.must_change);
        match self {
            Self::Sqlite(engine) if may_change_nothing && statements.len() == 1 => {
                return Ok(vec![execute_alone(engine, first).await?]);
            }
            Self::Sqlite(engine) if may_change_nothing && statements.len() <= STATEMENTS_TOGETHER_MAX => {
                let ran = run_together(engine, statements).await?;
                return Ok(ran.into_iter().map(|ran| ran.changed).collect());
            }
            Self::Sqlite(_) | Self::Postgres(_) => {}
        }
        let mut transaction = self.begin(locks, first.act).await?;
        let mut changed = Vec::with_capacity(statements.len());
        for statement in statements {
            let rows = transaction.execute(statement).await?;
            if statement.must_change && rows == 0 {
                transaction.roll_back().await?;
                return Err(StoreError::Missing(statement.act));
            }
            changed.push(rows);
        }
        transaction.commit().await?;
        Ok(changed)
    }

    /// Runs one statement that changes something and answers a row (`… RETURNING …`), and commits it.
    ///
    /// In a transaction of its own: without one the commit comes when the statement ends, which is after its row was taken, and
    /// a commit that fails then (on a full disk) would be answered with `Ok`.
    pub(crate) async fn change_returning<T: FromEitherRow>(
        &self,
        locks: &Locks,
        statement: Statement<'_>,
    ) -> Result<Option<T>, StoreError> {
        statement.check()?;
        retried!(self, { self.change_returning_once(locks, &statement).await })
    }

    async fn change_returning_once<T: FromEitherRow>(
        &self,
        locks: &Locks,
        statement: &Statement<'_>,
    ) -> Result<Option<T>, StoreError> {
        if let Self::Sqlite(engine) = self {
            let ran = run_together(engine, std::slice::from_ref(statement)).await?;
            let row = ran.into_iter().flat_map(|ran| ran.rows).next();
            let row = row.map(|row| T::from_row(&row)).transpose();
            return row.map_err(|error| sqlite::classify(statement.act, error));
        }
        let mut transaction = self.begin(locks, statement.act).await?;
        let row = transaction.fetch_optional(statement).await?;
        transaction.commit().await?;
        Ok(row)
    }

    /// Begins a transaction that writes, with its locks held.
    pub(crate) async fn begin(&self, locks: &Locks, act: Act) -> Result<Transaction, StoreError> {
        match self {
            Self::Sqlite(engine) => {
                let transaction = engine.begin().await.map_err(|error| sqlite::classify(act, error))?;
                Ok(Transaction::sqlite(transaction, act))
            }
            Self::Postgres(engine) => Ok(Transaction::postgres(engine.begin(act, locks).await?, act)),
        }
    }

    /// Whether a write that failed is tried again. SQLite has waited for its turn as long as it may already.
    pub(crate) fn is_worth_another(&self, attempt: u32, error: &StoreError) -> bool {
        matches!((self, error), (Self::Postgres(_), StoreError::Conflict(..))) && attempt < WRITE_ATTEMPTS_MAX
    }
}

/// A whole transaction in one hand-over to the thread that runs it.
async fn run_together(engine: &SqliteEngine, statements: &[Statement<'_>]) -> Result<Vec<Ran>, StoreError> {
    let act_of = |at: usize| statements.get(at).or(statements.last()).expect("there is a statement").act;
    let failed = |(at, error)| sqlite::classify(act_of(at), error);
    let texts: Vec<_> = statements.iter().map(|statement| (statement.sql(), statement.parameters())).collect();
    let text = sqlite::transaction_text(texts.iter().map(|(sql, parameters)| (sql.as_str(), *parameters)));
    let arguments = Statement::all_sqlite_arguments(statements).map_err(|error| failed((0, error)))?;
    let mut lent = engine.writer.lend().await.map_err(|error| failed((0, error)))?;
    lent.whole(text, arguments).await.map_err(failed)
}

/// SQLite commits a statement without a transaction when it ends, and tells when that fails. PostgreSQL could not be asked what
/// became of it if its answer were lost.
async fn execute_alone(engine: &SqliteEngine, statement: &Statement<'_>) -> Result<u64, StoreError> {
    let done = async {
        let mut lent = engine.writer.lend().await?;
        query_with(statement.sql(), statement.sqlite_arguments()?).execute(lent.connection()).await
    };
    done.await.map(|done| done.rows_affected()).map_err(|error| sqlite::classify(statement.act, error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn application(n: i64) -> Statement<'static> {
        let sql = "INSERT INTO applications (id, name, id_scope, created_ms) VALUES ($1, $2, $3, $4)";
        let id = n.to_string();
        Statement::new("store a test", "applications", sql).bind(id.clone()).bind(id.clone()).bind(id).bind(n)
    }

    async fn count(engine: &Engine) -> i64 {
        let all = Statement::new("count tests", "applications", "SELECT COUNT(*) FROM applications");
        engine.fetch_optional::<(i64,)>(all).await.unwrap().unwrap().0
    }

    #[tokio::test]
    async fn statements_are_written_all_or_none_whether_in_one_text_or_one_by_one() {
        for statements in [2, STATEMENTS_TOGETHER_MAX, STATEMENTS_TOGETHER_MAX + 1] {
            let folder = tempfile::tempdir().unwrap();
            let engine = Engine::open_file(&folder.path().join("registry.db")).await.unwrap();
            let before = count(&engine).await;
            let numbers: Vec<i64> = (0..).take(statements).collect();
            let mut twice: Vec<_> = numbers.iter().map(|n| application(*n)).collect();
            twice[statements - 1] = application(0);
            let refused = engine.write(&Locks::none(), &twice).await.unwrap_err();
            assert!(matches!(refused, StoreError::Duplicate(..)), "{refused:?}");
            assert_eq!(count(&engine).await, before);
            let all: Vec<_> = numbers.iter().map(|n| application(*n)).collect();
            assert_eq!(engine.write(&Locks::none(), &all).await.unwrap(), vec![1; statements]);
            assert_eq!(count(&engine).await, before + i64::try_from(statements).unwrap());
        }
    }
}
