//! Going on with a registry that is an older copy: its catalog is brought up to the files of the folder, and the reader to where
//! they end, so that nothing is stored twice and nothing that can be read is left out.
//!
//! Killed at any line: the registry changes in one transaction, and what is quarantined afterwards is so by the next start.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use registry::{Registry, StoreError};
use telemetry::SegmentMeta;
use telemetry::segment::folder;
use telemetry::segment::rebuild::{self, ReconcileError, Reconciled};

use super::catalog::{CatalogSegment, ReadEntryError};
use super::reader;

/// The catalog was not brought up to date. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// The registry failed.
    #[error("the catalog of telemetry files cannot be changed")]
    Store(#[from] StoreError),
    /// An entry of it cannot be understood.
    #[error("the catalog of telemetry files cannot be read")]
    Entry(#[from] ReadEntryError),
    /// The folder cannot be looked through.
    #[error("the telemetry folder cannot be read")]
    Folder(#[from] ReconcileError),
    /// A damaged file cannot be moved.
    #[error("a damaged telemetry file cannot be moved to the quarantine")]
    Quarantine(#[source] io::Error),
}

/// What is to become of the catalog.
#[derive(Default)]
struct Changes {
    entered: Vec<CatalogSegment>,
    superseded: Vec<(String, String)>,
    unusable: Vec<(String, String)>,
    losses: Vec<String>,
}

/// Takes over the telemetry files that the registry, an older copy, does not list. `newest` is the log offset before which the folder
/// says everything was committed. `about` says why, and what is lost with it. Answers everything that was put on record. Blocks
/// while it reads the files.
///
/// # Errors
/// When registry or folder fail. A file that is damaged is quarantined, which is put on record.
pub async fn take_over(
    folder: &Path,
    registry: &Registry,
    newest: Option<u64>,
    about: &str,
    now_ms: i64,
) -> Result<Vec<String>, TakeOverError> {
    let survey = registry.survey().await?;
    let stored = survey.checkpoint(reader::NAME.name).unwrap_or(0);
    let mut catalog: BTreeMap<String, Vec<SegmentMeta>> =
        survey.applications.into_iter().map(|application| (application, Vec::new())).collect();
    for row in survey.segments {
        let CatalogSegment { application, meta } = CatalogSegment::from_row(row)?;
        catalog.entry(application).or_default().push(meta);
    }
    let mut next = newest.unwrap_or(0).max(stored);
    let below = applications_in(folder).map_err(ReconcileError::List)?;
    for application in &below {
        next = next.max(rebuild::committed_before(&folder.join(application)).map_err(ReconcileError::List)?);
    }
    let mut changes = Changes::default();
    for (application, listed) in &catalog {
        changes.add(application, rebuild::reconcile(&folder.join(application), listed, next)?);
    }
    changes
        .losses
        .insert(0, format!("{about}; {} telemetry files it did not list were taken over", changes.entered.len()));
    for application in below.iter().filter(|application| !catalog.contains_key(*application)) {
        let path = folder.join(application).display().to_string();
        let lost = "the registry does not know its application; it is left as it is and not read";
        changes.losses.push(format!("the telemetry in {path} is lost: {lost}"));
    }
    let rows: Vec<_> = changes.entered.iter().map(CatalogSegment::to_row).collect();
    let reached = (reader::NAME.name, next);
    registry.segments_take_over(&changes.superseded, &rows, reached, &changes.losses, now_ms).await?;
    for (application, file_name) in &changes.unusable {
        folder::quarantine_segment(&folder.join(application), file_name).map_err(TakeOverError::Quarantine)?;
    }
    Ok(changes.losses)
}

impl Changes {
    fn add(&mut self, application: &str, reconciled: Reconciled) {
        let Reconciled { entered, superseded, unusable } = reconciled;
        let of_application = |meta| CatalogSegment { application: application.to_owned(), meta };
        self.entered.extend(entered.into_iter().map(of_application));
        self.superseded.extend(superseded.into_iter().map(|file_name| (application.to_owned(), file_name)));
        for (file_name, why) in unusable {
            self.losses.push(format!(
                "telemetry file {file_name}, which the older registry did not list, is lost and quarantined: {why}"
            ));
            self.unusable.push((application.to_owned(), file_name));
        }
    }
}

/// The applications that have segments.
fn applications_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
            && rebuild::holds_any(&entry.path())?
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
