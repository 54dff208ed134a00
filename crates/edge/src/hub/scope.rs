//! The scope: identities of downstream devices and their modules, with the keys to check their tokens, or what their
//! certificates are checked against, kept on disk so that they are let in while there is no network. The file is private to its owner.
//!
//! The whole scope is fetched when the upstream link comes up and every hour; a single identity when somebody unknown
//! knocks or a signature does not fit, at most every ten seconds each. Of a scope larger than is fetched whole, the rest is
//! known by this second way only. Who is not in scope is remembered for a while, and few unknown names are asked for at a time:
//! whoever knocks under many names costs the hub above no call each.
//!
//! A change above is told by nobody, but it ends the link of the identity it concerns, or refuses it: then it is *in doubt* and
//! looked up at once, many together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use model::identity::Identity;
use protocol::auth::certificate::Authority;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::authorities::Authorities;
use crate::identity::Device;
use crate::identity::hub_api::{HubApi, HubApiError};
use crate::limits::{
    SCOPE_ABSENT_KEPT_MAX, SCOPE_ABSENT_TIME, SCOPE_IDENTITIES_ASKED_MAX, SCOPE_IDENTITY_REFRESH_MIN, SCOPE_PAGE_SIZE,
    SCOPE_PAGES_MAX, SCOPE_STRANGERS_ASKED_MAX,
};
use crate::state::{self, State, StateError, StateKind};

mod authorities;

/// An identity in scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ScopedIdentity {
    /// Base64 keys, primary first; empty where the identity proves itself otherwise.
    pub(super) keys: Vec<String>,
    /// Thumbprints of its certificates, hex digits; empty where it has none of its own. Absent in what earlier versions wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) thumbprints: Vec<String>,
    /// SHA-256 of the authorities whose certificates it proves itself with; empty where it does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) authorities: Vec<String>,
    /// Whether it may connect.
    pub(super) enabled: bool,
}

/// What is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    /// By client id.
    identities: BTreeMap<String, ScopedIdentity>,
    authorities: Authorities,
}

/// What is on disk.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    /// By client id.
    identities: BTreeMap<String, ScopedIdentity>,
    /// Certificates of the authorities they name: base64 of DER.
    authorities: Vec<String>,
}

impl State for Kept {
    const KIND: &'static StateKind = &state::SCOPE;

    /// Up to version 2 there were identities alone.
    fn from_version(version: u32, json: &str) -> Result<Self, serde_json::Error> {
        match version {
            ..3 => Ok(Self { identities: serde_json::from_str(json)?, authorities: Vec::new() }),
            _ => serde_json::from_str(json),
        }
    }
}

/// An answer of a scope query.
pub type ScopeAnswer<'a> = Pin<Box<dyn Future<Output = Result<Value, HubApiError>> + Send + 'a>>;

/// Where the scope comes from.
pub trait ScopeSource: Send + Sync {
    /// One page of all identities.
    fn page<'a>(&'a self, body: &'a Value) -> ScopeAnswer<'a>;
    /// One identity.
    fn one<'a>(&'a self, body: &'a Value) -> ScopeAnswer<'a>;
}

/// The hub above, asked as `$edgeHub`.
pub struct UpstreamScope {
    /// The calls.
    pub api: HubApi,
}

impl ScopeSource for UpstreamScope {
    fn page<'a>(&'a self, body: &'a Value) -> ScopeAnswer<'a> {
        Box::pin(self.api.scope_page(body))
    }

    fn one<'a>(&'a self, body: &'a Value) -> ScopeAnswer<'a> {
        Box::pin(self.api.scope_identity(body))
    }
}

/// What asking for one identity brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refreshed {
    /// The hub answered, now or a moment ago: the cache is right about it.
    Known,
    /// It is asked just now, or could not be a moment ago, or others are asked for.
    TooSoon,
    /// The hub was not reached.
    Unreachable,
}

/// The scope as last seen.
pub(super) struct Scope {
    path: PathBuf,
    source: Arc<dyn ScopeSource>,
    /// The chain of this device speaking for itself: its own id.
    auth_chain: String,
    known: Mutex<Known>,
    asked: Mutex<HashMap<Identity, Asked>>,
    /// Who the hub said is not there, and when.
    absent: Mutex<HashMap<Identity, Instant>>,
    in_doubt: Mutex<BTreeSet<Identity>>,
    doubted: Notify,
}

/// When an identity was last asked for because somebody knocked.
struct Asked {
    at: Instant,
    /// Whether it was not in scope then.
    stranger: bool,
    /// The hub gave an answer.
    answered: bool,
}

impl Scope {
    pub(super) fn open(path: PathBuf, source: Arc<dyn ScopeSource>, device: &Device) -> Result<Self, StateError> {
        let Kept { identities, authorities } = state::open(&path)?.unwrap_or_default();
        let authorities = Authorities::of_texts(authorities.iter().map(String::as_str));
        let auth_chain = device.device_id.clone();
        let known = Mutex::new(Known { identities, authorities });
        let (asked, absent, in_doubt) = <(Mutex<_>, Mutex<_>, Mutex<_>)>::default();
        Ok(Self { path, source, auth_chain, known, asked, absent, in_doubt, doubted: Notify::new() })
    }

    /// An identity as last seen.
    pub(super) fn get(&self, identity: &Identity) -> Option<ScopedIdentity> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).identities.get(&identity.to_string()).cloned()
    }

    /// Tells what is known of an identity, and of its device, from what is known at another time.
    pub(super) fn mark(&self, identity: &Identity) -> u64 {
        let known =
            [Some(self.get(identity)), identity.module_id().map(|_| self.get(&Identity::device(identity.device_id())))];
        let mut hasher = DefaultHasher::new();
        serde_json::to_vec(&known).expect("what is kept of an identity serializes").hash(&mut hasher);
        hasher.finish()
    }

    /// The authorities an identity names.
    pub(super) fn authorities(&self, names: &[String]) -> Vec<Arc<Authority>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).authorities.named(names)
    }

    /// Fetches everything anew. What is no longer in scope is forgotten. Returns who left, or is known otherwise now: whoever
    /// came in as it was before has to come again. When the scope is larger than is fetched, nobody can be said to have left it.
    pub(super) async fn refresh(&self) -> Result<Vec<Identity>, HubApiError> {
        let (mut fresh, mut authorities) = (BTreeMap::new(), Authorities::default());
        let mut link = Value::Null;
        let mut complete = false;
        for _ in 0..SCOPE_PAGES_MAX {
            let mut body = json!({ "pageSize": SCOPE_PAGE_SIZE, "authChain": self.auth_chain });
            if !link.is_null() {
                body["continuationLink"] = link;
            }
            let page = self.source.page(&body).await?;
            fresh.extend(read_identities(&page)?);
            authorities.extend(Authorities::of_answer(&page));
            link = page.get("continuationLink").cloned().unwrap_or(Value::Null);
            if link.is_null() || link == "" {
                complete = true;
                break;
            }
        }
        let changed = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let differs = |(id, was): &(&String, &ScopedIdentity)| fresh.get(*id).map_or(complete, |now| now != *was);
            known.identities.iter().filter(differs).map(|(id, _)| Identity::from_client_id(id)).collect()
        };
        self.absent.lock().unwrap_or_else(PoisonError::into_inner).clear();
        tracing::debug!(identities = fresh.len(), "scope fetched");
        if complete {
            self.replace(authorities, |known| *known = fresh);
        } else {
            tracing::warn!(
                identities = fresh.len(),
                "the scope is larger than is fetched at once: the rest is asked for one by one as it connects"
            );
            self.replace(authorities, |known| known.extend(fresh));
        }
        Ok(changed)
    }

    /// Asks for an identity somebody knocks as; of a module, its device too. Not each time: the hub above answers the same for a
    /// while, and has more to do.
    pub(super) async fn refresh_one(&self, identity: &Identity) -> Refreshed {
        if self.is_absent(identity) {
            return Refreshed::Known;
        }
        {
            let stranger = self.get(identity).is_none();
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.retain(|_, asked| asked.at.elapsed() < SCOPE_IDENTITY_REFRESH_MIN);
            let strangers = asked.values().filter(|asked| asked.stranger).count();
            // Strangers have a share of their own: they keep nobody out whose key was changed.
            let (asking, most) = match stranger {
                true => (strangers, SCOPE_STRANGERS_ASKED_MAX),
                false => (asked.len() - strangers, SCOPE_IDENTITIES_ASKED_MAX),
            };
            match asked.get(identity) {
                Some(Asked { answered: true, .. }) => return Refreshed::Known,
                Some(_) => return Refreshed::TooSoon,
                None if asking >= most => return Refreshed::TooSoon,
                None => {}
            }
            asked.insert(identity.clone(), Asked { at: Instant::now(), stranger, answered: false });
        }
        let refreshed = self.look_up(identity).await;
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = asked.get_mut(identity) {
            asked.answered = refreshed == Refreshed::Known;
        }
        refreshed
    }

    /// Whether the hub said a while ago that there is no such identity.
    fn is_absent(&self, identity: &Identity) -> bool {
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent.retain(|_, at| at.elapsed() < SCOPE_ABSENT_TIME);
        absent.contains_key(identity)
    }

    /// The hub above ended or refused the link of an identity: what is known of it may be old.
    pub(super) fn doubt(&self, identity: &Identity) {
        self.in_doubt.lock().unwrap_or_else(PoisonError::into_inner).insert(identity.clone());
        self.doubted.notify_one();
    }

    /// Waits until somebody is in doubt; takes all who are.
    pub(super) async fn doubted(&self) -> BTreeSet<Identity> {
        loop {
            self.doubted.notified().await;
            let in_doubt = std::mem::take(&mut *self.in_doubt.lock().unwrap_or_else(PoisonError::into_inner));
            if !in_doubt.is_empty() {
                return in_doubt;
            }
        }
    }

    /// Asks for one identity, now; of a module, its device too.
    pub(super) async fn look_up(&self, identity: &Identity) -> Refreshed {
        let mut body = json!({ "targetDeviceId": identity.device_id(), "authChain": self.auth_chain });
        if let Some(module) = identity.module_id() {
            body["targetModuleId"] = module.into();
        }
        let found = self.source.one(&body).await;
        match found.and_then(|answer| Ok((read_identities(&answer)?, Authorities::of_answer(&answer)))) {
            // Said neither to be there nor not to be: this is no answer.
            Ok((found, _)) if identity.module_id().is_none() && !found.contains_key(identity.device_id()) => {
                Refreshed::Unreachable
            }
            Ok((found, authorities)) => {
                self.replace(authorities, |known| {
                    known.remove(&identity.to_string());
                    known.extend(found);
                });
                Refreshed::Known
            }
            // Another refusal is of us, or of now: it says nothing of the identity, whose messages would be dropped.
            Err(HubApiError::Refused { status: 404, .. }) => {
                self.replace(Authorities::default(), |known| drop(known.remove(&identity.to_string())));
                let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
                if absent.len() >= SCOPE_ABSENT_KEPT_MAX {
                    absent.clear();
                }
                absent.insert(identity.clone(), Instant::now());
                Refreshed::Known
            }
            Err(error) => {
                tracing::debug!(%identity, error = &error as &dyn std::error::Error, "identity not fetched");
                Refreshed::Unreachable
            }
        }
    }

    fn replace(&self, newer: Authorities, change: impl FnOnce(&mut BTreeMap<String, ScopedIdentity>)) {
        let changed = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let before = known.clone();
            let Known { identities, authorities } = &mut *known;
            change(identities);
            authorities.renew(newer, identities);
            if *known == before {
                return;
            }
            Kept { identities: known.identities.clone(), authorities: known.authorities.texts() }
        };
        if let Err(error) = state::write(&self.path, &changed) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot keep the scope for starts without network"
            );
        }
    }
}

/// Devices and modules of an answer, by client id. An answer of another shape is none: read as an empty scope, it would end all
/// sessions.
fn read_identities(answer: &Value) -> Result<BTreeMap<String, ScopedIdentity>, HubApiError> {
    let list = |name: &str| match answer.get(name) {
        Some(Value::Array(list)) => Ok(list.clone()),
        Some(Value::Null) => Ok(Vec::new()),
        _ => Err(HubApiError::Answer { act: "reading the scope" }),
    };
    let mut identities = BTreeMap::new();
    for device in list("devices")? {
        if let Some(id) = device.get("deviceId").and_then(Value::as_str) {
            let enabled = device.get("status").and_then(Value::as_str) != Some("disabled");
            identities.insert(id.to_owned(), scoped(&device, enabled));
        }
    }
    for module in list("modules")? {
        let id = |name: &str| module.get(name).and_then(Value::as_str).map(str::to_owned);
        if let (Some(device), Some(id)) = (id("deviceId"), id("moduleId")) {
            let device_found = identities.get(&device);
            let mut found = scoped(&module, device_found.is_none_or(|device| device.enabled));
            if kind_of(&module) == AuthenticationKind::Authority {
                // It is one of its device's authorities that signs for it.
                found.authorities = device_found.map(|device| device.authorities.clone()).unwrap_or_default();
            }
            identities.insert(format!("{device}/{id}"), found);
        }
    }
    Ok(identities)
}

/// What an identity is said to prove itself with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AuthenticationKind {
    Keys,
    Thumbprints,
    Authority,
}

fn kind_of(identity: &Value) -> AuthenticationKind {
    let kind = identity.pointer("/authentication/type").and_then(Value::as_str).unwrap_or_default();
    if kind.eq_ignore_ascii_case("selfSigned") {
        AuthenticationKind::Thumbprints
    } else if kind.eq_ignore_ascii_case("certificateAuthority") {
        AuthenticationKind::Authority
    } else {
        AuthenticationKind::Keys
    }
}

/// An identity with what it proves itself with: the kind that is named, and no other that may be there.
fn scoped(identity: &Value, enabled: bool) -> ScopedIdentity {
    let texts = |place: &str, names: [&str; 2]| {
        let both = identity.pointer(place);
        let text = |name: &str| both?.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        names.into_iter().filter_map(text).collect()
    };
    let mut found = ScopedIdentity { enabled, ..ScopedIdentity::default() };
    match kind_of(identity) {
        AuthenticationKind::Keys => {
            found.keys = texts("/authentication/symmetricKey", ["primaryKey", "secondaryKey"]);
        }
        AuthenticationKind::Thumbprints => {
            found.thumbprints = texts("/authentication/x509Thumbprint", ["primaryThumbprint", "secondaryThumbprint"]);
        }
        AuthenticationKind::Authority => {
            let named = identity.pointer("/authentication").and_then(|own| own.get(authorities::FIELD)?.as_array());
            let named = named.into_iter().flatten().filter_map(Value::as_str);
            found.authorities = named.map(str::to_owned).collect();
        }
    }
    found
}

#[cfg(test)]
mod tests;
