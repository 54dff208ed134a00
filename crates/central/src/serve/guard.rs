//! Says when `log/` or `telemetry/` was removed since the last start.

use events::clock::now_ms;
use readers::timeseries::TimeSeries;
use registry::{Registry, StoreError, new_id};
use telemetry::segment::folder;

use crate::data_folder::{DataFolder, DataFolderError, Guarded};

/// The data folder is not as it was left.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A folder the registry knows is gone, or another one is in its place.
    #[error(
        "{path} was removed or replaced since the last start, and {what} with it. Restore it, or start once with \
         --accept-data-loss to go on without"
    )]
    Removed {
        /// The folder.
        path: String,
        /// What it held.
        what: &'static str,
    },
    /// The database does not know the folder that was used with it before.
    #[error(
        "the data folder was used with another database: this one does not know its {folder}. Name the right one, or restore it \
         from its backup"
    )]
    OtherDatabase {
        /// The part of the folder.
        folder: &'static str,
    },
    /// The folder cannot be looked at.
    #[error("the data folder cannot be checked")]
    Folder(#[from] DataFolderError),
    /// The registry cannot be asked.
    #[error("the data folder cannot be checked against the registry")]
    Store(#[from] StoreError),
}

fn contents(guarded: Guarded) -> &'static str {
    match guarded {
        Guarded::Log => "accepted messages that were not yet in the telemetry store",
        Guarded::Telemetry => "the stored telemetry",
    }
}

/// What is known before the look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// The folder was used with this kind of database before, so that its markers are known there.
    pub(super) is_known: bool,
    /// An operator said that a loss is accepted.
    pub(super) accept_loss: bool,
}

/// Makes guarded folders that never were, and compares the markers of those that were.
pub(super) async fn check(folder: &DataFolder, registry: &Registry, expected: Expected) -> Result<(), GuardError> {
    for guarded in Guarded::ALL {
        let known = registry.guarded_folder_marker(guarded.name()).await?;
        let found = folder.marker(guarded)?;
        match (known, found) {
            (Some(known), Some(found)) if known == found => {}
            (None, _) if expected.is_known => return Err(GuardError::OtherDatabase { folder: guarded.name() }),
            // The folder comes first, the registry second: killed in between, it is ours.
            (None, Some(found)) => registry.guarded_folder_put(guarded.name(), &found, now_ms()).await?,
            (None, None) => make(folder, registry, guarded).await?,
            (Some(_), _) if expected.accept_loss => {
                accept(registry, folder, guarded).await?;
                make(folder, registry, guarded).await?;
            }
            (Some(_), _) => {
                let path = folder.guarded(guarded).display().to_string();
                return Err(GuardError::Removed { path, what: contents(guarded) });
            }
        }
    }
    Ok(())
}

async fn make(folder: &DataFolder, registry: &Registry, guarded: Guarded) -> Result<(), GuardError> {
    let marker = new_id();
    folder.mark(guarded, &marker)?;
    Ok(registry.guarded_folder_put(guarded.name(), &marker, now_ms()).await?)
}

async fn accept(registry: &Registry, folder: &DataFolder, guarded: Guarded) -> Result<(), GuardError> {
    let detail = format!("{} was removed, and {} with it", folder.guarded(guarded).display(), contents(guarded));
    tracing::error!("going on without: {detail}");
    match guarded {
        Guarded::Telemetry => registry.telemetry_loss_accept(&detail, now_ms()).await?,
        Guarded::Log => registry.log_loss_accept(&detail, now_ms()).await?,
    }
    Ok(())
}

/// Compares the segment files with the catalog, says what is missing, and removes files that hold nothing of their own: left
/// by a crash before they were entered, or after a compaction took them out.
pub(super) fn tell_telemetry_files(telemetry: &TimeSeries, app: &str) {
    let path = telemetry.folder_of(app);
    let catalog = telemetry.catalog().of_application(app);
    let report = match folder::inspect(&path, &catalog) {
        Ok(report) => report,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            return tracing::error!(error, "the telemetry files could not be checked");
        }
    };
    for name in &report.missing {
        tracing::error!("telemetry file {name} is missing: queries over its time will fail until it is restored");
    }
    for name in &report.wrong_size {
        tracing::error!("telemetry file {name} does not have the size it was written with: it is damaged");
    }
    for name in report.unlisted.iter().filter(|_| !catalog.is_empty()) {
        tracing::warn!("telemetry file {name} was left by an interrupted write and is removed");
        if let Err(error) = folder::remove_segment(&path, name) {
            tracing::warn!(%error, "it could not be removed");
        }
    }
}
