//! Deployment manifests.

use api::manifest::DeploymentManifest;
use axum::Json;
use axum::extract::{Path, State};

use super::answer::Answer;
use super::body::Body;
use super::guard::Caller;
use super::resource::{Shown, create, get, list, remove, update};
use super::routes::Routes;
use crate::app::App;
use crate::app::manifests::Manifests;

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .serve("DeploymentManifests_List", list::<Manifests>)
        .serve("DeploymentManifests_Get", get::<Manifests>)
        .serve("DeploymentManifests_Create", create::<Manifests>)
        .serve("DeploymentManifests_Update", update::<Manifests>)
        .serve("DeploymentManifests_Remove", remove::<Manifests>)
        .serve("Devices_ApplyManifest", apply)
}

impl Shown for Manifests {}

async fn apply(
    State(app): State<App>,
    Caller(access): Caller,
    Path(device): Path<String>,
    Body(manifest): Body<DeploymentManifest>,
) -> Answer<DeploymentManifest> {
    Ok(Json(app.manifest_apply(&access, &device, &manifest).await?))
}
