//! Which application a host name leads to, decided for each request and connection.
//!
//! The first application is served on the bare host name; others live on `NAME.HOST`. On the machine itself the loopback names,
//! and a literal address anywhere, mean the first one. Everything else is no application's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use registry::{ApplicationRow, Registry, StoreError};

use crate::limits::APPLICATIONS_REMEMBERED_MAX;

#[cfg(test)]
mod tests;

/// The applications of this installation. Cheap to clone.
#[derive(Clone)]
pub struct Applications {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    hostname: String,
    first: Arc<ApplicationRow>,
    /// By name. An application's name and id never change, so what is known stays true.
    known: Mutex<HashMap<String, Arc<ApplicationRow>>>,
}

impl Applications {
    /// The applications of a registry, the first of which is served on `hostname`.
    pub fn new(registry: Registry, hostname: &str, first: ApplicationRow) -> Self {
        let (hostname, first) = (hostname.to_ascii_lowercase(), Arc::new(first));
        Self { inner: Arc::new(Inner { registry, hostname, first, known: Mutex::default() }) }
    }

    /// The host name of the first application.
    pub fn hostname(&self) -> &str {
        &self.inner.hostname
    }

    /// The first application.
    pub fn first(&self) -> &Arc<ApplicationRow> {
        &self.inner.first
    }

    /// The application of a host name without port; `None` when there is none.
    pub async fn by_host(&self, host: &str) -> Result<Option<Arc<ApplicationRow>>, StoreError> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if self.is_first(&host) {
            return Ok(Some(Arc::clone(&self.inner.first)));
        }
        let above = |above: &str| host.strip_suffix(above).and_then(|name| name.strip_suffix('.'));
        let Some(name) = above(&self.inner.hostname).or_else(|| above("localhost")) else { return Ok(None) };
        if !is_application_name(name) {
            return Ok(None);
        }
        if let Some(known) = self.known().get(name) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(row) = self.inner.registry.application_by_name(name).await? else { return Ok(None) };
        // Its address is the bare host name, and only that.
        if row.id == self.inner.first.id {
            return Ok(None);
        }
        let row = Arc::new(row);
        let mut known = self.known();
        if known.len() >= APPLICATIONS_REMEMBERED_MAX {
            known.clear();
        }
        known.insert(name.to_owned(), Arc::clone(&row));
        Ok(Some(row))
    }

    /// The host name an application's devices and people are told.
    pub fn host_of(&self, application: &ApplicationRow) -> String {
        if application.id == self.inner.first.id {
            return self.inner.hostname.clone();
        }
        format!("{}.{}", application.name, self.inner.hostname)
    }

    fn is_first(&self, host: &str) -> bool {
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        host == self.inner.hostname || host == "localhost" || literal.parse::<IpAddr>().is_ok()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<ApplicationRow>>> {
        // Only whole entries are put in and taken out: a panic elsewhere leaves nothing half done.
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a text may name an application: one label of a host name, lower case.
pub fn is_application_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
