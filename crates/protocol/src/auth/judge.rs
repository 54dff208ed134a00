//! The one judgement of credentials: who may speak as whom, the same for Central and Edge.
//!
//! Pure: the caller says what time it is and what is known of the identities, this decides. In two steps, because what has
//! to be known depends on what is claimed:
//!
//! ```text
//! Claim --open--> Case --needs--> caller looks devices, modules, policy up --> Facts --decide--> Admitted
//!          \ Denied (malformed, expired, for something else)                        \ Denied (unknown, disabled, wrong key …)
//! ```
//!
//! | Speaks as | Token signed with a key of | Token's resource is | Allowed when |
//! | --- | --- | --- | --- |
//! | device `d` | `d` | `{host}/devices/d` | `d` is enabled |
//! | module `d/m` | `d/m`, or `d` | `{host}/devices/d`, or `…/modules/m` below it | `d` is enabled and `d/m` exists |
//! | either, `auth-chain` `{identity};…;e` | `e/$edgeHub` | `{host}/devices/e`, or `…/modules/$edgeHub` below it | every device in the chain is enabled, each next one is an edge device and the parent of the one before |
//! | any device or module, `skn` names a policy | that policy | `{host}`, `{host}/devices`, or one of the above | the policy may connect devices; the device is enabled and the module exists |
//!
//! The signature comes first: [`Denied::Disabled`] and [`Denied::ChainBroken`] are said to whoever holds a key, and every other
//! denial is answered alike.
//!
//! A certificate speaks for the identity it is of and for nobody else:
//!
//! | The identity proves itself with | The certificate is believed when |
//! | --- | --- |
//! | thumbprints | it is one of them |
//! | authorities | its chain leads to one of them, and its common name is `d`, or `d/m` of a module |
//! | anything else | never |
//!
//! A token does not let in who proves itself with certificates, and a certificate not who proves itself with tokens. With a
//! certificate goes a session at the second at which anything on its way to the authority ends: there is no grace, as there is
//! nobody who would bring another one in time.
//!
//! `{host}` is any name the claim is told to accept; ids and host compare without case, since one client lower-cases the
//! whole resource. A chain of one element speaks for itself and is judged as if there were none. An expired token is past
//! its `se` by more than [`CLOCK_SKEW`](crate::limits::CLOCK_SKEW); a session ends
//! [`TOKEN_GRACE`](crate::limits::TOKEN_GRACE) after `se`.
//!
//! A device attested by TPM needs nothing here: at the hub it signs with a key like any other.

use std::collections::HashMap;
use std::sync::Arc;

use model::identity::Identity;
use model::manifest::EDGE_HUB;

use super::certificate::{Authority, ClientCertificate, OutOfTime, Thumbprint, Untrusted};
use super::sas::{self, ParseTokenError, SasToken};
use crate::limits::{AUTH_CHAIN_LENGTH_MAX, TOKEN_GRACE};

/// What a client offers as proof.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// A shared access signature, as it came.
    Sas(&'a str),
    /// A certificate, of which TLS has proved that the client holds the key.
    Certificate(&'a ClientCertificate),
    /// Nothing.
    None,
}

/// What a client claims.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    /// Whom it wants to speak as.
    pub identity: &'a Identity,
    /// Host names a token's resource may begin with: the hub's own, and a gateway's.
    pub hosts: &'a [&'a str],
    /// Its proof.
    pub credential: Credential<'a>,
    /// `auth-chain` of a gateway that speaks for a child: target first, acting edge last, joined by `;`.
    pub auth_chain: Option<&'a str>,
}

/// How an identity proves itself, as the registry says.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication {
    /// Not at all.
    None,
    /// With a token under one of these base64 keys.
    Sas(Vec<String>),
    /// With a token under keys that their holder does not show: it has looked at the case's token itself.
    Held {
        /// Whether one of its keys signed the token.
        genuine: bool,
    },
    /// With one of these certificates.
    Thumbprints(Vec<Thumbprint>),
    /// With a certificate in its own name that leads to one of these authorities.
    Authorities(Vec<Arc<Authority>>),
}

/// Keys stay out of logs.
impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Sas(_) => "Sas",
            Self::Held { .. } => "Held",
            Self::Thumbprints(_) => "Thumbprints",
            Self::Authorities(_) => "Authorities",
        })
    }
}

/// What is known of a device.
#[derive(Debug, Clone)]
pub struct DeviceFacts {
    /// Whether it, and its modules, may connect.
    pub enabled: bool,
    /// Whether it is an edge device, which may speak for children.
    pub is_edge: bool,
    /// The edge device it is a child of.
    pub parent: Option<String>,
    /// How it proves itself.
    pub authentication: Authentication,
}

/// What is known of a shared access policy.
#[derive(Debug, Clone)]
pub struct PolicyFacts {
    /// Whether it may act as any device or module ("DeviceConnect").
    pub connects_devices: bool,
    /// Its keys.
    pub authentication: Authentication,
}

/// What the caller found of what a case needs; what it did not find is absent.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Devices by id.
    pub devices: HashMap<String, DeviceFacts>,
    /// Modules.
    pub modules: HashMap<Identity, Authentication>,
    /// The policy.
    pub policy: Option<PolicyFacts>,
}

/// What has to be looked up before a case can be decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs<'a> {
    /// Devices, at most `limits::AUTH_CHAIN_LENGTH_MAX`.
    pub devices: Vec<&'a str>,
    /// Modules, at most two.
    pub modules: Vec<Identity>,
    /// A policy.
    pub policy: Option<&'a str>,
}

/// Who signed, by what the claim says.
#[derive(Debug, Clone)]
enum Signer<'a> {
    /// The identity, or the device it belongs to.
    Itself,
    /// The last of these devices, from the identity's own one upwards.
    Gateway(Vec<&'a str>),
    Policy,
}

/// What is held against what is known.
enum Proof<'a> {
    Token(SasToken),
    Certificate(&'a ClientCertificate),
}

/// A claim that makes sense so far. May be decided more than once, when there are newer facts.
pub struct Case<'a> {
    identity: &'a Identity,
    auth_chain: &'a str,
    proof: Proof<'a>,
    signer: Signer<'a>,
    now_secs: u64,
}

/// Whose key opened the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    /// The identity's own.
    Identity,
    /// That of the device the module belongs to.
    Device,
    /// That of a gateway above it.
    Gateway,
    /// A policy's.
    Policy,
}

/// A proven claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Whose key it was: what hands out secrets may ask for the identity's own.
    pub signed_by: SignedBy,
    /// When a session under it has to end, in Unix seconds: the token's end and the grace after it, or the certificate's.
    pub session_ends_at_secs: u64,
}

/// The rule a claim fails. For the log: clients learn only that they are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is nothing to judge.
    #[error("there is neither a token nor a certificate")]
    NoCredential,
    /// The token is no token.
    #[error("the token is malformed: {0}")]
    Token(ParseTokenError),
    /// The token is over.
    #[error("the token expired {0} s ago, which is more than clocks may differ")]
    Expired(u64),
    /// The token is for something else.
    #[error("the token is for {0}")]
    Resource(String),
    /// The chain names somebody else first, or is too long.
    #[error("the auth-chain {0} is malformed or for somebody else")]
    Chain(String),
    /// The chain is no line of parents.
    #[error("in the auth-chain {chain}, {device} is no edge device or not the parent of the one before")]
    ChainBroken {
        /// The chain.
        chain: String,
        /// Where it breaks.
        device: String,
    },
    /// There is no such device or module.
    #[error("{0} is not known")]
    Unknown(Identity),
    /// The device may not connect. Said only of a claim that is signed with the right key.
    #[error("device {0} is disabled")]
    Disabled(String),
    /// The identity has no keys.
    #[error("{0} does not prove itself with tokens")]
    Keyless(Identity),
    /// Nobody who may signed the token.
    #[error("the token is not signed with a key of {0}")]
    Signature(Identity),
    /// The certificate is not good yet.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// The certificate is over.
    #[error("the certificate has expired")]
    CertificateExpired,
    /// The identity has no certificate.
    #[error("{0} does not prove itself with certificates")]
    Certless(Identity),
    /// It has another certificate.
    #[error("the certificate is not one of {0}")]
    Thumbprint(Identity),
    /// The certificate is somebody else's.
    #[error("the common name of the certificate is not {0}")]
    CommonName(Identity),
    /// No authority of the identity's signed it.
    #[error("the certificate is not one of {0}: {1}")]
    Untrusted(Identity, Untrusted),
    /// There is no such policy.
    #[error("the policy {0} is not known")]
    UnknownPolicy(String),
    /// The policy may not connect devices.
    #[error("the policy {0} may not connect devices")]
    PolicyRight(String),
    /// The policy's key did not sign the token.
    #[error("the token is not signed with a key of the policy {0}")]
    PolicySignature(String),
}

impl Denied {
    /// Whether newer facts about devices and modules could turn this into a yes: for callers whose facts are a copy that
    /// may be old.
    pub fn depends_on_identities(&self) -> bool {
        match self {
            Self::ChainBroken { .. }
            | Self::Unknown(_)
            | Self::Disabled(_)
            | Self::Keyless(_)
            | Self::Signature(_)
            | Self::Certless(_)
            | Self::Thumbprint(_)
            | Self::CommonName(_)
            | Self::Untrusted(..) => true,
            Self::NoCredential
            | Self::Token(_)
            | Self::Expired(_)
            | Self::Resource(_)
            | Self::Chain(_)
            | Self::NotYetValid
            | Self::CertificateExpired
            | Self::UnknownPolicy(_)
            | Self::PolicyRight(_)
            | Self::PolicySignature(_) => false,
        }
    }
}

/// Checks all of a claim that can be checked without knowing anybody.
pub fn open(claim: Claim<'_>, now_secs: u64) -> Result<Case<'_>, Denied> {
    let proof = match claim.credential {
        Credential::Sas(text) => Proof::Token(SasToken::parse(text).map_err(Denied::Token)?),
        Credential::Certificate(certificate) => Proof::Certificate(certificate),
        Credential::None => return Err(Denied::NoCredential),
    };
    require_in_time(&proof, now_secs)?;
    let auth_chain = claim.auth_chain.unwrap_or_default();
    let signer = match &proof {
        Proof::Token(token) if token.policy().is_some() => Signer::Policy,
        Proof::Token(_) | Proof::Certificate(_) => signer_of_chain(claim.identity, auth_chain)?,
    };
    let case = Case { identity: claim.identity, auth_chain, proof, signer, now_secs };
    if let Proof::Token(token) = &case.proof
        && !claim.hosts.iter().any(|host| case.is_for(token, host))
    {
        return Err(Denied::Resource(token.literal_resource().to_owned()));
    }
    Ok(case)
}

fn require_in_time(proof: &Proof<'_>, now_secs: u64) -> Result<(), Denied> {
    match proof {
        Proof::Token(token) if token.is_expired(now_secs) => Err(Denied::Expired(now_secs - token.expiry_secs())),
        Proof::Token(_) => Ok(()),
        Proof::Certificate(certificate) => certificate.validity().check(now_secs).map_err(|out| match out {
            OutOfTime::NotYet => Denied::NotYetValid,
            OutOfTime::Over => Denied::CertificateExpired,
        }),
    }
}

/// Reads `child;parent;…;actor`.
fn signer_of_chain<'a>(identity: &'a Identity, chain: &'a str) -> Result<Signer<'a>, Denied> {
    let wrong = || Denied::Chain(chain.to_owned());
    let ids: Vec<&str> = chain.split(';').filter(|id| !id.is_empty()).take(AUTH_CHAIN_LENGTH_MAX + 1).collect();
    let Some((first, rest)) = ids.split_first() else { return Ok(Signer::Itself) };
    if ids.len() > AUTH_CHAIN_LENGTH_MAX || Identity::from_client_id(first) != *identity {
        return Err(wrong());
    }
    if rest.is_empty() {
        return Ok(Signer::Itself);
    }
    let mut devices = vec![identity.device_id()];
    for id in rest {
        // A module's chain names its device next: that is no step up.
        if devices.last() != Some(id) {
            devices.push(id);
        }
    }
    Ok(Signer::Gateway(devices))
}

impl<'a> Case<'a> {
    /// The token that was offered, for holders of keys who check signatures themselves.
    pub fn token(&self) -> Option<&SasToken> {
        match &self.proof {
            Proof::Token(token) => Some(token),
            Proof::Certificate(_) => None,
        }
    }

    fn policy(&self) -> Option<&str> {
        self.token().and_then(SasToken::policy)
    }

    /// What has to be looked up.
    pub fn needs(&self) -> Needs<'_> {
        let mut needs = Needs { policy: self.policy(), ..Needs::default() };
        needs.modules.extend(self.identity.module_id().map(|_| self.identity.clone()));
        match &self.signer {
            Signer::Itself | Signer::Policy => needs.devices.push(self.identity.device_id()),
            Signer::Gateway(devices) => {
                needs.devices.clone_from(devices);
                let hub = edge_hub(devices);
                if hub != *self.identity {
                    needs.modules.push(hub);
                }
            }
        }
        needs
    }

    /// Decides.
    pub fn decide(&self, facts: &Facts) -> Result<Admitted, Denied> {
        let device = || known_device(facts, self.identity.device_id());
        let module = || match self.identity.module_id() {
            Some(_) => facts.modules.get(self.identity).map(Some).ok_or_else(|| Denied::Unknown(self.identity.clone())),
            None => Ok(None),
        };
        let (signed_by, session_ends_at_secs) = match &self.signer {
            Signer::Itself => self.verify_own(device()?, module()?)?,
            Signer::Gateway(devices) => {
                let hub = edge_hub(devices);
                let keys = facts.modules.get(&hub).ok_or_else(|| Denied::Unknown(hub.clone()))?;
                let ends_at_secs = self.verify(&hub, keys)?;
                self.require_line_of_parents(facts, devices)?;
                (SignedBy::Gateway, ends_at_secs)
            }
            Signer::Policy => (SignedBy::Policy, self.require_policy(facts)?),
        };
        // Only now: whoever does not hold a key learns of no name whether it is there, and enabled.
        module()?;
        require_enabled(self.identity.device_id(), device()?)?;
        Ok(Admitted { signed_by, session_ends_at_secs })
    }

    /// A device may sign for its modules; the module's own key is the usual one.
    fn verify_own(&self, device: &DeviceFacts, module: Option<&Authentication>) -> Result<(SignedBy, u64), Denied> {
        let verified = self.verify(self.identity, module.unwrap_or(&device.authentication));
        match (verified, module, &self.proof) {
            (Ok(ends_at_secs), ..) => Ok((SignedBy::Identity, ends_at_secs)),
            // A certificate speaks for whom it names, and does not name the module.
            (Err(denied), Some(_), Proof::Token(_)) => {
                let verified = self.verify(self.identity, &device.authentication);
                verified.map(|ends_at_secs| (SignedBy::Device, ends_at_secs)).map_err(|_| denied)
            }
            (Err(denied), ..) => Err(denied),
        }
    }

    /// Whether the token's resource is one that its signer may name, at this host.
    fn is_for(&self, token: &SasToken, host: &str) -> bool {
        let hub;
        let signer = match &self.signer {
            // A policy's scope may be wider than one device.
            Signer::Policy => return token.covers(&sas::audience(host, self.identity)),
            Signer::Itself => self.identity,
            Signer::Gateway(devices) => {
                hub = edge_hub(devices);
                &hub
            }
        };
        token.is_for(&sas::audience(host, signer))
            || token.is_for(&sas::audience(host, &Identity::device(signer.device_id())))
    }

    /// Answers when a session under the proof has to end.
    fn verify(&self, signer: &Identity, authentication: &Authentication) -> Result<u64, Denied> {
        match &self.proof {
            Proof::Token(token) => verify_token(token, signer, authentication),
            Proof::Certificate(certificate) => self.verify_certificate(certificate, signer, authentication),
        }
    }

    fn verify_certificate(
        &self,
        certificate: &ClientCertificate,
        signer: &Identity,
        authentication: &Authentication,
    ) -> Result<u64, Denied> {
        match authentication {
            Authentication::Thumbprints(known) if known.iter().any(|known| certificate.is(known)) => {
                Ok(certificate.ends_at_secs())
            }
            Authentication::Thumbprints(_) => Err(Denied::Thumbprint(signer.clone())),
            Authentication::Authorities(authorities) => {
                if certificate.common_name() != Some(signer.to_string().as_str()) {
                    return Err(Denied::CommonName(signer.clone()));
                }
                let found = certificate.leads_to(authorities.iter().map(|authority| &**authority), self.now_secs);
                found.map_err(|why| Denied::Untrusted(signer.clone(), why))
            }
            Authentication::None | Authentication::Sas(_) | Authentication::Held { .. } => {
                Err(Denied::Certless(signer.clone()))
            }
        }
    }

    /// Each device is enabled, each one after the first the parent of the one before and an edge device; a device that speaks
    /// for its own modules only has to be one.
    fn require_line_of_parents(&self, facts: &Facts, devices: &[&str]) -> Result<(), Denied> {
        let broken =
            |device: &str| Denied::ChainBroken { chain: self.auth_chain.to_owned(), device: device.to_owned() };
        let mut parent: Option<&str> = None;
        for (at, &device) in devices.iter().enumerate() {
            let found = known_device(facts, device)?;
            require_enabled(device, found)?;
            let is_parent = at == 0 || parent == Some(device);
            let acts = at > 0 || devices.len() == 1;
            if !is_parent || (acts && !found.is_edge) {
                return Err(broken(device));
            }
            parent = found.parent.as_deref();
        }
        Ok(())
    }

    fn require_policy(&self, facts: &Facts) -> Result<u64, Denied> {
        let name = || self.policy().unwrap_or_default().to_owned();
        let policy = facts.policy.as_ref().ok_or_else(|| Denied::UnknownPolicy(name()))?;
        if !policy.connects_devices {
            return Err(Denied::PolicyRight(name()));
        }
        self.verify(self.identity, &policy.authentication).map_err(|_| Denied::PolicySignature(name()))
    }
}

/// Answers when a session under the token has to end.
fn verify_token(token: &SasToken, signer: &Identity, authentication: &Authentication) -> Result<u64, Denied> {
    let is_genuine = match authentication {
        Authentication::Sas(keys) => keys.iter().any(|key| token.verify(key)),
        Authentication::Held { genuine } => *genuine,
        Authentication::None | Authentication::Thumbprints(_) | Authentication::Authorities(_) => {
            return Err(Denied::Keyless(signer.clone()));
        }
    };
    let ends_at_secs = token.expiry_secs().saturating_add(TOKEN_GRACE.as_secs());
    if is_genuine { Ok(ends_at_secs) } else { Err(Denied::Signature(signer.clone())) }
}

fn known_device<'f>(facts: &'f Facts, device: &str) -> Result<&'f DeviceFacts, Denied> {
    facts.devices.get(device).ok_or_else(|| Denied::Unknown(Identity::device(device)))
}

fn require_enabled(device: &str, facts: &DeviceFacts) -> Result<(), Denied> {
    if facts.enabled { Ok(()) } else { Err(Denied::Disabled(device.to_owned())) }
}

/// The module that speaks for the last of these devices' children.
fn edge_hub(devices: &[&str]) -> Identity {
    Identity::module(devices.last().copied().unwrap_or_default(), EDGE_HUB)
}

#[cfg(test)]
mod tests;
