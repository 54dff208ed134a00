//! One door for HTTP: health and metrics, the device API, and everything else to the application's own router.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use events::metrics::{Gauges, Metrics};
use http::{Method, Request, Response, StatusCode, header};
use hub::device_http::HubHttp;
use hub::sessions::Sessions;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use storage::log::Log;

use crate::app::App;
use crate::http::{PeerAddress, PlainHttp};

/// What answers requests. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    app: App,
    router: Router,
    hub: HubHttp,
    metrics: Metrics,
    sessions: Sessions,
    log: Log,
    is_plain: bool,
}

impl Front {
    /// Puts it together.
    pub fn new(app: App, hub: HubHttp, metrics: Metrics, sessions: Sessions, log: Log) -> Self {
        let router = crate::http::router(app.clone());
        Self { app, router, hub, metrics, sessions, log, is_plain: false }
    }

    /// The same on the plain listener of the machine itself: links in answers are then `http://`.
    pub fn over_plain_http(self) -> Self {
        Self { is_plain: true, ..self }
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let mut request = request.map(Body::new);
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/health/live" if reads => return text(StatusCode::OK, "application/json", r#"{"status":"live"}"#.into()),
            "/health/ready" if reads => return self.ready(),
            "/metrics" if reads => {
                let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
                return self.metrics(token.map(str::to_owned), peer).await;
            }
            _ => {}
        }
        if let Some(route) = HubHttp::route(&request) {
            return self.hub.call(route, request).await;
        }
        request.extensions_mut().insert(PeerAddress(peer.ip()));
        if self.is_plain {
            request.extensions_mut().insert(PlainHttp);
        }
        match TowerToHyperService::new(self.router.clone()).call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    fn ready(&self) -> Response<Body> {
        let problems = self.metrics.problems();
        if problems.is_empty() {
            return text(StatusCode::OK, "application/json", r#"{"status":"ready"}"#.into());
        }
        let body = json!({ "status": "notReady", "problems": problems }).to_string();
        text(StatusCode::SERVICE_UNAVAILABLE, "application/json", body)
    }

    /// Prometheus text, for whoever is on the machine or brings an API token.
    async fn metrics(&self, token: Option<String>, peer: SocketAddr) -> Response<Body> {
        let is_allowed = match token {
            _ if peer.ip().is_loopback() => true,
            Some(token) => matches!(self.app.authenticate_token(&token).await, Ok(Some(_))),
            None => false,
        };
        if !is_allowed {
            return text(
                StatusCode::UNAUTHORIZED,
                "text/plain",
                "an API token is needed from outside this machine\n".into(),
            );
        }
        let gauges = Gauges {
            sessions: self.sessions.count(),
            log_bytes: self.log.bytes(),
            log_next_offset: self.log.next_offset().0,
        };
        text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.metrics.to_prometheus(gauges))
    }
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, "no-store")
        .body(Body::from(body))
        .expect("the headers are well formed")
}
