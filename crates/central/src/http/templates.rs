//! Device templates.

use api::device::MergePatch;
use api::endpoint::ApiVersion;
use api::template::{
    DeviceTemplate, DeviceTemplateCollection, TemplateFromManifestRequest, TemplateFromManifestResponse,
};
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
        .serve("DeviceTemplates_List", list)
        .serve("DeviceTemplates_Get", get)
        .serve("DeviceTemplates_Create", create)
        .serve("DeviceTemplates_Update", update)
        .serve("DeviceTemplates_Remove", remove)
        .serve("Templates_FromManifest", from_manifest)
}

/// The template as a version shows it: a manifest beside the model was part of one preview only.
fn shown(mut template: DeviceTemplate, version: Option<ApiVersion>) -> DeviceTemplate {
    if version != Some(ApiVersion::V2022_06_30Preview) {
        template.rest.remove("deploymentManifest");
    }
    template
}

async fn list(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    listing: Listing,
) -> Answer<DeviceTemplateCollection> {
    let templates = app.templates(&access, listing.filter()?.as_ref()).await?;
    let cursor = |(name, template): &(String, DeviceTemplate)| Cursor {
        name: name.clone(),
        id: template.id.clone().unwrap_or_default(),
    };
    let page = Page::of_all(templates, &listing.page()?, cursor).map(|(_, template)| shown(template, version));
    let (value, next_link) = listing.answer(page);
    Ok(Json(DeviceTemplateCollection { value, next_link }))
}

async fn get(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    Path(id): Path<String>,
) -> Answer<DeviceTemplate> {
    Ok(Json(shown(app.template(&access, &id).await?, version)))
}

async fn create(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    Path(id): Path<String>,
    Body(template): Body<DeviceTemplate>,
) -> Answer<DeviceTemplate> {
    Ok(Json(shown(app.template_put(&access, &id, &template).await?, version)))
}

async fn update(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    Path(id): Path<String>,
    Body(MergePatch(patch)): Body<MergePatch>,
) -> Answer<DeviceTemplate> {
    Ok(Json(shown(app.template_patch(&access, &id, &patch).await?, version)))
}

async fn remove(State(app): State<App>, Caller(access): Caller, Path(id): Path<String>) -> Empty {
    app.template_delete(&access, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn from_manifest(
    State(app): State<App>,
    Caller(access): Caller,
    Body(request): Body<TemplateFromManifestRequest>,
) -> Answer<TemplateFromManifestResponse> {
    Ok(Json(app.template_from_manifest(&access, &request)?))
}
