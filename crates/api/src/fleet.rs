//! The fleet as the console lists it: the record together with what is known of the connection.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is known of a device's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DeviceStatus {
    /// It is connected.
    Connected,
    /// It was connected once and is not now.
    Disconnected,
    /// It has never connected.
    Never,
    /// It may not connect.
    Blocked,
    /// It registered by itself and waits to be approved.
    Waiting,
}

/// One line of the fleet.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetDevice {
    /// Its id.
    pub id: String,
    /// Name shown to people.
    pub display_name: String,
    /// Id of its template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Name of its template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_display_name: Option<String>,
    /// `iotEdge` for an edge device, else `iot`.
    #[serde(rename = "type")]
    pub kind: crate::enrollment::EnrollmentGroupType,
    /// Whether it may connect.
    pub enabled: bool,
    /// Whether it has been through provisioning.
    pub provisioned: bool,
    /// What is known of its connection.
    pub status: DeviceStatus,
    /// Since when it has been connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub connected_since: Option<String>,
    /// When it last said something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_seen: Option<String>,
    /// Id of the gateway it is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Whether Central generates its data.
    pub simulated: bool,
}

/// How many devices of the application are in which state. A waiting device counts as blocked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetCounts {
    /// All of them.
    pub total: u64,
    /// Connected now.
    pub connected: u64,
    /// Connected once, not now.
    pub disconnected: u64,
    /// Never connected.
    pub never: u64,
    /// Not allowed to connect.
    pub blocked: u64,
}

/// A page of the fleet.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetPage {
    /// The devices of this page.
    pub value: Vec<FleetDevice>,
    /// Absolute address of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_link: Option<String>,
    /// Counts over the whole fleet, whatever the filter.
    pub counts: FleetCounts,
}

/// A device behind a gateway.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetChild {
    /// Its id.
    pub id: String,
    /// Name shown to people.
    pub display_name: String,
    /// What is known of its connection.
    pub status: DeviceStatus,
}

/// Everything the console shows at the head of a device's page.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FleetDeviceDetails {
    /// The line of the fleet.
    #[serde(flatten)]
    pub device: FleetDevice,
    /// Changes with every write of the record.
    pub etag: String,
    /// The organization it belongs to.
    pub organizations: Vec<String>,
    /// Ids of its modules.
    pub modules: Vec<String>,
    /// The devices behind it.
    pub children: Vec<FleetChild>,
}
