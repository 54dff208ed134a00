//! Modules apart from each other and from the device: each that runs as a process has a user of its own.
//!
//! ```text
//! <data>/modules/<name>/        the daemon's: a module cannot put something else in place of what is in it
//! <data>/modules/<name>/home/   0700, the module's: where it starts, HOME
//! <data>/modules/<name>/tmp/    0700, the module's: TMPDIR, emptied when it starts
//! lifecycle/users.json         which user id belongs to which module
//! ```
//! A user id is taken from the configured range, and stays a module's as long as there are others left. Its processes have no other
//! group, none of the capabilities of this daemon, cannot get more privileges than they start with, and begin with limits of files and
//! processes, which they cannot raise where the daemon may fix them. Nobody but root can be another user: where the daemon is not, modules run as it does, which is said.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use model::module_name::ModuleName;
use rustix::process::{Pid, Resource, Rlimit, geteuid, getrlimit, prlimit, setrlimit};
use tokio::process::Command;

use crate::limits::{MODULE_FILES_MAX, MODULE_PROCESSES_MAX};
use crate::state::{self, State, StateError, StateKind};

/// What is on disk: user ids by module.
impl State for BTreeMap<String, u32> {
    const KIND: &'static StateKind = &state::USERS;
}

/// Users of modules.
pub struct ModuleUsers {
    path: PathBuf,
    homes_dir: PathBuf,
    range: Range<u32>,
    known: Mutex<BTreeMap<String, u32>>,
}

/// Why modules are not apart from each other, where they are not.
pub fn why_not_isolated(range: Option<&Range<u32>>) -> Option<&'static str> {
    match range {
        None => Some("[tidegate] module_user_ids is not set"),
        Some(_) if !geteuid().is_root() => Some("the daemon is not root"),
        Some(_) => None,
    }
}

impl ModuleUsers {
    /// The users of an earlier start, as far as they are in the range. From here on neither this process nor any it starts can get
    /// more privileges than it has.
    pub fn open(range: Range<u32>, path: PathBuf, homes_dir: PathBuf) -> Result<Self, StateError> {
        let mut known: BTreeMap<String, u32> = state::open(&path)?.unwrap_or_default();
        known.retain(|_, user| range.contains(user));
        if let Err(error) = rustix::thread::set_no_new_privs(true) {
            tracing::warn!(%error, "modules may get privileges from programs that give them");
        }
        Ok(Self { path, homes_dir, range, known: Mutex::new(known) })
    }

    /// A module's user. Noted before it is used.
    pub fn user_of(&self, module: &ModuleName) -> io::Result<u32> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(user) = known.get(module.as_str()) {
            return Ok(*user);
        }
        let free = self.range.clone().find(|user| !known.values().any(|taken| taken == user));
        let user = free.ok_or_else(|| io::Error::other("no user id of [tidegate] module_user_ids is left"))?;
        known.insert(module.to_string(), user);
        state::write(&self.path, &*known).map_err(io::Error::other)?;
        Ok(user)
    }

    /// Makes a module's folders, and lets a command run as its user.
    pub fn prepare(&self, module: &ModuleName, command: &mut Command) -> io::Result<()> {
        let user = self.user_of(module)?;
        let folder = self.homes_dir.join(module.as_str());
        let (home, temporary) = (folder.join("home"), folder.join("tmp"));
        match std::fs::remove_dir_all(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for folder in [&home, &temporary] {
            std::fs::create_dir_all(folder)?;
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
            chown(folder, Some(user), Some(user))?;
        }
        // As root, a user id without groups takes all groups away, and another user than root all capabilities.
        command.uid(user).gid(user).current_dir(&home).env("HOME", &home).env("TMPDIR", &temporary);
        Ok(())
    }
}

/// What a process that is started now may use at most.
fn limits() -> [(Resource, u64); 3] {
    [(Resource::Nofile, MODULE_FILES_MAX), (Resource::Nproc, MODULE_PROCESSES_MAX), (Resource::Core, 0)]
}

/// Lowers the limits of this process, for the moment in which it starts another one that inherits them.
pub struct Lowered(Vec<(Resource, Rlimit)>);

impl Lowered {
    /// Until it is dropped. They are no obstacle to this process, which has few files open and no limit of processes as root.
    pub fn now() -> io::Result<Self> {
        let mut lowered = Self(Vec::new());
        for (resource, most) in limits() {
            let before = getrlimit(resource);
            let current = Some(before.current.map_or(most, |current| current.min(most)));
            setrlimit(resource, Rlimit { current, ..before })?;
            lowered.0.push((resource, before));
        }
        Ok(lowered)
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        for (resource, before) in self.0.drain(..) {
            if let Err(error) = setrlimit(resource, before) {
                tracing::error!(%error, ?resource, "a limit of this process was not raised again");
            }
        }
    }
}

/// Takes a process the means to raise its limits again, where this one may (it needs CAP_SYS_RESOURCE).
pub fn fix_limits(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    for (resource, most) in limits() {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        if let Err(error) = prlimit(pid, resource, limit) {
            tracing::debug!(%error, ?resource, "a module may raise this limit of its own");
        }
    }
}

/// Where the private folders of modules are.
pub fn homes_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("modules")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::runtime::named;

    fn open(dir: &Path) -> ModuleUsers {
        ModuleUsers::open(200_000..200_002, dir.join("users.json"), dir.join("modules")).unwrap()
    }

    #[test]
    fn each_module_has_a_user_of_its_own_that_stays_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let users = open(dir.path());
        assert_eq!((users.user_of(&named("a")).unwrap(), users.user_of(&named("b")).unwrap()), (200_000, 200_001));
        assert!(users.user_of(&named("c")).unwrap_err().to_string().contains("module_user_ids"));
        let again = open(dir.path());
        assert_eq!((again.user_of(&named("b")).unwrap(), again.user_of(&named("a")).unwrap()), (200_001, 200_000));
        let other = ModuleUsers::open(7_000..7_001, dir.path().join("users.json"), dir.path().join("modules")).unwrap();
        assert_eq!(other.user_of(&named("b")).unwrap(), 7_000, "one that is out of the range is not used");
    }

    #[test]
    fn that_modules_are_not_apart_is_said() {
        assert_eq!(why_not_isolated(None), Some("[tidegate] module_user_ids is not set"));
        let expected = (!geteuid().is_root()).then_some("the daemon is not root");
        assert_eq!(why_not_isolated(Some(&(1..2))), expected);
    }
}
