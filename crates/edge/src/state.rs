//! The daemon's small state files: one envelope, one rule for damage, one for other versions.
//!
//! | File | Kind | Holds |
//! | --- | --- | --- |
//! | `identity/provisioned.json` | `edge.identity.provisioned` | what provisioning answered: hub, device id, key |
//! | `identity/modules.json` | `edge.identity.modules` | generation ids and keys of module identities |
//! | `lifecycle/deployment.json` | `edge.desired` | the last good desired section of `$edgeAgent` |
//! | `lifecycle/restarts.json` | `edge.lifecycle.restarts` | how often modules were started again |
//! | `lifecycle/users.json` | `edge.lifecycle.users` | the user ids of modules |
//! | `hub/config.json` | `edge.desired` | the last good desired section of `$edgeHub` |
//! | `hub/scope.json` | `edge.hub.scope` | downstream devices with the keys and certificates they are checked against |
//! | `hub/clock.json` | `edge.hub.clock` | the clock messages grow older by, and the one on the wall |
//! | `hub/losses.json` | `edge.hub.losses` | what was lost: dead letters, damaged parts of the queues |
//! | `hub/sessions.json` | `edge.hub.sessions` | what clients were subscribed to |
//! | `hub/twins/<client id>.json` | `edge.hub.twin` | a client's twin as last seen |
//! | `runtime/<module>.json` | `edge.runtime.process` | the process of a module that runs |
//!
//! Each is replaced as a whole ([`storage::state_file`]) in the envelope of [`storage::envelope`]; the body is documented where
//! it is written. Version 2 of every kind is the first with an envelope; version 1 is the same body without one, and is
//! written anew as soon as it was read. Version 3 of the scope has the identities beside their authorities. Only of processes it was no JSON, and had another name: `runtime/<module>.pid`.
//!
//! **Damage.** The daemon can do without each of these files: it provisions again, asks for identities again, waits for the
//! cloud to tell it. So a damaged one must not end the daemon, which a service manager would start again, to the same end.
//! The damage is said, the file is set aside as `<name>.damaged` for whoever wants to look into it, and the daemon goes on
//! as if it had none. Keys and certificates that cannot be had again (`master.key`, `ca.pem`, `ca.key`) are no files of this
//! kind: a damaged one is refused.
//!
//! **A later version** is left untouched, and the daemon refuses to start (exit code 78): it would throw away what it cannot
//! read. [`refuse_later_versions`] looks at all files before the first is opened, so that nothing was changed by then.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use storage::envelope::{self, Kind, OpenEnvelopeError};
use storage::log::{CheckpointError, Checkpoints, OpenLogError, refuse_later_version};
use storage::state_file::{self, Access, ReadFileError, ReplaceFileError};

use crate::limits::STATE_BYTES_MAX;

/// A kind of state file, with where its files are: below the data folder, a folder when it ends with `/`.
pub(crate) struct StateKind {
    kind: Kind,
    paths: &'static [&'static str],
}

const fn kind(name: &'static str, version: u32, paths: &'static [&'static str]) -> StateKind {
    StateKind { kind: Kind { name, version }, paths }
}

pub(crate) const PROVISIONED: StateKind = kind("edge.identity.provisioned", 2, &["identity/provisioned.json"]);
pub(crate) const MODULES: StateKind = kind("edge.identity.modules", 2, &["identity/modules.json"]);
pub(crate) const DESIRED: StateKind = kind("edge.desired", 2, &["lifecycle/deployment.json", "hub/config.json"]);
pub(crate) const RESTARTS: StateKind = kind("edge.lifecycle.restarts", 2, &["lifecycle/restarts.json"]);
pub(crate) const USERS: StateKind = kind("edge.lifecycle.users", 2, &["lifecycle/users.json"]);
pub(crate) const SCOPE: StateKind = kind("edge.hub.scope", 3, &["hub/scope.json"]);
pub(crate) const CLOCK: StateKind = kind("edge.hub.clock", 2, &["hub/clock.json"]);
pub(crate) const LOSSES: StateKind = kind("edge.hub.losses", 2, &["hub/losses.json"]);
pub(crate) const SESSIONS: StateKind = kind("edge.hub.sessions", 2, &["hub/sessions.json"]);
pub(crate) const TWIN: StateKind = kind("edge.hub.twin", 2, &["hub/twins/"]);
pub(crate) const PROCESS: StateKind = kind("edge.runtime.process", 2, &["runtime/"]);

/// Folder of the queues, below the data folder.
const QUEUES: &str = "hub/queues";

const ALL: &[&StateKind] =
    &[&PROVISIONED, &MODULES, &DESIRED, &RESTARTS, &USERS, &SCOPE, &CLOCK, &LOSSES, &SESSIONS, &TWIN, &PROCESS];

/// The body of a state file.
pub(crate) trait State: Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: &'static StateKind;

    /// Reads a body of an earlier version; most have the same shape.
    fn from_version(version: u32, json: &str) -> Result<Self, serde_json::Error> {
        let _ = version;
        serde_json::from_str(json)
    }
}

/// A state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadFileError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] ReplaceFileError),
    /// It is not what was written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A later version of the daemon wrote it.
    #[error(
        "{} was written by a later version of tidegate-edge (its version is {found}, this program reads up to {known}): \
         start that version again, or another data folder",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest that can be read.
        known: u32,
    },
}

/// What the file holds; `None` when there is no such file. Changes nothing.
pub(crate) fn read<T: State>(path: &Path) -> Result<Option<T>, StateError> {
    Ok(read_versioned(path)?.map(|(state, _)| state))
}

/// What the file holds, with a damaged one set aside and one of an earlier version written anew.
pub(crate) fn open<T: State>(path: &Path) -> Result<Option<T>, StateError> {
    match read_versioned::<T>(path) {
        Ok(Some((state, version))) => {
            if version < T::KIND.kind.version
                && let Err(error) = write(path, &state)
            {
                // It can still be read the next time.
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a state file of an earlier version was not written anew");
            }
            Ok(Some(state))
        }
        Ok(None) => Ok(None),
        Err(StateError::Damaged { path, what }) => {
            set_aside(&path, &what);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Replaces the file, durably. Only its owner can read it: most hold keys, passwords, or what devices report.
pub(crate) fn write<T: State>(path: &Path, state: &T) -> Result<(), StateError> {
    let bytes = envelope::seal(T::KIND.kind, state).expect("a state is plain data");
    Ok(state_file::replace(path, &bytes, Access::Private)?)
}

/// Refuses a data folder in which a later version of the daemon wrote. Changes nothing.
pub(crate) fn refuse_later_versions(data_dir: &Path) -> Result<(), StateError> {
    for StateKind { kind, paths, .. } in ALL {
        for path in paths.iter().flat_map(|path| files_at(&data_dir.join(path), path.ends_with('/'))) {
            let Some(contents) = state_file::read(&path, STATE_BYTES_MAX)? else { continue };
            if let Err(OpenEnvelopeError::Newer { found, known }) = envelope::open(*kind, &contents) {
                return Err(StateError::Newer { path, found, known });
            }
        }
    }
    refuse_later_queues(&data_dir.join(QUEUES))
}

/// The same for the log of the queues, those of earlier versions, and the positions in it. Whatever else is wrong with them is
/// said when they are opened.
fn refuse_later_queues(dir: &Path) -> Result<(), StateError> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    for path in entries {
        if path.is_dir() {
            if let Err(OpenLogError::UnknownVersion { segment, version, known }) = refuse_later_version(&path) {
                return Err(StateError::Newer { path: segment, found: version, known });
            }
        } else if let Err(CheckpointError::UnknownVersion { path, version, known }) = Checkpoints::open(&path) {
            return Err(StateError::Newer { path, found: version, known });
        }
    }
    Ok(())
}

fn files_at(path: &Path, is_folder: bool) -> Vec<PathBuf> {
    if !is_folder {
        return vec![path.to_owned()];
    }
    let Ok(entries) = std::fs::read_dir(path) else { return vec![] };
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

fn read_versioned<T: State>(path: &Path) -> Result<Option<(T, u32)>, StateError> {
    let Some(contents) = state_file::read(path, STATE_BYTES_MAX)? else { return Ok(None) };
    let damaged = |what: String| StateError::Damaged { path: path.to_owned(), what };
    let body = envelope::open(T::KIND.kind, &contents).map_err(|error| match error {
        OpenEnvelopeError::Newer { found, known } => StateError::Newer { path: path.to_owned(), found, known },
        OpenEnvelopeError::Damaged(what) => damaged(what),
    })?;
    let state = T::from_version(body.version, body.json).map_err(|error| damaged(error.to_string()))?;
    Ok(Some((state, body.version)))
}

fn set_aside(path: &Path, what: &str) {
    let mut aside = path.to_owned().into_os_string();
    aside.push(".damaged");
    match std::fs::rename(path, &aside) {
        Ok(()) => tracing::error!("{} is damaged ({what}): going on without it, kept as {aside:?}", path.display()),
        Err(error) => tracing::error!(%error, "{} is damaged ({what}): going on without it", path.display()),
    }
}

#[cfg(test)]
mod tests;
