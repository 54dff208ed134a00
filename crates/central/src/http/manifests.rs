//! Deployment manifests.

use api::device::MergePatch;
use api::manifest::{DeploymentManifest, DeploymentManifestCollection};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::answer::{Answer, Empty};
use super::body::Body;
use super::guard::Caller;
use super::listing::Listing;
use super::routes::Routes;
use crate::app::App;
use crate::app::page::{Cursor, Page};

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .serve("DeploymentManifests_List", list)
        .serve("DeploymentManifests_Get", get)
        .serve("DeploymentManifests_Create", create)
        .serve("DeploymentManifests_Update", update)
        .serve("DeploymentManifests_Remove", remove)
        .serve("Devices_ApplyManifest", apply)
}

async fn list(
    State(app): State<App>,
    Caller(access): Caller,
    listing: Listing,
) -> Answer<DeploymentManifestCollection> {
    let manifests = app.manifests(&access, listing.filter()?.as_ref()).await?;
    let cursor = |manifest: &DeploymentManifest| Cursor {
        name: manifest.display_name.clone().unwrap_or_default(),
        id: manifest.id.clone().unwrap_or_default(),
    };
    let (value, next_link) = listing.answer(Page::of_all(manifests, &listing.page()?, cursor));
    Ok(Json(DeploymentManifestCollection { value, next_link }))
}

async fn get(State(app): State<App>, Caller(access): Caller, Path(id): Path<String>) -> Answer<DeploymentManifest> {
    Ok(Json(app.manifest(&access, &id).await?))
}

async fn create(
    State(app): State<App>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Body(manifest): Body<DeploymentManifest>,
) -> Answer<DeploymentManifest> {
    Ok(Json(app.manifest_put(&access, &id, &manifest).await?))
}

async fn update(
    State(app): State<App>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Body(MergePatch(patch)): Body<MergePatch>,
) -> Answer<DeploymentManifest> {
    Ok(Json(app.manifest_patch(&access, &id, &patch).await?))
}

async fn remove(State(app): State<App>, Caller(access): Caller, Path(id): Path<String>) -> Empty {
    app.manifest_delete(&access, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn apply(
    State(app): State<App>,
    Caller(access): Caller,
    Path(device): Path<String>,
    Body(manifest): Body<DeploymentManifest>,
) -> Answer<DeploymentManifest> {
    Ok(Json(app.manifest_apply(&access, &device, &manifest).await?))
}
