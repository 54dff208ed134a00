//! Who may connect: this device's modules by the keys we derived, others by the keys in the scope.

use std::time::{SystemTime, UNIX_EPOCH};

use model::identity::Identity;
use protocol::auth::sas::SasToken;
use transport::server::{ConnectRequest, Credential, Refusal};

use super::EdgeHub;
use super::scope::Refreshed;
use crate::identity::KeyOf;
use crate::limits::{CLOCK_SKEW, TOKEN_GRACE};

/// What the keys at hand say of a token.
enum Verdict {
    Genuine,
    /// The identity is known and this is not its token.
    WrongKey,
    Disabled,
    Unknown,
}

impl EdgeHub {
    /// Checks a CONNECT; says until when the session may live, in Unix seconds.
    pub(super) async fn authenticate(&self, request: &ConnectRequest) -> Result<Option<u64>, Refusal> {
        let identity = &request.identity;
        let refuse = |reason: &str| {
            tracing::warn!(%identity, peer = %request.peer, reason, "connection refused");
            Refusal::NotAuthorized
        };
        let Credential::Sas(text) = &request.credential else {
            return Err(refuse("only shared access signatures are accepted here"));
        };
        let token = SasToken::parse(text).map_err(|error| refuse(&error.to_string()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if now > token.expiry_secs().saturating_add(CLOCK_SKEW.as_secs()) {
            return Err(refuse("the token has expired; is the client's clock right?"));
        }
        let hosts = [self.options.device.hub_host.as_str(), self.options.hostname.as_str()];
        if !hosts.iter().any(|host| token.resource_matches(&resource(host, identity))) {
            return Err(refuse("the token is for another resource"));
        }
        match self.judge(identity, &token) {
            Verdict::Genuine => return Ok(Some(token.expiry_secs().saturating_add(TOKEN_GRACE.as_secs()))),
            Verdict::Disabled | Verdict::WrongKey | Verdict::Unknown if self.is_own_module(identity) => {
                return Err(refuse("the token is not signed with the module's key"));
            }
            Verdict::Disabled | Verdict::WrongKey | Verdict::Unknown => {}
        }
        // What we know may be old: ask once more before saying no.
        let refreshed = self.scope.refresh_one(identity).await;
        match (self.judge(identity, &token), refreshed) {
            (Verdict::Genuine, _) => Ok(Some(token.expiry_secs().saturating_add(TOKEN_GRACE.as_secs()))),
            (Verdict::Disabled, _) => Err(refuse("the identity is disabled")),
            (Verdict::WrongKey, _) => Err(refuse("the token is not signed with the identity's key")),
            (Verdict::Unknown, Refreshed::Known) => Err(refuse("the identity is not in this device's scope")),
            (Verdict::Unknown, _) => {
                tracing::warn!(%identity, peer = %request.peer, "connection refused for now: the hub cannot be asked");
                Err(Refusal::Unavailable)
            }
        }
    }

    fn is_own_module(&self, identity: &Identity) -> bool {
        let own = identity.device_id() == self.options.device.device_id;
        own && identity.module_id().is_some_and(|module| self.options.identities.known(module).is_some())
    }

    fn judge(&self, identity: &Identity, token: &SasToken) -> Verdict {
        let own_device = identity.device_id() == self.options.device.device_id;
        if own_device && self.options.signer.verifies(KeyOf::Device, token) {
            return Verdict::Genuine;
        }
        if let Some(module) = identity.module_id().filter(|_| self.is_own_module(identity)) {
            let genuine = self.options.signer.verifies(KeyOf::Module(module), token);
            return if genuine { Verdict::Genuine } else { Verdict::WrongKey };
        }
        let Some(scoped) = self.scope.get(identity) else { return Verdict::Unknown };
        if !scoped.enabled {
            return Verdict::Disabled;
        }
        // A module may also sign with its device's key.
        let device = identity.module_id().and_then(|_| self.scope.get(&Identity::device(identity.device_id())));
        let device_keys = device.filter(|device| device.enabled).map(|device| device.keys).unwrap_or_default();
        let genuine = scoped.keys.iter().chain(&device_keys).any(|key| token.verify(key));
        if genuine { Verdict::Genuine } else { Verdict::WrongKey }
    }
}

fn resource(host: &str, identity: &Identity) -> String {
    protocol::auth::sas::audience(host, identity)
}
