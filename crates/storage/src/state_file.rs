//! Small files that are replaced as a whole: after a crash at any moment the old contents are there, or the new ones.
//!
//! ```text
//! write .NAME.tmp ─▶ fdatasync it ─▶ rename it to NAME ─▶ fsync the folder ─▶ done
//!       │ crash here, or before: the old NAME is untouched; the leftover is replaced by the next attempt
//! ```
//!
//! The temporary name is fixed, so leftovers cannot pile up; a lock in this process keeps two replacements of the same file
//! apart, and between processes the lock on the data folder does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use thiserror::Error;

pub use crate::file_layer::Access;
use crate::file_layer::{FileLayer, RealFiles, read_exact_at, write_all_at};

/// The file was not replaced; the old contents are still there (or, if only the last step failed, may be the new ones).
#[derive(Debug, Error)]
#[error("cannot {act} {}", path.display())]
pub struct ReplaceFileError {
    /// The step that failed, as a verb.
    pub act: &'static str,
    /// The file the step worked on.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// The file could not be read.
#[derive(Debug, Error)]
pub enum ReadFileError {
    /// The system refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any file of this kind may be.
    #[error("{} has {bytes} bytes, more than the {bytes_max} allowed", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size the caller takes.
        bytes_max: u64,
    },
}

/// Only one replacement at a time in this process: the temporary name is fixed. State files are small and rarely written.
static REPLACING: Mutex<()> = Mutex::new(());

/// Replaces the file at `path` by `contents`, durably, or leaves it as it was. Blocks for two syncs.
pub fn replace(path: &Path, contents: &[u8], access: Access) -> Result<(), ReplaceFileError> {
    replace_on(&RealFiles, path, contents, access)
}

/// The contents of the file at `path`, or `None` when there is none.
pub fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, ReadFileError> {
    read_on(&RealFiles, path, bytes_max)
}

/// [`replace`] on a given file layer.
pub fn replace_on(files: &dyn FileLayer, path: &Path, contents: &[u8], access: Access) -> Result<(), ReplaceFileError> {
    // The lock guards no data, so a panic of another holder has broken nothing.
    let _one_at_a_time = REPLACING.lock().unwrap_or_else(PoisonError::into_inner);
    let temporary = temporary_path(path);
    let failed = |act, path: &Path| {
        let path = path.to_owned();
        move |source| ReplaceFileError { act, path, source }
    };
    // A leftover might have other permissions than asked for now.
    match files.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &temporary)(error)),
        _ => {}
    }
    let written = files.create(&temporary, access).map_err(failed("create", &temporary)).and_then(|file| {
        write_all_at(&*file, contents, 0).map_err(failed("write", &temporary))?;
        file.sync_data().map_err(failed("sync", &temporary))?;
        files.rename(&temporary, path).map_err(failed("replace", path))
    });
    if let Err(error) = written {
        // Frees the space at once if it can; if it cannot, the next attempt does.
        let _ = files.remove(&temporary);
        return Err(error);
    }
    let folder = folder_of(path);
    files.sync_dir(folder).map_err(failed("sync", folder))
}

/// [`read`] on a given file layer.
pub fn read_on(files: &dyn FileLayer, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, ReadFileError> {
    let failed = |source| ReadFileError::Io { path: path.to_owned(), source };
    let file = match files.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let bytes = file.bytes().map_err(failed)?;
    if bytes > bytes_max {
        return Err(ReadFileError::TooLarge { path: path.to_owned(), bytes, bytes_max });
    }
    let mut contents = vec![0; bytes as usize];
    read_exact_at(&*file, &mut contents, 0).map_err(failed)?;
    Ok(Some(contents))
}

fn temporary_path(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
