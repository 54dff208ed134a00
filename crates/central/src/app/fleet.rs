//! The fleet with what is known of its connections.
//!
//! Connections are in memory and records in the registry, so a list by connection looks at both. Of few connected devices the
//! registry is given the ids. Else it gives the heads of its devices in order, and those whose connection fits are kept until
//! the page is full: what is rare is found last, and what nobody is, is known from the counts.

use std::collections::HashMap;

use api::enrollment::EnrollmentGroupType;
use api::fleet::{DeviceStatus, FleetChild, FleetCounts, FleetDevice, FleetDeviceDetails};
use events::clock::rfc3339_ms;
use events::last_seen::DeviceCounts;
use hub::device_http::scope::Scopes;
use model::identity::Identity;
use model::manifest::EDGE_AGENT;
use model::twin::{Twin, format_time};
use registry::limits::LIST_TEXTS_MAX;
use registry::{Comparison, DeviceField, DeviceFilter, DeviceHead, DevicePage, DeviceRow};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::page::{Cursor, Page};
use super::{Access, App, AppError};

/// Heads of devices read at once while looking for those that fit: first so many times as are wanted, …
const CHUNK_HEADS_FIRST: u32 = 4;

/// … then twice as many each time, up to this.
const CHUNK_HEADS_MAX: u32 = 5_000;

/// What of the fleet is wanted.
#[derive(Debug, Clone, Default)]
pub struct FleetRequest {
    /// Only devices with this status.
    pub status: Option<DeviceStatus>,
    /// Only edge devices.
    pub edge_only: bool,
    /// Only devices of this template; the empty text for those without one.
    pub template: Option<String>,
    /// Only devices whose id or name holds this.
    pub search: Option<String>,
    /// Where the page starts.
    pub after: Option<Cursor>,
    /// Devices wanted.
    pub size: u32,
}

impl FleetRequest {
    fn filter(&self) -> Option<DeviceFilter> {
        let mut filters = Vec::new();
        if self.edge_only {
            filters.push(DeviceFilter::Flag(DeviceField::Edge, true));
        }
        match self.template.as_deref() {
            None => {}
            Some("") => filters.push(DeviceFilter::Absent(DeviceField::Template)),
            Some(id) => filters.push(DeviceFilter::Text(DeviceField::Template, Comparison::Equal, id.to_owned())),
        }
        if let Some(text) = self.search.as_ref().filter(|text| !text.is_empty()) {
            filters.push(DeviceFilter::Or(
                Box::new(DeviceFilter::Contains(DeviceField::Id, text.clone())),
                Box::new(DeviceFilter::Contains(DeviceField::DisplayName, text.clone())),
            ));
        }
        // Blocked and waiting are columns; what is left of the status is known to the sessions only.
        match self.status {
            None => {}
            Some(DeviceStatus::Blocked) => filters.push(DeviceFilter::Flag(DeviceField::Enabled, false)),
            Some(DeviceStatus::Waiting) => {
                filters.push(DeviceFilter::Flag(DeviceField::Enabled, false));
                filters.push(DeviceFilter::Flag(DeviceField::AwaitingApproval, true));
            }
            Some(DeviceStatus::Connected | DeviceStatus::Disconnected | DeviceStatus::Never) => {
                filters.push(DeviceFilter::Flag(DeviceField::Enabled, true));
            }
        }
        filters.into_iter().reduce(both)
    }

    /// What the registry is asked for: devices by name, from where the page starts, `limit` of them.
    fn page(&self, limit: u32) -> DevicePage {
        DevicePage {
            filter: self.filter(),
            by_display_name: true,
            descending: false,
            after: self.after.clone().map(|cursor| (cursor.name, cursor.id)),
            limit,
        }
    }
}

fn both(left: DeviceFilter, right: DeviceFilter) -> DeviceFilter {
    DeviceFilter::And(Box::new(left), Box::new(right))
}

/// The page with only these devices left. To be asked for in the order of ids: for another one SQLite walks all devices in that
/// order, as soon as the ids are more than a few.
fn only(page: DevicePage, ids: Vec<String>) -> DevicePage {
    let these = DeviceFilter::OneOf(DeviceField::Id, ids);
    DevicePage { filter: Some(page.filter.into_iter().fold(these, both)), ..page }
}

/// The order of the fleet: by name, those of one name by id. `place` answers both.
fn sort_by_name<T>(devices: &mut [T], place: impl Fn(&T) -> (&String, &String)) {
    devices.sort_unstable_by(|left, right| place(left).cmp(&place(right)));
}

fn cursor(row: &DeviceRow) -> Cursor {
    Cursor { name: row.display_name.clone(), id: row.id.clone() }
}

/// Whose session says that a device is there: an edge device never connects as itself, its runtime does.
fn identity_seen(device: &str, is_edge: bool) -> Identity {
    if is_edge { Identity::module(device, EDGE_AGENT) } else { Identity::device(device) }
}

impl App {
    fn device_status(&self, application: &str, row: &DeviceRow) -> DeviceStatus {
        match row.enabled {
            false if row.awaiting_approval => DeviceStatus::Waiting,
            false => DeviceStatus::Blocked,
            true => self.connection_status(application, &row.id, row.is_edge),
        }
    }

    /// The status of a device that may connect.
    fn connection_status(&self, application: &str, device: &str, is_edge: bool) -> DeviceStatus {
        let connection = self.sessions().status(application, &identity_seen(device, is_edge));
        match (connection.connected, connection.last_seen_ms) {
            (true, _) => DeviceStatus::Connected,
            (false, Some(_)) => DeviceStatus::Disconnected,
            (false, None) => DeviceStatus::Never,
        }
    }

    fn fleet_device(&self, application: &str, row: DeviceRow, templates: &HashMap<String, String>) -> FleetDevice {
        let connection = self.sessions().status(application, &identity_seen(&row.id, row.is_edge));
        FleetDevice {
            status: self.device_status(application, &row),
            connected_since: connection.since_ms.filter(|_| connection.connected).map(rfc3339_ms),
            last_seen: connection.last_seen_ms.map(rfc3339_ms),
            id: row.id,
            display_name: row.display_name,
            template_display_name: row.template.as_ref().and_then(|id| templates.get(id).cloned()),
            template: row.template,
            kind: if row.is_edge { EnrollmentGroupType::IotEdge } else { EnrollmentGroupType::Iot },
            enabled: row.enabled,
            provisioned: row.provisioned,
            gateway: row.gateway,
            simulated: row.simulated,
        }
    }

    async fn template_names(&self, application: &str) -> Result<HashMap<String, String>, AppError> {
        Ok(self.registry().template_names(application).await?.into_iter().collect())
    }

    /// A page of the fleet, by name.
    pub async fn fleet(&self, access: &Access, request: &FleetRequest) -> Result<Page<FleetDevice>, AppError> {
        let application = access.application();
        let templates = self.template_names(application).await?;
        let found = match request.status {
            None | Some(DeviceStatus::Blocked | DeviceStatus::Waiting) => {
                self.registry().device_list(application, &request.page(request.size + 1)).await?
            }
            Some(DeviceStatus::Connected) => match self.sessions().device_ids(application, LIST_TEXTS_MAX) {
                Some(ids) => self.fleet_of(application, request, ids).await?,
                None => self.fleet_by_connection(application, request, DeviceStatus::Connected).await?,
            },
            Some(status @ (DeviceStatus::Disconnected | DeviceStatus::Never)) => {
                let counts = self.fleet_counts(access);
                let is_any = if status == DeviceStatus::Never { counts.never } else { counts.disconnected } > 0;
                if is_any { self.fleet_by_connection(application, request, status).await? } else { Vec::new() }
            }
        };
        let page = Page::from_one_more(found, request.size, cursor);
        Ok(page.map(|row| self.fleet_device(application, row, &templates)))
    }

    /// One device more than a page holds, of those with this status.
    async fn fleet_by_connection(
        &self,
        application: &str,
        request: &FleetRequest,
        status: DeviceStatus,
    ) -> Result<Vec<DeviceRow>, AppError> {
        let wanted = request.size as usize + 1;
        let mut heads = request.page(CHUNK_HEADS_FIRST * (request.size + 1));
        let mut ids = Vec::new();
        loop {
            let chunk = self.registry().device_heads(application, &heads).await?;
            let is_last = chunk.len() < heads.limit as usize;
            heads.limit = (heads.limit * 2).min(CHUNK_HEADS_MAX);
            heads.after = chunk.last().map(|head| (head.display_name.clone(), head.id.clone()));
            let fits = |head: &DeviceHead| self.connection_status(application, &head.id, head.is_edge) == status;
            ids.extend(chunk.into_iter().filter(fits).map(|head| head.id).take(wanted - ids.len()));
            if is_last || ids.len() == wanted {
                break;
            }
        }
        self.fleet_rows(application, ids).await
    }

    /// The same, of these few.
    async fn fleet_of(
        &self,
        application: &str,
        request: &FleetRequest,
        ids: Vec<String>,
    ) -> Result<Vec<DeviceRow>, AppError> {
        let page = DevicePage { filter: request.filter(), limit: LIST_TEXTS_MAX as u32, ..DevicePage::default() };
        let mut heads = self.registry().device_heads(application, &only(page, ids)).await?;
        sort_by_name(&mut heads, |head| (&head.display_name, &head.id));
        let after = request.after.as_ref().map(|after| (&after.name, &after.id));
        let is_before = |head: &DeviceHead| after.is_some_and(|after| (&head.display_name, &head.id) <= after);
        let ids = heads.into_iter().skip_while(is_before).map(|head| head.id).take(request.size as usize + 1);
        self.fleet_rows(application, ids.collect()).await
    }

    /// These devices, by name.
    async fn fleet_rows(&self, application: &str, ids: Vec<String>) -> Result<Vec<DeviceRow>, AppError> {
        let page = DevicePage { limit: LIST_TEXTS_MAX as u32, ..DevicePage::default() };
        let mut rows = self.registry().device_list(application, &only(page, ids)).await?;
        sort_by_name(&mut rows, |row| (&row.display_name, &row.id));
        Ok(rows)
    }

    /// How many devices are in which state, over the whole fleet: all of it is counted as it changes.
    pub fn fleet_counts(&self, access: &Access) -> FleetCounts {
        let application = access.application();
        let DeviceCounts { total, blocked, seen, seen_blocked } = self.last_seen().devices(application);
        // Taken one after the other while the fleet moves: none may come out below nothing.
        let able = total.saturating_sub(blocked);
        let connected = (self.sessions().devices(application) as u64).min(able);
        let disconnected = (seen - seen_blocked).saturating_sub(connected).min(able - connected);
        FleetCounts { total, connected, disconnected, never: able - connected - disconnected, blocked }
    }

    /// Everything the head of a device's page shows.
    pub async fn fleet_details(&self, access: &Access, device: &str) -> Result<FleetDeviceDetails, AppError> {
        let application = access.application();
        let row = self.device_row(access, device).await?;
        let templates = self.template_names(application).await?;
        let modules = self.registry().modules_list(application, device).await?;
        let children = self.registry().devices_children(application, device).await?;
        let children = children.into_iter().map(|child| FleetChild {
            status: self.device_status(application, &child),
            id: child.id,
            display_name: child.display_name,
        });
        Ok(FleetDeviceDetails {
            etag: row.etag.clone(),
            organizations: row.organization.iter().cloned().collect(),
            modules: modules.into_iter().map(|module| module.id).collect(),
            children: children.collect(),
            device: self.fleet_device(application, row, &templates),
        })
    }

    /// The twin of a device or module, in the form of the hub's service API.
    pub async fn twin(&self, access: &Access, device: &str, module: Option<&str>) -> Result<Value, AppError> {
        let application = access.application();
        let row = self.device_row(access, device).await?;
        let identity = Self::identity(device, module);
        let known = match module {
            Some(module) => self.registry().module_get(application, device, module).await?,
            None => None,
        };
        let twin = self.twins().get(application, &identity).await?;
        if module.is_some() && known.is_none() && twin == Twin::default() {
            return Err(AppError::not_found("module", module.unwrap_or_default()));
        }
        let parent = match &row.gateway {
            Some(gateway) => self.registry().device_get(application, gateway).await?,
            None => None,
        };
        let connection = self.sessions().status(application, &identity);
        let time = |ms: Option<i64>| {
            let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms.unwrap_or(0)) * 1_000_000);
            format_time(at.unwrap_or(OffsetDateTime::UNIX_EPOCH))
        };
        let waiting = module.map_or_else(|| self.device_messages().waiting(application, device), |_| 0);
        let mut document = json!({
            "deviceId": device,
            "etag": format!("{}-{}", twin.desired.version, twin.reported.version),
            "deviceEtag": row.etag,
            "status": if row.enabled { "enabled" } else { "disabled" },
            "connectionState": if connection.connected { "Connected" } else { "Disconnected" },
            "lastActivityTime": time(connection.last_seen_ms),
            "cloudToDeviceMessageCount": waiting,
            "authenticationType": "sas",
            "version": twin.desired.version + twin.reported.version,
            "properties": twin.to_service_json(),
            "capabilities": { "iotEdge": row.is_edge },
        });
        match module {
            Some(module) => document["moduleId"] = json!(module),
            None => {
                let scopes = Scopes::of(&row, parent.as_ref());
                document["deviceScope"] = json!(scopes.device);
                document["parentScopes"] = json!(scopes.parents);
            }
        }
        Ok(document)
    }
}
