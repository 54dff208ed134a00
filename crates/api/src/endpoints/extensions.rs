//! Operations of ours, and the few private ones of IoT Central its command line extension calls.

use super::text;
use crate::edge::EdgeView;
use crate::endpoint::{Endpoint, Method, Parameter, ParameterKind, Shape, Versions};
use crate::fleet::{FleetDeviceDetails, FleetPage};
use crate::health::InstallationHealth;
use crate::live::{LiveConnection, LiveEdge, LiveProperties, LiveTelemetry};
use crate::messages::{MessagePage, SeriesResponse};
use crate::permission::Permission;
use crate::session::{ProvisioningInfo, Session, SignInRequest};
use crate::template::{TemplateFromManifestRequest, TemplateFromManifestResponse};

use Method::{Delete, Get, Post};

const fn extension(id: &'static str, method: Method, path: &'static str, about: &'static str) -> Endpoint {
    Endpoint::new(id, method, path, about).in_versions(Versions::Unversioned)
}

const fn integer(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, kind: ParameterKind::Integer, about }
}

const MODULE: Parameter = text("module", "Id of a module; the device itself when absent.");

pub(super) const ENDPOINTS: &[Endpoint] = &[
    extension("Session_Create", Post, "/api/ext/v1/session", "Sign in with the one-time code of a sign-in link.")
        .public()
        .takes::<SignInRequest>()
        .gives::<Session>(200),
    extension("Session_Get", Get, "/api/ext/v1/session", "Read who is signed in and what they may do.")
        .gives::<Session>(200),
    extension("Session_Remove", Delete, "/api/ext/v1/session", "Sign out."),
    extension("Fleet_List", Get, "/api/ext/v1/devices", "List the devices with what is known of their connections.")
        .needs(Permission::DevicesView)
        .with(&[
            text("filter", "`connected`, `disconnected`, `never`, `blocked` or `edge`."),
            text("template", "Id of a template; `none` for devices without one."),
            text("search", "Text the id or the name holds, whatever its case."),
            integer("pageSize", "Devices a page holds at the most, 1 to 200 (50 when absent)."),
            text("cursor", "Where the page starts, as `nextLink` gave it."),
        ])
        .gives::<FleetPage>(200),
    extension("Fleet_Get", Get, "/api/ext/v1/devices/{deviceId}", "Read a device with its modules and children.")
        .needs(Permission::DevicesView)
        .gives::<FleetDeviceDetails>(200),
    extension(
        "Fleet_GetEdge",
        Get,
        "/api/ext/v1/devices/{deviceId}/edge",
        "Read what an edge device should run and runs.",
    )
    .needs(Permission::DevicesView)
    .gives::<EdgeView>(200),
    extension("Fleet_GetMessages", Get, "/api/ext/v1/devices/{deviceId}/messages", "Read the newest messages as sent.")
        .needs(Permission::DevicesViewRawData)
        .with(&[
            text("module", "Only messages of this module."),
            integer("before", "Only messages before this offset."),
            integer("limit", "Messages at the most, 1 to 100 (50 when absent)."),
        ])
        .gives::<MessagePage>(200),
    extension("Fleet_GetSeries", Get, "/api/ext/v1/devices/{deviceId}/series", "Read values over time, for charts.")
        .needs(Permission::DevicesView)
        .with(&[
            Parameter {
                name: "name",
                kind: ParameterKind::Texts,
                about: "Name of a telemetry: `name`, `module.name` or `component.name`. May be repeated.",
            },
            Parameter { name: "from", kind: ParameterKind::Time, about: "Start; an hour ago when absent." },
            Parameter { name: "to", kind: ParameterKind::Time, about: "End; now when absent." },
            integer("points", "Points a name at the most, 1 to 2000 (300 when absent)."),
        ])
        .gives::<SeriesResponse>(200),
    extension("Fleet_GetTwin", Get, "/api/ext/v1/devices/{deviceId}/twin", "Read the twin of a device or module.")
        .needs(Permission::DevicesView)
        .with(&[MODULE])
        .gives_open_json(),
    extension(
        "Fleet_GetQueuedCommands",
        Get,
        "/api/ext/v1/devices/{deviceId}/queuedCommands",
        "List the commands that wait for a device, or did, and what became of them.",
    )
    .needs(Permission::DevicesView)
    .gives::<crate::command::QueuedCommands>(200),
    extension(
        "Fleet_GetMessageOutcomes",
        Get,
        "/api/ext/v1/devices/{deviceId}/messageOutcomes",
        "List what became of messages for a device whose sender asked for feedback.",
    )
    .needs(Permission::DevicesView)
    .gives::<crate::command::MessageOutcomes>(200),
    extension("Fleet_ListFiles", Get, "/api/ext/v1/devices/{deviceId}/files", "List the files a device uploaded.")
        .needs(Permission::DevicesView)
        .gives::<crate::files::DeviceFiles>(200),
    extension("Fleet_GetFile", Get, "/api/ext/v1/devices/{deviceId}/files/{fileId}", "Read a file a device uploaded.")
        .needs(Permission::DevicesViewRawData)
        .gives_bytes(),
    extension(
        "Fleet_RemoveFile",
        Delete,
        "/api/ext/v1/devices/{deviceId}/files/{fileId}",
        "Delete a file a device uploaded.",
    )
    .needs(Permission::DevicesUpdate),
    extension("Live_Stream", Get, "/api/ext/v1/live", "Follow what happens, as server-sent events.")
        .needs(Permission::DevicesView)
        .with(&[text("device", "Id of a device; connection events of the fleet when absent.")])
        .streams(&[
            Shape::of::<LiveTelemetry>(),
            Shape::of::<LiveProperties>(),
            Shape::of::<LiveConnection>(),
            Shape::of::<LiveEdge>(),
        ]),
    extension(
        "Templates_FromManifest",
        Post,
        "/api/ext/v1/deviceTemplates/fromManifest",
        "Generate a device template from a deployment manifest, without storing it.",
    )
    .needs(Permission::TemplatesManage)
    .takes::<TemplateFromManifestRequest>()
    .gives::<TemplateFromManifestResponse>(200),
    extension("Provisioning_Get", Get, "/api/ext/v1/dps", "Read where devices register.")
        .needs(Permission::ConnectivityReadInstance)
        .gives::<ProvisioningInfo>(200),
    extension("Health_Get", Get, "/api/ext/v1/health", "Read how the installation is: readers of the log, log, disk.")
        .needs(Permission::InstallationView)
        .gives::<InstallationHealth>(200),
    extension("Document_Get", Get, "/api/ext/v1/openapi.json", "Read the description of these operations.")
        .gives_open_json(),
    extension("Private_GetTwin", Get, "/system/iothub/devices/{deviceId}/get-twin", "Read the twin of a device.")
        .needs(Permission::DevicesView)
        .gives_open_json(),
    extension(
        "Private_ListModules",
        Get,
        "/system/iotedge/devices/{deviceId}/modules",
        "List what runs on an edge device.",
    )
    .needs(Permission::DevicesView)
    .gives_open_json(),
    extension(
        "Private_PurgeMessages",
        Delete,
        "/system/iothub/devices/{deviceId}/c2d",
        "Empty the queue of messages that wait for a device.",
    )
    .needs(Permission::DevicesExecuteCommands)
    .gives::<crate::command::PurgedMessages>(200),
    extension(
        "Private_RunModuleMethod",
        Post,
        "/system/iotedge/devices/{deviceId}/modules/{moduleName}/directmethods",
        "Call a direct method of a module.",
    )
    .needs(Permission::DevicesExecuteCommands)
    .takes::<crate::command::DirectMethodRequest>()
    .gives::<crate::command::DirectMethodAnswer>(200),
];
