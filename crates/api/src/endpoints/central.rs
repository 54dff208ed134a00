//! Operations of IoT Central, but for those below a device.

use super::{FILTER, LISTED, MAX_PAGE_SIZE, PAGED};
use crate::access::{ApiToken, ApiTokenCollection, Role, RoleCollection, User, UserCollection};
use crate::certificate::{SigningX509Certificate, X509VerificationCertificate, X509VerificationCode};
use crate::device::MergePatch;
use crate::endpoint::{Endpoint, Method, Versions};
use crate::enrollment::{EnrollmentGroup, EnrollmentGroupCollection};
use crate::manifest::{DeploymentManifest, DeploymentManifestCollection};
use crate::permission::Permission;
use crate::query::{QueryRequest, QueryResponse};
use crate::template::{DeviceTemplate, DeviceTemplateCollection};

use Method::{Delete, Get, Patch, Post, Put};

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::new("ApiTokens_List", Get, "/api/apiTokens", "List the API tokens, without their text.")
        .needs(Permission::ApiTokensView)
        .with(PAGED)
        .gives::<ApiTokenCollection>(200),
    Endpoint::new("ApiTokens_Get", Get, "/api/apiTokens/{tokenId}", "Read an API token, without its text.")
        .needs(Permission::ApiTokensView)
        .gives::<ApiToken>(200),
    Endpoint::new("ApiTokens_Create", Put, "/api/apiTokens/{tokenId}", "Make an API token; its text is in the answer.")
        .needs(Permission::ApiTokensManage)
        .takes::<ApiToken>()
        .gives::<ApiToken>(200),
    Endpoint::new(
        "ApiTokens_Remove",
        Delete,
        "/api/apiTokens/{tokenId}",
        "Delete an API token, which ends it at once.",
    )
    .needs(Permission::ApiTokensManage),
    Endpoint::new("Roles_List", Get, "/api/roles", "List the roles.")
        .needs(Permission::RolesView)
        .with(PAGED)
        .gives::<RoleCollection>(200),
    Endpoint::new("Roles_Get", Get, "/api/roles/{roleId}", "Read a role.")
        .needs(Permission::RolesView)
        .gives::<Role>(200),
    Endpoint::new("Users_List", Get, "/api/users", "List the users.")
        .needs(Permission::UsersView)
        .with(PAGED)
        .gives::<UserCollection>(200),
    Endpoint::new("Users_Get", Get, "/api/users/{userId}", "Read a user.")
        .needs(Permission::UsersView)
        .gives::<User>(200),
    Endpoint::new("Users_Create", Put, "/api/users/{userId}", "Make or replace a user.")
        .needs(Permission::UsersManage)
        .takes::<User>()
        .gives::<User>(200),
    Endpoint::new("Users_Update", Patch, "/api/users/{userId}", "Change a user.")
        .needs(Permission::UsersManage)
        .takes::<MergePatch>()
        .gives::<User>(200),
    Endpoint::new("Users_Remove", Delete, "/api/users/{userId}", "Delete a user and end their sessions.")
        .needs(Permission::UsersManage),
    Endpoint::new("DeviceTemplates_List", Get, "/api/deviceTemplates", "List the device templates.")
        .needs(Permission::TemplatesView)
        .with(LISTED)
        .gives::<DeviceTemplateCollection>(200),
    Endpoint::new("DeviceTemplates_Get", Get, "/api/deviceTemplates/{deviceTemplateId}", "Read a device template.")
        .needs(Permission::TemplatesView)
        .gives::<DeviceTemplate>(200),
    Endpoint::new(
        "DeviceTemplates_Create",
        Put,
        "/api/deviceTemplates/{deviceTemplateId}",
        "Publish a device template, new or in place of the one with this id.",
    )
    .needs(Permission::TemplatesManage)
    .takes::<DeviceTemplate>()
    .gives::<DeviceTemplate>(200),
    Endpoint::new(
        "DeviceTemplates_Update",
        Patch,
        "/api/deviceTemplates/{deviceTemplateId}",
        "Change cloud properties and what is shown of a device template.",
    )
    .needs(Permission::TemplatesManage)
    .takes::<MergePatch>()
    .gives::<DeviceTemplate>(200),
    Endpoint::new(
        "DeviceTemplates_Remove",
        Delete,
        "/api/deviceTemplates/{deviceTemplateId}",
        "Delete a device template no device uses.",
    )
    .needs(Permission::TemplatesManage),
    Endpoint::new("EnrollmentGroups_List", Get, "/api/enrollmentGroups", "List the enrollment groups.")
        .needs(Permission::ConnectivityReadGlobal)
        .with(PAGED)
        .gives::<EnrollmentGroupCollection>(200),
    Endpoint::new(
        "EnrollmentGroups_Get",
        Get,
        "/api/enrollmentGroups/{enrollmentGroupId}",
        "Read an enrollment group with its keys.",
    )
    .needs(Permission::ConnectivityReadGlobal)
    .gives::<EnrollmentGroup>(200),
    Endpoint::new(
        "EnrollmentGroups_Create",
        Put,
        "/api/enrollmentGroups/{enrollmentGroupId}",
        "Make or replace an enrollment group.",
    )
    .needs(Permission::ConnectivityManageGlobal)
    .takes::<EnrollmentGroup>()
    .gives::<EnrollmentGroup>(200),
    Endpoint::new(
        "EnrollmentGroups_Update",
        Patch,
        "/api/enrollmentGroups/{enrollmentGroupId}",
        "Change an enrollment group.",
    )
    .needs(Permission::ConnectivityManageGlobal)
    .takes::<MergePatch>()
    .gives::<EnrollmentGroup>(200),
    Endpoint::new(
        "EnrollmentGroups_Remove",
        Delete,
        "/api/enrollmentGroups/{enrollmentGroupId}",
        "Delete an enrollment group; its devices stay.",
    )
    .needs(Permission::ConnectivityManageGlobal),
    Endpoint::new(
        "EnrollmentGroups_GetX509",
        Get,
        "/api/enrollmentGroups/{enrollmentGroupId}/certificates/{entry}",
        "Read one of the certificates of an enrollment group; the certificate itself is not shown.",
    )
    .needs(Permission::ConnectivityReadGlobal)
    .gives::<SigningX509Certificate>(200),
    Endpoint::new(
        "EnrollmentGroups_CreateX509",
        Put,
        "/api/enrollmentGroups/{enrollmentGroupId}/certificates/{entry}",
        "Set one of the certificates of an enrollment group.",
    )
    .needs(Permission::ConnectivityManageGlobal)
    .takes::<SigningX509Certificate>()
    .gives::<SigningX509Certificate>(200),
    Endpoint::new(
        "EnrollmentGroups_RemoveX509",
        Delete,
        "/api/enrollmentGroups/{enrollmentGroupId}/certificates/{entry}",
        "Delete one of the certificates of an enrollment group; devices whose certificates lead to it are out.",
    )
    .needs(Permission::ConnectivityManageGlobal),
    Endpoint::new(
        "EnrollmentGroups_GenerateVerificationCodeX509",
        Post,
        "/api/enrollmentGroups/{enrollmentGroupId}/certificates/{entry}/generateVerificationCode",
        "Generate the name of a certificate that proves possession of a certificate's key.",
    )
    .needs(Permission::ConnectivityManageGlobal)
    .gives::<X509VerificationCode>(200),
    Endpoint::new(
        "EnrollmentGroups_VerifyX509",
        Post,
        "/api/enrollmentGroups/{enrollmentGroupId}/certificates/{entry}/verify",
        "Verify a certificate with one that is named by its verification code and signed with its key.",
    )
    .needs(Permission::ConnectivityManageGlobal)
    .takes::<X509VerificationCertificate>(),
    Endpoint::new("DeploymentManifests_List", Get, "/api/deploymentManifests", "List the stored deployment manifests.")
        .in_versions(Versions::NewestPreview)
        .needs(Permission::ManifestsReadGlobal)
        .with(&[MAX_PAGE_SIZE, FILTER])
        .gives::<DeploymentManifestCollection>(200),
    Endpoint::new(
        "DeploymentManifests_Get",
        Get,
        "/api/deploymentManifests/{deploymentManifestId}",
        "Read a stored deployment manifest.",
    )
    .in_versions(Versions::NewestPreview)
    .needs(Permission::ManifestsReadGlobal)
    .gives::<DeploymentManifest>(200),
    Endpoint::new(
        "DeploymentManifests_Create",
        Put,
        "/api/deploymentManifests/{deploymentManifestId}",
        "Store a deployment manifest, new or in place of the one with this id. Devices keep their copies.",
    )
    .in_versions(Versions::NewestPreview)
    .needs(Permission::ManifestsManageGlobal)
    .takes::<DeploymentManifest>()
    .gives::<DeploymentManifest>(200),
    Endpoint::new(
        "DeploymentManifests_Update",
        Patch,
        "/api/deploymentManifests/{deploymentManifestId}",
        "Change a stored deployment manifest. Devices keep their copies.",
    )
    .in_versions(Versions::NewestPreview)
    .needs(Permission::ManifestsManageGlobal)
    .takes::<MergePatch>()
    .gives::<DeploymentManifest>(200),
    Endpoint::new(
        "DeploymentManifests_Remove",
        Delete,
        "/api/deploymentManifests/{deploymentManifestId}",
        "Delete a stored deployment manifest. Devices keep their copies.",
    )
    .in_versions(Versions::NewestPreview)
    .needs(Permission::ManifestsManageGlobal),
    Endpoint::new("Query_Run", Post, "/api/query", "Query telemetry or properties of the devices of a template.")
        .in_versions(Versions::Previews)
        .needs(Permission::DataQuery)
        .takes::<QueryRequest>()
        .gives::<QueryResponse>(200),
];
