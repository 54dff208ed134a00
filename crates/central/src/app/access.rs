//! Who may do what: the one place where it is decided.

use std::sync::Arc;

use api::access::RoleAssignment;
use api::endpoint::Guard;
use api::permission::Permission;
use registry::ApplicationRow;

use super::roles::BuiltInRole;
use super::{AppError, roles};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Which kind, and who of that kind.
    pub kind: ActorKind,
    /// The application that knows the actor.
    pub application: String,
    /// What the actor was given.
    pub roles: Vec<RoleAssignment>,
}

/// Kinds of actors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActorKind {
    /// A program with an API token.
    ApiToken {
        /// The token's id.
        id: String,
    },
    /// A person signed in to the console.
    User {
        /// The user's id.
        id: String,
        /// Their address.
        email: String,
    },
}

impl Actor {
    /// Id for logs.
    pub fn id(&self) -> &str {
        match &self.kind {
            ActorKind::ApiToken { id } | ActorKind::User { id, .. } => id,
        }
    }

    fn holds(&self, permission: Permission) -> bool {
        // A role that is limited to an organization gives nothing at the root.
        let at_root = self.roles.iter().filter(|assignment| assignment.organization.is_none());
        at_root.filter_map(|assignment| roles::by_id(&assignment.role)).any(|role| role.allows(permission))
    }
}

/// What an actor proves itself with, as it came.
#[derive(Clone)]
pub enum Proof {
    /// The value of an `Authorization` header.
    Header(String),
    /// The value of a console's session cookie.
    Session(String),
}

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Resource<'a> {
    /// The application it belongs to.
    pub application: &'a Arc<ApplicationRow>,
    /// Whether that is the first application. Readers, log and disk are of the process and not of one application: who sees
    /// them learns about all applications, so only those who run the installation may, and they are the administrators of its
    /// first application, as for `/metrics`. An administrator of a further one is a tenant there.
    pub runs_installation: bool,
}

impl Resource<'_> {
    fn knows(self, permission: Permission) -> bool {
        self.runs_installation || !permission.is_of_installation()
    }
}

/// Proof that an actor may do something in an application.
#[derive(Debug, Clone)]
pub struct Access {
    actor: Actor,
    application: Arc<ApplicationRow>,
    runs_installation: bool,
}

/// Decides whether an actor may do what a guard protects, on a resource.
pub fn authorize(actor: &Actor, guard: Guard, resource: Resource<'_>) -> Result<Access, AppError> {
    if actor.application != resource.application.id {
        return Err(AppError::Unauthenticated);
    }
    match guard {
        Guard::Public | Guard::SignedIn => {}
        Guard::Permission(permission) if resource.knows(permission) && actor.holds(permission) => {}
        Guard::Permission(permission) => return Err(AppError::Forbidden(permission)),
    }
    let Resource { application, runs_installation } = resource;
    Ok(Access { actor: actor.clone(), application: Arc::clone(application), runs_installation })
}

impl Access {
    /// The id of the application the proof is for.
    pub fn application(&self) -> &str {
        &self.application.id
    }

    /// The name of that application.
    pub fn application_name(&self) -> &str {
        &self.application.name
    }

    /// The scope in which devices of that application are provisioned.
    pub fn id_scope(&self) -> &str {
        &self.application.id_scope
    }

    /// Who asks.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Asks for one permission more, where an operation turns out to need it.
    pub fn require(&self, permission: Permission) -> Result<(), AppError> {
        authorize(&self.actor, Guard::Permission(permission), self.resource()).map(|_| ())
    }

    /// Everything the actor may do in the application.
    pub fn permissions(&self) -> Vec<Permission> {
        Permission::ALL.iter().copied().filter(|permission| self.require(*permission).is_ok()).collect()
    }

    /// What a role gives whoever is given it in the application.
    pub fn permissions_of(&self, role: &'static BuiltInRole) -> impl Iterator<Item = Permission> {
        let given = move |permission: &Permission| self.resource().knows(*permission) && role.allows(*permission);
        Permission::ALL.iter().copied().filter(given)
    }

    fn resource(&self) -> Resource<'_> {
        Resource { application: &self.application, runs_installation: self.runs_installation }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn application(id: &str) -> Arc<ApplicationRow> {
        let (name, id_scope) = (id.to_owned(), format!("0ne{id}"));
        Arc::new(ApplicationRow { id: id.to_owned(), name, id_scope, created_ms: 0 })
    }

    fn resource(application: &Arc<ApplicationRow>) -> Resource<'_> {
        Resource { application, runs_installation: true }
    }

    fn actor(role: &str, organization: Option<&str>) -> Actor {
        Actor {
            kind: ActorKind::ApiToken { id: "t".to_owned() },
            application: "a".to_owned(),
            roles: vec![RoleAssignment { role: role.to_owned(), organization: organization.map(str::to_owned) }],
        }
    }

    #[test]
    fn roles_decide() {
        let application = application("a");
        let resource = resource(&application);
        let cases = [
            ("Administrator", Permission::ApiTokensManage, true),
            ("Administrator", Permission::InstallationView, true),
            ("Builder", Permission::InstallationView, false),
            ("Operator", Permission::InstallationView, false),
            ("Builder", Permission::TemplatesManage, true),
            ("Builder", Permission::UsersManage, false),
            ("Operator", Permission::DevicesUpdate, true),
            ("Operator", Permission::TemplatesManage, false),
        ];
        for (role, permission, allowed) in cases {
            let actor = actor(roles::by_name(role).unwrap().id, None);
            let decided = authorize(&actor, Guard::Permission(permission), resource);
            assert_eq!(decided.is_ok(), allowed, "{role} {permission:?}");
        }
    }

    #[test]
    fn another_application_or_organization_gives_nothing() {
        let administrator = roles::by_name("administrator").unwrap().id;
        let guard = Guard::Permission(Permission::DevicesView);
        let (a, b) = (application("a"), application("b"));
        assert!(authorize(&actor(administrator, None), guard, resource(&b)).is_err());
        assert!(authorize(&actor(administrator, Some("north")), guard, resource(&a)).is_err());
        assert!(authorize(&actor("unknown", None), guard, resource(&a)).is_err());
    }

    #[test]
    fn the_installation_is_for_administrators_of_the_first_application() {
        let application = application("a");
        let administrator = roles::by_name("administrator").unwrap();
        for runs_installation in [true, false] {
            let resource = Resource { application: &application, runs_installation };
            let access = authorize(&actor(administrator.id, None), Guard::SignedIn, resource).unwrap();
            assert_eq!(access.require(Permission::InstallationView).is_ok(), runs_installation);
            assert_eq!(access.permissions().contains(&Permission::InstallationView), runs_installation);
            // An administrator makes administrators, here as there.
            let missing = access.permissions_of(administrator).find(|permission| access.require(*permission).is_err());
            assert_eq!(missing, None);
        }
    }
}
