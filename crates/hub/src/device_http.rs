//! What devices and edges ask of the hub over HTTPS: module identities, scope calls, telemetry, and provisioning.
//!
//! [`route`] holds the table of paths. Some share their first words with pages of the console: whoever stands in front of both
//! tells a browser's navigation from a machine's request.
//!
//! | Module | Answers |
//! | --- | --- |
//! | [`route`] | which call a path is |
//! | [`modules`] | `/devices/{d}/modules[/{m}]` |
//! | [`scope`] | `/devices/{edge}/modules/$edgeHub/…` |
//! | [`messages`] | `/devices/{d}/messages/events` |
//! | [`device_bound`] | `/devices/{d}/messages/deviceBound…` |
//! | [`files`] | `/devices/{d}/files…`, `/device-files/…` |
//! | [`registrations`] | `/{scope}/registrations/{reg}/…` |
//! | [`error`] | error bodies of both dialects |

mod device_bound;
pub mod error;
mod files;
mod messages;
mod modules;
mod registrations;
pub mod route;
pub mod scope;

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use http::{Extensions, HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use model::identity::Identity;
use protocol::auth::certificate::ClientCertificate;
use protocol::auth::judge::Claim;
use registry::ApplicationRow;
use serde::Serialize;
use transport::server::body::{Allowance, BodyError};
use transport::server::{Admission, Credential};

use crate::authenticate::Principal;
use crate::gateway::Gateway;
use error::HubHttpError;
use route::{Call as Asked, HubRoute, Ids};

#[cfg(test)]
mod tests;

/// What the calls work with. Cheap to clone.
#[derive(Clone)]
pub struct HubHttp {
    /// Decides: what a request may and does is what the same would over any other protocol.
    pub gateway: Arc<Gateway>,
}

/// A caller that proved who it is.
struct Caller {
    app: Arc<str>,
    principal: Principal,
}

/// Names of headers as the client wrote them, where they are known and one of them is a property's: an extension of the request.
#[derive(Debug, Clone, Default)]
pub struct HeaderNames(pub Vec<String>);

/// Whether a header is that of an application property, whose name keeps its letters.
pub fn is_application_property(header: &str) -> bool {
    header.starts_with(messages::APPLICATION_PREFIX)
}

/// A request of which the head was read. The body is read once it is known who sends it.
struct Call<'a> {
    /// The host it names.
    host: Option<&'a str>,
    path: &'a str,
    headers: &'a HeaderMap,
    names: Option<&'a HeaderNames>,
    query: &'a str,
    extensions: &'a Extensions,
    body: Mutex<Option<Body>>,
}

impl Call<'_> {
    /// The caller has proved who it is: it may send a body and keeps its place.
    fn admit(&self) {
        self.extensions.get::<Admission>().inspect(|admission| admission.known());
    }

    /// The body, of which at most so many bytes are read.
    fn take_body(&self, bytes_max: usize) -> Body {
        self.extensions.get::<Allowance>().inspect(|allowance| allowance.raise(bytes_max));
        self.body.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// Reads the body, of at most so many bytes.
    async fn body(&self, bytes_max: usize) -> Result<Bytes, HubHttpError> {
        let body = self.take_body(bytes_max);
        let collected = body.collect().await.map_err(|error| body_failed(error.into_inner().as_ref()))?;
        Ok(collected.to_bytes())
    }
}

fn body_failed(error: &(dyn std::error::Error + Send + Sync + 'static)) -> HubHttpError {
    match error.downcast_ref() {
        Some(BodyError::TooLarge(_)) => HubHttpError::too_large(),
        Some(BodyError::TooSlow) => HubHttpError::too_slow(),
        Some(BodyError::Busy) => HubHttpError::unavailable(),
        Some(BodyError::Broken(_)) | None => HubHttpError::bad_request("the body could not be read"),
    }
}

impl HubHttp {
    /// Answers a call: what its body may be is the business of the listener, which puts a [`Admission`] and an [`Allowance`] among the
    /// extensions of the request.
    pub async fn call(&self, route: HubRoute, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let audience = route.audience;
        let call = Call {
            host: named_host(&parts.uri, &parts.headers),
            path: parts.uri.path(),
            headers: &parts.headers,
            names: parts.extensions.get(),
            query: parts.uri.query().unwrap_or_default(),
            extensions: &parts.extensions,
            body: Mutex::new(Some(body)),
        };
        self.answer(route, call).await.unwrap_or_else(|error| error.into_response(audience))
    }

    async fn answer(&self, route: HubRoute, call: Call<'_>) -> Result<Response<Body>, HubHttpError> {
        let HubRoute { audience, call: asked, ids } = route;
        let asked = asked.map_err(HubHttpError::method_not_allowed)?;
        let (device, module) = (ids.get("device"), ids.get("module"));
        let (scope, registration) = (ids.get("scope"), ids.get("registration"));
        match asked {
            Asked::ModulesList => self.modules_list(&call, device).await,
            Asked::ModuleGet => self.module_get(&call, device, module).await,
            Asked::ModulePut => self.module_put(&call, device, module).await,
            Asked::ModuleDelete => self.module_delete(&call, device, module).await,
            Asked::MessagePost => self.message_post(&call, &identity(&ids)).await,
            Asked::MessageNext => self.message_next(&call, device).await,
            Asked::MessageEnd => self.message_end(&call, device, ids.get("lock")).await,
            Asked::MessageAbandon => self.message_abandon(&call, device, ids.get("lock")).await,
            Asked::FileOpen => self.file_open(&call, device).await,
            Asked::FileDone => self.file_done(&call, device, ids.find("correlation")).await,
            Asked::BlobPut => self.blob_put(&call).await,
            Asked::ScopeOfTarget => self.scope_of_target(&call, device).await,
            Asked::OnBehalfOf => self.on_behalf_of(&call, device).await,
            Asked::OwnScope => self.own_scope(&call, device).await,
            Asked::OneInScope => self.one_in_scope(&call, device).await,
            Asked::Register => self.register(&call, scope, registration).await,
            Asked::Operation => self.operation(&call, scope, registration, ids.get("operation")).await,
            Asked::Registration => self.registration(&call, scope, registration).await,
            Asked::Unbuilt => Err(HubHttpError::unbuilt(audience)),
        }
    }

    /// The host a call is for.
    fn host_of<'a>(&'a self, call: &Call<'a>) -> &'a str {
        call.host.unwrap_or_else(|| self.gateway.applications.hostname())
    }

    /// The application of that host.
    async fn application(&self, call: &Call<'_>) -> Result<Arc<ApplicationRow>, HubHttpError> {
        let named = self.host_of(call);
        let application = self.gateway.applications.by_host(named).await?;
        application.ok_or_else(|| HubHttpError::unknown_host(named))
    }

    /// Checks the caller's token for the identity it must be.
    async fn caller(&self, call: &Call<'_>, identity: &Identity) -> Result<Caller, HubHttpError> {
        let credential = credential(call)?;
        let named = self.host_of(call);
        let application = self.application(call).await?;
        // Audiences name the hub, whatever other name of it the request came by.
        let own = self.gateway.applications.host_of(&application);
        let hosts = [own.as_str(), named];
        let claim = Claim { identity, hosts: &hosts, credential: credential.judged(), auth_chain: None };
        match self.gateway.authorize(&application.id, claim).await {
            Ok(principal) => {
                call.admit();
                Ok(Caller { app: application.id.as_str().into(), principal })
            }
            Err(error) => Err(HubHttpError::refused(identity, &error)),
        }
    }
}

/// Whom a path names.
fn identity(ids: &Ids) -> Identity {
    match ids.find("module") {
        Some(module) => Identity::module(ids.get("device"), module),
        None => Identity::device(ids.get("device")),
    }
}

/// What the caller proves itself with: a token if the request has one, else the certificate of its connection.
fn credential(call: &Call<'_>) -> Result<Credential, HubHttpError> {
    if let Some(header) = call.headers.get(header::AUTHORIZATION) {
        let token = header.to_str().map_err(|_| HubHttpError::unauthorized("the token is no text"))?;
        return Ok(Credential::Sas(token.to_owned()));
    }
    let certificate = call.extensions.get::<Arc<ClientCertificate>>();
    let certificate = certificate.ok_or_else(|| HubHttpError::unauthorized("there is no token, and no certificate"))?;
    Ok(Credential::Certificate(Arc::clone(certificate)))
}

/// The host a request names, without its port: HTTP/2 has it in the target, HTTP/1.1 in a header.
pub fn named_host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let header = || headers.get(header::HOST).and_then(|host| host.to_str().ok());
    uri.authority().map(|authority| authority.as_str()).or_else(header).map(without_port)
}

/// A host as requests name it, without its port.
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
