//! Device templates: publishing, changing, reading what they declare.
//!
//! A template may change in place as long as nothing a device may rely on goes away: capabilities are added freely, but one
//! that is removed, renamed or given another kind or schema needs a new version (a new `@id`) while devices use the template.

mod changes;
mod initial_values;
mod parsed;

use std::sync::Arc;

use api::device::{Collection, CollectionItem};
use api::error::ErrorContext;
use api::template::{DeviceTemplate as ApiTemplate, TemplateFromManifestRequest, TemplateFromManifestResponse};
use events::clock::now_ms;
use model::dtdl::dtmi::is_user_dtmi;
use model::template::{DeviceTemplate, Element, TemplateError};
use registry::{StoreError, TemplateRow};
use serde_json::{Map, Value};

pub(super) use parsed::ParsedTemplates;

use super::filter::Filter;
use super::{Access, App, AppError, manifests};
use crate::limits::TEMPLATES_MAX;

/// The document of a template as stored: without what the registry adds.
fn document_of(template: &ApiTemplate) -> Value {
    let mut document = serde_json::to_value(template).expect("a template is plain JSON");
    if let Value::Object(members) = &mut document {
        members.remove("@id");
        members.remove("etag");
    }
    document
}

fn parse(document: Value) -> Result<DeviceTemplate, AppError> {
    DeviceTemplate::parse(document).map_err(|errors| {
        let fault = |error: TemplateError| ErrorContext { data_path: error.pointer, message: error.message };
        AppError::unprocessable("The device template is not valid.", errors.into_iter().map(fault).collect())
    })
}

fn to_api(row: &TemplateRow) -> Result<ApiTemplate, AppError> {
    let template: ApiTemplate = serde_json::from_str(&row.document)
        .map_err(|source| StoreError::Corrupt { what: "device template", source })?;
    Ok(ApiTemplate { id: Some(row.id.clone()), etag: Some(row.etag.clone()), ..template })
}

fn read(row: &TemplateRow) -> Result<DeviceTemplate, AppError> {
    let document = serde_json::from_str(&row.document)
        .map_err(|source| StoreError::Corrupt { what: "device template", source })?;
    DeviceTemplate::parse(document).map_err(|errors| {
        let first = errors.into_iter().next().map(|error| error.to_string()).unwrap_or_default();
        AppError::internal("a stored device template is not valid any more", first)
    })
}

fn item(element: &Element, types: Value) -> CollectionItem {
    CollectionItem {
        types,
        name: element.name.clone(),
        display_name: element.display_name.as_ref().map(|text| text.to_json()),
        description: element.description.as_ref().map(|text| text.to_json()),
        comment: element.comment.clone(),
    }
}

impl App {
    /// The templates that pass a filter, with the name each is sorted by.
    pub async fn templates(
        &self,
        access: &Access,
        filter: Option<&Filter>,
    ) -> Result<Vec<(String, ApiTemplate)>, AppError> {
        let mut templates = Vec::new();
        for row in self.registry().template_list(access.application()).await? {
            let field = |name: &str| match name {
                "@id" => Some(row.id.clone()),
                "displayName" => Some(row.display_name.clone()),
                "capabilityModelId" => Some(row.capability_model_id.clone()),
                _ => None,
            };
            if filter.map_or(Ok(true), |filter| filter.passes(&field))? {
                templates.push((row.display_name.clone(), to_api(&row)?));
            }
        }
        Ok(templates)
    }

    async fn template_row(&self, access: &Access, id: &str) -> Result<TemplateRow, AppError> {
        let row = self.registry().template_get(access.application(), id).await?;
        row.ok_or_else(|| AppError::not_found("device template", id))
    }

    fn parsed(&self, access: &Access, row: &TemplateRow) -> Result<Arc<DeviceTemplate>, AppError> {
        self.parsed_templates().of(access.application(), row)
    }

    /// One template.
    pub async fn template(&self, access: &Access, id: &str) -> Result<ApiTemplate, AppError> {
        to_api(&self.template_row(access, id).await?)
    }

    /// Publishes a template, new or in place of the one with this id.
    pub async fn template_put(&self, access: &Access, id: &str, wanted: &ApiTemplate) -> Result<ApiTemplate, AppError> {
        if !is_user_dtmi(id) {
            return Err(AppError::BadRequest(format!("'{id}' is not a DTMI such as dtmi:factory:pump;1.")));
        }
        let document = document_of(wanted);
        let template = parse(document.clone())?;
        if template.model_id() == id {
            return Err(AppError::fault("/capabilityModel/@id", "must differ from the template's own id"));
        }
        let application = access.application();
        let known = self.registry().template_get(application, id).await?;
        match &known {
            Some(known) => {
                let faults = changes::breaking(&*self.parsed(access, known)?, &template);
                if !faults.is_empty() && self.registry().template_in_use(application, id).await? {
                    let message =
                        "Devices use this template, so what it declares cannot be taken away; make a new version.";
                    return Err(AppError::unprocessable(message, faults));
                }
            }
            None if wanted.etag.is_some() => return Err(AppError::EtagMismatch),
            None if self.registry().template_list(application).await?.len() >= TEMPLATES_MAX => {
                let message = format!("The application has {TEMPLATES_MAX} device templates, which is the limit.");
                return Err(AppError::Conflict(message));
            }
            None => {}
        }
        let now_ms = now_ms();
        let row = TemplateRow {
            id: id.to_owned(),
            etag: wanted.etag.clone().unwrap_or_default(),
            display_name: template.display_name().map_or(id, |name| name.text()).to_owned(),
            capability_model_id: template.model_id().to_owned(),
            document: document.to_string(),
            created_ms: known.map_or(now_ms, |known| known.created_ms),
            updated_ms: now_ms,
        };
        let stored = self.registry().template_put(application, &row).await?;
        self.telemetry().templates_changed();
        tracing::info!(actor = access.actor().id(), template = id, "device template published");
        to_api(&stored)
    }

    /// Changes cloud properties and what is shown of a template. Everything else needs publishing.
    pub async fn template_patch(
        &self,
        access: &Access,
        id: &str,
        patch: &Map<String, Value>,
    ) -> Result<ApiTemplate, AppError> {
        let row = self.template_row(access, id).await?;
        let known = ApiTemplate { etag: None, ..to_api(&row)? };
        let mut document = serde_json::to_value(known).expect("a template is plain JSON");
        model::twin::merge_patch(&mut document, &Value::Object(patch.clone()));
        let merged: ApiTemplate = serde_json::from_value(document)
            .map_err(|error| AppError::unprocessable(format!("The template is not valid: {error}."), Vec::new()))?;
        let faults = changes::beyond_patch(&*self.parsed(access, &row)?, &parse(document_of(&merged))?);
        if !faults.is_empty() {
            let message =
                "PATCH changes cloud properties and what is shown; publish the template with PUT for the rest.";
            return Err(AppError::unprocessable(message, faults));
        }
        self.template_put(access, id, &merged).await
    }

    /// Deletes a template no device uses.
    pub async fn template_delete(&self, access: &Access, id: &str) -> Result<(), AppError> {
        if self.registry().template_in_use(access.application(), id).await? {
            return Err(AppError::unprocessable(format!("Devices use the device template '{id}'."), Vec::new()));
        }
        if !self.registry().template_delete(access.application(), id).await? {
            return Err(AppError::not_found("device template", id));
        }
        self.telemetry().templates_changed();
        tracing::info!(actor = access.actor().id(), template = id, "device template deleted");
        Ok(())
    }

    /// The template of a device, read; `None` when it has none.
    pub(super) async fn device_template(
        &self,
        access: &Access,
        device: &str,
    ) -> Result<Option<Arc<DeviceTemplate>>, AppError> {
        let device = self.device_row(access, device).await?;
        let Some(id) = device.template else { return Ok(None) };
        match self.registry().template_get(access.application(), &id).await? {
            Some(row) => self.parsed(access, &row).map(Some),
            None => Ok(None),
        }
    }

    /// A template to query by.
    pub(super) async fn readable_template(
        &self,
        access: &Access,
        id: &str,
    ) -> Result<Option<Arc<DeviceTemplate>>, AppError> {
        let row = self.registry().template_get(access.application(), id).await?;
        row.as_ref().map(|row| self.parsed(access, row)).transpose()
    }

    /// A template a device may be given. Naming the interface instead of the template is the documented trap.
    pub(super) async fn assignable_template(&self, access: &Access, id: &str) -> Result<Arc<DeviceTemplate>, AppError> {
        if let Some(row) = self.registry().template_get(access.application(), id).await? {
            return self.parsed(access, &row);
        }
        let hint = match self.registry().template_by_model(access.application(), id).await? {
            Some(row) => format!(" It is the capability model of the template '{}'; name the template.", row.id),
            None => String::new(),
        };
        Err(AppError::BadRequest(format!("There is no device template '{id}'.{hint}")))
    }

    /// The components a device's template declares, for the device or one of its modules.
    pub async fn components(
        &self,
        access: &Access,
        device: &str,
        module: Option<&str>,
    ) -> Result<Collection, AppError> {
        let Some(template) = self.device_template(access, device).await? else {
            return match module {
                None => Ok(Collection::default()),
                Some(module) => Err(AppError::not_found("module", module)),
            };
        };
        if let Some(module) = module
            && !template.modules().iter().any(|element| element.name == module)
        {
            return Err(AppError::not_found("module", module));
        }
        let items = template.components(module).iter().map(|element| item(element, Value::from("Component")));
        Ok(Collection { value: items.collect(), next_link: None })
    }

    /// The modules a device's template declares.
    pub async fn modules(&self, access: &Access, device: &str) -> Result<Collection, AppError> {
        let Some(template) = self.device_template(access, device).await? else { return Ok(Collection::default()) };
        let items = template.modules().iter().map(|element| item(element, Value::from(element.types.clone())));
        Ok(Collection { value: items.collect(), next_link: None })
    }

    /// Generates a template from a manifest, without storing it.
    pub fn template_from_manifest(
        &self,
        _access: &Access,
        request: &TemplateFromManifestRequest,
    ) -> Result<TemplateFromManifestResponse, AppError> {
        if !is_user_dtmi(&request.id) {
            return Err(AppError::fault("/id", "id must be a DTMI such as dtmi:factory:pump;1"));
        }
        let manifest = manifests::parse(&request.data)?;
        let (document, warnings) = model::template::from_manifest(&request.id, &request.display_name, &manifest);
        let template: ApiTemplate = serde_json::from_value(document)
            .map_err(|error| AppError::internal("a generated template does not read back", error))?;
        let warnings = warnings.into_iter().map(|warning| format!("{}: {}", warning.pointer, warning.message));
        Ok(TemplateFromManifestResponse {
            template: ApiTemplate { id: Some(request.id.clone()), ..template },
            warnings: warnings.collect(),
        })
    }
}
