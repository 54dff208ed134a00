//! The CONNECT user name: whom the client says it is, and at which service.
//!
//! ```text
//! {hub}/{d}/?api-version=2021-04-12&DeviceClientType=…            hub, device
//! {hub}/{d}/{m}/?api-version=…&model-id=dtmi:…;1&auth-chain=a;b   hub, module; older clients leave the `?` out
//! {scope}/registrations/{reg}/api-version=2019-03-31&…            provisioning, client id {reg}
//! ```
//!
//! Ids and host are never percent-encoded, although ids may hold `%`, `?`, `=` and `$`; the query may hold a raw `/`. So the
//! client id, which is exactly `{d}`, `{d}/{m}` or `{reg}`, tells where the ids end and the query begins.

use model::identity::Identity;

use super::bag;
use super::model_id::is_model_id;
use crate::limits::ID_BYTES_MAX;

/// The api-version our own device role announces.
pub const API_VERSION: &str = "2021-04-12";

/// A user name that fits its client id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserName {
    /// For the hub.
    Hub(HubUserName),
    /// For the provisioning service.
    Dps(DpsUserName),
}

/// What a hub user name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubUserName {
    /// The hub's name, also behind a gateway.
    pub hub_host: String,
    /// Device or module.
    pub identity: Identity,
    /// Any value that is not blank.
    pub api_version: String,
    /// Model the device announces for this connection.
    pub model_id: Option<String>,
    /// `child;parentEdge;grandParentEdge` of a gateway that speaks for a child.
    pub auth_chain: Option<String>,
    /// The SDK's own name.
    pub client_type: Option<String>,
}

/// What a provisioning user name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpsUserName {
    /// Id scope.
    pub id_scope: String,
    /// Registration id as written.
    pub registration_id: String,
}

/// Why a user name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseUserNameError {
    /// Empty, too long, or with characters no id has.
    #[error("the client id is no device or module id")]
    ClientId,
    /// Host missing, or ids other than the client id's.
    #[error("the user name does not fit the client id")]
    Mismatch,
    /// `api-version` missing or blank.
    #[error("the user name has no api-version")]
    ApiVersion,
    /// `model-id` is not a model id.
    #[error("the model id is no DTMI, or too long")]
    ModelId,
}

impl UserName {
    /// Reads a user name together with the client id it came with.
    pub fn parse(user_name: &str, client_id: &str) -> Result<Self, ParseUserNameError> {
        let (host, rest) = user_name.split_once('/').ok_or(ParseUserNameError::Mismatch)?;
        if host.is_empty() {
            return Err(ParseUserNameError::Mismatch);
        }
        if let Some(query) = rest.strip_prefix("registrations/").and_then(|rest| after_id(rest, client_id)) {
            require_ids(client_id, 1)?;
            Query::parse(query)?;
            return Ok(Self::Dps(DpsUserName { id_scope: host.to_owned(), registration_id: client_id.to_owned() }));
        }
        let query = after_id(rest, client_id).ok_or(ParseUserNameError::Mismatch)?;
        require_ids(client_id, 2)?;
        let query = Query::parse(query)?;
        Ok(Self::Hub(HubUserName {
            hub_host: host.to_owned(),
            identity: Identity::from_client_id(client_id),
            api_version: query.api_version,
            model_id: query.model_id,
            auth_chain: query.auth_chain,
            client_type: query.client_type,
        }))
    }
}

/// What follows `{id}/`, without the `?` it may begin with.
fn after_id<'a>(text: &'a str, client_id: &str) -> Option<&'a str> {
    let query = text.strip_prefix(client_id)?.strip_prefix('/')?;
    Some(query.strip_prefix('?').unwrap_or(query))
}

/// Checks that a client id holds one to `most` ids, none of them empty, too long or unprintable.
fn require_ids(client_id: &str, most: usize) -> Result<(), ParseUserNameError> {
    let fits = |id: &str| (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    let fine = client_id.split('/').count() <= most && client_id.split('/').all(fits);
    fine.then_some(()).ok_or(ParseUserNameError::ClientId)
}

#[derive(Default)]
struct Query {
    api_version: String,
    model_id: Option<String>,
    auth_chain: Option<String>,
    client_type: Option<String>,
}

impl Query {
    fn parse(text: &str) -> Result<Self, ParseUserNameError> {
        let field = |name| bag::get(text.as_bytes(), name).map(|value| value.into_owned());
        let filled = |name| field(name).filter(|value| !value.is_empty());
        let model_id = filled("model-id");
        if model_id.as_deref().is_some_and(|id| !is_model_id(id)) {
            return Err(ParseUserNameError::ModelId);
        }
        Ok(Self {
            api_version: field("api-version")
                .filter(|value| !value.trim().is_empty())
                .ok_or(ParseUserNameError::ApiVersion)?,
            model_id,
            auth_chain: filled("auth-chain"),
            client_type: filled("DeviceClientType"),
        })
    }
}

/// The user name as our own device role sends it.
impl std::fmt::Display for HubUserName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/?api-version={}", self.hub_host, self.identity, bag::encode(&self.api_version))?;
        for (name, value) in
            [("DeviceClientType", &self.client_type), ("model-id", &self.model_id), ("auth-chain", &self.auth_chain)]
        {
            if let Some(value) = value {
                write!(f, "&{name}={}", bag::encode(value))?;
            }
        }
        Ok(())
    }
}

/// The user name as our own device role sends it.
impl std::fmt::Display for DpsUserName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scope, registration) = (&self.id_scope, &self.registration_id);
        write!(f, "{scope}/registrations/{registration}/api-version={}", crate::dps::API_VERSION)
    }
}

#[cfg(test)]
mod tests;
