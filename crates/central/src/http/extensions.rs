//! Our own operations, and the private ones of IoT Central.

use std::sync::LazyLock;
use std::time::Duration;

use api::command::{DirectMethodAnswer, DirectMethodRequest, MessageOutcomes, PurgedMessages, QueuedCommands};
use api::edge::EdgeView;
use api::fleet::{DeviceStatus, FleetDeviceDetails, FleetPage};
use api::health::InstallationHealth;
use api::messages::{MessagePage, SeriesResponse};
use api::openapi::{Scope, document_text};
use api::session::{ProvisioningInfo, Session, SignInRequest};
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::header::InvalidHeaderValue;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cookie::{Cookie, SameSite};
use events::clock::{now_ms, parse_iso8601_ms};
use serde_json::Value;

use super::answer::Answer;
use super::body::Body;
use super::guard::{Addressed, Caller, SESSION_COOKIE, session_cookie};
use super::listing::Listing;
use super::place::DevicePath;
use super::routes::Routes;
use super::{PeerAddress, live};
use crate::app::fleet::FleetRequest;
use crate::app::page::Cursor;
use crate::app::telemetry_values::SeriesWanted;
use crate::app::{App, AppError};
use crate::limits::{
    FLEET_PAGE_SIZE_DEFAULT, FLEET_PAGE_SIZE_MAX, MESSAGES_PER_ANSWER_DEFAULT, MESSAGES_PER_ANSWER_MAX,
    SERIES_NAMES_MAX, SERIES_POINTS_DEFAULT, SERIES_POINTS_MAX, WEB_SESSION_LIFE,
};

/// An hour, the time a chart shows when nobody says.
const HOUR_MS: i64 = 3_600_000;

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .serve("Session_Create", sign_in)
        .serve("Session_Get", get_session)
        .serve("Session_Remove", sign_out)
        .serve("Fleet_List", fleet)
        .serve("Fleet_Get", fleet_device)
        .serve("Fleet_GetEdge", edge)
        .serve("Fleet_GetMessages", messages)
        .serve("Fleet_GetSeries", series)
        .serve("Fleet_GetTwin", twin)
        .serve("Fleet_GetQueuedCommands", queued_commands)
        .serve("Fleet_GetMessageOutcomes", message_outcomes)
        .serve("Live_Stream", live::stream)
        .serve("Provisioning_Get", provisioning)
        .serve("Health_Get", health)
        .serve("Document_Get", document)
        .serve("Private_GetTwin", twin)
        .serve("Private_ListModules", edge_modules)
        .serve("Private_PurgeMessages", purge_messages)
        .serve("Private_RunModuleMethod", module_method)
}

fn session_cookie_value(session: &str, life: Duration) -> Result<HeaderValue, AppError> {
    let life = life.try_into().map_err(|error| AppError::internal("a cookie's life is too long", error))?;
    let cookie = Cookie::build((SESSION_COOKIE, session)).path("/").max_age(life);
    let cookie = cookie.http_only(true).secure(true).same_site(SameSite::Strict).build();
    cookie.to_string().parse().map_err(|error: InvalidHeaderValue| AppError::internal("a cookie is no header", error))
}

async fn sign_in(
    State(app): State<App>,
    Addressed(application): Addressed,
    peer: Option<Extension<PeerAddress>>,
    Body(request): Body<SignInRequest>,
) -> Result<Response, AppError> {
    let address = peer.map(|Extension(PeerAddress(address))| address);
    let (session, access) = app.sign_in(&application, &request.code, address).await?;
    let mut response = Json(app.session_of(&access)).into_response();
    let cookie = session_cookie_value(&session, WEB_SESSION_LIFE)?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

async fn get_session(State(app): State<App>, Caller(access): Caller) -> Answer<Session> {
    Ok(Json(app.session_of(&access)))
}

async fn sign_out(State(app): State<App>, Caller(access): Caller, headers: HeaderMap) -> Result<Response, AppError> {
    if let Some(session) = session_cookie(&headers) {
        app.sign_out(&access, session).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::SET_COOKIE, session_cookie_value("", Duration::ZERO)?);
    Ok(response)
}

fn fleet_request(listing: &Listing) -> Result<FleetRequest, AppError> {
    let mut request = FleetRequest {
        template: listing.get("template").map(|id| if id == "none" { String::new() } else { id.to_owned() }),
        search: listing.get("search").map(str::to_owned),
        after: listing.get("cursor").map(Cursor::decode).transpose()?,
        size: listing.number("pageSize", 1..=FLEET_PAGE_SIZE_MAX, FLEET_PAGE_SIZE_DEFAULT)?,
        ..FleetRequest::default()
    };
    if request.template.as_deref() == Some("") && listing.get("template") != Some("none") {
        request.template = None;
    }
    match listing.get("filter") {
        None | Some("") => {}
        Some("edge") => request.edge_only = true,
        Some("connected") => request.status = Some(DeviceStatus::Connected),
        Some("disconnected") => request.status = Some(DeviceStatus::Disconnected),
        Some("never") => request.status = Some(DeviceStatus::Never),
        Some("blocked") => request.status = Some(DeviceStatus::Blocked),
        Some(other) => return Err(AppError::BadRequest(format!("'{other}' is not a filter of the fleet."))),
    }
    Ok(request)
}

async fn fleet(State(app): State<App>, Caller(access): Caller, listing: Listing) -> Answer<FleetPage> {
    let page = app.fleet(&access, &fleet_request(&listing)?).await?;
    let next_link = page.next.as_ref().map(|cursor| listing.link("cursor", cursor));
    Ok(Json(FleetPage { value: page.items, next_link, counts: app.fleet_counts(&access) }))
}

async fn fleet_device(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Answer<FleetDeviceDetails> {
    Ok(Json(app.fleet_details(&access, path.name("deviceId")).await?))
}

async fn edge(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Answer<EdgeView> {
    Ok(Json(app.edge_view(&access, path.name("deviceId")).await?))
}

async fn messages(
    State(app): State<App>,
    Caller(access): Caller,
    path: DevicePath,
    listing: Listing,
) -> Answer<MessagePage> {
    let limit = listing.number("limit", 1..=MESSAGES_PER_ANSWER_MAX, MESSAGES_PER_ANSWER_DEFAULT)?;
    let before = listing.number("before", 0..=u64::MAX, u64::MAX)?;
    let module = listing.get("module");
    Ok(Json(app.messages(&access, path.name("deviceId"), module, Some(before), limit).await?))
}

fn time(listing: &Listing, name: &str, default: i64) -> Result<i64, AppError> {
    let Some(text) = listing.get(name) else { return Ok(default) };
    parse_iso8601_ms(text).ok_or_else(|| AppError::BadRequest(format!("{name} must be a time, not '{text}'.")))
}

async fn series(
    State(app): State<App>,
    Caller(access): Caller,
    path: DevicePath,
    listing: Listing,
) -> Answer<SeriesResponse> {
    let names = listing.all("name");
    if names.is_empty() || names.len() > SERIES_NAMES_MAX {
        return Err(AppError::BadRequest(format!("1 to {SERIES_NAMES_MAX} names must be given.")));
    }
    let to_ms = time(&listing, "to", now_ms())?;
    let from_ms = time(&listing, "from", to_ms.saturating_sub(HOUR_MS))?;
    let points = listing.number("points", 1..=SERIES_POINTS_MAX, SERIES_POINTS_DEFAULT)?;
    let wanted = SeriesWanted { names, from_ms, to_ms, points };
    Ok(Json(app.series(&access, path.name("deviceId"), wanted).await?))
}

async fn twin(State(app): State<App>, Caller(access): Caller, path: DevicePath, listing: Listing) -> Answer<Value> {
    let module = listing.get("module").filter(|module| !module.is_empty());
    Ok(Json(app.twin(&access, path.name("deviceId"), module).await?))
}

async fn provisioning(State(app): State<App>, Caller(access): Caller) -> Answer<ProvisioningInfo> {
    Ok(Json(ProvisioningInfo { id_scope: access.id_scope().to_owned(), endpoint: app.provisioning_endpoint() }))
}

async fn health(State(app): State<App>, Caller(access): Caller) -> Answer<InstallationHealth> {
    Ok(Json(app.health(&access).await))
}

async fn document(Caller(_): Caller) -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| document_text(Scope::Extensions));
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

async fn queued_commands(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Answer<QueuedCommands> {
    Ok(Json(app.queued_commands(&access, path.name("deviceId")).await?))
}

async fn message_outcomes(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Answer<MessageOutcomes> {
    Ok(Json(app.message_outcomes(&access, path.name("deviceId")).await?))
}

async fn purge_messages(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Answer<PurgedMessages> {
    Ok(Json(app.messages_purge(&access, path.name("deviceId")).await?))
}

async fn edge_modules(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Answer<Value> {
    Ok(Json(app.edge_modules(&access, path.name("deviceId")).await?))
}

async fn module_method(
    State(app): State<App>,
    Caller(access): Caller,
    path: DevicePath,
    Body(request): Body<DirectMethodRequest>,
) -> Answer<DirectMethodAnswer> {
    Ok(Json(app.module_method(&access, path.name("deviceId"), path.name("moduleName"), &request).await?))
}
