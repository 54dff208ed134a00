//! What devices and edges ask of the hub over HTTPS: module identities, scope calls, telemetry, and provisioning.
//!
//! The paths share their first words with the console's (`/devices/…`), so a request counts as the hub's when its path is one of
//! these and it brings a token or an `api-version`; browsers bring neither.
//!
//! | Module | Answers |
//! | --- | --- |
//! | [`route`] | which call a path is |
//! | [`modules`] | `/devices/{d}/modules[/{m}]` |
//! | [`scope`] | `/devices/{edge}/modules/$edgeHub/…` |
//! | [`messages`] | `/devices/{d}/messages/events` |
//! | [`registrations`] | `/{scope}/registrations/{reg}/…` |
//! | [`error`] | error bodies of both dialects |

pub mod error;
mod messages;
mod modules;
mod registrations;
pub mod route;
mod scope;

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use events::clock::now_secs;
use events::ingest::Ingest;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use model::identity::Identity;
use registry::Registry;
use serde::Serialize;

use crate::authenticate::{AuthenticateError, Authenticator, Claim, Hosts, Principal};
use crate::limits::HUB_HTTP_BODY_BYTES_MAX;
use crate::provisioning::Provisioning;
use crate::sessions::Sessions;
use error::HubHttpError;
use route::HubRoute;

#[cfg(test)]
mod tests;

/// What the calls work with. Cheap to clone.
#[derive(Clone)]
pub struct HubHttp {
    /// Devices and modules.
    pub registry: Registry,
    /// Host names.
    pub hosts: Hosts,
    /// The log.
    pub ingest: Ingest,
    /// Live sessions.
    pub sessions: Sessions,
    /// Provisioning.
    pub provisioning: Provisioning,
}

/// A caller that proved who it is.
struct Caller {
    app: Arc<str>,
    principal: Principal,
}

/// A request, read whole.
struct Call<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    query: &'a str,
    body: Bytes,
}

impl HubHttp {
    /// Which call the request is, if it is one.
    pub fn route<B>(request: &Request<B>) -> Option<HubRoute> {
        let route = HubRoute::parse(request.uri().path())?;
        let names_version = request.uri().query().is_some_and(|query| query.contains("api-version="));
        (names_version || request.headers().contains_key(header::AUTHORIZATION)).then_some(route)
    }

    /// Answers a call.
    pub async fn call(&self, route: HubRoute, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let dps_dialect =
            matches!(route, HubRoute::Register { .. } | HubRoute::Operation { .. } | HubRoute::Registration { .. });
        let answered = match read(body).await {
            Ok(body) => {
                let query = parts.uri.query().unwrap_or_default();
                self.answer(route, Call { method: &parts.method, headers: &parts.headers, query, body }).await
            }
            Err(error) => Err(error),
        };
        answered.unwrap_or_else(|error| error.into_response(dps_dialect))
    }

    async fn answer(&self, route: HubRoute, call: Call<'_>) -> Result<Response<Body>, HubHttpError> {
        match (route, call.method.as_str()) {
            (HubRoute::Modules { device }, "GET") => self.modules_list(&call, &device).await,
            (HubRoute::Module { device, module }, "GET") => self.module_get(&call, &device, &module).await,
            (HubRoute::Module { device, module }, "PUT") => self.module_put(&call, &device, &module).await,
            (HubRoute::Module { device, module }, "DELETE") => self.module_delete(&call, &device, &module).await,
            (HubRoute::Events { identity }, "POST") => self.message_post(&call, &identity).await,
            (HubRoute::ScopeOfTarget { edge }, "POST") => self.scope_of_target(&call, &edge).await,
            (HubRoute::OnBehalfOf { edge }, "POST") => self.on_behalf_of(&call, &edge).await,
            (HubRoute::OwnScope { edge }, "GET") => self.own_scope(&call, &edge).await,
            (HubRoute::OneInScope { edge }, "GET") => self.one_in_scope(&call, &edge).await,
            (HubRoute::Register { scope, registration }, "PUT") => self.register(&call, &scope, &registration).await,
            (HubRoute::Operation { scope, registration, operation }, "GET") => {
                self.operation(&call, &scope, &registration, &operation).await
            }
            (HubRoute::Registration { scope, registration }, "POST") => {
                self.registration(&call, &scope, &registration).await
            }
            _ => Err(HubHttpError::method_not_allowed()),
        }
    }

    /// Checks the caller's token for the identity it must be.
    async fn caller(&self, call: &Call<'_>, identity: &Identity) -> Result<Caller, HubHttpError> {
        let token = authorization(call)?;
        let named = call.headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(without_port);
        // Audiences name the hub; behind a port mapping or tunnel the Host header may name something else.
        let hosts = [Some(self.hosts.hostname()), named.filter(|host| self.hosts.application(host).is_some())];
        let app = Arc::clone(self.hosts.first_application());
        let authenticator = Authenticator::new(self.registry.clone());
        let mut refusal = None;
        for host in hosts.into_iter().flatten() {
            let claim = Claim { application: &app, host, identity, token, auth_chain: None };
            match authenticator.authenticate(claim, now_secs()).await {
                Ok(principal) => return Ok(Caller { app, principal }),
                Err(error @ AuthenticateError::Scope(_)) => refusal = Some(error),
                Err(error) => return Err(HubHttpError::refused(identity, &error)),
            }
        }
        let refusal = refusal.expect("the first host is always there, and every other outcome has returned");
        Err(HubHttpError::refused(identity, &refusal))
    }
}

fn authorization<'a>(call: &Call<'a>) -> Result<&'a str, HubHttpError> {
    let header = call.headers.get(header::AUTHORIZATION).and_then(|header| header.to_str().ok());
    header.ok_or_else(|| HubHttpError::unauthorized("the request has no token"))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 address has colons of its own, and brackets when a port follows.
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

async fn read(body: Body) -> Result<Bytes, HubHttpError> {
    let collected = Limited::new(body, HUB_HTTP_BODY_BYTES_MAX).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            HubHttpError::too_large()
        } else {
            HubHttpError::bad_request("the body could not be read")
        }
    })
}

/// A parameter of the query, percent-decoded; `+` stays `+`.
fn query_parameter(query: &str, name: &str) -> Option<String> {
    protocol::hub::bag::get(query.as_bytes(), name).map(|value| value.into_owned())
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Response<Body> {
    let text = serde_json::to_string(body).expect("texts and numbers always serialize");
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .body(Body::from(text))
        .expect("the headers are well formed")
}

fn no_content() -> Response<Body> {
    Response::builder().status(StatusCode::NO_CONTENT).body(Body::empty()).expect("there is nothing to be wrong")
}
