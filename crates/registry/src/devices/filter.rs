//! Lists of devices.

use super::{COLUMNS, DeviceRow, TABLE};
use crate::engine::Statement;
use crate::list::{Condition, Field, ListFilter, ListPage};
use crate::{Registry, StoreError};

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
        }
    }
}

/// Which devices.
pub type DeviceFilter = ListFilter<DeviceField>;

/// One page of a list of devices.
pub type DevicePage = ListPage<DeviceField>;

impl Registry {
    /// One page of the devices that pass the filter.
    pub async fn device_list(&self, application: &str, page: &DevicePage) -> Result<Vec<DeviceRow>, StoreError> {
        let mut condition = Condition::new(page.filter.as_ref());
        let order = condition.page(page, true);
        let sql = format!("SELECT {COLUMNS} FROM devices WHERE {{rows}} {order}");
        self.engine.fetch_all(condition.statement("list devices", TABLE, &sql, application)).await
    }

    /// How many devices there are, and how many of them may not connect. Answered from an index.
    pub async fn device_totals(&self, application: &str) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT COUNT(*), COALESCE(SUM(CASE WHEN enabled THEN 0 ELSE 1 END), 0) FROM devices \
                   WHERE application = $1";
        let totals = self.engine.fetch_optional(Statement::new("count devices", TABLE, sql).bind(application)).await?;
        Ok(totals.map_or((0, 0), |(total, blocked): (i64, i64)| (total.unsigned_abs(), blocked.unsigned_abs())))
    }
}
