//! Enrollment groups, and the attestation and credentials of one device.

use api::device::{Attestation, DeviceCredentials, MergePatch};
use api::endpoint::ApiVersion;
use api::enrollment::{EnrollmentGroup, EnrollmentGroupCollection};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::answer::{Answer, Empty};
use super::body::Body;
use super::guard::{Caller, Version};
use super::listing::Listing;
use super::routes::Routes;
use crate::app::App;
use crate::app::page::{Cursor, Page};

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .serve("EnrollmentGroups_List", list)
        .serve("EnrollmentGroups_Get", get)
        .serve("EnrollmentGroups_Create", create)
        .serve("EnrollmentGroups_Update", update)
        .serve("EnrollmentGroups_Remove", remove)
        .serve("Devices_GetAttestation", get_attestation)
        .serve("Devices_CreateAttestation", create_attestation)
        .serve("Devices_UpdateAttestation", update_attestation)
        .serve("Devices_RemoveAttestation", remove_attestation)
        .serve("Devices_GetCredentials", get_credentials)
}

/// The group as a version shows it: the scope came with the newest preview.
fn shown(mut group: EnrollmentGroup, version: Option<ApiVersion>) -> EnrollmentGroup {
    if version != Some(ApiVersion::V2022_10_31Preview) {
        group.id_scope = None;
    }
    group
}

async fn list(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    listing: Listing,
) -> Answer<EnrollmentGroupCollection> {
    let cursor =
        |group: &EnrollmentGroup| Cursor { name: group.display_name.clone(), id: group.id.clone().unwrap_or_default() };
    let page = Page::of_all(app.enrollment_groups(&access).await?, &listing.page()?, cursor);
    let (value, next_link) = listing.answer(page.map(|group| shown(group, version)));
    Ok(Json(EnrollmentGroupCollection { value, next_link }))
}

async fn get(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    Path(id): Path<String>,
) -> Answer<EnrollmentGroup> {
    Ok(Json(shown(app.enrollment_group(&access, &id).await?, version)))
}

async fn create(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    Path(id): Path<String>,
    Body(group): Body<EnrollmentGroup>,
) -> Answer<EnrollmentGroup> {
    Ok(Json(shown(app.enrollment_group_put(&access, &id, &group).await?, version)))
}

async fn update(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    Path(id): Path<String>,
    Body(MergePatch(patch)): Body<MergePatch>,
) -> Answer<EnrollmentGroup> {
    Ok(Json(shown(app.enrollment_group_patch(&access, &id, &patch).await?, version)))
}

async fn remove(State(app): State<App>, Caller(access): Caller, Path(id): Path<String>) -> Empty {
    app.enrollment_group_delete(&access, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn get_attestation(
    State(app): State<App>,
    Caller(access): Caller,
    Path(device): Path<String>,
) -> Answer<Attestation> {
    Ok(Json(app.attestation(&access, &device).await?))
}

async fn create_attestation(
    State(app): State<App>,
    Caller(access): Caller,
    Path(device): Path<String>,
    Body(attestation): Body<Attestation>,
) -> Answer<Attestation> {
    Ok(Json(app.attestation_put(&access, &device, &attestation).await?))
}

async fn update_attestation(
    State(app): State<App>,
    Caller(access): Caller,
    Path(device): Path<String>,
    Body(MergePatch(patch)): Body<MergePatch>,
) -> Answer<Attestation> {
    Ok(Json(app.attestation_patch(&access, &device, &patch).await?))
}

async fn remove_attestation(State(app): State<App>, Caller(access): Caller, Path(device): Path<String>) -> Empty {
    app.attestation_delete(&access, &device).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn get_credentials(
    State(app): State<App>,
    Caller(access): Caller,
    Path(device): Path<String>,
) -> Answer<DeviceCredentials> {
    Ok(Json(app.credentials(&access, &device).await?))
}
