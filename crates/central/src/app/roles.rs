//! The built-in roles: the same ids in every application.

use api::access::{Role, RoleAssignment};
use api::error::ErrorContext;
use api::permission::Permission;

use super::{Access, AppError};

/// A built-in role.
#[derive(Debug, Clone, Copy)]
pub struct BuiltInRole {
    /// Its id.
    pub id: &'static str,
    /// Its name in the interface.
    pub name: &'static str,
    /// Its name on the console.
    pub console_name: &'static str,
    /// What it lacks; everything else it may.
    lacks: &'static [Permission],
}

impl BuiltInRole {
    /// Whether it holds a permission.
    pub fn allows(&self, permission: Permission) -> bool {
        !self.lacks.contains(&permission)
    }
}

const ADMINISTRATION: &[Permission] =
    &[Permission::UsersManage, Permission::ApiTokensView, Permission::ApiTokensManage, Permission::InstallationView];

const OPERATOR_LACKS: &[Permission] = &[
    Permission::UsersManage,
    Permission::ApiTokensView,
    Permission::ApiTokensManage,
    Permission::InstallationView,
    Permission::TemplatesManage,
    Permission::ConnectivityReadGlobal,
    Permission::ConnectivityManageGlobal,
    Permission::ManifestsManageGlobal,
];

/// Roles that may be given at the root of an application. Those of organizations appear with the first organization.
pub const ALL: &[BuiltInRole] = &[
    BuiltInRole {
        id: "ca310b8d-2f4a-44e0-a36e-957c202cd8d4",
        name: "Administrator",
        console_name: "App Administrator",
        lacks: &[],
    },
    BuiltInRole {
        id: "344138e9-8de4-4497-8c54-5237e96d6aaf",
        name: "Builder",
        console_name: "App Builder",
        lacks: ADMINISTRATION,
    },
    BuiltInRole {
        id: "ae2c9854-393b-4f97-8c42-479d70ce626e",
        name: "Operator",
        console_name: "App Operator",
        lacks: OPERATOR_LACKS,
    },
];

/// The role with this id.
pub fn by_id(id: &str) -> Option<&'static BuiltInRole> {
    ALL.iter().find(|role| role.id == id)
}

/// The role with this id or name, of the interface or the console, in any case.
pub fn by_name(text: &str) -> Option<&'static BuiltInRole> {
    let is_named = |name: &str| name.eq_ignore_ascii_case(text);
    ALL.iter().find(|role| is_named(role.id) || is_named(role.name) || is_named(role.console_name))
}

/// Every role, as the interface shows it.
pub fn list(_access: &Access) -> Vec<Role> {
    ALL.iter().map(to_api).collect()
}

/// One role.
pub fn get(_access: &Access, id: &str) -> Result<Role, AppError> {
    by_id(id).map(to_api).ok_or_else(|| AppError::not_found("role", id))
}

fn to_api(role: &BuiltInRole) -> Role {
    Role { id: role.id.to_owned(), display_name: role.name.to_owned() }
}

/// Checks role assignments a caller wants to hand out: they exist, and hold no more than the caller's own.
pub fn check_assignments(access: &Access, roles: &[RoleAssignment]) -> Result<(), AppError> {
    let mut faults = Vec::new();
    let mut fault = |pointer: String, message: String| faults.push(ErrorContext { data_path: pointer, message });
    if roles.is_empty() {
        fault("/roles".to_owned(), "at least one role is required".to_owned());
    }
    for (index, assignment) in roles.iter().enumerate() {
        match (by_id(&assignment.role), &assignment.organization) {
            (None, _) => fault(format!("/roles/{index}/role"), format!("there is no role {}", assignment.role)),
            (Some(role), Some(_)) => {
                fault(format!("/roles/{index}/organization"), format!("{} is given at the root only", role.name));
            }
            (Some(role), None) => {
                for permission in access.permissions_of(role) {
                    access.require(permission)?;
                }
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(AppError::unprocessable("The roles are not valid.", faults)) }
}
