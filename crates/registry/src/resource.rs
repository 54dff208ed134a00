//! What is the same of every kind of thing an application holds by id: users, tokens, groups, manifests, templates.
//!
//! A kind says its table, its columns and what its acts are called; reading, paging, storing under a precondition and a limit,
//! and deleting are written once. A limit is counted in the transaction that stores, so that two at once cannot both be the
//! last one; that transaction holds the application's lock on the table.

use super::engine::{FromEitherRow, Locks, Statement, Value};
use super::list::{Condition, Field, ListPage};
use super::{Act, Ground, Registry, StoreError, new_etag};

/// What the acts on a kind are called, as phrases with a verb.
#[derive(Debug, Clone, Copy)]
pub struct Acts {
    /// Reading one.
    pub read: &'static str,
    /// Reading a page.
    pub list: &'static str,
    /// Making or replacing one.
    pub store: &'static str,
    /// Deleting one.
    pub delete: &'static str,
}

/// A kind of thing. Only rows of this crate are one.
pub trait Resource: FromEitherRow + Sync + Sized {
    /// What a filter may name.
    type Field: Field;
    /// Its table.
    const TABLE: &'static str;
    /// Its columns beside `application`, `id` first.
    const COLUMNS: &'static [&'static str];
    /// What is done to it.
    const ACTS: Acts;
    /// What connections rest on that were opened with one of them, by application and id; `None` where nothing is.
    const GROUND: Option<fn(&str, &str) -> Ground>;

    /// Its id.
    fn id(&self) -> &str;

    /// The values of the columns, in their order.
    fn values(&self) -> Vec<Value<'_>>;

    /// What has to happen to rows of other tables before this one takes the place of the stored one.
    fn before_store<'q>(&'q self, _application: &'q str) -> Option<Statement<'q>> {
        None
    }

    /// What has to happen to rows of other tables once the one with this id is deleted.
    fn after_delete<'q>(_application: &'q str, _id: &'q str) -> Option<Statement<'q>> {
        None
    }
}

/// What must hold of the stored row for a change to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// There is none (`If-None-Match: *`).
    Absent,
    /// There is one (`If-Match: *`).
    Present,
    /// There is one with this etag.
    Etag(String),
}

/// How many rows of a kind an application may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountMax(pub u32);

fn has<R: Resource>(column: &str) -> bool {
    R::COLUMNS.contains(&column)
}

fn act<R: Resource>(act: &'static str) -> Act {
    Act { act, table: R::TABLE }
}

fn one<'q, R: Resource>(verb: &'static str, sql: &str, application: &'q str, id: &'q str) -> Statement<'q> {
    let sql = format!("{sql} {} WHERE application = $1 AND id = $2", R::TABLE);
    Statement::new(verb, R::TABLE, sql).bind(application).bind(id)
}

/// Stores a row under its id, new or replaced, with a new etag where the kind has one.
pub(crate) fn upsert<'q, R: Resource>(application: &'q str, row: &'q R) -> Statement<'q> {
    let places: Vec<String> = (2..R::COLUMNS.len() + 2).map(|n| format!("${n}")).collect();
    let kept = |column: &str| matches!(column, "id" | "created_ms");
    let changes: Vec<String> = R::COLUMNS
        .iter()
        .zip(&places)
        .filter(|(column, _)| !kept(column))
        .map(|(column, place)| format!("{column} = {place}"))
        .collect();
    let columns = R::COLUMNS.join(", ");
    let sql = format!(
        "INSERT INTO {} (application, {columns}) VALUES ($1, {}) ON CONFLICT (application, id) DO UPDATE SET {} \
         RETURNING {columns}",
        R::TABLE,
        places.join(", "),
        changes.join(", "),
    );
    let statement = Statement::new(R::ACTS.store, R::TABLE, sql).bind(application);
    R::COLUMNS.iter().zip(row.values()).fold(statement, |statement, (column, value)| match *column {
        "etag" => statement.bind(new_etag()),
        _ => statement.bind(value),
    })
}

impl Precondition {
    /// Whether it holds of a row that is there with an etag, or is not there.
    fn holds(&self, stored: Option<&Option<String>>) -> bool {
        match (self, stored) {
            (Self::None, _) | (Self::Absent, None) | (Self::Present, Some(_)) => true,
            (Self::Etag(wanted), Some(Some(etag))) => wanted == etag,
            _ => false,
        }
    }
}

impl Registry {
    /// One, if it is there.
    pub async fn resource_get<R: Resource>(&self, application: &str, id: &str) -> Result<Option<R>, StoreError> {
        let sql = format!("SELECT {} FROM", R::COLUMNS.join(", "));
        self.engine.fetch_optional(one::<R>(R::ACTS.read, &sql, application, id)).await
    }

    /// A page of those that pass the filter.
    pub async fn resource_list<R: Resource>(
        &self,
        application: &str,
        page: &ListPage<R::Field>,
    ) -> Result<Vec<R>, StoreError> {
        let mut condition = Condition::new(&self.engine, page.filter.as_ref());
        let order = condition.page(page, has::<R>("display_name"));
        let sql = format!("SELECT {} FROM {} WHERE {{rows}} {order}", R::COLUMNS.join(", "), R::TABLE);
        self.engine.fetch_all(condition.statement(R::ACTS.list, R::TABLE, &sql, application)).await
    }

    /// Stores one under its id, new or replaced, with a new etag where the kind has one; answers what is stored now.
    /// `LimitReached` when it is new and the application has as many as it may.
    pub async fn resource_put<R: Resource>(
        &self,
        application: &str,
        row: &R,
        precondition: &Precondition,
        CountMax(count_max): CountMax,
    ) -> Result<R, StoreError> {
        let act = act::<R>(R::ACTS.store);
        let mut transaction = self.engine.begin(&Locks::table(application, R::TABLE), act).await?;
        let etag = if has::<R>("etag") { "etag" } else { "NULL" };
        let known = one::<R>(R::ACTS.store, &format!("SELECT CAST({etag} AS TEXT) FROM"), application, row.id());
        let known: Option<(Option<String>,)> = transaction.fetch_optional(&known).await?;
        if !precondition.holds(known.as_ref().map(|(etag,)| etag)) {
            transaction.roll_back().await?;
            return Err(StoreError::EtagMismatch(act));
        }
        if known.is_none() {
            let sql = format!("SELECT COUNT(*) FROM {} WHERE application = $1", R::TABLE);
            let count = Statement::new(R::ACTS.store, R::TABLE, sql).bind(application);
            let count: Option<(i64,)> = transaction.fetch_optional(&count).await?;
            if count.is_some_and(|(count,)| count >= i64::from(count_max)) {
                transaction.roll_back().await?;
                return Err(StoreError::LimitReached(act));
            }
        }
        if let Some(before) = row.before_store(application) {
            transaction.execute(&before).await?;
        }
        let stored = transaction.fetch_optional(&upsert(application, row)).await?;
        let done = transaction.commit().await;
        self.resources_changed();
        self.note_access(&done, R::GROUND.map(|ground| ground(application, row.id())));
        done?;
        stored.ok_or(StoreError::Missing(act))
    }

    /// Deletes one. Answers whether it was there; `EtagMismatch` when it is there and the precondition does not hold.
    pub async fn resource_delete<R: Resource>(
        &self,
        application: &str,
        id: &str,
        precondition: &Precondition,
    ) -> Result<bool, StoreError> {
        let etag = match precondition {
            Precondition::Etag(etag) => Some(etag.as_str()),
            Precondition::None | Precondition::Absent | Precondition::Present => None,
        };
        let act = act::<R>(R::ACTS.delete);
        let delete = match etag {
            Some(etag) => {
                let sql = format!("DELETE FROM {} WHERE application = $1 AND id = $2 AND etag = $3", R::TABLE);
                Statement::new(R::ACTS.delete, R::TABLE, sql).bind(application).bind(id).bind(etag)
            }
            None => one::<R>(R::ACTS.delete, "DELETE FROM", application, id),
        };
        let mut transaction = self.engine.begin(&Locks::table(application, R::TABLE), act).await?;
        if transaction.execute(&delete).await? == 1 {
            if let Some(after) = R::after_delete(application, id) {
                transaction.execute(&after).await?;
            }
            let done = transaction.commit().await;
            self.resources_changed();
            self.note_access(&done, R::GROUND.map(|ground| ground(application, id)));
            return done.map(|()| true);
        }
        transaction.roll_back().await?;
        match self.resource_get::<R>(application, id).await? {
            Some(_) if etag.is_some() => Err(StoreError::EtagMismatch(act)),
            _ => Ok(false),
        }
    }
}
