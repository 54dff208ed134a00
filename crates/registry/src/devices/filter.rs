//! Lists of devices.

use super::{COLUMNS, DeviceRow, TABLE};
use crate::list::{Comparison, Condition, Field, ListFilter, ListPage};
use crate::{Registry, StoreError};

#[cfg(test)]
mod tests;

/// A column a filter may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceField {
    /// The device's id.
    Id,
    /// Name shown to people.
    DisplayName,
    /// Whether it may connect.
    Enabled,
    /// Whether it has been through provisioning.
    Provisioned,
    /// Whether Central generates its data.
    Simulated,
    /// The id of its template.
    Template,
    /// The organization it belongs to.
    Organization,
    /// Whether it is an edge device.
    Edge,
    /// Whether somebody has yet to let it in.
    AwaitingApproval,
}

impl Field for DeviceField {
    fn column(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::DisplayName => "display_name",
            Self::Enabled => "enabled",
            Self::Provisioned => "provisioned",
            Self::Simulated => "simulated",
            Self::Template => "template",
            Self::Organization => "organization",
            Self::Edge => "is_edge",
            Self::AwaitingApproval => "awaiting_approval",
        }
    }
}

/// Which devices.
pub type DeviceFilter = ListFilter<DeviceField>;

/// One page of a list of devices.
pub type DevicePage = ListPage<DeviceField>;

const HEAD_COLUMNS: &str = "id, display_name, is_edge";

/// What of a device its place in a list and its connection need.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DeviceHead {
    /// The device's id.
    pub id: String,
    /// Name shown to people.
    pub display_name: String,
    /// Whether it is an edge device.
    pub is_edge: bool,
}

/// What of a device the answer of a query needs.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DeviceQueried {
    /// The device's id.
    pub id: String,
    /// Whether it has been through provisioning.
    pub provisioned: bool,
    /// Whether Central generates its data.
    pub simulated: bool,
}

impl Registry {
    /// One page of the devices that pass the filter.
    pub async fn device_list(&self, application: &str, page: &DevicePage) -> Result<Vec<DeviceRow>, StoreError> {
        let mut condition = Condition::new(&self.engine, page.filter.as_ref());
        let order = condition.page(page, true);
        let sql = format!("SELECT {COLUMNS} FROM devices WHERE {{rows}} {order}");
        self.engine.fetch_all(condition.statement("list devices", TABLE, &sql, application)).await
    }

    /// One page of the devices that pass the filter, each with little of it: an index alone answers where the filter asks for
    /// enabled devices.
    pub async fn device_heads(&self, application: &str, page: &DevicePage) -> Result<Vec<DeviceHead>, StoreError> {
        let mut condition = Condition::new(&self.engine, page.filter.as_ref());
        let order = condition.page(page, true);
        let sql = format!("SELECT {HEAD_COLUMNS} FROM devices WHERE {{rows}} {order}");
        self.engine.fetch_all(condition.statement("list devices", TABLE, &sql, application)).await
    }

    /// The devices of a template, in no order: those named, or all.
    pub async fn devices_queried(
        &self,
        application: &str,
        template: &str,
        named: Option<Vec<String>>,
    ) -> Result<Vec<DeviceQueried>, StoreError> {
        let of_template = DeviceFilter::Text(DeviceField::Template, Comparison::Equal, template.to_owned());
        let filter = match named {
            Some(ids) => DeviceFilter::And(Box::new(of_template), Box::new(DeviceFilter::OneOf(DeviceField::Id, ids))),
            None => of_template,
        };
        let condition = Condition::new(&self.engine, Some(&filter));
        let sql = "SELECT id, provisioned, simulated FROM devices WHERE {rows}";
        self.engine.fetch_all(condition.statement("list the devices of a query", TABLE, sql, application)).await
    }
}
