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
use model::dtdl::dtmi::is_template_id;
use model::template::{DeviceTemplate, Element, TemplateError};
use registry::{CountMax, Precondition, StoreError, TemplateField, TemplateRow};
use serde_json::Value;

pub(super) use parsed::ParsedTemplates;

use super::page::Cursor;
use super::resource::{self, Edited, Managed};
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

/// Device templates, as people manage them.
pub struct Templates;

impl Managed for Templates {
    type Row = TemplateRow;
    type Api = ApiTemplate;
    const WHAT: &'static str = "device template";
    const COUNT_MAX: CountMax = CountMax(TEMPLATES_MAX);

    fn field(name: &str) -> Option<TemplateField> {
        match name {
            "@id" => Some(TemplateField::Id),
            "displayName" => Some(TemplateField::DisplayName),
            "capabilityModelId" => Some(TemplateField::CapabilityModelId),
            _ => None,
        }
    }

    fn to_api(_: &Access, row: TemplateRow) -> Result<ApiTemplate, AppError> {
        let template: ApiTemplate = serde_json::from_str(&row.document)
            .map_err(|source| StoreError::Corrupt { what: "device template", source })?;
        Ok(ApiTemplate { id: Some(row.id), etag: Some(row.etag), ..template })
    }

    fn cursor(row: &TemplateRow) -> Cursor {
        Cursor { name: row.display_name.clone(), id: row.id.clone() }
    }

    fn etag(row: &TemplateRow) -> Option<&str> {
        Some(&row.etag)
    }
}

impl Edited for Templates {
    /// Publishes a template, new or in place of the one with this id.
    async fn put(
        app: &App,
        access: &Access,
        id: &str,
        wanted: ApiTemplate,
        precondition: Precondition,
    ) -> Result<ApiTemplate, AppError> {
        if !is_template_id(id) {
            return Err(AppError::BadRequest(format!("'{id}' is not a DTMI such as dtmi:factory:pump;1.")));
        }
        let document = document_of(&wanted);
        let template = parse(document.clone())?;
        if template.model_id() == id {
            return Err(AppError::fault("/capabilityModel/@id", "must differ from the template's own id"));
        }
        if let Some(known) = app.find_row::<Templates>(access, id).await? {
            let faults = changes::breaking(&*app.parsed(access, &known)?, &template);
            if !faults.is_empty() && app.registry().template_in_use(access.application(), id).await? {
                let message =
                    "Devices use this template, so what it declares cannot be taken away; make a new version.";
                return Err(AppError::unprocessable(message, faults));
            }
        }
        let now_ms = now_ms();
        let row = TemplateRow {
            id: id.to_owned(),
            etag: String::new(),
            display_name: template.display_name().map_or(id, |name| name.text()).to_owned(),
            capability_model_id: template.model_id().to_owned(),
            document: document.to_string(),
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        let precondition = resource::precondition(&precondition, wanted.etag.as_deref());
        let stored = app.resource_store::<Templates>(access, &row, &precondition).await?;
        app.telemetry().templates_changed();
        Templates::to_api(access, stored)
    }

    /// Changes cloud properties and what is shown of a template. Everything else needs publishing.
    async fn put_patched(
        app: &App,
        access: &Access,
        id: &str,
        wanted: ApiTemplate,
        precondition: Precondition,
    ) -> Result<ApiTemplate, AppError> {
        let known = app.resource_row::<Templates>(access, id).await?;
        let faults = changes::beyond_patch(&*app.parsed(access, &known)?, &parse(document_of(&wanted))?);
        if !faults.is_empty() {
            let message =
                "PATCH changes cloud properties and what is shown; publish the template with PUT for the rest.";
            return Err(AppError::unprocessable(message, faults));
        }
        Self::put(app, access, id, wanted, precondition).await
    }
}

impl App {
    fn parsed(&self, access: &Access, row: &TemplateRow) -> Result<Arc<DeviceTemplate>, AppError> {
        self.parsed_templates().of(access.application(), row)
    }

    /// Deletes a template no device uses.
    pub async fn template_delete(
        &self,
        access: &Access,
        id: &str,
        precondition: &Precondition,
    ) -> Result<(), AppError> {
        if self.registry().template_in_use(access.application(), id).await? {
            return Err(AppError::unprocessable(format!("Devices use the device template '{id}'."), Vec::new()));
        }
        self.resource_remove::<Templates>(access, id, precondition).await?;
        self.telemetry().templates_changed();
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
        match self.find_row::<Templates>(access, &id).await? {
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
        let row = self.find_row::<Templates>(access, id).await?;
        row.as_ref().map(|row| self.parsed(access, row)).transpose()
    }

    /// A template a device may be given. Naming the interface instead of the template is the documented trap.
    pub(super) async fn assignable_template(&self, access: &Access, id: &str) -> Result<Arc<DeviceTemplate>, AppError> {
        if let Some(row) = self.find_row::<Templates>(access, id).await? {
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
        if !is_template_id(&request.id) {
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
