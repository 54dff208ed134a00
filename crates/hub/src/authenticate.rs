//! Who may speak as whom. The judgement is [`protocol::auth::judge`]'s; here stands what the registry
//! knows of the identities a claim is about.

use model::identity::Identity;
use protocol::auth::judge::{self, Admitted, Authentication, Case, Claim, Denied, DeviceFacts, Facts, SignedBy};
use registry::{DeviceRow, ModuleAuthentication, ModuleRow, Registry, StoreError};
use transport::server::Subscriptions;

/// Checks credentials against the registry. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    registry: Registry,
}

/// A proven identity.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The device spoken as, or whose module is spoken as.
    pub device: DeviceRow,
    /// Generation id of the identity: the device's, or the module's where it has one.
    pub generation: String,
    /// Whose key it was.
    pub signed_by: SignedBy,
    /// When a session has to end, Unix seconds.
    pub session_ends_at_secs: u64,
    /// What its session is subscribed to, as far as it is kept.
    pub subscriptions: Subscriptions,
}

/// Why a claim is not believed. Clients are told only that, or to try again.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// A rule says no.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The registry failed; the client should try again.
    #[error("the registry could not be asked")]
    Store(#[from] StoreError),
    /// There was no turn to authenticate in time; the client should try again.
    #[error("too many clients authenticate at the same time")]
    Busy,
}

/// What the registry knows, for the judge and for whoever is admitted.
#[derive(Default)]
struct Found {
    facts: Facts,
    device: Option<DeviceRow>,
    module: Option<ModuleRow>,
}

impl Authenticator {
    /// Against a registry.
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// Checks a claim within an application.
    pub async fn authenticate(
        &self,
        application: &str,
        claim: Claim<'_>,
        now_secs: u64,
    ) -> Result<Principal, AuthenticateError> {
        let identity = claim.identity;
        let case = judge::open(claim, now_secs)?;
        let Found { facts, device, module } = self.look_up(application, identity, &case).await?;
        let admitted = case.decide(&facts)?;
        let device = device.ok_or_else(|| Denied::Unknown(identity.clone()))?;
        let (generation, subscriptions) = match module {
            Some(module) => (module.generation_id, module.subscriptions),
            None => (device.generation_id.clone(), device.subscriptions),
        };
        let subscriptions = Subscriptions::from_bits(subscriptions);
        let Admitted { signed_by, session_ends_at_secs } = admitted;
        Ok(Principal { device, generation, signed_by, session_ends_at_secs, subscriptions })
    }

    /// Looks up what the case needs. Shared access policies are not in the registry: none is found.
    async fn look_up(&self, application: &str, identity: &Identity, case: &Case<'_>) -> Result<Found, StoreError> {
        let needs = case.needs();
        let mut found = Found::default();
        for id in needs.devices {
            if let Some(row) = self.registry.device_get(application, id).await? {
                found.facts.devices.insert(id.to_owned(), device_facts(&row));
                found.device = Some(row).filter(|_| id == identity.device_id()).or(found.device);
            }
        }
        for id in needs.modules {
            let module = id.module_id().unwrap_or_default();
            if let Some(row) = self.registry.module_get(application, id.device_id(), module).await? {
                let is_claimed = id == *identity;
                found.facts.modules.insert(id, module_authentication(&row));
                found.module = Some(row).filter(|_| is_claimed).or(found.module);
            }
        }
        Ok(found)
    }
}

fn device_facts(row: &DeviceRow) -> DeviceFacts {
    let keys: Vec<String> = [&row.primary_key, &row.secondary_key].into_iter().flatten().cloned().collect();
    let authentication = if keys.is_empty() { Authentication::None } else { Authentication::Sas(keys) };
    DeviceFacts { enabled: row.enabled, is_edge: row.is_edge, parent: row.gateway.clone(), authentication }
}

fn module_authentication(row: &ModuleRow) -> Authentication {
    match &row.authentication {
        ModuleAuthentication::None => Authentication::None,
        ModuleAuthentication::Sas(keys) => Authentication::Sas(vec![keys.primary.clone(), keys.secondary.clone()]),
    }
}
