//! Files that devices uploaded, as people see them.

use api::files::{DeviceFile, DeviceFiles};
use events::clock::rfc3339_ms;
use hub::files::FileError;
use hub::limits::DEVICE_FILES_MAX;
use registry::FileRow;
use tokio::fs::File;

use super::{Access, App, AppError};

/// A file that is being read.
pub struct ReadFile {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its bytes.
    pub file: File,
}

fn to_api(row: FileRow) -> DeviceFile {
    DeviceFile {
        id: row.id,
        name: row.name,
        bytes: row.bytes.unsigned_abs(),
        content_type: row.content_type,
        uploaded: rfc3339_ms(row.committed_ms),
        kept_until: rfc3339_ms(row.ends_ms),
    }
}

impl App {
    /// The files of a device: all of them, there are not many.
    pub async fn files(&self, access: &Access, device: &str) -> Result<DeviceFiles, AppError> {
        self.device_row(access, device).await?;
        let rows = self.registry().files_list(access.application(), device, DEVICE_FILES_MAX).await?;
        Ok(DeviceFiles { value: rows.into_iter().map(to_api).collect() })
    }

    /// Opens a file of a device.
    pub async fn file_read(&self, access: &Access, device: &str, id: &str) -> Result<ReadFile, AppError> {
        self.device_row(access, device).await?;
        let row = self.registry().file_get(access.application(), device, id).await?;
        let row = row.ok_or_else(|| AppError::not_found("file", id))?;
        match self.device_files().read(&row).await {
            Ok(file) => Ok(ReadFile { name: row.name, bytes: row.bytes.unsigned_abs(), file }),
            // Deleted just now, or while the backup was made that this folder is from.
            Err(FileError::Ended) => Err(AppError::NotFound(format!("The bytes of the file '{id}' are not there."))),
            Err(error) => Err(AppError::internal("a file of a device cannot be read", error)),
        }
    }

    /// Deletes a file of a device.
    pub async fn file_delete(&self, access: &Access, device: &str, id: &str) -> Result<(), AppError> {
        self.device_row(access, device).await?;
        match self.device_files().remove(access.application(), device, id).await {
            Ok(true) => {
                tracing::info!(actor = access.actor().id(), device, file = id, "file of a device deleted");
                Ok(())
            }
            Ok(false) => Err(AppError::not_found("file", id)),
            Err(FileError::Store(error)) => Err(error.into()),
            Err(error) => Err(AppError::internal("a file of a device cannot be removed", error)),
        }
    }
}
