//! Devices and what is below them.

use api::command::{DeviceCommand, DeviceCommandCollection};
use api::device::{
    Collection, Device, DeviceCollection, DeviceProperties, DeviceRelationship, DeviceRelationshipCollection,
    DeviceTelemetry, MergePatch,
};
use api::endpoint::ApiVersion;
use api::query::{QueryRequest, QueryResponse};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::answer::{Answer, Empty};
use super::body::Body;
use super::guard::{Caller, Version};
use super::listing::Listing;
use super::place::DevicePath;
use super::resource::Condition;
use super::routes::Routes;
use crate::app::page::{Cursor, Page};
use crate::app::{App, AppError};

pub(super) fn add(routes: Routes) -> Routes {
    let mut routes = routes
        .serve("Devices_List", list)
        .serve("Devices_Get", get)
        .serve("Devices_Create", create)
        .serve("Devices_Update", update)
        .serve("Devices_Remove", remove)
        .serve("Devices_ListComponents", list_components)
        .serve("Devices_ListModules", list_modules)
        .serve("Devices_ListModuleComponents", list_components)
        .serve("Devices_ListRelationships", list_relationships)
        .serve("Devices_GetRelationship", get_relationship)
        .serve("Devices_CreateRelationship", create_relationship)
        .serve("Devices_UpdateRelationship", update_relationship)
        .serve("Devices_RemoveRelationship", remove_relationship)
        .serve("Query_Run", query);
    for level in ["", "Component", "Module", "ModuleComponent"] {
        routes = routes
            .serve(&format!("Devices_Get{level}CommandHistory"), command_history)
            .serve(&format!("Devices_Run{level}Command"), run_command)
            .serve(&format!("Devices_Get{level}Properties"), get_properties)
            .serve(&format!("Devices_Replace{level}Properties"), replace_properties)
            .serve(&format!("Devices_Update{level}Properties"), update_properties)
            .serve(&format!("Devices_Get{level}TelemetryValue"), telemetry_value);
    }
    routes
}

/// The device as a version shows it: the kind of device came with the previews.
fn shown(mut device: Device, version: Option<ApiVersion>) -> Device {
    if version == Some(ApiVersion::V2022_07_31) {
        device.kind = None;
        device.deployment_manifest = None;
    }
    device
}

async fn list(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    listing: Listing,
) -> Answer<DeviceCollection> {
    let filter = listing.filter()?;
    let page = app.devices(&access, filter.as_ref(), &listing.page()?, listing.expands_manifest()?).await?;
    let (value, next_link) = listing.answer(page.map(|device| shown(device, version)));
    Ok(Json(DeviceCollection { value, next_link }))
}

async fn get(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    path: DevicePath,
    listing: Listing,
) -> Answer<Device> {
    let device = app.device(&access, path.name("deviceId"), listing.expands_manifest()?).await?;
    Ok(Json(shown(device, version)))
}

async fn create(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    (path, listing): (DevicePath, Listing),
    Condition(precondition): Condition,
    Body(device): Body<Device>,
) -> Answer<Device> {
    let with_manifest = listing.expands_manifest()?;
    let device = app.device_put(&access, path.name("deviceId"), &device, &precondition, with_manifest).await?;
    Ok(Json(shown(device, version)))
}

async fn update(
    State(app): State<App>,
    Caller(access): Caller,
    Version(version): Version,
    (path, listing): (DevicePath, Listing),
    Condition(precondition): Condition,
    Body(MergePatch(patch)): Body<MergePatch>,
) -> Answer<Device> {
    let with_manifest = listing.expands_manifest()?;
    let device = app.device_patch(&access, path.name("deviceId"), &patch, &precondition, with_manifest).await?;
    Ok(Json(shown(device, version)))
}

async fn remove(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Empty {
    app.device_delete(&access, path.name("deviceId")).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_components(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Answer<Collection> {
    let place = path.place();
    Ok(Json(app.components(&access, place.device, place.module).await?))
}

async fn list_modules(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Answer<Collection> {
    Ok(Json(app.modules(&access, path.name("deviceId")).await?))
}

async fn list_relationships(
    State(app): State<App>,
    Caller(access): Caller,
    path: DevicePath,
    listing: Listing,
) -> Answer<DeviceRelationshipCollection> {
    let relationships = app.relationships(&access, path.name("deviceId")).await?;
    // Ids are unique at one gateway; with the target they are unique over both ends.
    let cursor = |relationship: &DeviceRelationship| Cursor {
        name: String::new(),
        id: format!(
            "{} {}",
            relationship.id.as_deref().unwrap_or_default(),
            relationship.target.as_deref().unwrap_or_default()
        ),
    };
    let (value, next_link) = listing.answer(Page::of_all(relationships, &listing.page()?, cursor));
    Ok(Json(DeviceRelationshipCollection { value, next_link }))
}

async fn get_relationship(
    State(app): State<App>,
    Caller(access): Caller,
    path: DevicePath,
) -> Answer<DeviceRelationship> {
    Ok(Json(app.relationship(&access, path.name("deviceId"), path.name("relationshipId")).await?))
}

async fn create_relationship(
    State(app): State<App>,
    Caller(access): Caller,
    path: DevicePath,
    Body(relationship): Body<DeviceRelationship>,
) -> Answer<DeviceRelationship> {
    let (device, id) = (path.name("deviceId"), path.name("relationshipId"));
    Ok(Json(app.relationship_put(&access, device, id, &relationship).await?))
}

async fn update_relationship(
    State(app): State<App>,
    Caller(access): Caller,
    path: DevicePath,
    Body(MergePatch(patch)): Body<MergePatch>,
) -> Answer<DeviceRelationship> {
    let (device, id) = (path.name("deviceId"), path.name("relationshipId"));
    Ok(Json(app.relationship_patch(&access, device, id, &patch).await?))
}

async fn remove_relationship(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Empty {
    app.relationship_delete(&access, path.name("deviceId"), path.name("relationshipId")).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn command_history(
    State(app): State<App>,
    Caller(access): Caller,
    path: DevicePath,
) -> Answer<DeviceCommandCollection> {
    let value = app.command_history(&access, path.place(), path.name("commandName")).await?;
    Ok(Json(DeviceCommandCollection { value, next_link: None }))
}

async fn run_command(
    State(app): State<App>,
    Caller(access): Caller,
    path: DevicePath,
    Body(command): Body<DeviceCommand>,
) -> Result<(StatusCode, Json<DeviceCommand>), AppError> {
    let run = app.command_run(&access, path.place(), path.name("commandName"), &command).await?;
    Ok((StatusCode::CREATED, Json(run)))
}

async fn get_properties(
    State(app): State<App>,
    Caller(access): Caller,
    path: DevicePath,
    listing: Listing,
) -> Answer<DeviceProperties> {
    Ok(Json(app.properties(&access, path.place(), listing.flag("unmodeled")?).await?))
}

async fn replace_properties(
    State(app): State<App>,
    Caller(access): Caller,
    path: DevicePath,
    listing: Listing,
    Body(DeviceProperties(body)): Body<DeviceProperties>,
) -> Result<(StatusCode, Json<DeviceProperties>), AppError> {
    let unmodeled = listing.flag("unmodeled")?;
    let answer = app.properties_write(&access, path.place(), &body, true, unmodeled).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

async fn update_properties(
    State(app): State<App>,
    Caller(access): Caller,
    path: DevicePath,
    listing: Listing,
    Body(MergePatch(body)): Body<MergePatch>,
) -> Result<(StatusCode, Json<DeviceProperties>), AppError> {
    let unmodeled = listing.flag("unmodeled")?;
    let answer = app.properties_write(&access, path.place(), &body, false, unmodeled).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

async fn telemetry_value(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Answer<DeviceTelemetry> {
    Ok(Json(app.telemetry_value(&access, path.place(), path.name("telemetryName")).await?))
}

async fn query(
    State(app): State<App>,
    Caller(access): Caller,
    Body(request): Body<QueryRequest>,
) -> Answer<QueryResponse> {
    Ok(Json(app.query(&access, &request.query).await?))
}
