//! Twins of clients as last seen, for reads and reported updates without network.
//!
//! ```text
//! body of twins/<client id, escaped>.json    {"desired": {…, "$version"}, "reported": {…, "$version"}, "unsent": bool, "complete": bool}
//! ```
//! `unsent` says that the reported section holds updates the hub above has not seen. A client is the only writer of its
//! reported section, so when the network is back the difference between the hub's copy and this one is what it missed.
//! `complete` is false when the twin was never read: then this copy only holds what was patched since, and is sent as it is.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use model::identity::Identity;
use model::twin::{Section, Twin, TwinError};
use protocol::hub::bag;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::limits::TWINS_MAX;
use crate::state::{self, State, StateError, StateKind};

/// One client's twin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub(super) struct CachedTwin {
    pub(super) twin: Twin,
    pub(super) unsent: bool,
    pub(super) complete: bool,
}

/// All of them. Each client's is used by one task at a time: the lock is held over requests to the hub above, so that
/// updates of one client keep their order.
pub(super) struct TwinCache {
    dir: PathBuf,
    twins: Mutex<HashMap<Identity, Arc<tokio::sync::Mutex<CachedTwin>>>>,
}

impl TryFrom<Value> for CachedTwin {
    type Error = &'static str;

    fn try_from(json: Value) -> Result<Self, Self::Error> {
        let flag = |name: &str| json.get(name).and_then(Value::as_bool).unwrap_or_default();
        let twin = Twin::from_device_json(&json).ok_or("it is no twin")?;
        Ok(Self { twin, unsent: flag("unsent"), complete: flag("complete") })
    }
}

impl From<CachedTwin> for Value {
    fn from(cached: CachedTwin) -> Self {
        let mut json = cached.twin.to_device_json();
        json["unsent"] = json!(cached.unsent);
        json["complete"] = json!(cached.complete);
        json
    }
}

impl State for CachedTwin {
    const KIND: &'static StateKind = &state::TWIN;
}

impl CachedTwin {
    /// Merges a client's update that the hub above has not seen.
    pub(super) fn patch_unsent(&mut self, patch: &Value) -> Result<u64, TwinError> {
        let version = self.twin.reported.patch(Section::Reported, patch, OffsetDateTime::now_utc())?;
        // Times are the service's to keep.
        self.twin.reported.metadata.clear();
        self.unsent = true;
        Ok(version)
    }

    /// The reported update the hub above misses, given its own copy.
    pub(super) fn missing_upstream(&self, upstream: &Twin) -> Option<Value> {
        let local = Value::Object(self.twin.reported.properties.clone());
        match (self.unsent, self.complete) {
            (false, _) => None,
            (true, false) => Some(local),
            (true, true) => Some(model::twin::diff(&Value::Object(upstream.reported.properties.clone()), &local)),
        }
    }
}

impl TwinCache {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, twins: Mutex::default() }
    }

    /// A client's twin, read from disk the first time.
    pub(super) fn get(&self, identity: &Identity) -> Arc<tokio::sync::Mutex<CachedTwin>> {
        let mut twins = self.twins.lock().unwrap_or_else(PoisonError::into_inner);
        if twins.len() >= TWINS_MAX && !twins.contains_key(identity) {
            // What is on disk comes back when it is asked for; what is in use stays.
            twins.retain(|_, twin| Arc::strong_count(twin) > 1);
        }
        let twin =
            twins.entry(identity.clone()).or_insert_with(|| Arc::new(tokio::sync::Mutex::new(self.read(identity))));
        Arc::clone(twin)
    }

    fn read(&self, identity: &Identity) -> CachedTwin {
        let read = state::open(&self.path_of(identity)).unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot read a cached twin");
            None
        });
        read.unwrap_or_default()
    }

    /// Makes a client's twin durable.
    pub(super) fn write(&self, identity: &Identity, twin: &CachedTwin) -> Result<(), StateError> {
        state::write(&self.path_of(identity), twin)
    }

    fn path_of(&self, identity: &Identity) -> PathBuf {
        self.dir.join(format!("{}.json", bag::encode(&identity.to_string())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn twin(reported: Value) -> Twin {
        Twin::from_device_json(&json!({ "desired": {}, "reported": reported })).unwrap()
    }

    #[tokio::test]
    async fn a_twin_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::module("edge", "$m");
        let cached = CachedTwin { twin: twin(json!({ "a": 1, "$version": 4 })), unsent: true, complete: true };
        TwinCache::new(dir.path().to_owned()).write(&identity, &cached).unwrap();
        let again = TwinCache::new(dir.path().to_owned());
        assert_eq!(*again.get(&identity).lock().await, cached);
        assert_eq!(*again.get(&Identity::device("other")).lock().await, CachedTwin::default());
    }

    #[tokio::test]
    async fn of_too_many_twins_those_nobody_uses_leave_memory_and_come_back_from_disk() {
        let dir = tempfile::tempdir().unwrap();
        let cache = TwinCache::new(dir.path().to_owned());
        let client = |number: usize| Identity::device(&format!("leaf{number}"));
        let in_use = cache.get(&client(0));
        let cached = CachedTwin { twin: twin(json!({ "a": 1 })), unsent: true, complete: true };
        *cache.get(&client(1)).lock().await = cached.clone();
        cache.write(&client(1), &cached).unwrap();
        let count = || cache.twins.lock().unwrap().len();
        for number in 2..TWINS_MAX {
            cache.get(&client(number));
        }
        let unused = Arc::downgrade(&cache.get(&client(1)));
        assert_eq!(count(), TWINS_MAX);
        cache.get(&client(2));
        assert!(unused.upgrade().is_some(), "so many stay");
        cache.get(&client(TWINS_MAX));
        assert_eq!(count(), 2, "the one in use and the new one");
        assert!(unused.upgrade().is_none());
        assert!(Arc::ptr_eq(&in_use, &cache.get(&client(0))));
        assert_eq!(*cache.get(&client(1)).lock().await, cached);
    }

    #[test]
    fn what_upstream_misses_is_the_difference_deletions_included() {
        let mut cached = CachedTwin { twin: twin(json!({ "a": 1, "b": 2 })), unsent: false, complete: true };
        assert_eq!(cached.missing_upstream(&twin(json!({}))), None);
        cached.patch_unsent(&json!({ "a": null, "c": 3 })).unwrap();
        assert_eq!(cached.missing_upstream(&twin(json!({ "a": 1, "b": 2 }))), Some(json!({ "a": null, "c": 3 })));
    }

    #[test]
    fn a_twin_that_was_never_read_deletes_nothing_upstream() {
        let mut cached = CachedTwin::default();
        cached.patch_unsent(&json!({ "c": 3 })).unwrap();
        assert_eq!(cached.missing_upstream(&twin(json!({ "a": 1 }))), Some(json!({ "c": 3 })));
    }

    #[test]
    fn a_patch_that_breaks_a_rule_changes_nothing() {
        let mut cached = CachedTwin::default();
        assert!(cached.patch_unsent(&json!({ "a.b": 1 })).is_err());
        assert_eq!(cached, CachedTwin::default());
    }
}
