//! Telemetry as people look at it: last values, values over time, messages as they came.
//!
//! The telemetry store blocks, so it is asked on threads that may.

use std::sync::Arc;

use api::device::DeviceTelemetry;
use api::messages::{MessagePage, RawMessage, Series, SeriesResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use events::clock::rfc3339_ms;
use model::template::{DeviceTemplate, Scope};
use readers::timeseries;
use serde_json::{Value, json};
use telemetry::TelemetryStore;
use telemetry::selection::TimeRange;
use telemetry::series::{Point, ReadSeriesError, SeriesColumn, SeriesRequest};

use super::properties::Place;
use super::{Access, App, AppError};

/// Values over time, as a caller asks for them.
#[derive(Debug, Clone)]
pub struct SeriesWanted {
    /// Names: `name`, `module.name`, `component.name` or `module.component.name`, and behind it the fields of an object.
    pub names: Vec<String>,
    /// From when.
    pub from_ms: i64,
    /// Until when.
    pub to_ms: i64,
    /// Points of each.
    pub points: usize,
}

/// Runs something that blocks on the telemetry of an application.
pub(super) async fn blocking<T: Send + 'static>(
    telemetry: timeseries::TimeSeries,
    application: &str,
    read: impl FnOnce(&TelemetryStore) -> Result<T, AppError> + Send + 'static,
) -> Result<T, AppError> {
    let application = application.to_owned();
    let task = tokio::task::spawn_blocking(move || {
        let store = telemetry
            .application(&application)
            .map_err(|error| AppError::internal("the telemetry store cannot be opened", error))?;
        read(&store)
    });
    task.await.map_err(|error| AppError::internal("a read of telemetry did not finish", error))?
}

/// The column a name means for a device.
///
/// Names of the template are looked up, and what follows one is the way to a field inside an object telemetry. Without a
/// template, the first part is a module if the device has such a module, and a component otherwise.
fn column(name: &str, template: Option<&DeviceTemplate>, modules: &[String]) -> SeriesColumn {
    let declared = template.and_then(|template| {
        template.capabilities().columns().find_map(|column| {
            let rest = name.strip_prefix(column.name.as_str())?;
            let fields = rest.strip_prefix('.').map(|rest| rest.split('.').map(Arc::from).collect());
            (rest.is_empty() || fields.is_some()).then(|| (column, fields.unwrap_or_default()))
        })
    });
    if let Some((column, fields)) = declared {
        let Scope { module, component } = column.scope;
        let part = |part: &Option<String>| part.as_deref().map(Arc::from);
        let name = Arc::from(column.telemetry.element.name.as_str());
        return SeriesColumn { module: part(module), component: part(component), name, fields };
    }
    let mut parts: Vec<&str> = name.split('.').collect();
    let name = Arc::from(parts.pop().unwrap_or_default());
    let is_module = parts.first().is_some_and(|first| parts.len() > 1 || modules.iter().any(|module| module == first));
    let module = is_module.then(|| Arc::from(parts.remove(0)));
    let component = (!parts.is_empty()).then(|| Arc::from(parts.join(".")));
    SeriesColumn { module, component, name, fields: Vec::new() }
}

fn point(point: &Point) -> (i64, Value) {
    match *point {
        Point::Value { ts_ms, value } => (ts_ms, json!(value)),
        Point::Bucket { ts_ms, min, max, avg } => (ts_ms, json!([min, max, avg])),
        Point::Gap { ts_ms } => (ts_ms, Value::Null),
    }
}

impl App {
    /// The last known value of a telemetry.
    pub async fn telemetry_value(
        &self,
        access: &Access,
        place: Place<'_>,
        name: &str,
    ) -> Result<DeviceTelemetry, AppError> {
        let template = self.template_with(access, place).await?;
        if let Some(template) = template {
            let scope = template.capabilities().scope(&place.scope());
            if scope.and_then(|scope| scope.telemetry(name)).is_none() {
                return Err(AppError::not_found("telemetry", name));
            }
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (device, module, component) = (place.device.to_owned(), owned(place.module), owned(place.component));
        let name = name.to_owned();
        let found = blocking(self.telemetry().clone(), access.application(), move |store| {
            store
                .last_value(&device, module.as_deref(), component.as_deref(), &name)
                .map_err(|error| AppError::internal("the telemetry cannot be read", error))
        })
        .await?;
        Ok(match found {
            Some(last) => {
                DeviceTelemetry { value: Some(last.value.to_json()), timestamp: Some(rfc3339_ms(last.ts_ms)) }
            }
            None => DeviceTelemetry { value: None, timestamp: None },
        })
    }

    /// Values over time, thinned out for a chart.
    pub async fn series(
        &self,
        access: &Access,
        device: &str,
        wanted: SeriesWanted,
    ) -> Result<SeriesResponse, AppError> {
        let template = self.device_template(access, device).await?;
        let modules = self.registry().modules_list(access.application(), device).await?;
        let modules: Vec<_> = modules.into_iter().map(|module| module.id).collect();
        let columns = wanted.names.iter().map(|name| column(name, template.as_deref(), &modules)).collect();
        let request = SeriesRequest {
            device: Arc::from(device),
            columns,
            range: TimeRange { from_ms: wanted.from_ms, to_ms: wanted.to_ms },
            points: wanted.points,
        };
        let read = blocking(self.telemetry().clone(), access.application(), move |store| {
            store.series(&request).map_err(|error| match error {
                ReadSeriesError::Scan(error) => AppError::internal("the telemetry cannot be read", error),
                wrong => AppError::BadRequest(format!("The series cannot be given: {wrong}.")),
            })
        })
        .await?;
        let series = wanted.names.into_iter().zip(read);
        let series = series.map(|(name, read)| Series { name, points: read.points.iter().map(point).collect() });
        Ok(SeriesResponse { series: series.collect() })
    }

    /// The newest messages of a device as it sent them.
    pub async fn messages(
        &self,
        access: &Access,
        device: &str,
        module: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<MessagePage, AppError> {
        self.device_row(access, device).await?;
        let messages = self.telemetry().messages(access.application(), device, module, before, limit);
        Ok(MessagePage { value: messages.iter().map(|message| message_to_api(message)).collect() })
    }
}

fn message_to_api(message: &timeseries::RawMessage) -> RawMessage {
    let properties = message.properties();
    let json: Option<Value> = serde_json::from_slice(&message.body).ok();
    let text = std::str::from_utf8(&message.body).ok();
    let (body_text, body_base64) = match (&json, text) {
        (Some(_), _) => (None, None),
        (None, Some(text)) => (Some(text.to_owned()), None),
        (None, None) => (None, Some(STANDARD.encode(&message.body))),
    };
    RawMessage {
        offset: message.offset,
        enqueued_time: rfc3339_ms(message.enqueued_ms),
        device: message.source.identity.device_id().to_owned(),
        module: message.source.identity.module_id().map(str::to_owned),
        component: message.component.clone(),
        properties: properties.application,
        system_properties: properties.system,
        body: json.unwrap_or(Value::Null),
        body_text,
        body_base64,
    }
}
