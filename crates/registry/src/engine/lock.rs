//! What a write excludes: other writes to the same devices, or to the same table of an application.

use sha2::{Digest, Sha256};

/// Devices whose rows, in whatever table, a transaction reads and then writes. No two transactions hold the same device.
///
/// On SQLite every write excludes every other, and this holds by itself. On PostgreSQL each device is an advisory lock that
/// ends with the transaction. Locks are taken together, first, in one order, so that no two transactions wait for each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Locks(Vec<i64>);

impl Locks {
    /// For a write that one statement makes, or whose statements do not depend on each other.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// One device of an application.
    pub(crate) fn device(application: &str, device: &str) -> Self {
        Self(vec![key(application, device)])
    }

    /// The rows of one table of an application, where they are counted and then added to.
    pub(crate) fn table(application: &str, table: &str) -> Self {
        // No device id holds a slash at its beginning.
        Self(vec![key(application, &format!("/{table}"))])
    }

    /// Several, in any order, some of them perhaps named twice.
    pub(crate) fn devices<'a>(devices: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut keys: Vec<i64> = devices.into_iter().map(|(application, device)| key(application, device)).collect();
        keys.sort_unstable();
        keys.dedup();
        Self(keys)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn keys(&self) -> &[i64] {
        &self.0
    }
}

/// Number of a device's lock. Should two devices ever share one, they wait for each other and nothing worse.
fn key(application: &str, device: &str) -> i64 {
    let digest = Sha256::new().chain_update(application).chain_update([0]).chain_update(device).finalize();
    i64::from_be_bytes(digest[..8].try_into().expect("the digest is longer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_have_one_order_and_keep_applications_apart() {
        let one = Locks::devices([("a", "x"), ("a", "y"), ("b", "x"), ("a", "x")]);
        assert_eq!(one, Locks::devices([("b", "x"), ("a", "y"), ("a", "x")]));
        assert_eq!(one.keys().len(), 3);
        assert_ne!(Locks::device("a", "bc"), Locks::device("ab", "c"));
    }
}
