//! The scope of an edge device, page by page: it and its children with their modules, as the hub at the edge needs them.

use super::attestations::{JOIN_OWN, OWN_COLUMNS, OwnColumns};
use super::devices::{self, GroupColumns};
use super::engine::Statement;
use super::{AdmittedDevice, AdmittingGroup, DeviceCertificates, DeviceRow, ModuleRow, Registry, StoreError, modules};

/// A device in a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopedDevice {
    /// The device, with its group.
    pub admitted: AdmittedDevice,
    /// The generation of its gateway, if it is behind one.
    pub gateway_generation: Option<String>,
    /// Its modules, by id.
    pub modules: Vec<ModuleRow>,
}

/// Where a page begins and how much of the scope it looks at.
#[derive(Debug, Clone, Copy)]
pub struct ScopePage<'a> {
    /// The id of the last device of the page before.
    pub after: Option<&'a str>,
    /// Devices.
    pub devices: usize,
    /// Rows: one a module, one for a device that has none. No device with its modules may have more.
    pub rows: usize,
}

/// A module of a device; a device without modules is one such row.
#[derive(sqlx::FromRow)]
struct ScopeRow {
    #[sqlx(flatten)]
    device: DeviceRow,
    #[sqlx(flatten, try_from = "GroupColumns")]
    group: Option<AdmittingGroup>,
    #[sqlx(flatten, try_from = "OwnColumns")]
    certificates: Option<DeviceCertificates>,
    gateway_generation: Option<String>,
    #[sqlx(flatten, try_from = "modules::JoinedModule")]
    module: Option<ModuleRow>,
}

impl Registry {
    /// The devices of a page, by id, each with all its modules, and whether there are more after them. One read.
    pub async fn scope_page(
        &self,
        application: &str,
        edge: &str,
        page: ScopePage<'_>,
    ) -> Result<(Vec<ScopedDevice>, bool), StoreError> {
        let sql = format!(
            "SELECT {}, {}, {OWN_COLUMNS}, gateways.generation_id AS gateway_generation, {} \
             FROM (SELECT * FROM devices WHERE application = $1 AND (gateway = $2 OR id = $2) AND id > $3 \
             ORDER BY id LIMIT $4) AS devices \
             {} {JOIN_OWN} LEFT JOIN devices AS gateways ON gateways.application = $1 AND gateways.id = devices.gateway \
             LEFT JOIN modules ON modules.application = $1 AND modules.device = devices.id \
             ORDER BY devices.id, modules.id LIMIT $5",
            devices::columns_of("devices"),
            devices::GROUP_COLUMNS,
            modules::JOINED_COLUMNS,
            devices::JOIN_GROUP,
        );
        // Of one device and one row more, the last says only that there is more.
        let statement = Statement::new("read a page of a scope", "devices", sql)
            .bind(application)
            .bind(edge)
            .bind(page.after.unwrap_or_default())
            .bind(page.devices as u64 + 1)
            .bind(page.rows as u64 + 1);
        let rows: Vec<ScopeRow> = self.engine.fetch_all(statement).await?;
        let is_cut = rows.len() > page.rows;
        let mut scoped: Vec<ScopedDevice> = Vec::new();
        for ScopeRow { device, group, certificates, gateway_generation, module } in rows {
            match scoped.last_mut().filter(|last| last.admitted.device.id == device.id) {
                Some(last) => last.modules.extend(module),
                None => scoped.push(ScopedDevice {
                    admitted: AdmittedDevice { device, group, certificates },
                    gateway_generation,
                    modules: module.into_iter().collect(),
                }),
            }
        }
        let is_last = !is_cut && scoped.len() <= page.devices;
        if is_cut {
            // Some of its modules may be missing.
            scoped.pop();
        }
        scoped.truncate(page.devices);
        Ok((scoped, !is_last))
    }
}
