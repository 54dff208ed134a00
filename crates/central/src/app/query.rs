//! Queries in IoT Central's language, over the telemetry of the devices of one template.

use std::collections::HashMap;
use std::sync::Arc;

use api::query::QueryResponse;
use events::clock::now_ms;
use model::template::{Capabilities, DeviceTemplate, Schema, Scope};
use registry::{Comparison, DeviceField, DeviceFilter, DevicePage};
use telemetry::query::{
    ColumnKind, ColumnSchema, DeviceFacts, Query, QueryContext, QueryLimits, ResolvedColumn, RunQueryError,
};

use super::telemetry_values::blocking;
use super::{Access, App, AppError};

/// Devices of a template a query looks at; more than an application may have.
const DEVICES_MAX: u32 = 1_000_000;

/// What the registry knows, for the time of one query.
struct Context {
    template: Arc<DeviceTemplate>,
    devices: HashMap<String, DeviceFacts>,
}

fn schema(schema: &Schema) -> ColumnSchema {
    match schema {
        schema if schema.is_numeric() => ColumnSchema::Number,
        Schema::Boolean => ColumnSchema::Boolean,
        Schema::Enum(values) if values.integer => ColumnSchema::Number,
        Schema::Enum(_) | Schema::String | Schema::Date | Schema::Time | Schema::DateTime | Schema::Duration => {
            ColumnSchema::Text
        }
        _ => ColumnSchema::Structured,
    }
}

fn resolved(scope: &Scope, name: &str, kind: ColumnKind, of: &Schema) -> ResolvedColumn {
    let part = |part: &Option<String>| part.as_deref().map(Arc::from);
    let (module, component) = (part(&scope.module), part(&scope.component));
    ResolvedColumn { module, component, name: Arc::from(name), kind, schema: schema(of) }
}

fn property(capabilities: &Capabilities, path: &str) -> Option<ResolvedColumn> {
    capabilities.scopes().find_map(|(scope, found)| {
        let property = found.properties.iter().find(|property| scope.column(&property.element.name) == path)?;
        Some(resolved(scope, &property.element.name, ColumnKind::Property, &property.schema))
    })
}

impl QueryContext for Context {
    fn column(&self, path: &str) -> Option<ResolvedColumn> {
        let capabilities = self.template.capabilities();
        let telemetry = capabilities.columns().find(|column| column.name == path);
        match telemetry {
            Some(column) => {
                let telemetry = column.telemetry;
                Some(resolved(column.scope, &telemetry.element.name, ColumnKind::Telemetry, &telemetry.schema))
            }
            None => property(capabilities, path),
        }
    }

    fn device(&self, id: &str) -> Option<DeviceFacts> {
        self.devices.get(id).copied()
    }
}

impl App {
    /// Runs a query.
    pub async fn query(&self, access: &Access, text: &str) -> Result<QueryResponse, AppError> {
        let refused = |error: &dyn std::fmt::Display| AppError::BadRequest(format!("The query is not valid: {error}."));
        let query = Query::parse(text, QueryLimits::default()).map_err(|error| refused(&error))?;
        let Some(template) = self.readable_template(access, &query.template).await? else {
            return Err(AppError::BadRequest(format!("There is no device template '{}'.", query.template)));
        };
        let filter = DeviceFilter::Text(DeviceField::Template, Comparison::Equal, query.template.clone());
        let page = DevicePage { filter: Some(filter), limit: DEVICES_MAX, ..DevicePage::default() };
        let rows = self.registry().device_list(access.application(), &page).await?;
        let devices = rows
            .into_iter()
            .map(|row| (row.id, DeviceFacts { provisioned: row.provisioned, simulated: row.simulated }))
            .collect();
        let context = Context { template, devices };
        let now_ms = now_ms();
        let results = blocking(self.telemetry().clone(), access.application(), move |store| {
            store.query(&query, &context, now_ms).map_err(|error| match error {
                RunQueryError::Scan(error) => AppError::internal("the telemetry cannot be read", error),
                wrong => AppError::BadRequest(format!("The query is not valid: {wrong}.")),
            })
        })
        .await?;
        Ok(QueryResponse { results })
    }
}
