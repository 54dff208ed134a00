//! Enrollment groups, and the attestation and credentials of one device.

use api::device::{Attestation, DeviceCredentials, MergePatch};
use api::endpoint::ApiVersion;
use api::enrollment::EnrollmentGroup;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::answer::{Answer, Empty};
use super::body::Body;
use super::guard::Caller;
use super::resource::{Shown, create, get, list, remove, update};
use super::routes::Routes;
use crate::app::App;
use crate::app::enrollment_groups::EnrollmentGroups;

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .serve("EnrollmentGroups_List", list::<EnrollmentGroups>)
        .serve("EnrollmentGroups_Get", get::<EnrollmentGroups>)
        .serve("EnrollmentGroups_Create", create::<EnrollmentGroups>)
        .serve("EnrollmentGroups_Update", update::<EnrollmentGroups>)
        .serve("EnrollmentGroups_Remove", remove::<EnrollmentGroups>)
        .serve("Devices_GetAttestation", get_attestation)
        .serve("Devices_CreateAttestation", create_attestation)
        .serve("Devices_UpdateAttestation", update_attestation)
        .serve("Devices_RemoveAttestation", remove_attestation)
        .serve("Devices_GetCredentials", get_credentials)
}

impl Shown for EnrollmentGroups {
    /// The scope came with the newest preview.
    fn shown(mut group: EnrollmentGroup, version: Option<ApiVersion>) -> EnrollmentGroup {
        if version != Some(ApiVersion::V2022_10_31Preview) {
            group.id_scope = None;
        }
        group
    }
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
