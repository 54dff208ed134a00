//! Operations on devices and what is below them: modules, components, and both.
//!
//! Properties, commands and telemetry exist at four levels with the same meaning; the lines below differ in path only.

use super::{EXPAND, FILTER, MAX_PAGE_SIZE, ORDER_BY, PAGED, UNMODELED};
use crate::command::{DeviceCommand, DeviceCommandCollection};
use crate::device::{
    Attestation, Collection, Device, DeviceCollection, DeviceCredentials, DeviceProperties, DeviceRelationship,
    DeviceRelationshipCollection, DeviceTelemetry, MergePatch,
};
use crate::endpoint::{Endpoint, Method, Versions};
use crate::manifest::DeploymentManifest;
use crate::permission::Permission;

use Method::{Delete, Get, Patch, Post, Put};

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::new("Devices_List", Get, "/api/devices", "List the devices.")
        .needs(Permission::DevicesView)
        .with(&[FILTER, MAX_PAGE_SIZE, ORDER_BY, EXPAND])
        .gives::<DeviceCollection>(200),
    Endpoint::new("Devices_Get", Get, "/api/devices/{deviceId}", "Read a device.")
        .needs(Permission::DevicesView)
        .with(&[EXPAND])
        .gives::<Device>(200),
    Endpoint::new("Devices_Create", Put, "/api/devices/{deviceId}", "Make or replace a device.")
        .needs(Permission::DevicesUpdate)
        .with(&[EXPAND])
        .takes::<Device>()
        .gives::<Device>(200),
    Endpoint::new("Devices_Update", Patch, "/api/devices/{deviceId}", "Change a device.")
        .needs(Permission::DevicesUpdate)
        .with(&[EXPAND])
        .takes::<MergePatch>()
        .gives::<Device>(200),
    Endpoint::new(
        "Devices_Remove",
        Delete,
        "/api/devices/{deviceId}",
        "Delete a device, its identity and its attestation.",
    )
    .needs(Permission::DevicesDelete),
    Endpoint::new(
        "Devices_ApplyManifest",
        Post,
        "/api/devices/{deviceId}/applyDeploymentManifest",
        "Give an edge device a deployment manifest.",
    )
    .in_versions(Versions::NewestPreview)
    .needs(Permission::ManifestsManageInstance)
    .takes::<DeploymentManifest>()
    .gives::<DeploymentManifest>(200),
    Endpoint::new(
        "Devices_GetAttestation",
        Get,
        "/api/devices/{deviceId}/attestation",
        "Read a device's own attestation.",
    )
    .needs(Permission::ConnectivityReadInstance)
    .gives::<Attestation>(200),
    Endpoint::new(
        "Devices_CreateAttestation",
        Put,
        "/api/devices/{deviceId}/attestation",
        "Set a device's own attestation; it wins over the group's.",
    )
    .needs(Permission::ConnectivityManageInstance)
    .takes::<Attestation>()
    .gives::<Attestation>(200),
    Endpoint::new(
        "Devices_UpdateAttestation",
        Patch,
        "/api/devices/{deviceId}/attestation",
        "Change a device's own attestation.",
    )
    .needs(Permission::ConnectivityManageInstance)
    .takes::<MergePatch>()
    .gives::<Attestation>(200),
    Endpoint::new(
        "Devices_RemoveAttestation",
        Delete,
        "/api/devices/{deviceId}/attestation",
        "Delete a device's own attestation; its group's holds again.",
    )
    .needs(Permission::ConnectivityManageInstance),
    Endpoint::new(
        "Devices_GetCredentials",
        Get,
        "/api/devices/{deviceId}/credentials",
        "Read what a device needs to be provisioned.",
    )
    .needs(Permission::ConnectivityReadInstance)
    .gives::<DeviceCredentials>(200),
    Endpoint::new(
        "Devices_ListComponents",
        Get,
        "/api/devices/{deviceId}/components",
        "List the components the template declares.",
    )
    .needs(Permission::DevicesView)
    .gives::<Collection>(200),
    Endpoint::new(
        "Devices_ListModules",
        Get,
        "/api/devices/{deviceId}/modules",
        "List the modules the template declares.",
    )
    .needs(Permission::DevicesView)
    .gives::<Collection>(200),
    Endpoint::new(
        "Devices_ListModuleComponents",
        Get,
        "/api/devices/{deviceId}/modules/{moduleName}/components",
        "List the components the template declares for a module.",
    )
    .needs(Permission::DevicesView)
    .gives::<Collection>(200),
    Endpoint::new(
        "Devices_GetCommandHistory",
        Get,
        "/api/devices/{deviceId}/commands/{commandName}",
        "List the last runs of a command of a device.",
    )
    .needs(Permission::DevicesView)
    .with(PAGED)
    .gives::<DeviceCommandCollection>(200),
    Endpoint::new(
        "Devices_RunCommand",
        Post,
        "/api/devices/{deviceId}/commands/{commandName}",
        "Run a command of a device and wait for its answer.",
    )
    .needs(Permission::DevicesExecuteCommands)
    .takes::<DeviceCommand>()
    .gives::<DeviceCommand>(201),
    Endpoint::new(
        "Devices_GetProperties",
        Get,
        "/api/devices/{deviceId}/properties",
        "Read the properties of a device.",
    )
    .needs(Permission::DevicesView)
    .with(&[UNMODELED])
    .gives::<DeviceProperties>(200),
    Endpoint::new(
        "Devices_ReplaceProperties",
        Put,
        "/api/devices/{deviceId}/properties",
        "Replace the writable and cloud properties of a device.",
    )
    .needs(Permission::DevicesUpdate)
    .with(&[UNMODELED])
    .takes::<DeviceProperties>()
    .gives::<DeviceProperties>(202),
    Endpoint::new(
        "Devices_UpdateProperties",
        Patch,
        "/api/devices/{deviceId}/properties",
        "Change writable and cloud properties of a device.",
    )
    .needs(Permission::DevicesUpdate)
    .with(&[UNMODELED])
    .takes::<MergePatch>()
    .gives::<DeviceProperties>(202),
    Endpoint::new(
        "Devices_GetTelemetryValue",
        Get,
        "/api/devices/{deviceId}/telemetry/{telemetryName}",
        "Read the last known value of a telemetry of a device.",
    )
    .needs(Permission::DevicesView)
    .gives::<DeviceTelemetry>(200),
    Endpoint::new(
        "Devices_GetComponentCommandHistory",
        Get,
        "/api/devices/{deviceId}/components/{componentName}/commands/{commandName}",
        "List the last runs of a command of a component.",
    )
    .needs(Permission::DevicesView)
    .with(PAGED)
    .gives::<DeviceCommandCollection>(200),
    Endpoint::new(
        "Devices_RunComponentCommand",
        Post,
        "/api/devices/{deviceId}/components/{componentName}/commands/{commandName}",
        "Run a command of a component and wait for its answer.",
    )
    .needs(Permission::DevicesExecuteCommands)
    .takes::<DeviceCommand>()
    .gives::<DeviceCommand>(201),
    Endpoint::new(
        "Devices_GetComponentProperties",
        Get,
        "/api/devices/{deviceId}/components/{componentName}/properties",
        "Read the properties of a component.",
    )
    .needs(Permission::DevicesView)
    .with(&[UNMODELED])
    .gives::<DeviceProperties>(200),
    Endpoint::new(
        "Devices_ReplaceComponentProperties",
        Put,
        "/api/devices/{deviceId}/components/{componentName}/properties",
        "Replace the writable and cloud properties of a component.",
    )
    .needs(Permission::DevicesUpdate)
    .with(&[UNMODELED])
    .takes::<DeviceProperties>()
    .gives::<DeviceProperties>(202),
    Endpoint::new(
        "Devices_UpdateComponentProperties",
        Patch,
        "/api/devices/{deviceId}/components/{componentName}/properties",
        "Change writable and cloud properties of a component.",
    )
    .needs(Permission::DevicesUpdate)
    .with(&[UNMODELED])
    .takes::<MergePatch>()
    .gives::<DeviceProperties>(202),
    Endpoint::new(
        "Devices_GetComponentTelemetryValue",
        Get,
        "/api/devices/{deviceId}/components/{componentName}/telemetry/{telemetryName}",
        "Read the last known value of a telemetry of a component.",
    )
    .needs(Permission::DevicesView)
    .gives::<DeviceTelemetry>(200),
    Endpoint::new(
        "Devices_GetModuleCommandHistory",
        Get,
        "/api/devices/{deviceId}/modules/{moduleName}/commands/{commandName}",
        "List the last runs of a command of a module.",
    )
    .needs(Permission::DevicesView)
    .with(PAGED)
    .gives::<DeviceCommandCollection>(200),
    Endpoint::new(
        "Devices_RunModuleCommand",
        Post,
        "/api/devices/{deviceId}/modules/{moduleName}/commands/{commandName}",
        "Run a command of a module and wait for its answer.",
    )
    .needs(Permission::DevicesExecuteCommands)
    .takes::<DeviceCommand>()
    .gives::<DeviceCommand>(201),
    Endpoint::new(
        "Devices_GetModuleProperties",
        Get,
        "/api/devices/{deviceId}/modules/{moduleName}/properties",
        "Read the properties of a module.",
    )
    .needs(Permission::DevicesView)
    .gives::<DeviceProperties>(200),
    Endpoint::new(
        "Devices_ReplaceModuleProperties",
        Put,
        "/api/devices/{deviceId}/modules/{moduleName}/properties",
        "Replace the writable and cloud properties of a module.",
    )
    .needs(Permission::DevicesUpdate)
    .takes::<DeviceProperties>()
    .gives::<DeviceProperties>(202),
    Endpoint::new(
        "Devices_UpdateModuleProperties",
        Patch,
        "/api/devices/{deviceId}/modules/{moduleName}/properties",
        "Change writable and cloud properties of a module.",
    )
    .needs(Permission::DevicesUpdate)
    .takes::<MergePatch>()
    .gives::<DeviceProperties>(202),
    Endpoint::new(
        "Devices_GetModuleTelemetryValue",
        Get,
        "/api/devices/{deviceId}/modules/{moduleName}/telemetry/{telemetryName}",
        "Read the last known value of a telemetry of a module.",
    )
    .needs(Permission::DevicesView)
    .gives::<DeviceTelemetry>(200),
    Endpoint::new(
        "Devices_GetModuleComponentCommandHistory",
        Get,
        "/api/devices/{deviceId}/modules/{moduleName}/components/{componentName}/commands/{commandName}",
        "List the last runs of a command of a module's component.",
    )
    .needs(Permission::DevicesView)
    .with(PAGED)
    .gives::<DeviceCommandCollection>(200),
    Endpoint::new(
        "Devices_RunModuleComponentCommand",
        Post,
        "/api/devices/{deviceId}/modules/{moduleName}/components/{componentName}/commands/{commandName}",
        "Run a command of a module's component and wait for its answer.",
    )
    .needs(Permission::DevicesExecuteCommands)
    .takes::<DeviceCommand>()
    .gives::<DeviceCommand>(201),
    Endpoint::new(
        "Devices_GetModuleComponentProperties",
        Get,
        "/api/devices/{deviceId}/modules/{moduleName}/components/{componentName}/properties",
        "Read the properties of a module's component.",
    )
    .needs(Permission::DevicesView)
    .gives::<DeviceProperties>(200),
    Endpoint::new(
        "Devices_ReplaceModuleComponentProperties",
        Put,
        "/api/devices/{deviceId}/modules/{moduleName}/components/{componentName}/properties",
        "Replace the writable and cloud properties of a module's component.",
    )
    .needs(Permission::DevicesUpdate)
    .takes::<DeviceProperties>()
    .gives::<DeviceProperties>(202),
    Endpoint::new(
        "Devices_UpdateModuleComponentProperties",
        Patch,
        "/api/devices/{deviceId}/modules/{moduleName}/components/{componentName}/properties",
        "Change writable and cloud properties of a module's component.",
    )
    .needs(Permission::DevicesUpdate)
    .takes::<MergePatch>()
    .gives::<DeviceProperties>(202),
    Endpoint::new(
        "Devices_GetModuleComponentTelemetryValue",
        Get,
        "/api/devices/{deviceId}/modules/{moduleName}/components/{componentName}/telemetry/{telemetryName}",
        "Read the last known value of a telemetry of a module's component.",
    )
    .needs(Permission::DevicesView)
    .gives::<DeviceTelemetry>(200),
    Endpoint::new(
        "Devices_ListRelationships",
        Get,
        "/api/devices/{deviceId}/relationships",
        "List the links of a device to its gateway and to the devices behind it.",
    )
    .needs(Permission::DevicesView)
    .with(PAGED)
    .gives::<DeviceRelationshipCollection>(200),
    Endpoint::new(
        "Devices_GetRelationship",
        Get,
        "/api/devices/{deviceId}/relationships/{relationshipId}",
        "Read a relationship.",
    )
    .needs(Permission::DevicesView)
    .gives::<DeviceRelationship>(200),
    Endpoint::new(
        "Devices_CreateRelationship",
        Put,
        "/api/devices/{deviceId}/relationships/{relationshipId}",
        "Put a device behind a gateway.",
    )
    .needs(Permission::DevicesUpdate)
    .takes::<DeviceRelationship>()
    .gives::<DeviceRelationship>(200),
    Endpoint::new(
        "Devices_UpdateRelationship",
        Patch,
        "/api/devices/{deviceId}/relationships/{relationshipId}",
        "Change a relationship.",
    )
    .needs(Permission::DevicesUpdate)
    .takes::<MergePatch>()
    .gives::<DeviceRelationship>(200),
    Endpoint::new(
        "Devices_RemoveRelationship",
        Delete,
        "/api/devices/{deviceId}/relationships/{relationshipId}",
        "Take a device from its gateway.",
    )
    .needs(Permission::DevicesUpdate),
];
