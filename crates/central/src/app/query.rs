//! Queries in IoT Central's language, over the telemetry of the devices of one template.

use std::collections::HashMap;
use std::sync::Arc;

use api::query::QueryResponse;
use events::clock::now_ms;
use model::template::{Capabilities, Schema, Scope};
use registry::limits::LIST_TEXTS_MAX;
use telemetry::Devices;
use telemetry::query::{
    ColumnKind, ColumnSchema, DeviceFacts, PlannedQuery, Query, QueryColumns, QueryDevices, QueryLimits,
    ResolvedColumn, RunQueryError,
};

use super::telemetry_values::blocking;
use super::{Access, App, AppError};

/// The capabilities a query's names are looked up in.
struct Columns<'a>(&'a Capabilities);

/// Devices a query may answer with, by id.
struct Visible(HashMap<String, DeviceFacts>);

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

impl QueryColumns for Columns<'_> {
    fn column(&self, path: &str) -> Option<ResolvedColumn> {
        match self.0.columns().find(|column| column.name == path) {
            Some(column) => {
                let telemetry = column.telemetry;
                Some(resolved(column.scope, &telemetry.element.name, ColumnKind::Telemetry, &telemetry.schema))
            }
            None => property(self.0, path),
        }
    }
}

impl QueryDevices for Visible {
    fn device(&self, id: &str) -> Option<DeviceFacts> {
        self.0.get(id).copied()
    }
}

fn refused(error: &dyn std::fmt::Display) -> AppError {
    AppError::BadRequest(format!("The query is not valid: {error}."))
}

fn not_run(error: RunQueryError) -> AppError {
    match error {
        RunQueryError::Scan(error) => AppError::internal("the telemetry cannot be read", error),
        wrong => refused(&wrong),
    }
}

impl App {
    /// Runs a query.
    pub async fn query(&self, access: &Access, text: &str) -> Result<QueryResponse, AppError> {
        let query = Query::parse(text, QueryLimits::default()).map_err(|error| refused(&error))?;
        let Some(template) = self.readable_template(access, &query.template).await? else {
            return Err(AppError::BadRequest(format!("There is no device template '{}'.", query.template)));
        };
        let planned = PlannedQuery::new(&query, &Columns(template.capabilities()), now_ms()).map_err(not_run)?;
        // Those it names, if there are few: a template may have a hundred thousand.
        let named = match planned.devices() {
            Devices::Listed(ids) if ids.len() <= LIST_TEXTS_MAX => Some(ids.iter().map(|id| id.to_string()).collect()),
            Devices::Listed(_) | Devices::Any => None,
        };
        let rows = self.registry().devices_queried(access.application(), &query.template, named).await?;
        let facts = rows.into_iter().map(|row| {
            let facts = DeviceFacts { provisioned: row.provisioned, simulated: row.simulated };
            (row.id, facts)
        });
        let visible = Visible(facts.collect());
        let results = blocking(self.telemetry().clone(), access.application(), move |store| {
            store.query(&planned, &visible).map_err(not_run)
        })
        .await?;
        Ok(QueryResponse { results })
    }
}
