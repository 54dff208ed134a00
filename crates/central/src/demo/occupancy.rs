//! One demo at a time runs on a folder, and only once the processes of an earlier one are gone.
//!
//! A demo that was killed takes its children along (see [`children`](super::children)), but they stop in order and need a
//! moment for it. Starting Central meanwhile would fail with a message about a folder the person never named.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{POLL_INTERVAL, STOP_TIMEOUT, say};

/// What the children lock while they run.
const CHILD_LOCKS: [(&str, &str); 2] = [("central/serve.lock", "tidegate serve"), ("edge/lock", "tidegate-edge")];

/// Takes the folder for this process. The lock goes when the file is dropped, or with the process.
pub async fn take(folder: &Path) -> Result<File> {
    let path = folder.join("demo.lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let lock = lock.with_context(|| format!("cannot open {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("another demo runs on {}; stop it, or choose another folder with --data", folder.display());
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    for (file, program) in CHILD_LOCKS {
        await_unlocked(&folder.join(file), program).await?;
    }
    Ok(lock)
}

async fn await_unlocked(path: &Path, program: &str) -> Result<()> {
    let deadline = tokio::time::Instant::now() + STOP_TIMEOUT;
    let mut said = false;
    while is_locked(path)? {
        if tokio::time::Instant::now() > deadline {
            bail!("{program} still runs on {}; stop it first", path.parent().unwrap_or(path).display());
        }
        if !said {
            say(&format!("waiting for the {program} of an earlier demo to end"));
            said = true;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Whether a process has locked the file. One that is not there is not locked.
fn is_locked(path: &Path) -> Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

#[cfg(test)]
mod tests;
