//! The console: the files of `web/dist`, built into the program.
//!
//! Files under `assets/` carry a hash of their content in the name and never change; `index.html` is asked for anew each time.
//! A path that is no file is a page of the console's to a browser that navigates: it gets `index.html`, which reads the path.
//! Whoever else asks hears that there is nothing.

use axum::extract::Extension;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::RustEmbed;

use super::BrowserNavigation;
use crate::app::AppError;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Files;

const INDEX: &str = "index.html";
const NOT_BUILT: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Tidegate</title>\
    <h1>The console was not built</h1><p>This program was built without the files of the web console. \
    Run <code>make</code> at the root of the source, which builds the console first. The REST interface works.</p></html>";

pub(super) async fn serve(method: Method, uri: Uri, navigation: Option<Extension<BrowserNavigation>>) -> Response {
    let path = uri.path().trim_start_matches('/');
    if let Some(response) = file(path).filter(|_| matches!(method, Method::GET | Method::HEAD)) {
        return response;
    }
    let first = path.split('/').next().unwrap_or_default();
    let is_interface = matches!(first, "api" | "system" | "health" | "metrics" | "assets");
    if is_interface || navigation.is_none() {
        return AppError::NotFound(format!("There is nothing at {}.", uri.path())).into_response();
    }
    file(INDEX).unwrap_or_else(|| (StatusCode::NOT_FOUND, Html(NOT_BUILT)).into_response())
}

/// The file at a path, if there is one.
fn file(path: &str) -> Option<Response> {
    let path = if path.is_empty() { INDEX } else { path };
    let file = Files::get(path)?;
    let is_immutable = path.starts_with("assets/");
    let cache = if is_immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [(header::CONTENT_TYPE, content_type(path)), (header::CACHE_CONTROL, cache)];
    Some((headers, file.data).into_response())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "webmanifest") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
