//! The list of devices: filter, order, pages.

use api::device::Device;
use registry::{DeviceField, DeviceFilter, DevicePage};

use crate::app::filter::{self, Comparison, Filter, Literal};
use crate::app::page::{Cursor, Page, PageRequest};
use crate::app::{Access, App, AppError};

/// Binds a filter to the fields of devices.
pub fn device_filter(filter: &Filter) -> Result<DeviceFilter, AppError> {
    Ok(match filter {
        Filter::And(left, right) => DeviceFilter::And(Box::new(device_filter(left)?), Box::new(device_filter(right)?)),
        Filter::Or(left, right) => DeviceFilter::Or(Box::new(device_filter(left)?), Box::new(device_filter(right)?)),
        Filter::Contains(field, text) => match field.as_str() {
            "displayName" => DeviceFilter::Contains(DeviceField::DisplayName, text.clone()),
            "id" => DeviceFilter::Contains(DeviceField::Id, text.clone()),
            _ => return Err(filter::unknown_field(field)),
        },
        Filter::Compare(field, comparison, literal) => compare(field, *comparison, literal)?,
    })
}

fn compare(field: &str, comparison: Comparison, literal: &Literal) -> Result<DeviceFilter, AppError> {
    // The command line extension asks for edge devices in the words of older versions.
    if field == "type" {
        let is_edge = matches!(literal, Literal::Text(text) if text == "EdgeDevice" || text == "iotEdge");
        let is_known = is_edge || matches!(literal, Literal::Text(text) if text == "GatewayDevice");
        return match comparison {
            _ if !is_known => Err(filter::wrong_literal(field)),
            Comparison::Equal if is_edge => Ok(DeviceFilter::Flag(DeviceField::Edge, true)),
            Comparison::NotEqual if is_edge => Ok(DeviceFilter::Flag(DeviceField::Edge, false)),
            // No device is a gateway that is not an edge device: nothing is one, everything is none.
            Comparison::Equal => Ok(DeviceFilter::Text(DeviceField::Id, Comparison::Equal, String::new())),
            Comparison::NotEqual => Ok(DeviceFilter::Text(DeviceField::Id, Comparison::NotEqual, String::new())),
            _ => Err(filter::wrong_literal(field)),
        };
    }
    let column = match field {
        "id" => DeviceField::Id,
        "displayName" => DeviceField::DisplayName,
        "enabled" => DeviceField::Enabled,
        "provisioned" => DeviceField::Provisioned,
        "simulated" => DeviceField::Simulated,
        "template" => DeviceField::Template,
        "scopes" | "organizations" => DeviceField::Organization,
        _ => return Err(filter::unknown_field(field)),
    };
    let is_flag = matches!(column, DeviceField::Enabled | DeviceField::Provisioned | DeviceField::Simulated);
    match literal {
        Literal::Flag(value) if is_flag => Ok(DeviceFilter::Flag(column, *value == (comparison == Comparison::Equal))),
        Literal::Text(text) if !is_flag => Ok(DeviceFilter::Text(column, comparison, text.clone())),
        _ => Err(filter::wrong_literal(field)),
    }
}

impl App {
    /// A page of the devices that pass a filter.
    pub async fn devices(
        &self,
        access: &Access,
        filter: Option<&Filter>,
        request: &PageRequest,
        with_manifest: bool,
    ) -> Result<Page<Device>, AppError> {
        let page = DevicePage {
            filter: filter.map(device_filter).transpose()?,
            by_display_name: request.by_display_name,
            descending: request.descending,
            after: request.after.clone().map(|cursor| (cursor.name, cursor.id)),
            limit: request.size + 1,
        };
        let rows = self.registry().device_list(access.application(), &page).await?;
        let cursor = |row: &registry::DeviceRow| Cursor { name: row.display_name.clone(), id: row.id.clone() };
        let Page { items, next } = Page::from_one_more(rows, request.size, cursor);
        let mut devices = Vec::with_capacity(items.len());
        for row in items {
            devices.push(self.device_to_api(access, row, with_manifest).await?);
        }
        Ok(Page { items: devices, next })
    }
}
