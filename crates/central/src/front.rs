//! One door for HTTP: who a request is for is decided here, from its method, path and what kind of client sends it.
//!
//! ```text
//! /health/…, /metrics                       operators       any host name
//! the table of hub::device_http::route      machines        devices, provisioning, back ends
//! a WebSocket, where devices ask for one    machines        MQTT from then on
//! /api/…, /system/…, files of the console   people          the application of the host name
//! any other path                            a browser's navigation gets the console, everything else 404
//! ```
//!
//! Some paths (`/devices/d1`) are a page of the console to a browser and the hub's interface to a machine. A browser that
//! navigates asks for `text/html`, with GET, without a token and without `api-version`; nothing else is shown a page.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hub::device_http::HubHttp;
use hub::device_http::route::HubRoute;
use hub::gateway::Gateway;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use prometheus_client::encoding::text::encode;
use serde_json::json;
use transport::server::body::Bodies;
use transport::server::{Admission, WebSockets, asks_for_web_socket, is_web_socket_path};

use crate::app::{App, AppError};
use crate::core::Core;
use crate::http::{BrowserNavigation, PeerAddress, PlainHttp, RequestApplication};

mod letters;

#[cfg(test)]
mod tests;

/// What answers requests. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    core: Core,
    app: App,
    router: Router,
    hub: HubHttp,
    web_sockets: WebSockets<Gateway, Gateway>,
    bodies: Bodies,
    is_plain: bool,
}

impl Front {
    /// For what Central is made of and its two sides.
    pub fn new(core: Core, app: App, hub: HubHttp, web_sockets: WebSockets<Gateway, Gateway>) -> Self {
        let router = crate::http::router(app.clone());
        Self { core, app, router, hub, web_sockets, bodies: Bodies::default(), is_plain: false }
    }

    /// The same on the plain listener of the machine itself: links in answers are then `http://`.
    pub fn over_plain_http(self) -> Self {
        Self { is_plain: true, ..self }
    }

    /// Answers one request.
    pub async fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if door(&request) == Door::WebSocket {
            let admission = request.extensions().get::<Admission>().cloned();
            return self.web_sockets.answer(&mut request, peer, admission).map(Body::from);
        }
        let (request, _allowance) = self.bodies.measure(request);
        let request = request.map(Body::new);
        match door(&request) {
            Door::Live => text(StatusCode::OK, "application/json", r#"{"status":"live"}"#.into()),
            Door::Ready => self.ready(),
            Door::Metrics => self.metrics(request.headers(), peer).await,
            Door::Machine(route) => self.hub.call(route, letters::keep(request).await).await,
            Door::People { is_navigation } => self.people(request, peer, is_navigation).await,
            Door::WebSocket => unreachable!("answered before its body was looked at"),
        }
    }

    /// Answers a request for the application its host name leads to.
    async fn people(&self, mut request: Request<Body>, peer: SocketAddr, is_navigation: bool) -> Response<Body> {
        let host = host(&request).unwrap_or_default().to_owned();
        let application = match self.app.application_of_host(&host).await {
            Ok(application) => application,
            Err(error) => return error.into_response(),
        };
        request.extensions_mut().insert(RequestApplication(application));
        request.extensions_mut().insert(PeerAddress(peer.ip()));
        if is_navigation {
            request.extensions_mut().insert(BrowserNavigation);
        }
        if self.is_plain {
            request.extensions_mut().insert(PlainHttp);
        }
        match TowerToHyperService::new(self.router.clone()).call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    fn ready(&self) -> Response<Body> {
        let problems: Vec<String> = self.core.health.problems().iter().map(ToString::to_string).collect();
        if problems.is_empty() {
            return text(StatusCode::OK, "application/json", r#"{"status":"ready"}"#.into());
        }
        let body = json!({ "status": "notReady", "problems": problems }).to_string();
        text(StatusCode::SERVICE_UNAVAILABLE, "application/json", body)
    }

    /// Prometheus text, for whoever is on the machine or brings an API token.
    async fn metrics(&self, headers: &HeaderMap, peer: SocketAddr) -> Response<Body> {
        if !peer.ip().is_loopback() {
            match self.has_token(headers).await {
                Ok(true) => {}
                Ok(false) => {
                    let needed = "an API token is needed from outside this machine\n";
                    return text(StatusCode::UNAUTHORIZED, "text/plain", needed.into());
                }
                Err(error) => return error.into_response(),
            }
        }
        let mut body = String::new();
        encode(&mut body, &self.core.metrics).expect("writing to a string does not fail");
        text(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", body)
    }

    /// Whether the request brings a token of the first application, whose administrators run this installation.
    async fn has_token(&self, headers: &HeaderMap) -> Result<bool, AppError> {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = token else { return Ok(false) };
        Ok(self.app.authenticate_token(self.core.applications.first(), token).await?.is_some())
    }
}

/// Whom a request is for.
#[derive(Debug, PartialEq, Eq)]
enum Door {
    /// `GET /health/live`.
    Live,
    /// `GET /health/ready`.
    Ready,
    /// `GET /metrics`.
    Metrics,
    /// A path of the machines' table.
    Machine(HubRoute),
    /// What only WebSockets are taken at; some clients ask for one at `/`.
    WebSocket,
    /// The REST interface and the console.
    People {
        /// A browser wants a page.
        is_navigation: bool,
    },
}

fn door<B>(request: &Request<B>) -> Door {
    let (method, path) = (request.method(), request.uri().path());
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match path {
        "/health/live" if reads => return Door::Live,
        "/health/ready" if reads => return Door::Ready,
        "/metrics" if reads => return Door::Metrics,
        _ => {}
    }
    if is_web_socket_path(path) && (path != "/" || asks_for_web_socket(request.headers())) {
        return Door::WebSocket;
    }
    let is_navigation = reads && is_navigation(request.headers(), request.uri().query().unwrap_or_default());
    let is_interface = path.starts_with("/api/") || path.starts_with("/system/");
    if is_interface || is_navigation {
        return Door::People { is_navigation };
    }
    if let Some(route) = HubRoute::find(method.as_str(), path) {
        return Door::Machine(route);
    }
    Door::People { is_navigation }
}

/// Whether a browser goes to a page.
fn is_navigation(headers: &HeaderMap, query: &str) -> bool {
    let accepts_pages = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|accepted| accepted.to_ascii_lowercase().contains("text/html"));
    let is_machine = headers.contains_key(header::AUTHORIZATION)
        || headers.contains_key(header::UPGRADE)
        || protocol::hub::bag::get(query.as_bytes(), "api-version").is_some();
    accepts_pages && !is_machine
}

/// The host a request names.
fn host<B>(request: &Request<B>) -> Option<&str> {
    hub::device_http::named_host(request.uri(), request.headers())
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, "no-store")
        .body(Body::from(body))
        .expect("the headers are well formed")
}
