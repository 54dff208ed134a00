//! A transaction on either engine.

use sqlx::{query_as_with, query_with};

use super::postgres::PostgresTransaction;
use super::sqlite::Lent;
use super::statement::{FromEitherRow, Statement};
use super::{postgres, sqlite};
use crate::{Act, StoreError};

/// Statements that become durable together. Dropped without [`commit`](Self::commit), it never was.
///
/// *Invariant*: after a step that failed, `commit` fails too. PostgreSQL would answer the commit of such a transaction as if it
/// had gone well, having rolled it back; SQLite may have rolled back by itself, and would take later steps one by one.
pub(crate) struct Transaction {
    inner: Inner,
    act: Act,
    has_failed: bool,
}

enum Inner {
    Sqlite(Lent),
    Postgres(PostgresTransaction),
}

impl Transaction {
    pub(super) fn sqlite(transaction: Lent, act: Act) -> Self {
        Self { inner: Inner::Sqlite(transaction), act, has_failed: false }
    }

    pub(super) fn postgres(transaction: PostgresTransaction, act: Act) -> Self {
        Self { inner: Inner::Postgres(transaction), act, has_failed: false }
    }

    /// Runs a statement and answers how many rows it changed.
    pub(crate) async fn execute(&mut self, statement: &Statement<'_>) -> Result<u64, StoreError> {
        self.prepare(statement)?;
        let act = statement.act;
        let done = match &mut self.inner {
            Inner::Sqlite(inner) => {
                let done = async {
                    query_with(statement.sql(), statement.sqlite_arguments()?).execute(inner.connection()).await
                };
                done.await.map(|done| done.rows_affected()).map_err(|error| sqlite::classify(act, error))
            }
            Inner::Postgres(inner) => {
                let (connection, home) = inner.parts();
                let done =
                    async { query_with(statement.sql(), statement.postgres_arguments()?).execute(connection).await };
                postgres::in_time(home, act, done).await.map(|done| done.rows_affected())
            }
        };
        self.has_failed = done.is_err();
        done
    }

    /// Runs a statement and answers its row, if there is one.
    pub(crate) async fn fetch_optional<T: FromEitherRow>(
        &mut self,
        statement: &Statement<'_>,
    ) -> Result<Option<T>, StoreError> {
        self.prepare(statement)?;
        let act = statement.act;
        let row = match &mut self.inner {
            Inner::Sqlite(inner) => {
                let row = async {
                    query_as_with(statement.sql(), statement.sqlite_arguments()?)
                        .fetch_optional(inner.connection())
                        .await
                };
                row.await.map_err(|error| sqlite::classify(act, error))
            }
            Inner::Postgres(inner) => {
                let (connection, home) = inner.parts();
                let row = async {
                    query_as_with(statement.sql(), statement.postgres_arguments()?).fetch_optional(connection).await
                };
                postgres::in_time(home, act, row).await
            }
        };
        self.has_failed = row.is_err();
        row
    }

    /// Runs a statement and answers every row.
    pub(crate) async fn fetch_all<T: FromEitherRow>(
        &mut self,
        statement: &Statement<'_>,
    ) -> Result<Vec<T>, StoreError> {
        self.prepare(statement)?;
        let act = statement.act;
        let rows = match &mut self.inner {
            Inner::Sqlite(inner) => {
                let rows = async {
                    query_as_with(statement.sql(), statement.sqlite_arguments()?).fetch_all(inner.connection()).await
                };
                rows.await.map_err(|error| sqlite::classify(act, error))
            }
            Inner::Postgres(inner) => {
                let (connection, home) = inner.parts();
                let rows = async {
                    query_as_with(statement.sql(), statement.postgres_arguments()?).fetch_all(connection).await
                };
                postgres::in_time(home, act, rows).await
            }
        };
        self.has_failed = rows.is_err();
        rows
    }

    fn prepare(&self, statement: &Statement<'_>) -> Result<(), StoreError> {
        if self.has_failed {
            return Err(StoreError::RolledBack(statement.act));
        }
        statement.check()
    }

    /// Makes it durable.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let act = self.act;
        if self.has_failed {
            self.roll_back().await?;
            return Err(StoreError::RolledBack(act));
        }
        match self.inner {
            Inner::Sqlite(mut inner) => inner.commit().await.map_err(|error| sqlite::classify(act, error)),
            Inner::Postgres(inner) => inner.commit(act).await,
        }
    }

    /// Gives it up.
    pub(crate) async fn roll_back(self) -> Result<(), StoreError> {
        let act = self.act;
        match self.inner {
            Inner::Sqlite(mut inner) => inner.roll_back().await.map_err(|error| sqlite::classify(act, error)),
            Inner::Postgres(inner) => inner.roll_back(act).await,
        }
    }
}
