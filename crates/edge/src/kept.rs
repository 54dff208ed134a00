//! Files the daemon keeps for starts without network, and can do without: identities, the scope, sessions, restart counts.
//!
//! A damaged one must not end the daemon: a service manager would start it again, to the same end. So the damage is said, the
//! file is set aside as `<name>.damaged` for whoever wants to look into it, and the daemon goes on as if it had none.
//! Keys are not of this kind: without them this device is another one.

use std::path::Path;

use serde::de::DeserializeOwned;
use storage::state_file;

use crate::identity::IdentityFileError;
use crate::limits::STATE_BYTES_MAX;

/// What the file holds; `None` when there is no such file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, IdentityFileError> {
    let Some(bytes) = state_file::read(path, STATE_BYTES_MAX)? else { return Ok(None) };
    let damaged =
        |error: serde_json::Error| IdentityFileError::Damaged { path: path.to_owned(), what: error.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// [`read`], but a damaged file is set aside and counts as not there.
pub fn read_or_set_aside<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, IdentityFileError> {
    without_damage(read(path))
}

/// The outcome of a [`read`], with a damaged file set aside.
pub fn without_damage<T>(outcome: Result<Option<T>, IdentityFileError>) -> Result<Option<T>, IdentityFileError> {
    let Err(IdentityFileError::Damaged { path, what }) = outcome else { return outcome };
    let mut aside = path.clone().into_os_string();
    aside.push(".damaged");
    match std::fs::rename(&path, &aside) {
        Ok(()) => tracing::error!("{} is damaged ({what}): going on without it, kept as {aside:?}", path.display()),
        Err(error) => tracing::error!(%error, "{} is damaged ({what}): going on without it", path.display()),
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn damage_is_set_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counts.json");
        assert_eq!(read_or_set_aside::<Vec<u8>>(&path).unwrap(), None);
        std::fs::write(&path, "[1,2]").unwrap();
        assert_eq!(read_or_set_aside(&path).unwrap(), Some(vec![1_u8, 2]));
        for damage in ["[1,", "\0\0\0", "", "{}"] {
            std::fs::write(&path, damage).unwrap();
            assert!(matches!(read::<Vec<u8>>(&path), Err(IdentityFileError::Damaged { .. })), "{damage:?}");
            assert_eq!(read_or_set_aside::<Vec<u8>>(&path).unwrap(), None);
            assert!(!path.exists());
            assert_eq!(std::fs::read_to_string(dir.path().join("counts.json.damaged")).unwrap(), damage);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read_or_set_aside::<Vec<u8>>(dir.path()), Err(IdentityFileError::Read(_))));
    }
}
