//! Permissions: what a role can be allowed to do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:tt,)+) => {
        /// Something a role can be allowed to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        pub enum Permission {
            $($(#[$doc])* #[serde(rename = $text)] $name,)+
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in answers.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

permissions! {
    /// See device templates.
    TemplatesView = "deviceTemplates.view",
    /// Make, change and delete device templates.
    TemplatesManage = "deviceTemplates.manage",
    /// See devices, their properties and latest values.
    DevicesView = "devices.view",
    /// Change devices and their properties.
    DevicesUpdate = "devices.update",
    /// Make devices.
    DevicesCreate = "devices.create",
    /// Delete devices.
    DevicesDelete = "devices.delete",
    /// Run commands on devices.
    DevicesExecuteCommands = "devices.executeCommands",
    /// See messages as devices sent them.
    DevicesViewRawData = "devices.viewRawData",
    /// See the credentials of one device.
    ConnectivityReadInstance = "deviceConnectivity.readInstance",
    /// Change the credentials of one device.
    ConnectivityManageInstance = "deviceConnectivity.manageInstance",
    /// See enrollment groups and their keys.
    ConnectivityReadGlobal = "deviceConnectivity.readGlobal",
    /// Change enrollment groups.
    ConnectivityManageGlobal = "deviceConnectivity.manageGlobal",
    /// See the manifest of one device.
    ManifestsReadInstance = "deploymentManifests.readInstance",
    /// Give one device a manifest.
    ManifestsManageInstance = "deploymentManifests.manageInstance",
    /// See the stored manifests.
    ManifestsReadGlobal = "deploymentManifests.readGlobal",
    /// Change the stored manifests.
    ManifestsManageGlobal = "deploymentManifests.manageGlobal",
    /// Query telemetry and properties of many devices.
    DataQuery = "data.query",
    /// See roles.
    RolesView = "roles.view",
    /// See users.
    UsersView = "users.view",
    /// Make, change and delete users.
    UsersManage = "users.manage",
    /// See API tokens, never their text.
    ApiTokensView = "apiTokens.view",
    /// Make and delete API tokens.
    ApiTokensManage = "apiTokens.manage",
    /// See how the installation is: what all its applications share.
    InstallationView = "installation.view",
}

impl Permission {
    /// Whether it is about what all applications share. Such a permission is held in the first application only.
    pub const fn is_of_installation(self) -> bool {
        matches!(self, Self::InstallationView)
    }
}
