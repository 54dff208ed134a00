//! Which enrollment group a token belongs to: it does not say, so every group is tried. That is made cheap, and there are so many
//! searches at a time and no more: whoever sends tokens that belong to none keeps nobody else busy.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::auth::certificate::{Authority, ClientCertificate};
use protocol::auth::sas::{GroupKey, SasToken};
use registry::{EnrollmentGroupRow, Registry, StoreError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::certificates;
use crate::limits::{GROUP_SEARCHES_MAX, GROUPS_AT_ONCE_MAX, GROUPS_KEPT_FOR, GROUPS_KEPT_MAX};

/// The groups of all applications, as last read.
pub(super) struct Groups {
    registry: Registry,
    kept: Mutex<HashMap<String, Arc<Kept>>>,
    turns: Semaphore,
}

/// The groups of one application.
struct Kept {
    version: u64,
    read: Instant,
    groups: Vec<Group>,
}

struct Group {
    row: EnrollmentGroupRow,
    keys: Vec<GroupKey>,
    authorities: Vec<Arc<Authority>>,
}

impl Group {
    /// One with a key that is none belongs to nobody, and the keys of one with certificates are nobody's.
    fn new(row: EnrollmentGroupRow) -> Self {
        if let Some(certificates) = &row.certificates {
            let authorities = certificates::authorities(certificates);
            return Self { row, keys: Vec::new(), authorities };
        }
        let keys = [&row.keys.primary, &row.keys.secondary].map(|key| GroupKey::new(key).ok());
        let keys = match keys {
            [Some(primary), Some(secondary)] => vec![primary, secondary],
            _ => Vec::new(),
        };
        Self { row, keys, authorities: Vec::new() }
    }

    fn named(&self, subject: &[u8]) -> impl Iterator<Item = &Authority> {
        self.authorities.iter().map(|authority| &**authority).filter(move |authority| authority.subject() == subject)
    }

    fn signed(&self, token: &SasToken, registration_id: &str) -> bool {
        self.keys.iter().any(|key| key.signed(token, registration_id))
    }
}

impl Groups {
    pub(super) fn new(registry: Registry) -> Self {
        Self { registry, kept: Mutex::default(), turns: Semaphore::new(GROUP_SEARCHES_MAX) }
    }

    /// The group with a key that signed the token, and the registration id it was derived for: as written, or lower-cased, as
    /// some tools ask for.
    pub(super) async fn find(
        &self,
        app: &str,
        registration_id: &str,
        token: &SasToken,
    ) -> Result<Option<(EnrollmentGroupRow, String)>, StoreError> {
        let _turn = self.turns.acquire().await;
        let kept = self.groups(app).await?;
        let lower_case = registration_id.to_ascii_lowercase();
        let second = Some(lower_case.as_str()).filter(|lower_case| *lower_case != registration_id);
        for text in [Some(registration_id), second].into_iter().flatten() {
            for some in kept.groups.chunks(GROUPS_AT_ONCE_MAX) {
                if let Some(found) = some.iter().find(|group| group.signed(token, text)) {
                    return Ok(Some((found.row.clone(), text.to_owned())));
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(None)
    }

    /// The group whose authorities a certificate leads to, and when that will be over. Of two with authorities that lead to one
    /// another, the one that signed the leaf is meant: the nearer one.
    pub(super) async fn find_signer(
        &self,
        app: &str,
        certificate: &ClientCertificate,
        now_secs: u64,
    ) -> Result<Option<(EnrollmentGroupRow, u64)>, StoreError> {
        let _turn = self.turns.acquire().await;
        let kept = self.groups(app).await?;
        // From the leaf's upwards: nearer ones are tried first.
        for issuer in certificate.issuers() {
            for some in kept.groups.chunks(GROUPS_AT_ONCE_MAX) {
                for group in some {
                    let named: Vec<&Authority> = group.named(&issuer).collect();
                    if !named.is_empty()
                        && let Ok(ends_at_secs) = certificate.leads_to(named, now_secs)
                    {
                        return Ok(Some((group.row.clone(), ends_at_secs)));
                    }
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(None)
    }

    async fn groups(&self, app: &str) -> Result<Arc<Kept>, StoreError> {
        let version = self.registry.resources_version();
        let is_fresh = |kept: &&Arc<Kept>| kept.version == version && kept.read.elapsed() < GROUPS_KEPT_FOR;
        if let Some(kept) = self.lock().get(app).filter(is_fresh) {
            return Ok(Arc::clone(kept));
        }
        let rows = self.registry.enrollment_groups_list(app).await?;
        let groups = rows.into_iter().map(Group::new).collect();
        let read = Arc::new(Kept { version, read: Instant::now(), groups });
        let mut all = self.lock();
        all.remove(app);
        if all.values().map(|kept| kept.groups.len()).sum::<usize>() + read.groups.len() > GROUPS_KEPT_MAX {
            all.clear();
        }
        all.insert(app.to_owned(), Arc::clone(&read));
        Ok(read)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Kept>>> {
        // Only whole entries are put in and taken out.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
