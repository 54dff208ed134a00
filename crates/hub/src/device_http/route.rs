//! Which call a path is. Fixed words are matched without regard to case, ids keep theirs; a trailing slash is tolerated.
//!
//! ```text
//! /devices/{d}/modules                                                   GET
//! /devices/{d}/modules/{m}                                               GET PUT DELETE
//! /devices/{d}[/modules/{m}]/messages/events                             POST
//! /devices/{e}/modules/$edgeHub/devicesAndModulesInTargetDeviceScope     POST
//! /devices/{e}/modules/$edgeHub/getDeviceAndModuleOnBehalfOf             POST
//! /devices/{e}/modules/$edgeHub/devicesAndModulesInDeviceScope           GET
//! /devices/{e}/modules/$edgeHub/deviceAndModuleInDeviceScope             GET
//! /{scope}/registrations/{reg}                                           POST
//! /{scope}/registrations/{reg}/register                                  PUT
//! /{scope}/registrations/{reg}/operations/{op}                           GET
//! ```

use model::identity::Identity;
use protocol::hub::bag;

#[cfg(test)]
mod tests;

/// A call of the device API, with its ids decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the members are the ids of the path drawn above")]
pub enum HubRoute {
    Modules { device: String },
    Module { device: String, module: String },
    Events { identity: Identity },
    ScopeOfTarget { edge: String },
    OnBehalfOf { edge: String },
    OwnScope { edge: String },
    OneInScope { edge: String },
    Register { scope: String, registration: String },
    Operation { scope: String, registration: String, operation: String },
    Registration { scope: String, registration: String },
}

impl HubRoute {
    /// Reads a path.
    pub fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let parts: Vec<&str> = path.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        let is = |index: usize, word: &str| parts.get(index).is_some_and(|part| part.eq_ignore_ascii_case(word));
        let id = |index: usize| bag::decode(parts[index].as_bytes()).into_owned();
        if is(0, "devices") {
            let of_module = is(2, "modules");
            return match parts.len() {
                3 if of_module => Some(Self::Modules { device: id(1) }),
                4 if of_module => Some(Self::Module { device: id(1), module: id(3) }),
                4 if is(2, "messages") && is(3, "events") => Some(Self::Events { identity: Identity::device(&id(1)) }),
                5 if of_module && is(3, "$edgeHub") => Self::scope_call(parts[4], id(1)),
                6 if of_module && is(4, "messages") && is(5, "events") => {
                    Some(Self::Events { identity: Identity::module(&id(1), &id(3)) })
                }
                _ => None,
            };
        }
        if !is(1, "registrations") {
            return None;
        }
        match parts.len() {
            3 => Some(Self::Registration { scope: id(0), registration: id(2) }),
            4 if is(3, "register") => Some(Self::Register { scope: id(0), registration: id(2) }),
            5 if is(3, "operations") => Some(Self::Operation { scope: id(0), registration: id(2), operation: id(4) }),
            _ => None,
        }
    }

    fn scope_call(word: &str, edge: String) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "devicesandmodulesintargetdevicescope" => Some(Self::ScopeOfTarget { edge }),
            "getdeviceandmoduleonbehalfof" => Some(Self::OnBehalfOf { edge }),
            "devicesandmodulesindevicescope" => Some(Self::OwnScope { edge }),
            "deviceandmoduleindevicescope" => Some(Self::OneInScope { edge }),
            _ => None,
        }
    }
}
