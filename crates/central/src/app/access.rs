//! Who may do what: the one place where it is decided.

use std::sync::Arc;

use api::access::RoleAssignment;
use api::endpoint::Guard;
use api::permission::Permission;
use registry::ApplicationRow;

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

    /// Every permission of every role.
    pub fn permissions(&self) -> Vec<Permission> {
        Permission::ALL.iter().copied().filter(|permission| self.holds(*permission)).collect()
    }

    fn holds(&self, permission: Permission) -> bool {
        // A role that is limited to an organization gives nothing at the root.
        let at_root = self.roles.iter().filter(|assignment| assignment.organization.is_none());
        at_root.filter_map(|assignment| roles::by_id(&assignment.role)).any(|role| role.allows(permission))
    }
}

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Resource<'a> {
    /// The application it belongs to.
    pub application: &'a Arc<ApplicationRow>,
}

/// Proof that an actor may do something in an application.
#[derive(Debug, Clone)]
pub struct Access {
    actor: Actor,
    application: Arc<ApplicationRow>,
}

/// Decides whether an actor may do what a guard protects, on a resource.
pub fn authorize(actor: &Actor, guard: Guard, resource: Resource<'_>) -> Result<Access, AppError> {
    if actor.application != resource.application.id {
        return Err(AppError::Unauthenticated);
    }
    match guard {
        Guard::Public | Guard::SignedIn => {}
        Guard::Permission(permission) if actor.holds(permission) => {}
        Guard::Permission(permission) => return Err(AppError::Forbidden(permission)),
    }
    Ok(Access { actor: actor.clone(), application: Arc::clone(resource.application) })
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
        let resource = Resource { application: &self.application };
        authorize(&self.actor, Guard::Permission(permission), resource).map(|_| ())
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
        let resource = Resource { application: &application };
        let cases = [
            ("Administrator", Permission::ApiTokensManage, true),
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
        assert!(authorize(&actor(administrator, None), guard, Resource { application: &application("b") }).is_err());
        assert!(
            authorize(&actor(administrator, Some("north")), guard, Resource { application: &application("a") })
                .is_err()
        );
        assert!(authorize(&actor("unknown", None), guard, Resource { application: &application("a") }).is_err());
    }
}
