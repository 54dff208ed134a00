//! The file operations durability is built on, and nothing more.
//!
//! [`RealFiles`] is the operating system. Tests put `testing::FaultyFiles` in its place: a disk in memory that writes short,
//! fills up, fails a sync, and at a crash forgets or tears what was not synced.
//!
//! Two rules every caller keeps, because both layers hold them to it: data counts as written only after
//! [`LayerFile::sync_data`], and a name (created, renamed, removed) only after [`FileLayer::sync_dir`]. A failed sync is
//! final: the kernel may have dropped the pages and a second sync would lie ("fsyncgate"), so nobody syncs the same data twice.

use std::any::Any;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only the owner (mode 0600): keys, tokens, and the log, which holds customers' data.
    Private,
    /// Whom the process's umask lets.
    Shared,
}

/// Held as long as the folder is ours; released on drop and when the process dies, however it dies.
pub type LockGuard = Box<dyn Any + Send + Sync>;

/// A place where files live.
pub trait FileLayer: Debug + Send + Sync {
    /// Makes the folder and its parents, unless it is there.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names of the files and folders in a folder, in no particular order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes an empty file for reading and writing; an existing one is emptied.
    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn LayerFile>>;
    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn LayerFile>>;
    /// Opens an existing file for reading and writing.
    fn open_writable(&self, path: &Path) -> io::Result<Arc<dyn LayerFile>>;
    /// Gives a file another name, replacing the file that had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Locks a file (made if absent) for this process; `None` when somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>>;
}

/// An open file. Reads and writes name their position, so one handle serves the writer and any number of readers.
pub trait LayerFile: Debug + Send + Sync {
    /// The length in bytes.
    fn bytes(&self) -> io::Result<u64>;
    /// Reads up to `buffer.len()` bytes; 0 means the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes some of `data`, possibly less than all.
    fn write_at(&self, data: &[u8], at: u64) -> io::Result<usize>;
    /// Cuts the file to `bytes`.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Makes contents and length durable.
    fn sync_data(&self) -> io::Result<()>;
}

/// Writes all of `data`, however short the single writes are.
pub fn write_all_at(file: &dyn LayerFile, mut data: &[u8], mut at: u64) -> io::Result<()> {
    while !data.is_empty() {
        match file.write_at(data, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                data = &data[written..];
                at += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills `buffer`; the file ending early is [`io::ErrorKind::UnexpectedEof`].
pub fn read_exact_at(file: &dyn LayerFile, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = &mut buffer[read..];
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFiles;

impl FileLayer for RealFiles {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(dir)?;
        match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent),
            _ => Ok(()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn LayerFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        if access == Access::Private {
            options.mode(0o600);
        }
        Ok(Arc::new(options.open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LayerFile>> {
        Ok(Arc::new(File::open(path)?))
    }

    fn open_writable(&self, path: &Path) -> io::Result<Arc<dyn LayerFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl LayerFile for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, at)
    }

    fn write_at(&self, data: &[u8], at: u64) -> io::Result<usize> {
        FileExt::write_at(self, data, at)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}
