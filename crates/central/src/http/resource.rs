//! Listing, reading, making, changing and deleting any kind of thing, under the preconditions of the request.

use std::convert::Infallible;

use api::device::MergePatch;
use api::endpoint::ApiVersion;
use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use registry::Precondition;
use serde::Serialize;

use super::answer::{Answer, Empty};
use super::body::Body;
use super::guard::{Caller, Version};
use super::listing::Listing;
use crate::app::App;
use crate::app::resource::{Edited, Managed};

/// A kind as it is shown: some members came with later versions.
pub(super) trait Shown: Managed {
    /// The form a version shows.
    fn shown(api: Self::Api, _version: Option<ApiVersion>) -> Self::Api {
        api
    }
}

/// A page of any list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Collection<T> {
    value: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_link: Option<String>,
}

pub(super) async fn list<M: Shown>(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    listing: Listing,
) -> Answer<Collection<M::Api>> {
    let page = app.resources::<M>(&access, listing.filter()?.as_ref(), &listing.page()?).await?;
    let (value, next_link) = listing.answer(page.map(|api| M::shown(api, version)));
    Ok(Json(Collection { value, next_link }))
}

pub(super) async fn get<M: Shown>(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    Path(id): Path<String>,
) -> Answer<M::Api> {
    Ok(Json(M::shown(app.resource::<M>(&access, &id).await?, version)))
}

pub(super) async fn create<M: Shown + Edited>(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    Path(id): Path<String>,
    Condition(precondition): Condition,
    Body(wanted): Body<M::Api>,
) -> Answer<M::Api> {
    Ok(Json(M::shown(M::put(&app, &access, &id, wanted, precondition).await?, version)))
}

pub(super) async fn update<M: Shown + Edited>(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    Path(id): Path<String>,
    Condition(precondition): Condition,
    Body(MergePatch(patch)): Body<MergePatch>,
) -> Answer<M::Api> {
    Ok(Json(M::shown(app.resource_patch::<M>(&access, &id, &patch, &precondition).await?, version)))
}

pub(super) async fn remove<M: Managed>(
    State(app): State<App>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Condition(precondition): Condition,
) -> Empty {
    app.resource_remove::<M>(&access, &id, &precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the headers `If-Match` and `If-None-Match` ask of the stored thing.
pub(super) struct Condition(pub Precondition);

impl<S: Send + Sync> FromRequestParts<S> for Condition {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(precondition(&parts.headers)))
    }
}

fn precondition(headers: &HeaderMap) -> Precondition {
    // A tag that is no text matches nothing; passed over, the change would be made unasked.
    let text =
        |name: HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    match (text(header::IF_NONE_MATCH).as_deref(), text(header::IF_MATCH).as_deref()) {
        (Some("*"), _) => Precondition::Absent,
        (_, Some("*")) => Precondition::Present,
        // Etags have quotes inside; some clients send them without.
        (_, Some(tag)) if tag.starts_with('"') => Precondition::Etag(tag.to_owned()),
        (_, Some(tag)) if !tag.is_empty() => Precondition::Etag(format!("\"{tag}\"")),
        _ => Precondition::None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn preconditions_are_read_from_both_headers() {
        let of = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, header::HeaderValue::from_bytes(value.as_bytes()).unwrap());
            precondition(&headers)
        };
        assert_eq!(of("if-match", "\"é\""), Precondition::Etag("\"é\"".to_owned()), "never taken as none");
        assert_eq!(of("if-none-match", "*"), Precondition::Absent);
        assert_eq!(of("if-match", " * "), Precondition::Present);
        assert_eq!(of("if-match", "\"1a\""), Precondition::Etag("\"1a\"".to_owned()));
        assert_eq!(of("if-match", "1a"), Precondition::Etag("\"1a\"".to_owned()));
        assert_eq!(of("if-none-match", "\"1a\""), Precondition::None);
        assert_eq!(of("accept", "*"), Precondition::None);
    }
}
