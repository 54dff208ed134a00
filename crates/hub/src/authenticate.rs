//! Who may speak as whom: shared access signatures of devices, modules, and gateways that speak for their children.
//!
//! | Speaks as | Signed with | Allowed when |
//! | --- | --- | --- |
//! | device `d` | a key of `d` | `d` is enabled |
//! | module `d/m` | a key of `d/m` | `d` is enabled |
//! | child `c`, or a module of it | a key of `e/$edgeHub`, with `auth-chain` `c;…;e` | `c` and `e` are enabled, each in the chain is a child of the next |
//! | module `e/m` | a key of `e/$edgeHub`, with `auth-chain` `e/m;e` | `e` is enabled |
//!
//! The signature, checked with the named identity's own keys, says who it is; the token's resource only limits its scope. A
//! device's key does not open its modules.

use model::identity::Identity;
use protocol::auth::sas::{self, SasToken};
use registry::{DeviceRow, ModuleAuthentication, Registry, StoreError};

use crate::limits::AUTH_CHAIN_LENGTH_MAX;

/// The module that speaks for an edge device's children.
pub const EDGE_HUB_MODULE: &str = "$edgeHub";

/// Checks credentials against the registry. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    registry: Registry,
}

/// What a client offers.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Application its host name led to.
    pub application: &'a str,
    /// The host name it used.
    pub host: &'a str,
    /// Whom it wants to speak as.
    pub identity: &'a Identity,
    /// The token, as it came.
    pub token: &'a str,
    /// `auth-chain` of a gateway.
    pub auth_chain: Option<&'a str>,
}

/// A proven identity.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The device spoken as, or whose module is spoken as.
    pub device: DeviceRow,
    /// Generation id of the identity: the device's, or the module's where it has one.
    pub generation: String,
    /// When the token ends, Unix seconds.
    pub expires_at_secs: u64,
}

/// Why a claim is not believed. Clients are told only that.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// The token is no token.
    #[error("the token is malformed")]
    Token(#[source] sas::ParseTokenError),
    /// It is over.
    #[error("the token has expired")]
    Expired,
    /// It is for something else.
    #[error("the token is for {0}")]
    Scope(String),
    /// No key of the identity made it.
    #[error("the signature is not one of {0}'s")]
    Signature(Identity),
    /// The registry knows no such identity, or it has no keys.
    #[error("{0} is not known or has no keys")]
    Unknown(Identity),
    /// The device may not connect.
    #[error("device {0} is disabled")]
    Disabled(String),
    /// The gateway may not speak for the child.
    #[error("the auth-chain {0} does not lead from the child to its gateway")]
    Chain(String),
    /// The policy's key signed, which this hub has none of.
    #[error("the policy {0} is not known")]
    Policy(String),
    /// The registry failed; the client should try again.
    #[error("the registry could not be asked")]
    Store(#[from] StoreError),
}

impl Authenticator {
    /// Against a registry.
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// Checks a claim.
    pub async fn authenticate(&self, claim: Claim<'_>, now_secs: u64) -> Result<Principal, AuthenticateError> {
        let token = SasToken::parse(claim.token).map_err(AuthenticateError::Token)?;
        if token.is_expired(now_secs) {
            return Err(AuthenticateError::Expired);
        }
        if let Some(policy) = token.policy() {
            return Err(AuthenticateError::Policy(policy.to_owned()));
        }
        let device = self.enabled_device(claim.application, claim.identity).await?;
        let signer = match claim.auth_chain.filter(|chain| !chain.is_empty()) {
            None => claim.identity.clone(),
            Some(chain) => {
                let gateway = self.gateway_of_chain(&claim, &device, chain).await?;
                Identity::module(&gateway, EDGE_HUB_MODULE)
            }
        };
        // A token of the whole hub (`sr={hub}`) is a policy's; an identity's own names at least the device.
        let resource = sas::audience(claim.host, &signer);
        if !token.resource_matches(&resource) {
            return Err(AuthenticateError::Scope(token.literal_resource().to_owned()));
        }
        self.verify(claim.application, &token, &signer, &device).await?;
        let generation = self.generation(claim.application, claim.identity, &device).await?;
        Ok(Principal { device, generation, expires_at_secs: token.expiry_secs() })
    }

    async fn enabled_device(&self, application: &str, identity: &Identity) -> Result<DeviceRow, AuthenticateError> {
        let device = self.registry.device_get(application, identity.device_id()).await?;
        let device = device.ok_or_else(|| AuthenticateError::Unknown(identity.clone()))?;
        if !device.enabled {
            return Err(AuthenticateError::Disabled(device.id));
        }
        Ok(device)
    }

    /// Walks `child;parent;…;actor` and answers the actor.
    async fn gateway_of_chain(
        &self,
        claim: &Claim<'_>,
        device: &DeviceRow,
        chain: &str,
    ) -> Result<String, AuthenticateError> {
        let wrong = || AuthenticateError::Chain(chain.to_owned());
        let mut links = chain.split(';');
        let first = Identity::from_client_id(links.next().unwrap_or_default());
        if first.device_id() != claim.identity.device_id() || chain.split(';').count() > AUTH_CHAIN_LENGTH_MAX {
            return Err(wrong());
        }
        let mut child = device.clone();
        for next in links {
            // A module's chain names its device next: that is no step up.
            if next == child.id {
                continue;
            }
            if child.gateway.as_deref() != Some(next) {
                return Err(wrong());
            }
            child = self.enabled_device(claim.application, &Identity::device(next)).await?;
        }
        if !child.is_edge {
            return Err(wrong());
        }
        Ok(child.id)
    }

    async fn verify(
        &self,
        application: &str,
        token: &SasToken,
        signer: &Identity,
        device: &DeviceRow,
    ) -> Result<(), AuthenticateError> {
        let unknown = || AuthenticateError::Unknown(signer.clone());
        let keys = match signer.module_id() {
            None => [device.primary_key.clone(), device.secondary_key.clone()],
            Some(module) => {
                let module = self.registry.module_get(application, signer.device_id(), module).await?;
                match module.ok_or_else(unknown)?.authentication {
                    ModuleAuthentication::Sas(keys) => [Some(keys.primary), Some(keys.secondary)],
                    ModuleAuthentication::None => return Err(unknown()),
                }
            }
        };
        if keys.iter().all(Option::is_none) {
            return Err(unknown());
        }
        let verified = keys.iter().flatten().any(|key| token.verify(key));
        if verified { Ok(()) } else { Err(AuthenticateError::Signature(signer.clone())) }
    }

    async fn generation(
        &self,
        application: &str,
        identity: &Identity,
        device: &DeviceRow,
    ) -> Result<String, AuthenticateError> {
        let Some(module) = identity.module_id() else { return Ok(device.generation_id.clone()) };
        let module = self.registry.module_get(application, identity.device_id(), module).await?;
        Ok(module.ok_or_else(|| AuthenticateError::Unknown(identity.clone()))?.generation_id)
    }
}
