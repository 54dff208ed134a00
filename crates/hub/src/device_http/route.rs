//! Which call a request of a machine is: a table of audience, method and path.
//!
//! Fixed words are matched without regard to case, ids keep theirs; a trailing slash is tolerated. A path that stands here with
//! other methods is refused with 405 and their names. Paths of parts that are not built stand here too, so that a client of
//! theirs hears what is missing instead of being shown a page.

use protocol::hub::bag;

#[cfg(test)]
mod tests;

/// Whom a path is for; it decides how a refusal is worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Devices, modules and edges, with credentials of their own.
    Device,
    /// Whoever wants to become a device.
    Provisioning,
    /// Back ends, with the credentials of a policy.
    Service,
    /// Devices that upload a file, with what they were given for it.
    Blob,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table below says what each is")]
pub enum Call {
    ModulesList,
    ModuleGet,
    ModulePut,
    ModuleDelete,
    MessagePost,
    MessageNext,
    MessageEnd,
    MessageAbandon,
    FileOpen,
    FileDone,
    BlobPut,
    ScopeOfTarget,
    OnBehalfOf,
    OwnScope,
    OneInScope,
    Register,
    Operation,
    Registration,
    /// A part of the hub's interface that this version does not have.
    Unbuilt,
}

/// One row of the table.
struct Row {
    audience: Audience,
    method: &'static str,
    /// Segments; `{name}` is an id, a last `**` is any rest, also none.
    path: &'static str,
    call: Call,
}

const fn row(audience: Audience, method: &'static str, path: &'static str, call: Call) -> Row {
    Row { audience, method, path, call }
}

/// Any method.
const ANY: &str = "*";

use Audience::{Blob, Device, Provisioning, Service};

const ROWS: &[Row] = &[
    row(Device, "GET", "/devices/{device}/modules", Call::ModulesList),
    row(Device, "GET", "/devices/{device}/modules/{module}", Call::ModuleGet),
    row(Device, "PUT", "/devices/{device}/modules/{module}", Call::ModulePut),
    row(Device, "DELETE", "/devices/{device}/modules/{module}", Call::ModuleDelete),
    row(Device, "POST", "/devices/{device}/messages/events", Call::MessagePost),
    row(Device, "POST", "/devices/{device}/modules/{module}/messages/events", Call::MessagePost),
    row(Device, "GET", "/devices/{device}/messages/deviceBound", Call::MessageNext),
    row(Device, "DELETE", "/devices/{device}/messages/deviceBound/{lock}", Call::MessageEnd),
    row(Device, "POST", "/devices/{device}/messages/deviceBound/{lock}/abandon", Call::MessageAbandon),
    row(Device, "POST", "/devices/{device}/files", Call::FileOpen),
    row(Device, "POST", "/devices/{device}/files/notifications", Call::FileDone),
    row(Device, "POST", "/devices/{device}/files/notifications/{correlation}", Call::FileDone),
    row(Blob, "PUT", "/device-files/**", Call::BlobPut),
    row(Device, "POST", "/devices/{device}/modules/$edgeHub/devicesAndModulesInTargetDeviceScope", Call::ScopeOfTarget),
    row(Device, "POST", "/devices/{device}/modules/$edgeHub/getDeviceAndModuleOnBehalfOf", Call::OnBehalfOf),
    row(Device, "GET", "/devices/{device}/modules/$edgeHub/devicesAndModulesInDeviceScope", Call::OwnScope),
    row(Device, "GET", "/devices/{device}/modules/$edgeHub/deviceAndModuleInDeviceScope", Call::OneInScope),
    row(Service, ANY, "/devices", Call::Unbuilt),
    row(Service, ANY, "/devices/{device}", Call::Unbuilt),
    row(Service, ANY, "/twins/**", Call::Unbuilt),
    row(Service, ANY, "/digitaltwins/**", Call::Unbuilt),
    row(Service, ANY, "/statistics/**", Call::Unbuilt),
    row(Service, ANY, "/configurations/**", Call::Unbuilt),
    row(Service, ANY, "/jobs/**", Call::Unbuilt),
    row(Service, ANY, "/messages/**", Call::Unbuilt),
    row(Service, ANY, "/enrollments/**", Call::Unbuilt),
    row(Service, ANY, "/enrollmentGroups/**", Call::Unbuilt),
    row(Service, ANY, "/registrations/**", Call::Unbuilt),
    row(Provisioning, "POST", "/{scope}/registrations/{registration}", Call::Registration),
    row(Provisioning, "PUT", "/{scope}/registrations/{registration}/register", Call::Register),
    row(Provisioning, "GET", "/{scope}/registrations/{registration}/operations/{operation}", Call::Operation),
];

/// The ids of a path, decoded, by the names the table gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids(Vec<(&'static str, String)>);

impl Ids {
    /// The id of a name; empty when the path has none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == name).map_or("", |(_, id)| id)
    }

    /// The id of a name, if the path has one.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, id)| id.as_str())
    }
}

/// A path of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubRoute {
    /// Whom it is for.
    pub audience: Audience,
    /// What is asked for, or else the methods the path takes.
    pub call: Result<Call, String>,
    /// The ids in the path.
    pub ids: Ids,
}

impl HubRoute {
    /// Looks the method and path up; `None` when no row has the path.
    pub fn find(method: &str, path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<&str> = path.split('/').collect();
        let mut allowed: Option<Self> = None;
        for row in ROWS {
            let Some(ids) = matches(row.path, &segments) else { continue };
            if row.method == ANY || row.method == method {
                return Some(Self { audience: row.audience, call: Ok(row.call), ids });
            }
            let other = allowed.get_or_insert(Self { audience: row.audience, call: Err(String::new()), ids });
            if let Err(methods) = &mut other.call {
                let comma = if methods.is_empty() { "" } else { ", " };
                *methods = format!("{methods}{comma}{}", row.method);
            }
        }
        allowed
    }
}

fn matches(pattern: &'static str, segments: &[&str]) -> Option<Ids> {
    let mut ids = Ids::default();
    let mut rest = segments.iter();
    for word in pattern.split('/').skip(1) {
        if word == "**" {
            return Some(ids);
        }
        let segment = rest.next().filter(|segment| !segment.is_empty())?;
        match word.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => ids.0.push((name, bag::decode(segment.as_bytes()).into_owned())),
            None if word.eq_ignore_ascii_case(segment) => {}
            None => return None,
        }
    }
    rest.next().is_none().then_some(ids)
}
