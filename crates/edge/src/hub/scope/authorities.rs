//! Certificates of the authorities whose devices are let in: each once, however many devices name it by its SHA-256.
//!
//! They come beside the identities: those that the enrollment group of a device verified, and no others. What else the edge trusts,
//! its trust bundle above all, lets nobody in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::auth::certificate::Authority;
use serde_json::Value;

use super::ScopedIdentity;
use crate::limits::SCOPE_AUTHORITIES_BYTES_MAX;

/// Where they stand in an answer, as base64 of DER; and in an identity's authentication, as SHA-256.
pub(super) const FIELD: &str = "certificateAuthorities";

/// By SHA-256.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Authorities(BTreeMap<String, Arc<Authority>>);

impl Authorities {
    /// Those of an answer. One that cannot be read lets nobody in, and keeps nobody else out.
    pub(super) fn of_answer(answer: &Value) -> Self {
        let texts = answer.get(FIELD).and_then(Value::as_array).into_iter().flatten();
        Self::of_texts(texts.filter_map(Value::as_str))
    }

    /// What [`texts`](Self::texts) gave.
    pub(super) fn of_texts<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        let read = texts.filter_map(|text| Authority::from_text(text).ok());
        Self(read.map(|authority| (authority.sha256().to_string(), Arc::new(authority))).collect())
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.0.values().map(|authority| authority.to_text()).collect()
    }

    /// Those an identity names, as far as they are here.
    pub(super) fn named(&self, names: &[String]) -> Vec<Arc<Authority>> {
        names.iter().filter_map(|name| self.0.get(name).cloned()).collect()
    }

    pub(super) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Takes newer ones in, and lets go of those that nobody names any more. Of more than are kept the newer ones stay: the devices
    /// of the rest are asked for when they connect.
    pub(super) fn renew(&mut self, newer: Self, identities: &BTreeMap<String, ScopedIdentity>) {
        let named: BTreeSet<&String> = identities.values().flat_map(|identity| &identity.authorities).collect();
        let mut bytes = 0;
        let mut kept = BTreeMap::new();
        let mut all_fit = true;
        for (name, authority) in newer.0.into_iter().chain(std::mem::take(&mut self.0)) {
            if !named.contains(&name) || kept.contains_key(&name) {
                continue;
            }
            bytes += authority.der().len();
            if bytes > SCOPE_AUTHORITIES_BYTES_MAX {
                all_fit = false;
                break;
            }
            kept.insert(name, authority);
        }
        if !all_fit {
            tracing::warn!(
                kept = kept.len(),
                "there are more certificate authorities in the scope than are kept: devices of the rest need the hub to connect"
            );
        }
        self.0 = kept;
    }
}
