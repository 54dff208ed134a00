//! What every request passes before its handler: the version exists, the caller is known, may do it, and means it.

use std::sync::Arc;

use api::endpoint::{ApiVersion, Endpoint, Guard, Versions};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cookie::Cookie;
use registry::ApplicationRow;
use transport::server::Admission;
use transport::server::body::Allowance;

use super::RequestApplication;
use crate::app::live::Opening;
use crate::app::{Access, Actor, App, AppError, Proof, authorize};
use crate::limits::{HTTP_BODY_BYTES_MAX, HTTP_CALL_BYTES_MAX};

/// Name of the cookie that holds a console session.
pub const SESSION_COOKIE: &str = "tidegate_session";

/// Header a page of ours sends with every write. Pages of others cannot, without a permission nobody gives them.
const FORGERY_HEADER: &str = "x-tidegate-csrf";

/// Checks a request against its endpoint; only then the handler runs, with the proof in hand.
pub(super) async fn guard(
    State((app, endpoint)): State<(App, &'static Endpoint)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&app, endpoint, &parts).await {
        Ok(admitted) => {
            if admitted.caller.is_some() {
                parts.extensions.get::<Admission>().inspect(|admission| admission.known());
                parts.extensions.get::<Allowance>().inspect(|allowance| allowance.raise(body_bytes_max(endpoint)));
            }
            parts.extensions.insert(admitted.version);
            if let Some((access, opening)) = admitted.caller {
                parts.extensions.insert(access);
                parts.extensions.insert(opening);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => error.into_response(),
    }
}

/// What an endpoint reads of whoever may call it.
fn body_bytes_max(endpoint: &Endpoint) -> usize {
    match endpoint.resource() {
        "DeviceTemplates" | "DeploymentManifests" => HTTP_BODY_BYTES_MAX,
        _ => HTTP_CALL_BYTES_MAX,
    }
}

struct Admitted {
    version: Option<ApiVersion>,
    caller: Option<(Access, Opening)>,
}

async fn admit(app: &App, endpoint: &'static Endpoint, parts: &Parts) -> Result<Admitted, AppError> {
    let version = match endpoint.versions {
        Versions::Unversioned => None,
        versions => Some(version(parts.uri.query().unwrap_or_default(), versions)?),
    };
    if endpoint.guard == Guard::Public {
        return Ok(Admitted { version, caller: None });
    }
    let headers = &parts.headers;
    let application = application(parts)?;
    let proof = proof(headers).ok_or(AppError::Unauthenticated)?;
    let actor = match &proof {
        Proof::Header(header) => app.authenticate_token(application, header).await?,
        Proof::Session(session) => session_actor(app, application, endpoint, headers, session).await?,
    };
    let actor = actor.ok_or(AppError::Unauthenticated)?;
    let access = authorize(&actor, endpoint.guard, app.resource_of(application))?;
    let opening = Opening { application: Arc::clone(application), guard: endpoint.guard, proof };
    Ok(Admitted { version, caller: Some((access, opening)) })
}

/// The application the request's host name led to.
fn application(parts: &Parts) -> Result<&Arc<ApplicationRow>, AppError> {
    let found = parts.extensions.get::<RequestApplication>().map(|RequestApplication(application)| application);
    found.ok_or_else(|| AppError::NotFound("The request names no host.".to_owned()))
}

/// What a request proves its caller with.
fn proof(headers: &HeaderMap) -> Option<Proof> {
    match headers.get(header::AUTHORIZATION) {
        Some(value) => Some(Proof::Header(value.to_str().unwrap_or_default().to_owned())),
        None => session_cookie(headers).map(|session| Proof::Session(session.to_owned())),
    }
}

async fn session_actor(
    app: &App,
    application: &ApplicationRow,
    endpoint: &Endpoint,
    headers: &HeaderMap,
    session: &str,
) -> Result<Option<Actor>, AppError> {
    let Some(actor) = app.authenticate_session(application, session).await? else { return Ok(None) };
    if endpoint.method.is_write() && !headers.contains_key(FORGERY_HEADER) {
        return Err(AppError::ForgedRequest);
    }
    Ok(Some(actor))
}

/// The value of the session cookie, if the request has one.
pub(super) fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(Cookie::split_parse).flatten();
    cookies.find(|cookie| cookie.name() == SESSION_COOKIE).and_then(|cookie| cookie.value_raw())
}

/// The version a query asks for, if there is such a version and it has the endpoint.
fn version(query: &str, versions: Versions) -> Result<ApiVersion, AppError> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let asked = pairs.find(|(name, _)| name == "api-version").map(|(_, value)| value);
    let asked = asked.unwrap_or_else(|| "undefined".into());
    let version = ApiVersion::parse(&asked);
    let version = version.ok_or_else(|| AppError::NotFound(format!("\"{asked}\" is not a valid API version.")))?;
    if !versions.has(version) {
        return Err(AppError::NotFound(format!("The version {asked} does not have this operation.")));
    }
    Ok(version)
}

/// The proof the guard left for the handler.
pub(super) struct Caller(pub Access);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Access>().cloned().map(Self).ok_or(AppError::Unauthenticated)
    }
}

/// The application of a request whose caller need not be known.
pub(super) struct Addressed(pub Arc<ApplicationRow>);

impl<S: Send + Sync> FromRequestParts<S> for Addressed {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        application(parts).map(|application| Self(Arc::clone(application)))
    }
}

/// The version the guard read.
pub(super) struct Version(pub Option<ApiVersion>);

impl<S: Send + Sync> FromRequestParts<S> for Version {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<Option<ApiVersion>>().copied().flatten()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn versions_gate() {
        let cases = [
            ("api-version=2022-07-31", Versions::All, true),
            ("a=b&api-version=2022-10-31-preview", Versions::NewestPreview, true),
            ("api%2Dversion=2022%2D07%2D31", Versions::All, true),
            ("api-version=2022-06-30-preview", Versions::NewestPreview, false),
            ("api-version=2022-07-31", Versions::Previews, false),
            ("api-version=1.0", Versions::All, false),
            ("", Versions::All, false),
        ];
        for (query, versions, allowed) in cases {
            assert_eq!(version(query, versions).is_ok(), allowed, "{query}");
        }
    }

    #[test]
    fn the_session_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        assert_eq!(session_cookie(&headers), None);
        headers.append(header::COOKIE, "a=b; tidegate_session=xyz".parse().unwrap());
        assert_eq!(session_cookie(&headers), Some("xyz"));
    }
}
