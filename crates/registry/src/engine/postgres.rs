//! PostgreSQL: one pool for reads and writes.
//!
//! Transactions are READ COMMITTED, said so that no server's default changes it: a statement sees what was committed before it
//! began, and waits for a row another transaction changes and looks at it again. Together with [`Locks`] that gives what SQLite's
//! one writer gives: an etag is compared with what is stored, a read that a write depends on is not overtaken. What was
//! committed is on the server's disk: `synchronous_commit` is switched on where a server has it off.
//!
//! Connections belong to the runtime that opened the registry, whoever uses them: a thread with a runtime of its own (a reader of
//! the log) must not leave connections behind that nobody drives while it computes, or after it ended. Every operation is
//! therefore polled in that runtime's context.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, Postgres, Row as _, Transaction};
use tokio::runtime::Handle;
use tokio_util::context::TokioContext;

use super::lock::Locks;
use crate::limits::{
    ACQUIRE_TIMEOUT, DATABASE_URL_BYTES_MAX, OUTCOME_ATTEMPTS_MAX, OUTCOME_INTERVAL, POSTGRES_CONNECTIONS_MAX,
    POSTGRES_OPERATION_TIMEOUT,
};
use crate::migrations::{self, NEWEST_APPLIED, POSTGRES_NEWEST};
use crate::{Act, OpenRegistryError, StoreError};

/// Parameters a URL may carry. Another one is more likely a typing error, and could be a password's.
const PARAMETERS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// What each connection is told. The server ends a statement that its client no longer waits for.
const SESSION: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'; \
     SELECT set_config('statement_timeout', '30s', false) WHERE current_setting('statement_timeout') = '0'";

/// Where a PostgreSQL database is and who asks. Shown without the password, which no text of this type or of an error holds.
#[derive(Clone)]
pub struct DatabaseUrl {
    options: Arc<PgConnectOptions>,
    has_password: bool,
}

/// A text that is no database URL. The text itself is never repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseDatabaseUrlError {
    /// Another scheme, or none.
    #[error("a database URL starts with postgresql:// or postgres://")]
    Scheme,
    /// Too long.
    #[error("a database URL has at most {DATABASE_URL_BYTES_MAX} bytes")]
    TooLong,
    /// A character that ends the user name and password early.
    #[error("a database URL has /, ?, # and @ of a user name or password written as %2F, %3F, %23 and %40")]
    Unescaped,
    /// A parameter that is not known.
    #[error("a database URL has a parameter that is not known; there are {}", PARAMETERS.join(", "))]
    Parameter,
    /// The rest.
    #[error("a database URL looks like postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full")]
    Form,
}

impl FromStr for DatabaseUrl {
    type Err = ParseDatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > DATABASE_URL_BYTES_MAX {
            return Err(ParseDatabaseUrlError::TooLong);
        }
        let rest = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"));
        let rest = rest.ok_or(ParseDatabaseUrlError::Scheme)?;
        // What follows an unescaped delimiter would be taken for a host, port or database, and shown.
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if tail.contains(['@', '#']) || authority.matches('@').count() > 1 {
            return Err(ParseDatabaseUrlError::Unescaped);
        }
        let parameters = tail.split_once('?').map_or("", |(_, parameters)| parameters);
        let keys = || parameters.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next());
        if keys().any(|key| !key.is_some_and(|key| PARAMETERS.contains(&key))) {
            return Err(ParseDatabaseUrlError::Parameter);
        }
        let options: PgConnectOptions = text.parse().map_err(|_| ParseDatabaseUrlError::Form)?;
        let in_authority = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
        let has_password = in_authority || keys().any(|key| key == Some("password"));
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("tidegate"),
        };
        Ok(Self { options: Arc::new(options), has_password })
    }
}

impl DatabaseUrl {
    /// Whether the text held a password, so that it must not be shown to others.
    pub fn has_password(&self) -> bool {
        self.has_password
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let host = match options.get_socket() {
            Some(socket) => socket.display().to_string().replace('/', "%2F"),
            None => options.get_host().to_owned(),
        };
        write!(formatter, "postgresql://{}@{host}:{}", options.get_username(), options.get_port())?;
        match options.get_database() {
            Some(database) => write!(formatter, "/{database}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The pool, and the runtime its connections belong to.
#[derive(Debug, Clone)]
pub(crate) struct PostgresEngine {
    pub(super) pool: PgPool,
    pub(super) home: Handle,
}

impl PostgresEngine {
    /// Connects to look, with the version of the schema; `None` when nothing was ever in it. Refuses a later version.
    pub(crate) async fn look(database: &DatabaseUrl) -> Result<Option<(Self, i64)>, OpenRegistryError> {
        let Some(version) = Self::check(database).await? else { return Ok(None) };
        Ok(Some((Self::open(database, 1).await?, version)))
    }

    /// Connects, and brings the schema up to date where needed.
    pub(crate) async fn connect(database: &DatabaseUrl) -> Result<Self, OpenRegistryError> {
        Self::check(database).await?;
        let failed = |source| OpenRegistryError::Connect { database: database.clone(), source };
        // Without the limits of a session: a change of the schema takes its time.
        let options = PgConnectOptions::clone(&database.options);
        let changing = PgPoolOptions::new().max_connections(1).connect_with(options).await.map_err(failed)?;
        migrations::postgres().run(&changing).await.map_err(OpenRegistryError::Migrate)?;
        changing.close().await;
        Self::open(database, POSTGRES_CONNECTIONS_MAX).await
    }

    /// The version of the schema of a database that can be used; `None` when it has none yet.
    async fn check(database: &DatabaseUrl) -> Result<Option<i64>, OpenRegistryError> {
        let failed = |source| OpenRegistryError::Connect { database: database.clone(), source };
        // First without the pool, which tries again until its time is over and then does not say what was wrong.
        let looked = tokio::time::timeout(ACQUIRE_TIMEOUT, look(&database.options)).await;
        let looked = looked.map_err(|_| OpenRegistryError::Silent { database: database.clone() })?.map_err(failed)?;
        if looked.encoding != "UTF8" {
            return Err(OpenRegistryError::Encoding { database: database.clone(), encoding: looked.encoding });
        }
        if let Some(version) = looked.version.filter(|version| *version > POSTGRES_NEWEST) {
            let place = database.to_string();
            return Err(OpenRegistryError::LaterVersion { place, version, known: POSTGRES_NEWEST });
        }
        Ok(looked.version)
    }

    async fn open(database: &DatabaseUrl, connections_max: u32) -> Result<Self, OpenRegistryError> {
        let failed = |source| OpenRegistryError::Connect { database: database.clone(), source };
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(sqlx::raw_sql(SESSION)).await.map(drop) })
            })
            .connect_with(PgConnectOptions::clone(&database.options))
            .await
            .map_err(failed)?;
        Ok(Self { pool, home: Handle::current() })
    }

    /// Begins a transaction with its locks held.
    pub(super) async fn begin(&self, act: Act, locks: &Locks) -> Result<PostgresTransaction, StoreError> {
        let begun = async {
            let mut inner = self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
            let first = match locks.is_empty() {
                true => "SELECT pg_current_xact_id()::TEXT, $1::BIGINT[]",
                false => {
                    "SELECT pg_current_xact_id()::TEXT, pg_advisory_xact_lock(key) FROM unnest($1::BIGINT[]) AS key"
                }
            };
            let row = sqlx::query(first).bind(locks.keys()).fetch_all(&mut *inner).await?;
            let id = row.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?;
            Ok((inner, id))
        };
        let (inner, id) = in_time(&self.home, act, begun).await?;
        Ok(PostgresTransaction { inner, id, engine: self.clone() })
    }
}

/// A transaction whose outcome can be asked for.
pub(super) struct PostgresTransaction {
    inner: Transaction<'static, Postgres>,
    /// What the server calls it.
    id: String,
    engine: PostgresEngine,
}

impl PostgresTransaction {
    /// Its connection, and where that is at home.
    pub(super) fn parts(&mut self) -> (&mut PgConnection, &Handle) {
        (&mut self.inner, &self.engine.home)
    }

    /// Makes it durable. When the connection breaks before the answer comes, the server is asked what became of it: a caller who
    /// is told that it failed will do it again.
    pub(super) async fn commit(self, act: Act) -> Result<(), StoreError> {
        let Self { inner, id, engine } = self;
        match in_time(&engine.home, act, inner.commit()).await {
            Err(error @ (StoreError::Unavailable(..) | StoreError::Silent(_))) => {
                if engine.was_committed(act, &id).await? { Ok(()) } else { Err(error) }
            }
            done => done,
        }
    }

    pub(super) async fn roll_back(self, act: Act) -> Result<(), StoreError> {
        in_time(&self.engine.home, act, self.inner.rollback()).await
    }
}

impl PostgresEngine {
    async fn was_committed(&self, act: Act, id: &str) -> Result<bool, StoreError> {
        for _ in 0..OUTCOME_ATTEMPTS_MAX {
            let status = sqlx::query_scalar("SELECT pg_xact_status($1::TEXT::XID8)").bind(id);
            let status: Result<Option<String>, _> = in_time(&self.home, act, status.fetch_one(&self.pool)).await;
            match status.as_ref().map(Option::as_deref) {
                Ok(Some("committed")) => return Ok(true),
                Ok(Some("in progress")) => tokio::time::sleep(OUTCOME_INTERVAL).await,
                Ok(_) => return Ok(false),
                Err(_) => return Err(StoreError::InDoubt(act)),
            }
        }
        Err(StoreError::InDoubt(act))
    }
}

/// What a database is like, before anything in it is changed.
struct Looked {
    encoding: String,
    version: Option<i64>,
}

async fn look(options: &PgConnectOptions) -> Result<Looked, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let encoding = sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut connection).await?;
    let is_used = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL");
    let version = match is_used.fetch_one(&mut connection).await? {
        true => sqlx::query_scalar(NEWEST_APPLIED).fetch_one(&mut connection).await?,
        false => None,
    };
    connection.close().await?;
    Ok(Looked { encoding, version })
}

/// Runs an operation at home, and waits no longer than a server may take.
pub(super) async fn in_time<T>(
    home: &Handle,
    act: Act,
    operation: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    let timed = async { tokio::time::timeout(POSTGRES_OPERATION_TIMEOUT, operation).await };
    match TokioContext::new(timed, home.clone()).await {
        Ok(done) => done.map_err(|error| classify(act, error)),
        Err(_) => Err(StoreError::Silent(act)),
    }
}

/// What an error means.
pub(super) fn classify(act: Act, error: sqlx::Error) -> StoreError {
    let sqlx::Error::Database(detail) = &error else {
        return match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::BeginFailed
            | sqlx::Error::WorkerCrashed => StoreError::Unavailable(act, error),
            error => StoreError::Database(act, error),
        };
    };
    // https://www.postgresql.org/docs/15/errcodes-appendix.html
    match detail.code().as_deref() {
        Some("23505") => StoreError::Duplicate(act, error),
        Some("23503") => StoreError::Missing(act),
        Some("53100") => StoreError::DiskFull(act, error),
        Some("40001" | "40P01") => StoreError::Conflict(act, error),
        // The connection, too many of them, a server that stops or starts.
        Some("53300" | "57P01" | "57P02" | "57P03") => StoreError::Unavailable(act, error),
        Some(code) if code.starts_with("08") => StoreError::Unavailable(act, error),
        _ => StoreError::Database(act, error),
    }
}
