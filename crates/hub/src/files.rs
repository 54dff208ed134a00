//! Files that devices upload: their bytes in the data folder, their rows in the registry.
//!
//! ```text
//! files/{application}/{upload}/
//!   block-{name, in hex}     waits for a list of blocks
//!   content-{id}             the blob that was committed; the row names it
//!   .{id}.tmp                being written
//! ```
//!
//! *Invariant*: the row of an upload is written before its folder is made, and deleted after the folder is gone. Whatever a kill
//! leaves behind is therefore in the folder of a known upload, where what the row does not name is worth nothing: it is removed at
//! the next start. A folder without a row is of another registry (a newer one than that in use, perhaps), and is left as it is.
//!
//! A block or blob is answered for after it is durable: written, synced, renamed, the name synced, and counted in the registry.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use events::clock::now_ms;
use registry::{
    FileLimits, FileRow, FileState, KeptFile, NewFile, OpenedFile, Registry, SecretHash, StoreError, WrittenBlob,
    WrittenFile, new_etag, new_id, random_bytes,
};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::limits::{
    APPLICATION_FILES_BYTES_MAX, APPLICATION_FILES_MAX, DEVICE_FILES_BYTES_MAX, DEVICE_FILES_MAX, FILE_BLOCKS_MAX,
    FILE_BYTES_MAX, FILE_LIFE, FILE_UPLOAD_LIFE, FILE_UPLOADS_OPEN_MAX, FILE_WRITES_AT_ONCE_MAX, FILES_LEAVE_BYTES,
    FILES_PER_SWEEP_MAX, FILES_SWEEP_INTERVAL,
};

#[cfg(test)]
mod tests;

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// What tells the time, in Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What tells how many bytes the disk has left, if it tells.
pub type FreeBytes = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// How files are kept.
#[derive(Clone)]
pub struct FileOptions {
    /// How many.
    pub limits: FileLimits,
    /// The time.
    pub clock: Clock,
    /// The disk.
    pub free_bytes: FreeBytes,
}

impl Default for FileOptions {
    fn default() -> Self {
        let limits = FileLimits {
            open_of_device: FILE_UPLOADS_OPEN_MAX,
            of_device: DEVICE_FILES_MAX,
            bytes_of_device: DEVICE_FILES_BYTES_MAX,
            of_application: APPLICATION_FILES_MAX,
            bytes_of_application: APPLICATION_FILES_BYTES_MAX,
            blocks: FILE_BLOCKS_MAX,
        };
        Self { limits, clock: Arc::new(now_ms), free_bytes: Arc::new(|| None) }
    }
}

/// Why a file was not written, or not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The device has as many open uploads as it may.
    #[error("the device has {FILE_UPLOADS_OPEN_MAX} open uploads")]
    TooManyOpen,
    /// There are as many files, bytes or blocks as may be.
    #[error("the files of the device, or of its application, are as many or as large as they may be")]
    Full,
    /// A list of blocks makes a file that is too large.
    #[error("the file is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// The upload is over.
    #[error("the upload is not open")]
    Ended,
    /// A list names a block that is not there.
    #[error("a block of the list was not uploaded")]
    NoBlock,
    /// As many requests write as may.
    #[error("too many files are written at the same time")]
    Busy,
    /// The disk has no room that may be taken.
    #[error("the disk is full")]
    DiskFull,
    /// The system refused.
    #[error("cannot {act} a file of a device")]
    Io {
        /// The step that failed, as a verb.
        act: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The registry.
    #[error("the registry could not be asked")]
    Store(#[from] StoreError),
}

fn failed(act: &'static str) -> impl FnOnce(io::Error) -> FileError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FileError::DiskFull,
        // Its folder was removed: the upload has ended meanwhile.
        io::ErrorKind::NotFound => FileError::Ended,
        _ => FileError::Io { act, source },
    }
}

/// An upload that was opened.
#[derive(Debug)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// What the device writes with.
    pub secret: String,
    /// Until when.
    pub ends_ms: i64,
}

/// The files. Cheap to clone.
#[derive(Clone)]
pub struct Files(Arc<Inner>);

struct Inner {
    registry: Registry,
    folder: PathBuf,
    options: FileOptions,
    turns: Semaphore,
}

/// Bytes that are being written. Dropped before they are finished, they were never there.
pub struct Writing<'a> {
    files: &'a Files,
    folder: PathBuf,
    path: PathBuf,
    file: File,
    bytes: u64,
    _turn: SemaphorePermit<'a>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        // After it was renamed there is nothing of that name.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Writing<'_> {
    /// Writes what came.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let bytes_before = self.bytes;
        self.bytes += bytes.len() as u64;
        if self.bytes > FILE_BYTES_MAX {
            return Err(FileError::TooLarge);
        }
        // The disk is looked at again with every MiB.
        if bytes_before >> 20 != self.bytes >> 20 {
            self.files.refuse_full_disk(0)?;
        }
        self.file.write_all(bytes).await.map_err(failed("write"))
    }

    /// Makes it durable, under its name.
    async fn finish(mut self, name: &str) -> Result<u64, FileError> {
        self.file.flush().await.map_err(failed("write"))?;
        self.file.sync_all().await.map_err(failed("sync"))?;
        fs::rename(&self.path, self.folder.join(name)).await.map_err(failed("rename"))?;
        sync(&self.folder).await?;
        Ok(self.bytes)
    }
}

async fn sync(folder: &Path) -> Result<(), FileError> {
    File::open(folder).await.map_err(failed("open"))?.sync_all().await.map_err(failed("sync"))
}

/// Makes a folder, durably, unless it is there.
async fn make_folder(parent: &Path, name: &str) -> Result<PathBuf, FileError> {
    let path = parent.join(name);
    match fs::DirBuilder::new().mode(0o700).create(&path).await {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(failed("create the folder of"))?,
    }
    sync(parent).await?;
    Ok(path)
}

/// Name of the file a block is in.
fn block_name(block: &[u8]) -> String {
    let hex: String = block.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{BLOCK_PREFIX}{hex}")
}

const BLOCK_PREFIX: &str = "block-";

fn after(now_ms: i64, life: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(life.as_millis()).unwrap_or(i64::MAX))
}

impl Files {
    /// In a folder, which is there.
    pub fn new(registry: Registry, folder: PathBuf, options: FileOptions) -> Self {
        Self(Arc::new(Inner { registry, folder, options, turns: Semaphore::new(FILE_WRITES_AT_ONCE_MAX) }))
    }

    fn now_ms(&self) -> i64 {
        (self.0.options.clock)()
    }

    fn refuse_full_disk(&self, bytes: u64) -> Result<(), FileError> {
        match (self.0.options.free_bytes)() {
            Some(free) if free < FILES_LEAVE_BYTES.saturating_add(bytes) => Err(FileError::DiskFull),
            _ => Ok(()),
        }
    }

    /// Opens an upload.
    pub async fn open(
        &self,
        application: &str,
        device: &str,
        generation: &str,
        name: &str,
    ) -> Result<Upload, FileError> {
        self.refuse_full_disk(0)?;
        let secret = random_bytes::<SECRET_BYTES>().iter().map(|byte| format!("{byte:02x}")).collect();
        let upload = Upload { id: new_id(), secret, ends_ms: after(self.now_ms(), FILE_UPLOAD_LIFE) };
        let file = NewFile {
            id: &upload.id,
            device,
            generation,
            name,
            secret: &SecretHash::of(&upload.secret),
            ends_ms: upload.ends_ms,
        };
        match self.0.registry.file_open(application, &file, &self.0.options.limits).await? {
            OpenedFile::Open => Ok(upload),
            OpenedFile::TooManyOpen => Err(FileError::TooManyOpen),
            OpenedFile::Full => Err(FileError::Full),
        }
    }

    /// The open upload a secret writes.
    pub async fn by_secret(&self, application: &str, secret: &str) -> Result<Option<FileRow>, StoreError> {
        let row = self.0.registry.file_by_secret(application, &SecretHash::of(secret)).await?;
        Ok(row.filter(|row| row.state() == FileState::Open && row.ends_ms > self.now_ms()))
    }

    /// Begins to write a block or a blob, of which so many bytes are announced.
    pub async fn write(&self, upload: &FileRow, announced: u64) -> Result<Writing<'_>, FileError> {
        let turn = self.0.turns.try_acquire().map_err(|_| FileError::Busy)?;
        self.refuse_full_disk(announced)?;
        let application = make_folder(&self.0.folder, &upload.application).await?;
        let folder = make_folder(&application, &upload.id).await?;
        let path = folder.join(format!(".{}.tmp", new_id()));
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path).await;
        let file = file.map_err(failed("create"))?;
        Ok(Writing { files: self, folder, path, file, bytes: 0, _turn: turn })
    }

    /// Ends a block.
    pub async fn stage(&self, upload: &FileRow, writing: Writing<'_>, block: &[u8]) -> Result<(), FileError> {
        let (registry, limits) = (&self.0.registry, &self.0.options.limits);
        let counted =
            registry.file_stage(&upload.application, &upload.id, writing.bytes, limits, self.now_ms()).await?;
        match counted {
            WrittenFile::Written { .. } => writing.finish(&block_name(block)).await.map(drop),
            WrittenFile::Full => Err(FileError::Full),
            WrittenFile::Ended => Err(FileError::Ended),
        }
    }

    /// Makes a blob of blocks.
    pub async fn join(&self, upload: &FileRow, blocks: &[Vec<u8>]) -> Result<Writing<'_>, FileError> {
        let folder = self.folder_of(upload);
        let missing = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => FileError::NoBlock,
            _ => failed("open a block of")(error),
        };
        let mut bytes = 0_u64;
        for block in blocks {
            bytes = bytes.saturating_add(fs::metadata(folder.join(block_name(block))).await.map_err(missing)?.len());
        }
        if bytes > FILE_BYTES_MAX {
            return Err(FileError::TooLarge);
        }
        let mut writing = self.write(upload, bytes).await?;
        for block in blocks {
            let mut block = File::open(folder.join(block_name(block))).await.map_err(missing)?;
            writing.bytes += tokio::io::copy(&mut block, &mut writing.file).await.map_err(failed("write"))?;
        }
        // A block may have been written again meanwhile.
        if writing.bytes > FILE_BYTES_MAX { Err(FileError::TooLarge) } else { Ok(writing) }
    }

    /// Ends a blob: it is the content of the upload from then on. Answers its etag.
    pub async fn commit(
        &self,
        upload: &FileRow,
        writing: Writing<'_>,
        content_type: Option<&str>,
    ) -> Result<String, FileError> {
        let (folder, content, etag) = (writing.folder.clone(), format!("content-{}", new_id()), new_etag());
        let bytes = writing.finish(&content).await?;
        let blob = WrittenBlob { content: &content, content_type, etag: &etag, bytes };
        let (registry, limits) = (&self.0.registry, &self.0.options.limits);
        let refused = match registry.file_commit(&upload.application, &upload.id, &blob, limits, self.now_ms()).await {
            Ok(WrittenFile::Written { replaced }) => {
                remove_replaced(&folder, replaced).await;
                return Ok(etag);
            }
            Ok(WrittenFile::Full) => FileError::Full,
            Ok(WrittenFile::Ended) => FileError::Ended,
            // It may count: the next start looks.
            Err(error @ StoreError::InDoubt(_)) => return Err(error.into()),
            Err(error) => error.into(),
        };
        let _ = fs::remove_file(folder.join(&content)).await;
        Err(refused)
    }

    /// The device is done with an upload, which went well or did not.
    pub async fn keep(
        &self,
        application: &str,
        device: &str,
        id: &str,
        is_success: bool,
    ) -> Result<KeptFile, FileError> {
        if is_success {
            let now_ms = self.now_ms();
            let kept = self.0.registry.file_keep(application, device, id, after(now_ms, FILE_LIFE), now_ms).await?;
            return Ok(kept);
        }
        let is_ended = self.0.registry.file_end(application, device, id, FileState::Open).await?;
        Ok(if is_ended { KeptFile::Kept } else { KeptFile::Ended })
    }

    /// Opens a file to be read.
    pub async fn read(&self, row: &FileRow) -> Result<File, FileError> {
        let content = row.content.as_deref().unwrap_or_default();
        File::open(self.folder_of(row).join(content)).await.map_err(failed("open"))
    }

    /// Removes a kept file; `false` when there is none.
    pub async fn remove(&self, application: &str, device: &str, id: &str) -> Result<bool, FileError> {
        let Some(row) = self.0.registry.file_get(application, device, id).await? else { return Ok(false) };
        if !self.0.registry.file_end(application, device, id, FileState::Kept).await? {
            return Ok(false);
        }
        self.forget(&row).await?;
        Ok(true)
    }

    fn folder_of(&self, row: &FileRow) -> PathBuf {
        self.0.folder.join(&row.application).join(&row.id)
    }

    /// Removes the bytes of a file that is given up, then its row.
    async fn forget(&self, row: &FileRow) -> Result<(), FileError> {
        let folder = self.folder_of(row);
        match fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove")(error)),
            _ => {}
        }
        match sync(folder.parent().unwrap_or(&folder)).await {
            Ok(()) | Err(FileError::Ended) => {}
            Err(error) => return Err(error),
        }
        Ok(self.0.registry.file_forget(&row.application, &row.id).await?)
    }

    /// Removes files whose time is over, until the token is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            match stop.run_until_cancelled(self.sweep()).await {
                None => return,
                Some(Err(error)) => tell(&error),
                Some(Ok(())) => {}
            }
            if stop.run_until_cancelled(tokio::time::sleep(FILES_SWEEP_INTERVAL)).await.is_none() {
                return;
            }
        }
    }

    /// Removes files whose time is over.
    pub async fn sweep(&self) -> Result<(), FileError> {
        loop {
            let ended = self.0.registry.files_ended(self.now_ms(), FILES_PER_SWEEP_MAX).await?;
            for row in &ended {
                self.forget(row).await?;
            }
            if (ended.len() as u64) < FILES_PER_SWEEP_MAX {
                return Ok(());
            }
        }
    }

    /// Removes what kills left behind: what the rows do not name in the folders of uploads. Before anybody writes.
    pub async fn clear_up(&self) -> Result<(), FileError> {
        for application in self.0.registry.application_list().await? {
            let mut last = String::new();
            loop {
                let rows = self.0.registry.files_of_application(&application.id, &last, FILES_PER_SWEEP_MAX).await?;
                for row in &rows {
                    self.clear_up_upload(row).await?;
                }
                match rows.into_iter().next_back() {
                    Some(row) => last = row.id,
                    None => break,
                }
            }
        }
        Ok(())
    }

    async fn clear_up_upload(&self, row: &FileRow) -> Result<(), FileError> {
        let folder = self.folder_of(row);
        let Ok(mut entries) = fs::read_dir(&folder).await else { return Ok(()) };
        while let Some(entry) = entries.next_entry().await.map_err(failed("list"))? {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_content = row.content.as_deref() == Some(&name);
            let is_block = row.state() == FileState::Open && name.starts_with(BLOCK_PREFIX);
            if !is_content && !is_block {
                fs::remove_file(entry.path()).await.map_err(failed("remove"))?;
            }
        }
        Ok(())
    }
}

/// Removes the content before the last, and the blocks that are joined.
async fn remove_replaced(folder: &Path, replaced: Option<String>) {
    let Ok(mut entries) = fs::read_dir(folder).await else { return };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(BLOCK_PREFIX) || replaced.as_deref() == Some(&name) {
            // What stays is removed with the upload.
            let _ = fs::remove_file(entry.path()).await;
        }
    }
}

fn tell(error: &FileError) {
    let error = error as &dyn std::error::Error;
    tracing::error!(error, "files of devices could not be removed");
}
