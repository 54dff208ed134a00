//! What is the same of every kind of thing people list, make, change and delete by id. What a kind is, and which of its
//! changes make sense, stands in its own file.

use registry::{CountMax, ListFilter, ListPage, NamedField, Precondition, Resource, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::filter::{self, Filter, Literal};
use super::page::{Cursor, Page, PageRequest};
use super::{Access, App, AppError};
use crate::limits::PATCH_ATTEMPTS_MAX;

/// A kind of thing.
pub trait Managed {
    /// As stored.
    type Row: Resource + Clone + Send + Sync;
    /// As the interface shows it.
    type Api: Serialize + DeserializeOwned + Send;
    /// What it is called, in the singular.
    const WHAT: &'static str;
    /// How many of them an application may have.
    const COUNT_MAX: CountMax;

    /// What a caller hears when something unique of it is another one's.
    const DUPLICATE: &'static str = "There is such a thing already.";

    /// The stored field a filter names.
    fn field(name: &str) -> Option<<Self::Row as Resource>::Field>;

    /// The stored form as the interface shows it.
    fn to_api(access: &Access, row: Self::Row) -> Result<Self::Api, AppError>;

    /// Where a list goes on after it.
    fn cursor(row: &Self::Row) -> Cursor;

    /// Its etag, where the kind has one.
    fn etag(_row: &Self::Row) -> Option<&str> {
        None
    }
}

/// A kind that is made, replaced and changed as a whole document.
pub trait Edited: Managed {
    /// Checks a document and stores it under the id, if the precondition holds; answers what is stored now.
    fn put(
        app: &App,
        access: &Access,
        id: &str,
        wanted: Self::Api,
        precondition: Precondition,
    ) -> impl Future<Output = Result<Self::Api, AppError>> + Send;

    /// The same for what a merge patch made of the stored one, where a patch may not change everything.
    fn put_patched(
        app: &App,
        access: &Access,
        id: &str,
        wanted: Self::Api,
        precondition: Precondition,
    ) -> impl Future<Output = Result<Self::Api, AppError>> + Send {
        Self::put(app, access, id, wanted, precondition)
    }
}

/// The stored field of a thing with a name that a filter names.
pub(super) fn named_field(name: &str) -> Option<NamedField> {
    match name {
        "id" => Some(NamedField::Id),
        "displayName" => Some(NamedField::DisplayName),
        _ => None,
    }
}

fn list_filter<M: Managed>(filter: &Filter) -> Result<ListFilter<<M::Row as Resource>::Field>, AppError> {
    let both = |left, right| Ok::<_, AppError>((Box::new(list_filter::<M>(left)?), Box::new(list_filter::<M>(right)?)));
    let field = |name: &str| M::field(name).ok_or_else(|| filter::unknown_field(name));
    Ok(match filter {
        Filter::And(left, right) => both(left, right).map(|(left, right)| ListFilter::And(left, right))?,
        Filter::Or(left, right) => both(left, right).map(|(left, right)| ListFilter::Or(left, right))?,
        Filter::Contains(name, text) => ListFilter::Contains(field(name)?, text.clone()),
        Filter::Compare(name, comparison, Literal::Text(text)) => {
            ListFilter::Text(field(name)?, *comparison, text.clone())
        }
        Filter::Compare(name, _, Literal::Flag(_)) => return Err(filter::wrong_literal(name)),
    })
}

/// The document a merge patch makes of a known one; a member that is null goes.
pub(super) fn merged<T: Serialize + DeserializeOwned>(
    what: &str,
    known: &T,
    patch: &Map<String, Value>,
) -> Result<T, AppError> {
    let mut document = serde_json::to_value(known).expect("what the interface shows is plain JSON");
    model::twin::merge_patch(&mut document, &Value::Object(patch.clone()));
    serde_json::from_value(document)
        .map_err(|error| AppError::unprocessable(format!("The {what} is not valid: {error}."), Vec::new()))
}

/// The precondition of a request whose body may name an etag too. The header wins: it is the more explicit of the two.
pub(super) fn precondition(header: &Precondition, body_etag: Option<&str>) -> Precondition {
    match (header, body_etag) {
        (Precondition::None, Some(etag)) => Precondition::Etag(etag.to_owned()),
        (header, _) => header.clone(),
    }
}

impl App {
    /// A page of the things that pass a filter.
    pub async fn resources<M: Managed>(
        &self,
        access: &Access,
        filter: Option<&Filter>,
        request: &PageRequest,
    ) -> Result<Page<M::Api>, AppError> {
        let page = ListPage {
            filter: filter.map(list_filter::<M>).transpose()?,
            by_display_name: request.by_display_name,
            descending: request.descending,
            after: request.after.clone().map(|cursor| (cursor.name, cursor.id)),
            limit: request.size + 1,
        };
        let rows = self.registry().resource_list::<M::Row>(access.application(), &page).await?;
        let Page { items, next } = Page::from_one_more(rows, request.size, M::cursor);
        let items = items.into_iter().map(|row| M::to_api(access, row)).collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }

    /// One of them.
    pub async fn resource<M: Managed>(&self, access: &Access, id: &str) -> Result<M::Api, AppError> {
        M::to_api(access, self.resource_row::<M>(access, id).await?)
    }

    pub(super) async fn find_row<M: Managed>(&self, access: &Access, id: &str) -> Result<Option<M::Row>, AppError> {
        Ok(self.registry().resource_get(access.application(), id).await?)
    }

    pub(super) async fn resource_row<M: Managed>(&self, access: &Access, id: &str) -> Result<M::Row, AppError> {
        self.find_row::<M>(access, id).await?.ok_or_else(|| AppError::not_found(M::WHAT, id))
    }

    /// Stores a checked row, new or in place of the one with its id.
    pub(super) async fn resource_store<M: Managed>(
        &self,
        access: &Access,
        row: &M::Row,
        precondition: &Precondition,
    ) -> Result<M::Row, AppError> {
        let put = self.registry().resource_put(access.application(), row, precondition, M::COUNT_MAX).await;
        let stored = put.map_err(|error| match error {
            StoreError::LimitReached(_) => {
                let CountMax(count_max) = M::COUNT_MAX;
                AppError::Conflict(format!("The application has {count_max} {}s, which is the limit.", M::WHAT))
            }
            StoreError::Duplicate(..) => AppError::Conflict(M::DUPLICATE.to_owned()),
            error => error.into(),
        })?;
        tracing::info!(actor = access.actor().id(), id = row.id(), "{} stored", M::WHAT);
        Ok(stored)
    }

    /// Changes one by a merge patch. When somebody else changed it meanwhile and the caller named no etag, the patch is merged
    /// again.
    pub async fn resource_patch<M: Edited>(
        &self,
        access: &Access,
        id: &str,
        patch: &Map<String, Value>,
        precondition: &Precondition,
    ) -> Result<M::Api, AppError> {
        let mut patch = patch.clone();
        let body_etag = patch.remove("etag");
        let asked = self::precondition(precondition, body_etag.as_ref().and_then(Value::as_str));
        let mut attempt = 1;
        loop {
            let row = self.resource_row::<M>(access, id).await?;
            let unchanged = match (&asked, M::etag(&row)) {
                (Precondition::None, Some(etag)) => Precondition::Etag(etag.to_owned()),
                (asked, _) => asked.clone(),
            };
            let merged = merged(M::WHAT, &M::to_api(access, row)?, &patch)?;
            match M::put_patched(self, access, id, merged, unchanged).await {
                Err(AppError::EtagMismatch) if asked == Precondition::None && attempt < PATCH_ATTEMPTS_MAX => {
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    /// Deletes one.
    pub async fn resource_remove<M: Managed>(
        &self,
        access: &Access,
        id: &str,
        precondition: &Precondition,
    ) -> Result<(), AppError> {
        if !self.registry().resource_delete::<M::Row>(access.application(), id, precondition).await? {
            return Err(AppError::not_found(M::WHAT, id));
        }
        tracing::info!(actor = access.actor().id(), id, "{} deleted", M::WHAT);
        Ok(())
    }
}
