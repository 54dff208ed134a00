//! Routes, built from the endpoint list of the contract.

use std::collections::HashSet;

use api::endpoint::Method;
use axum::Router;
use axum::handler::Handler;
use axum::middleware;
use axum::routing::{MethodFilter, on};

use super::guard::guard;
use crate::app::{App, AppError};

/// Routes under construction.
pub(super) struct Routes {
    app: App,
    router: Router<App>,
    added: HashSet<&'static str>,
}

fn filter(method: Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Put => MethodFilter::PUT,
        Method::Post => MethodFilter::POST,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    }
}

async fn method_not_allowed() -> AppError {
    AppError::MethodNotAllowed
}

impl Routes {
    pub(super) fn new(app: App) -> Self {
        Self { app, router: Router::new(), added: HashSet::new() }
    }

    /// Serves an endpoint of the list with a handler, behind the guard.
    pub(super) fn serve<H, T>(mut self, id: &str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let endpoint = api::endpoints::by_id(id).expect("a handler is for an endpoint of the list");
        assert!(self.added.insert(endpoint.id), "{id} has two handlers");
        let guarded = on(filter(endpoint.method), handler)
            .layer(middleware::from_fn_with_state((self.app.clone(), endpoint), guard));
        self.router = self.router.route(endpoint.path, guarded);
        self
    }

    /// The router; every endpoint of the list has its handler.
    pub(super) fn finish(self) -> Router {
        for endpoint in api::endpoints::all() {
            assert!(self.added.contains(endpoint.id), "{} has no handler", endpoint.id);
        }
        self.router.method_not_allowed_fallback(method_not_allowed).with_state(self.app)
    }
}
