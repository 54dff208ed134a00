//! Device templates.

use api::endpoint::ApiVersion;
use api::template::{DeviceTemplate, TemplateFromManifestRequest, TemplateFromManifestResponse};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::answer::{Answer, Empty};
use super::body::Body;
use super::guard::Caller;
use super::resource::{Condition, Shown, create, get, list, update};
use super::routes::Routes;
use crate::app::App;
use crate::app::templates::Templates;

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .serve("DeviceTemplates_List", list::<Templates>)
        .serve("DeviceTemplates_Get", get::<Templates>)
        .serve("DeviceTemplates_Create", create::<Templates>)
        .serve("DeviceTemplates_Update", update::<Templates>)
        .serve("DeviceTemplates_Remove", remove)
        .serve("Templates_FromManifest", from_manifest)
}

impl Shown for Templates {
    /// A manifest beside the model was part of one preview only.
    fn shown(mut template: DeviceTemplate, version: Option<ApiVersion>) -> DeviceTemplate {
        if version != Some(ApiVersion::V2022_06_30Preview) {
            template.rest.remove("deploymentManifest");
        }
        template
    }
}

async fn remove(
    State(app): State<App>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Condition(precondition): Condition,
) -> Empty {
    app.template_delete(&access, &id, &precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn from_manifest(
    State(app): State<App>,
    Caller(access): Caller,
    Body(request): Body<TemplateFromManifestRequest>,
) -> Answer<TemplateFromManifestResponse> {
    Ok(Json(app.template_from_manifest(&access, &request)?))
}
