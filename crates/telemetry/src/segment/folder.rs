//! The telemetry folder as a whole: what is there against what the catalog says, and removing files so that it lasts.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::SegmentMeta;
use super::read::ReadSegmentError;

pub(super) const SEGMENT_EXTENSION: &str = "parquet";
pub(super) const TEMPORARY_EXTENSION: &str = "tmp";

/// Folder for files that are not read and not deleted either.
pub const QUARANTINE: &str = "quarantine";

/// How the folder differs from the catalog.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FolderReport {
    /// In the catalog, but not in the folder: telemetry was deleted. Say so; it cannot be made good from here.
    pub missing: Vec<String>,
    /// In both, but the size differs: cut short or overwritten.
    pub wrong_size: Vec<String>,
    /// In the folder, but not in the catalog: written, then the process ended before the catalog was committed (the rows come
    /// again from the log), or compacted away but not yet deleted. Or the catalog is an older one: nothing is deleted here.
    pub unlisted: Vec<String>,
    /// Half-written files that were removed.
    pub temporary_removed: usize,
}

/// The telemetry folder could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot inspect the telemetry folder {}", path.display())]
pub struct InspectFolderError {
    /// The folder.
    pub path: PathBuf,
    /// What went wrong.
    #[source]
    pub source: io::Error,
}

/// Compares the folder with all entries of the catalog and removes half-written files. For start-up, before anything writes.
/// A folder that is not there is reported as all segments missing.
pub fn inspect(folder: &Path, catalog: &[SegmentMeta]) -> Result<FolderReport, InspectFolderError> {
    let failed = |source| InspectFolderError { path: folder.to_owned(), source };
    let mut report = FolderReport::default();
    let listed: HashSet<&str> = catalog.iter().map(|meta| meta.file_name.as_str()).collect();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let path = entry.map_err(failed)?.path();
                let extension = path.extension().and_then(|extension| extension.to_str());
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
                if extension == Some(TEMPORARY_EXTENSION) {
                    fs::remove_file(&path).map_err(failed)?;
                    report.temporary_removed += 1;
                } else if extension == Some(SEGMENT_EXTENSION) && !listed.contains(name) {
                    report.unlisted.push(name.to_owned());
                }
            }
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(failed(source)),
    }
    for meta in catalog {
        match fs::metadata(folder.join(&meta.file_name)) {
            Ok(found) if found.len() == meta.bytes => {}
            Ok(_) => report.wrong_size.push(meta.file_name.clone()),
            Err(source) if source.kind() == io::ErrorKind::NotFound => report.missing.push(meta.file_name.clone()),
            Err(source) => return Err(failed(source)),
        }
    }
    report.unlisted.sort();
    Ok(report)
}

/// Reads the whole file and compares size and checksum with its catalog entry.
pub fn verify_segment(folder: &Path, meta: &SegmentMeta) -> Result<(), ReadSegmentError> {
    let path = folder.join(&meta.file_name);
    let (bytes, crc32) = measure(&path).map_err(|source| ReadSegmentError::open(&path, source))?;
    if bytes != meta.bytes {
        return Err(ReadSegmentError::WrongSize { path, expected: meta.bytes, found: bytes });
    }
    if crc32 != meta.crc32 {
        return Err(ReadSegmentError::WrongChecksum { path });
    }
    Ok(())
}

/// Size and checksum of a file, which is read as a whole.
pub(super) fn measure(path: &Path) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let mut crc = crc32fast::Hasher::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((bytes, crc.finalize())),
            Ok(read) => {
                crc.update(&buffer[..read]);
                bytes += read as u64;
            }
            Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(source),
        }
    }
}

/// Takes a segment out of what is read without deleting it: into [`QUARANTINE`] below the folder, under a name no tool takes for
/// Parquet. Answers where it is now. One that is not there is an error.
pub fn quarantine_segment(folder: &Path, file_name: &str) -> io::Result<PathBuf> {
    let quarantine = folder.join(QUARANTINE);
    fs::create_dir_all(&quarantine)?;
    // The same name may come again: rows are written again under the name they had.
    let free = (0_u32..).map(|n| quarantine.join(format!("{file_name}.{n}"))).find(|path| !path.exists());
    let place = free.unwrap_or_else(|| quarantine.join(file_name));
    fs::rename(folder.join(file_name), &place)?;
    sync_folder(&quarantine)?;
    sync_folder(folder)?;
    Ok(place)
}

/// Whether a folder of applications' folders holds any segment. One that is not there holds none.
pub fn holds_segments(folder: &Path) -> io::Result<bool> {
    let missing_is_empty =
        |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) };
    let Some(applications) = fs::read_dir(folder).map(Some).or_else(missing_is_empty)? else { return Ok(false) };
    for application in applications {
        let application = application?.path();
        if !application.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&application)? {
            if entry?.path().extension().is_some_and(|extension| extension == SEGMENT_EXTENSION) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Deletes a segment that is no longer in the catalog. One that is already gone is fine.
pub fn remove_segment(folder: &Path, file_name: &str) -> io::Result<()> {
    match fs::remove_file(folder.join(file_name)) {
        Ok(()) => sync_folder(folder),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(source),
    }
}

/// Makes names in the folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
