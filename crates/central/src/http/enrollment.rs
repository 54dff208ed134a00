//! Enrollment groups with their certificates, and the attestation and credentials of one device.

use api::certificate::{SigningX509Certificate, X509VerificationCertificate, X509VerificationCode};
use api::device::{Attestation, DeviceCredentials, MergePatch};
use api::endpoint::ApiVersion;
use api::enrollment::EnrollmentGroup;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::answer::{Answer, Empty};
use super::body::Body;
use super::guard::Caller;
use super::resource::{Condition, Shown, create, get, list, remove, update};
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
        .serve("EnrollmentGroups_GetX509", get_certificate)
        .serve("EnrollmentGroups_CreateX509", create_certificate)
        .serve("EnrollmentGroups_RemoveX509", remove_certificate)
        .serve("EnrollmentGroups_GenerateVerificationCodeX509", generate_verification_code)
        .serve("EnrollmentGroups_VerifyX509", verify_certificate)
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

async fn get_certificate(
    State(app): State<App>,
    Caller(access): Caller,
    Path((group, entry)): Path<(String, String)>,
) -> Answer<SigningX509Certificate> {
    Ok(Json(app.signing_certificate(&access, &group, &entry).await?))
}

async fn create_certificate(
    State(app): State<App>,
    Caller(access): Caller,
    Path((group, entry)): Path<(String, String)>,
    Condition(precondition): Condition,
    Body(wanted): Body<SigningX509Certificate>,
) -> Answer<SigningX509Certificate> {
    Ok(Json(app.signing_certificate_put(&access, &group, &entry, &wanted, &precondition).await?))
}

async fn remove_certificate(
    State(app): State<App>,
    Caller(access): Caller,
    Path((group, entry)): Path<(String, String)>,
    Condition(precondition): Condition,
) -> Empty {
    app.signing_certificate_delete(&access, &group, &entry, &precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn generate_verification_code(
    State(app): State<App>,
    Caller(access): Caller,
    Path((group, entry)): Path<(String, String)>,
) -> Answer<X509VerificationCode> {
    Ok(Json(app.verification_code(&access, &group, &entry).await?))
}

async fn verify_certificate(
    State(app): State<App>,
    Caller(access): Caller,
    Path((group, entry)): Path<(String, String)>,
    Body(proof): Body<X509VerificationCertificate>,
) -> Empty {
    app.verify_certificate(&access, &group, &entry, &proof).await?;
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
