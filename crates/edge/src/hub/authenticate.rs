//! Who may connect: this device and its modules by the keys we hold, others by what the scope says. The judgement is
//! [`protocol::auth::judge`]'s; here stands where its facts come from, and when they are asked for again.

use std::time::{SystemTime, UNIX_EPOCH};

use model::identity::Identity;
use protocol::auth::certificate::Thumbprint;
use protocol::auth::judge::{self, Authentication, Case, Claim, Denied, DeviceFacts, Facts};
use protocol::auth::sas::SasToken;
use transport::server::{ConnectRequest, Refusal};

use super::EdgeHub;
use super::scope::{Refreshed, ScopedIdentity};
use crate::identity::KeyOf;

impl EdgeHub {
    /// Checks a CONNECT; says until when the session may live, in Unix seconds.
    pub(super) async fn authenticate(&self, request: &ConnectRequest) -> Result<u64, Refusal> {
        let identity = &request.identity;
        let refuse = |denied: &Denied| {
            if transport::log::may_tell_of_stranger() {
                tracing::warn!(%identity, peer = %request.peer, reason = %denied, "connection refused");
            }
            Refusal::NotAuthorized
        };
        let claim = Claim {
            identity,
            hosts: &[&self.options.device.hub_host, &self.options.hostname],
            credential: request.credential.judged(),
            auth_chain: request.auth_chain.as_deref(),
        };
        let now_secs = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let case = judge::open(claim, now_secs).map_err(|denied| refuse(&denied))?;
        match case.decide(&self.facts(&case)) {
            Ok(admitted) => return Ok(admitted.session_ends_at_secs),
            Err(denied) if !denied.depends_on_identities() => return Err(refuse(&denied)),
            Err(_) => {}
        }
        // What we know may be old: ask once more before saying no. For whatever name, known here or not, and of our own modules
        // too: whoever holds no key hears the same of all of them.
        let refreshed = self.ending_changed(identity, self.scope.refresh_one(identity)).await;
        match case.decide(&self.facts(&case)) {
            Ok(admitted) => Ok(admitted.session_ends_at_secs),
            Err(Denied::Disabled(device)) => Err(refuse(&Denied::Disabled(device))),
            Err(_) if refreshed != Refreshed::Known => {
                if transport::log::may_tell_of_stranger() {
                    tracing::warn!(%identity, peer = %request.peer, "connection refused for now: the hub cannot be asked");
                }
                Err(Refusal::Unavailable)
            }
            Err(denied) => Err(refuse(&denied)),
        }
    }

    /// Whether its key is here: of such a module the hub above has nothing to say.
    pub(super) fn is_own_module(&self, identity: &Identity) -> bool {
        let own = identity.device_id() == self.options.device.device_id;
        own && identity.module_id().is_some_and(|module| self.options.identities.known(module).is_some())
    }

    /// What is known here of the identities a case is about. There are no shared access policies on an edge, and no edge
    /// devices below it that would speak for others.
    fn facts(&self, case: &Case<'_>) -> Facts {
        let (needs, token) = (case.needs(), case.token());
        let devices = needs.devices.into_iter().filter_map(|id| Some((id.to_owned(), self.device_facts(id, token)?)));
        let modules = needs.modules.into_iter().filter_map(|id| {
            let authentication = self.module_authentication(&id, token)?;
            Some((id, authentication))
        });
        Facts { devices: devices.collect(), modules: modules.collect(), policy: None }
    }

    fn device_facts(&self, id: &str, token: Option<&SasToken>) -> Option<DeviceFacts> {
        if id == self.options.device.device_id {
            let authentication = self.own(KeyOf::Device, token);
            return Some(DeviceFacts { enabled: true, is_edge: true, parent: None, authentication });
        }
        let scoped = self.scope.get(&Identity::device(id))?;
        let (enabled, authentication) = (scoped.enabled, self.authentication(scoped));
        Some(DeviceFacts { enabled, is_edge: false, parent: None, authentication })
    }

    fn module_authentication(&self, identity: &Identity, token: Option<&SasToken>) -> Option<Authentication> {
        match identity.module_id().filter(|_| self.is_own_module(identity)) {
            Some(module) => Some(self.own(KeyOf::Module(module), token)),
            None => self.scope.get(identity).map(|scoped| self.authentication(scoped)),
        }
    }

    /// Our own keys stay with the signer.
    fn own(&self, key: KeyOf<'_>, token: Option<&SasToken>) -> Authentication {
        Authentication::Held { genuine: token.is_some_and(|token| self.options.signer.verifies(key, token)) }
    }

    fn authentication(&self, scoped: ScopedIdentity) -> Authentication {
        if !scoped.authorities.is_empty() {
            return Authentication::Authorities(self.scope.authorities(&scoped.authorities));
        }
        if !scoped.thumbprints.is_empty() {
            let known = scoped.thumbprints.iter().filter_map(|text| Thumbprint::parse(text));
            return Authentication::Thumbprints(known.collect());
        }
        if scoped.keys.is_empty() { Authentication::None } else { Authentication::Sas(scoped.keys) }
    }
}
