//! Connections to the file, lent to one caller at a time.
//!
//! Not the driver's own pool: every connection is a thread, and that pool asks it twice, before and after each use, whether it is
//! still there. A file does not go away as a server does, so a read here costs one hand-over to that thread instead of three.

use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Either, Executor as _, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::ACQUIRE_TIMEOUT;

/// Takes the right to write at once, instead of at the first write.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// As many as there may be, opened as they are needed. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Connections {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: SqliteConnectOptions,
    max: u32,
    places: Arc<Semaphore>,
    /// The one used last is lent first: its cache is warm.
    free: Mutex<Vec<SqliteConnection>>,
}

/// A connection in use. Goes back when it is dropped.
#[derive(Debug)]
pub(in crate::engine) struct Lent {
    /// `None` only while it goes back.
    connection: Option<SqliteConnection>,
    /// Within a transaction.
    unfinished: bool,
    home: Arc<Inner>,
    /// Given up after the connection is back.
    place: Option<OwnedSemaphorePermit>,
}

/// What a statement of a transaction did.
#[derive(Default)]
pub(in crate::engine) struct Ran {
    /// Rows it changed.
    pub(in crate::engine) changed: u64,
    /// Rows it answered.
    pub(in crate::engine) rows: Vec<SqliteRow>,
}

impl Connections {
    /// At most `max`, the first of them open.
    pub(super) async fn open(options: SqliteConnectOptions, max: u32) -> Result<Self, sqlx::Error> {
        let first = options.connect().await?;
        let places = Arc::new(Semaphore::new(max as usize));
        Ok(Self { inner: Arc::new(Inner { options, max, places, free: Mutex::new(vec![first]) }) })
    }

    /// Waits for one, not longer than anybody may.
    pub(in crate::engine) async fn lend(&self) -> Result<Lent, sqlx::Error> {
        let places = Arc::clone(&self.inner.places);
        let place = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => match tokio::time::timeout(ACQUIRE_TIMEOUT, places.acquire_owned()).await {
                Ok(Ok(place)) => place,
                Ok(Err(_closed)) => return Err(sqlx::Error::PoolClosed),
                Err(_elapsed) => return Err(sqlx::Error::PoolTimedOut),
            },
        };
        let free = self.inner.free().pop();
        let connection = match free {
            Some(connection) => connection,
            None => self.inner.options.connect().await?,
        };
        let home = Arc::clone(&self.inner);
        Ok(Lent { connection: Some(connection), unfinished: false, home, place: Some(place) })
    }

    /// Waits until none is in use and closes them. Whoever asks for one later gets an error.
    pub(super) async fn close(&self) {
        let places = self.inner.places.acquire_many(self.inner.max).await;
        self.inner.places.close();
        drop(places);
        let free = std::mem::take(&mut *self.inner.free());
        for connection in free {
            if let Err(error) = connection.close().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a connection to the registry did not close");
            }
        }
    }
}

impl Inner {
    fn free(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        self.free.lock().expect("nothing panics while it holds the free connections")
    }
}

impl Lent {
    /// To run a statement on.
    pub(in crate::engine) fn connection(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect("it is there until it goes back")
    }

    /// Begins a transaction that writes. Dropped before [`Lent::commit`] or [`Lent::roll_back`] is done, it never was.
    pub(in crate::engine) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.unfinished = true;
        let begun = self.run(BEGIN).await;
        // A turn to write that did not come leaves nothing behind.
        self.unfinished = begun.is_ok();
        begun
    }

    /// Makes the transaction durable.
    pub(in crate::engine) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        match self.run("COMMIT").await {
            Ok(()) => {
                self.unfinished = false;
                Ok(())
            }
            Err(error) => Err(self.gave_up_with(error).await),
        }
    }

    /// Gives the transaction up. That there is none is no error: on a full disk SQLite rolls back by itself.
    pub(in crate::engine) async fn roll_back(&mut self) -> Result<(), sqlx::Error> {
        roll_back(self.connection()).await?;
        self.unfinished = false;
        Ok(())
    }

    /// Runs a whole transaction, a [`transaction_text`], in one hand-over, and gives what each statement between `BEGIN` and
    /// `COMMIT` did. One that fails is rolled back, and the number of the statement that failed comes with the error.
    pub(in crate::engine) async fn whole(
        &mut self,
        text: String,
        arguments: SqliteArguments,
    ) -> Result<Vec<Ran>, (usize, sqlx::Error)> {
        self.unfinished = true;
        let mut ran = vec![Ran::default()];
        let failed = {
            let query = sqlx::query_with(AssertSqlSafe(text), arguments);
            let mut told = self.connection().fetch_many(query);
            loop {
                match told.try_next().await {
                    Ok(Some(Either::Right(row))) => ran.last_mut().expect("it is never empty").rows.push(row),
                    Ok(Some(Either::Left(done))) => {
                        ran.last_mut().expect("it is never empty").changed = done.rows_affected();
                        ran.push(Ran::default());
                    }
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            }
        };
        match failed {
            None => {
                self.unfinished = false;
                // The transaction's own first and last one, and the one that never came.
                ran.truncate(ran.len().saturating_sub(2));
                ran.remove(0);
                Ok(ran)
            }
            Some(error) => {
                let failed_at = ran.len().saturating_sub(2);
                Err((failed_at, self.gave_up_with(error).await))
            }
        }
    }

    /// Where giving up fails too, it is tried again when the connection goes back.
    async fn gave_up_with(&mut self, error: sqlx::Error) -> sqlx::Error {
        if let Err(error) = self.roll_back().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a transaction could not be rolled back");
        }
        error
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query(sql).execute(self.connection()).await.map(drop)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let (home, place) = (Arc::clone(&self.home), self.place.take());
        if !self.unfinished {
            home.free().push(connection);
            return;
        }
        // At once, and not when the next user comes: other processes wait for the right to write. A connection that cannot roll
        // back, or whose runtime ends, is closed, which does the same.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if roll_back(&mut connection).await.is_ok() {
                    home.free().push(connection);
                }
                drop(place);
            });
        }
    }
}

async fn roll_back(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    match sqlx::query("ROLLBACK").execute(connection).await {
        Err(sqlx::Error::Database(error)) if error.message().ends_with("no transaction is active") => Ok(()),
        done => done.map(drop),
    }
}

/// Statements as one text that is a transaction, with their parameters numbered through.
pub(in crate::engine) fn transaction_text<'s>(statements: impl IntoIterator<Item = (&'s str, usize)>) -> String {
    let mut text = String::from(BEGIN);
    let mut offset = 0;
    for (sql, parameters) in statements {
        text.push_str("; ");
        push_shifted(&mut text, sql, offset);
        offset += parameters;
    }
    text.push_str("; COMMIT");
    text
}

/// Adds `offset` to the number of each parameter.
fn push_shifted(text: &mut String, sql: &str, offset: usize) {
    let mut parts = sql.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        text.push('$');
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        match number.parse::<usize>() {
            Ok(number) => text.push_str(&(number + offset).to_string()),
            Err(_) => text.push_str(number),
        }
        text.push_str(rest);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sqlx::{Arguments as _, Row as _};

    use super::*;

    async fn connections(folder: &tempfile::TempDir, max: u32) -> Connections {
        let options = SqliteConnectOptions::new().filename(folder.path().join("a.db")).create_if_missing(true);
        let connections = Connections::open(options, max).await.unwrap();
        connections.lend().await.unwrap().run("CREATE TABLE IF NOT EXISTS rows (n INTEGER UNIQUE)").await.unwrap();
        connections
    }

    async fn count(connections: &Connections) -> i64 {
        let mut lent = connections.lend().await.unwrap();
        sqlx::query("SELECT COUNT(*) FROM rows").fetch_one(lent.connection()).await.unwrap().get(0)
    }

    #[test]
    fn parameters_of_a_transaction_are_numbered_through() {
        let text = transaction_text([
            ("INSERT INTO a VALUES ($1, $2, '$.b')", 2),
            ("DELETE FROM a WHERE b = $1", 1),
            ("SELECT $10$2", 2),
        ]);
        assert_eq!(
            text,
            "BEGIN IMMEDIATE; INSERT INTO a VALUES ($1, $2, '$.b'); DELETE FROM a WHERE b = $3; SELECT $13$5; COMMIT"
        );
    }

    #[tokio::test]
    async fn a_transaction_that_is_dropped_never_was_and_ends_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let connections = connections(&folder, 1).await;
        let others = self::connections(&folder, 1).await;
        for _ in 0..3 {
            others.lend().await.unwrap().begin().await.unwrap();
            let mut lent = connections.lend().await.unwrap();
            lent.begin().await.unwrap();
            lent.run("INSERT INTO rows VALUES (1)").await.unwrap();
            drop(lent);
            assert_eq!(count(&connections).await, 0);
        }
        let mut lent = connections.lend().await.unwrap();
        lent.begin().await.unwrap();
        lent.run("INSERT INTO rows VALUES (1)").await.unwrap();
        lent.commit().await.unwrap();
        drop(lent);
        assert_eq!(count(&connections).await, 1);
    }

    #[tokio::test]
    async fn a_whole_transaction_that_fails_leaves_nothing_and_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let connections = connections(&folder, 1).await;
        let insert = async |numbers: [i64; 2]| {
            let insert = "INSERT INTO rows VALUES ($1) RETURNING n * 10";
            let mut arguments = SqliteArguments::default();
            for number in numbers {
                arguments.add(number).unwrap();
            }
            let text = transaction_text([(insert, 1), (insert, 1)]);
            connections.lend().await.unwrap().whole(text, arguments).await
        };
        let (at, error) = insert([1, 1]).await.err().unwrap();
        assert_eq!((at, error.as_database_error().unwrap().is_unique_violation()), (1, true));
        assert_eq!(count(&connections).await, 0);
        let ran = insert([1, 2]).await.ok().unwrap();
        let rows: Vec<i64> = ran.iter().flat_map(|ran| &ran.rows).map(|row| row.get(0)).collect();
        assert_eq!((rows, ran.iter().map(|ran| ran.changed).collect()), (vec![10, 20], vec![1, 1]));
        assert_eq!(insert([1, 3]).await.err().unwrap().0, 0);
        assert_eq!(count(&connections).await, 2);
    }

    #[tokio::test]
    async fn no_more_are_lent_than_there_may_be_and_none_after_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let connections = connections(&folder, 2).await;
        let (first, second) = (connections.lend().await.unwrap(), connections.lend().await.unwrap());
        let third = tokio::spawn({
            let connections = connections.clone();
            async move { connections.lend().await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        drop(first);
        third.await.unwrap().unwrap();
        drop(second);
        connections.close().await;
        assert!(matches!(connections.lend().await, Err(sqlx::Error::PoolClosed)));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let connections = connections(&folder, 1).await;
        let _lent = connections.lend().await.unwrap();
        assert!(matches!(connections.lend().await, Err(sqlx::Error::PoolTimedOut)));
    }
}
