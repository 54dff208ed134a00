//! Who may speak as whom. The judgement is [`protocol::auth::judge`]'s; here stands what the registry
//! knows of the identities a claim is about.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::identity::Identity;
use protocol::auth::certificate::Thumbprint;
use protocol::auth::judge::{self, Admitted, Authentication, Case, Claim, Denied, DeviceFacts, Facts, SignedBy};
use protocol::auth::sas;
use registry::limits::LIST_TEXTS_MAX;
use registry::{
    AdmittedDevice, AdmittingGroup, DeviceRow, Ground, GroupProof, ModuleAuthentication, ModuleRow, Registry,
    StoreError,
};
use sha2::{Digest, Sha256};
use transport::server::Subscriptions;

use crate::certificates;

#[cfg(test)]
mod tests;

/// Checks credentials against the registry. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    registry: Registry,
    known: Option<Arc<KnownDevices>>,
}

/// Devices that were read together, by application and id; those that are not there too.
#[derive(Debug, Default)]
pub struct KnownDevices(HashMap<(Arc<str>, Arc<str>), Option<AdmittedDevice>>);

impl KnownDevices {
    /// Reads the devices among these grounds, with as few reads as may be.
    pub async fn read<'a>(registry: &Registry, grounds: impl Iterator<Item = &'a Ground>) -> Result<Self, StoreError> {
        let mut by_application: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
        for ground in grounds {
            if let Ground::Device(application, id) = ground {
                by_application.entry(Arc::clone(application)).or_default().insert(Arc::clone(id));
            }
        }
        let mut known = HashMap::new();
        for (application, ids) in by_application {
            let ids: Vec<Arc<str>> = ids.into_iter().collect();
            for ids in ids.chunks(LIST_TEXTS_MAX) {
                known.extend(ids.iter().map(|id| ((Arc::clone(&application), Arc::clone(id)), None)));
                for admitted in registry.devices_admitted(&application, ids).await? {
                    let id = Arc::from(admitted.device.id.as_str());
                    known.insert((Arc::clone(&application), id), Some(admitted));
                }
            }
        }
        Ok(Self(known))
    }

    /// What was read of a device, if it was asked for.
    fn get(&self, application: &str, id: &str) -> Option<Option<AdmittedDevice>> {
        self.0.get(&(application.into(), id.into())).cloned()
    }
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
    /// What it rests on: whoever keeps something open lets go when one of these falls.
    pub grounds: Vec<Ground>,
    /// What tells the identity's own keys from others, where somebody else signed: a gateway checks its children's tokens
    /// itself, and has to hear of their new keys.
    pub unused_keys: Option<KeysMark>,
}

/// Tells keys from others, without being them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeysMark([u8; 8]);

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
    grounds: Vec<Ground>,
}

impl Authenticator {
    /// Against a registry.
    pub fn new(registry: Registry) -> Self {
        Self { registry, known: None }
    }

    /// The same, which asks no more about these devices.
    pub fn knowing(&self, known: &Arc<KnownDevices>) -> Self {
        Self { registry: self.registry.clone(), known: Some(Arc::clone(known)) }
    }

    async fn device(&self, application: &str, id: &str) -> Result<Option<AdmittedDevice>, StoreError> {
        match self.known.as_ref().and_then(|known| known.get(application, id)) {
            Some(known) => Ok(known),
            None => self.registry.device_admitted(application, id).await,
        }
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
        let Found { facts, device, module, grounds } = self.look_up(application, identity, &case).await?;
        let admitted = case.decide(&facts)?;
        let device = device.ok_or_else(|| Denied::Unknown(identity.clone()))?;
        let (generation, subscriptions) = match module {
            Some(module) => (module.generation_id, module.subscriptions),
            None => (device.generation_id.clone(), device.subscriptions),
        };
        let subscriptions = Subscriptions::from_bits(subscriptions);
        let Admitted { signed_by, session_ends_at_secs } = admitted;
        let unused_keys = match signed_by {
            SignedBy::Identity | SignedBy::Device => None,
            SignedBy::Gateway | SignedBy::Policy => Some(mark_of_keys(&facts, identity)),
        };
        Ok(Principal { device, generation, signed_by, session_ends_at_secs, subscriptions, grounds, unused_keys })
    }

    /// Looks up what the case needs. Shared access policies are not in the registry: none is found.
    async fn look_up(&self, application: &str, identity: &Identity, case: &Case<'_>) -> Result<Found, StoreError> {
        let needs = case.needs();
        let mut found = Found::default();
        for id in needs.devices {
            found.grounds.push(Ground::device(application, id));
            if let Some(admitted) = self.device(application, id).await? {
                let group = admitted.device.enrollment_group.as_deref();
                found.grounds.extend(group.map(|group| Ground::group(application, group)));
                found.facts.devices.insert(id.to_owned(), device_facts(&admitted));
                found.device = Some(admitted.device).filter(|_| id == identity.device_id()).or(found.device);
            }
        }
        for id in needs.modules {
            let module = id.module_id().unwrap_or_default();
            if let Some(row) = self.registry.module_get(application, id.device_id(), module).await? {
                let is_claimed = id == *identity;
                let device = found.facts.devices.get(id.device_id());
                let authentication = module_authentication(&row, device);
                found.facts.modules.insert(id, authentication);
                found.module = Some(row).filter(|_| is_claimed).or(found.module);
            }
        }
        Ok(found)
    }
}

fn device_facts(admitted: &AdmittedDevice) -> DeviceFacts {
    let authentication = device_authentication(admitted);
    let row = &admitted.device;
    DeviceFacts { enabled: may_connect(admitted), is_edge: row.is_edge, parent: row.gateway.clone(), authentication }
}

/// How a device proves itself at the hub: with certificates of its own, or as the devices of its group do, or with keys.
pub(crate) fn device_authentication(admitted: &AdmittedDevice) -> Authentication {
    if let Some(own) = &admitted.certificates {
        return Authentication::Thumbprints(certificates::thumbprints(own));
    }
    if let Some(AdmittingGroup { proof: GroupProof::Certificates(signing), .. }) = &admitted.group {
        return Authentication::Authorities(certificates::authorities(signing));
    }
    let keys: Vec<String> = device_keys(admitted).into_iter().flatten().collect();
    if keys.is_empty() { Authentication::None } else { Authentication::Sas(keys) }
}

/// Whether a device may connect: it is enabled, and so is the group its keys are of.
pub(crate) fn may_connect(admitted: &AdmittedDevice) -> bool {
    let is_of_group = admitted.device.enrollment_group.is_some();
    admitted.device.enabled && (!is_of_group || admitted.group.as_ref().is_some_and(|group| group.enabled))
}

/// The keys of a device at the hub, primary first. Those of a group that got other keys meanwhile are derived from these, as the
/// device will have them: it may stand behind a gateway and never register again.
fn device_keys(admitted: &AdmittedDevice) -> [Option<String>; 2] {
    let AdmittedDevice { device, group, .. } = admitted;
    let stored = [device.primary_key.clone(), device.secondary_key.clone()];
    match (&device.enrollment_group, group.as_ref().map(|group| &group.proof)) {
        (None, _) => stored,
        (Some(_), None | Some(GroupProof::Certificates(_))) => [None, None],
        (Some(_), Some(GroupProof::Keys(keys))) => {
            let [primary, secondary] = stored;
            let derived = |key: &str| sas::derive_device_key(key, &device.id).ok();
            [primary.or_else(|| derived(&keys.primary)), secondary.or_else(|| derived(&keys.secondary))]
        }
    }
}

fn mark_of_keys(facts: &Facts, identity: &Identity) -> KeysMark {
    let authentication = match identity.module_id() {
        Some(_) => facts.modules.get(identity),
        None => facts.devices.get(identity.device_id()).map(|device| &device.authentication),
    };
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update(text);
        digest.update([0]);
    };
    match authentication {
        Some(Authentication::Sas(keys)) => keys.iter().for_each(|key| add(key)),
        Some(Authentication::Thumbprints(known)) => known.iter().for_each(|known| add(&known.to_string())),
        Some(Authentication::Authorities(known)) => known.iter().for_each(|known| add(&known.sha256().to_string())),
        Some(Authentication::None | Authentication::Held { .. }) | None => {}
    }
    let digest = digest.finalize();
    KeysMark(digest[..8].try_into().expect("the digest is longer"))
}

/// How a module proves itself; one with a certificate of an authority's has those of its device.
fn module_authentication(row: &ModuleRow, device: Option<&DeviceFacts>) -> Authentication {
    match &row.authentication {
        ModuleAuthentication::None => Authentication::None,
        ModuleAuthentication::Sas(keys) => Authentication::Sas(vec![keys.primary.clone(), keys.secondary.clone()]),
        ModuleAuthentication::SelfSigned { primary, secondary } => {
            let both = [primary, secondary].into_iter().flatten();
            Authentication::Thumbprints(both.filter_map(|text| Thumbprint::parse(text)).collect())
        }
        ModuleAuthentication::CertificateAuthority => Authentication::Authorities(match device {
            Some(DeviceFacts { authentication: Authentication::Authorities(authorities), .. }) => authorities.clone(),
            _ => Vec::new(),
        }),
    }
}
