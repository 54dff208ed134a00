//! The HTTP interface: translates requests into calls of `app/` and answers into bodies. It decides nothing.
//!
//! ```text
//! request ─► routes (from the endpoint list) ─► guard: version, who, may they, forged? ─► handler ─► app/
//!                                                                                └─ errors become the error body here
//! other paths ─► the console's files
//! ```
//!
//! A handler can only be reached through the guard: [`routes::Routes`] builds the routes from the list in `api` and puts the guard
//! before each.

mod answer;
mod body;
mod compression;
mod console;
mod devices;
mod enrollment;
mod extensions;
mod files;
mod guard;
mod identity;
mod listing;
mod live;
mod manifests;
mod place;
mod resource;
mod routes;
mod templates;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::{Router, extract::Request};
use registry::ApplicationRow;
use tower_http::compression::CompressionLayer;

use crate::app::App;

/// Request extension: address of the client, where the listener knows it.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

/// Request extension: the application the request's host name leads to. The guard asks for it.
#[derive(Debug, Clone)]
pub struct RequestApplication(pub Arc<ApplicationRow>);

/// Request extension: a browser goes to a page. Nothing else is shown one.
#[derive(Debug, Clone, Copy)]
pub struct BrowserNavigation;

/// Request extension: the request came over plain HTTP, so links in answers are `http://`.
#[derive(Debug, Clone, Copy)]
pub struct PlainHttp;

/// Everything under `/api`, the private paths of `/system`, and the console.
pub fn router(app: App) -> Router {
    let routes = routes::Routes::new(app);
    let routes = identity::add(routes);
    let routes = templates::add(routes);
    let routes = enrollment::add(routes);
    let routes = manifests::add(routes);
    let routes = devices::add(routes);
    let routes = extensions::add(routes);
    let routes = files::add(routes);
    routes
        .finish()
        .fallback(console::serve)
        // The guard says how much of a body is read.
        .layer(DefaultBodyLimit::disable())
        // Lists and the console's files shrink to a fraction; the live stream and small answers are left as they are.
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(compression::Compressions::default(), compression::bounded))
        .layer(middleware::from_fn(security_headers))
}

/// What every answer says to browsers: our own scripts only, no frames, no sniffing, no referrer.
///
/// Styles may stand in the page: the console's accessible widgets add a few rules of theirs at run time.
async fn security_headers(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 6] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
             font-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
