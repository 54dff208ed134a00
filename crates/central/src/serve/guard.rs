//! Looks at the whole data folder before anything in it is changed, and refuses a start that would destroy something or begin
//! anew: a part that vanished, a part of another installation, an older copy of the registry.
//!
//! ```text
//!   inspect: registry (read only) · log (read only) · markers · keys · telemetry/NEWEST ──► refuse, or what is to be done
//!   settle:  set aside what an operator gave up, make and mark what was never there
//!   tell:    telemetry files the catalog does not list go to quarantine; nothing is deleted
//! ```
//!
//! The parts know each other: the markers in `log/` and `telemetry/` by their ids, which the registry has; the registry by having
//! made `admin.token` and the keys; its age by what the log's readers and `telemetry/NEWEST` have reached, and by the number in
//! `generation`.

use std::io;
use std::path::PathBuf;

use events::clock::now_ms;
use readers::positions::{self, OpenPositionsError, ReaderName};
use readers::timeseries::newest_committed::{self, ReadNewestError};
use readers::timeseries::older_catalog::{self, TakeOverError};
use readers::timeseries::{CatalogSegment, TimeSeries};
use registry::{Look, Registry, StoreError, Survey, new_id};
use storage::log::{LogEnds, LostPart, Offset, OpenLogError};
use telemetry::segment::folder;

use super::ServeError;
use crate::app::signing_key::SigningKey;
use crate::data_folder::{DataFolder, DataFolderError, Guarded};
use crate::database::Database;
use crate::generation::{self, ReadGenerationError};

/// Readers of the log whose position must lie in it.
pub(super) const READERS: [ReaderName; 2] = [readers::timeseries::reader::NAME, readers::last_seen::reader::NAME];

/// The data folder is not as it was left.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A folder the registry knows is gone.
    #[error(
        "{path} was removed or emptied since the last start, and {what} with it. Restore it, or start once with \
         --accept-data-loss to go on without"
    )]
    Removed {
        /// The folder.
        path: String,
        /// What it held.
        what: &'static str,
    },
    /// A folder the registry knows, of another installation.
    #[error(
        "{path} is not the folder that belongs to this registry: one of the two was replaced. Restore the two from one backup, \
         or start once with --accept-data-loss to set {path} aside and go on without {what}"
    )]
    Replaced {
        /// The folder.
        path: String,
        /// What it held.
        what: &'static str,
    },
    /// The registry is new, and the folder is not.
    #[error(
        "the registry ({registry}) is missing or empty, but the data folder is in use: it has {found}. Devices, users and tokens \
         are in the registry. Restore it with `tidegate restore` or from your own copy; for a new platform, name an empty \
         folder"
    )]
    RegistryLost {
        /// File or database.
        registry: String,
        /// What is there.
        found: String,
    },
    /// The registry does not know a folder with data in it.
    #[error(
        "the registry does not know {path}, which has data in it: the registry is a copy from before, or another one. Restore \
         registry and folder from one backup"
    )]
    Unknown {
        /// The folder.
        path: String,
    },
    /// The registry is older than the telemetry.
    #[error(
        "the registry is an older copy: it knows telemetry up to record {stored} of the log, but {path} goes up to record {newest}. \
         {OLDER_ADVICE}"
    )]
    OlderRegistry {
        /// The telemetry folder.
        path: String,
        /// The registry's position.
        stored: u64,
        /// The folder's.
        newest: u64,
    },
    /// The registry is older than the last start, stop or minute of the folder's use.
    #[error(
        "the registry is an older copy: it is of generation {stored}, and the data folder was used with generation {newest} since. \
         {OLDER_ADVICE}"
    )]
    OlderGeneration {
        /// The registry's.
        stored: u64,
        /// The folder's.
        newest: u64,
    },
    /// What made the credentials in people's hands is gone.
    #[error(
        "{} is missing or damaged: {KEY_LOST}. Restore it, or start once with --accept-data-loss to have a new one made",
        path.display()
    )]
    KeyLost {
        /// The file.
        path: PathBuf,
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
    /// How far the telemetry goes is not known.
    #[error("how far the telemetry goes cannot be told; remove the file if it is damaged, and only then")]
    Newest(#[from] ReadNewestError),
    /// How old the registry is is not known.
    #[error("whether the registry is an older copy cannot be told; remove the file if it is damaged, and only then")]
    Generation(#[from] ReadGenerationError),
    /// The catalog of an older registry was not brought up to date.
    #[error("the telemetry files that the older registry does not list cannot be taken over")]
    TakeOver(#[from] TakeOverError),
    /// The folder cannot be looked at.
    #[error("the data folder cannot be checked")]
    Folder(#[from] DataFolderError),
    /// The log cannot be gone on with.
    #[error("what is damaged in the log cannot be given up")]
    Log(#[source] OpenLogError),
    /// The telemetry folder cannot be looked at.
    #[error("the telemetry folder cannot be checked")]
    Telemetry(#[source] io::Error),
    /// The registry cannot be asked.
    #[error("the data folder cannot be checked against the registry")]
    Store(#[from] StoreError),
}

impl GuardError {
    /// Whether starting again would fail the same way until somebody mends something.
    pub fn needs_mending(&self) -> bool {
        match self {
            Self::Folder(_) | Self::Telemetry(_) | Self::Store(_) | Self::TakeOver(_) => false,
            Self::Log(error) => error.needs_mending(),
            Self::Removed { .. }
            | Self::Replaced { .. }
            | Self::RegistryLost { .. }
            | Self::Unknown { .. }
            | Self::OlderRegistry { .. }
            | Self::OlderGeneration { .. }
            | Self::KeyLost { .. }
            | Self::OtherDatabase { .. }
            | Self::Generation(_)
            | Self::Newest(_) => true,
        }
    }
}

/// What to do about a registry that is an older copy.
const OLDER_ADVICE: &str = "Nothing was changed. Put the newest registry back, or restore a whole backup with `tidegate restore`. Or \
                            start once with --accept-data-loss to go on with this copy: devices, users, tokens and revocations are \
                            again as they were in it, and the telemetry files are taken over";

/// What it means that a key of API tokens is gone.
const KEY_LOST: &str = "no API token made with it would be let in, nor that in admin.token";

fn contents(guarded: Guarded) -> &'static str {
    match guarded {
        Guarded::Log => "accepted messages that were not yet in the telemetry store",
        Guarded::Telemetry => "the stored telemetry",
    }
}

/// What is to be done with a guarded folder once nothing refuses the start.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// It is made: it never was.
    Make,
    /// The registry learns its marker: a first start was killed in between.
    Adopt(String),
    /// It is given up, as an operator said: set aside if there is one, and made anew.
    GiveUp,
}

/// What is to be done before the parts are opened.
#[derive(Debug)]
pub(crate) struct Plan {
    steps: Vec<(Guarded, Step)>,
    /// The registry is an older copy, which an operator accepts.
    older: Option<Older>,
    /// Keys an operator gave up.
    lost_keys: Vec<PathBuf>,
    /// What is damaged in the log or among the telemetry files is given up.
    accept_loss: bool,
}

/// What there is of an accepted older registry.
#[derive(Debug)]
struct Older {
    /// Says so.
    about: String,
    /// How far the telemetry goes, as its folder says.
    newest: Option<u64>,
}

/// What the folder shows.
struct Seen<'a> {
    folder: &'a DataFolder,
    database: &'a Database,
    accept_loss: bool,
    survey: Survey,
    log: Option<LogEnds>,
    has_telemetry: bool,
}

/// Looks at everything that may refuse the start. Changes nothing but what SQLite keeps beside its file.
pub(crate) async fn inspect(folder: &DataFolder, database: &Database, accept_loss: bool) -> Result<Plan, ServeError> {
    database.check(folder)?;
    let survey = database.survey(folder, Look::Start).await?;
    judge(folder, database, survey, accept_loss)
}

/// What [`inspect`] makes of a registry that was looked at. Changes nothing.
pub(crate) fn judge(
    folder: &DataFolder,
    database: &Database,
    survey: Option<Survey>,
    accept_loss: bool,
) -> Result<Plan, ServeError> {
    let log = match storage::log::survey(&folder.guarded(Guarded::Log)) {
        // What is damaged is looked at more closely when it is given up.
        Err(error) if accept_loss && error.is_damage() => Some(LogEnds { first: Offset(0), next: Offset(u64::MAX) }),
        surveyed => surveyed?,
    };
    let telemetry = folder.guarded(Guarded::Telemetry);
    let has_telemetry = folder::holds_segments(&telemetry).map_err(GuardError::Telemetry)?;
    let mut reached = Reached::by(folder)?;
    let seen = Seen { folder, database, accept_loss, survey: survey.unwrap_or_default(), log, has_telemetry };
    seen.refuse_lost_registry()?;
    let lost_keys = seen.lost_keys()?;
    let steps = seen.steps()?;
    reached.telemetry = reached.telemetry.filter(|_| !steps.contains(&(Guarded::Telemetry, Step::GiveUp)));
    if seen.survey.applications.is_empty() {
        // A folder that holds nothing any more begins anew.
        reached.generation = None;
    }
    let older = match reached.refuse_older(folder, &seen.survey) {
        Err(error @ (GuardError::OlderRegistry { .. } | GuardError::OlderGeneration { .. })) if accept_loss => {
            Some(Older { about: Seen::about_older(&error), newest: reached.telemetry })
        }
        refused => refused.map(|()| None)?,
    };
    if let Some(log) = seen.log.filter(|_| !accept_loss) {
        positions::refuse(&seen.survey.checkpoints, &READERS, log)?;
    }
    Ok(Plan { steps, older, lost_keys, accept_loss })
}

/// How far the folder itself says that it goes. Read before the registry, which is never behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached {
    /// The log offset before which telemetry was committed.
    telemetry: Option<u64>,
    /// The registry it was last used with.
    generation: Option<u64>,
}

impl Reached {
    /// What the folder says.
    pub(crate) fn by(folder: &DataFolder) -> Result<Self, GuardError> {
        let telemetry = newest_committed::read(&folder.guarded(Guarded::Telemetry))?;
        Ok(Self { telemetry, generation: generation::read(folder.root())? })
    }

    /// Refuses a registry that is behind its folder.
    pub(crate) fn refuse_older(self, folder: &DataFolder, survey: &Survey) -> Result<(), GuardError> {
        let stored = survey.checkpoint(readers::timeseries::reader::NAME.name).unwrap_or(0);
        if let Some(newest) = self.telemetry.filter(|newest| *newest > stored) {
            let path = folder.guarded(Guarded::Telemetry).display().to_string();
            return Err(GuardError::OlderRegistry { path, stored, newest });
        }
        let stored = generation::of(survey);
        match self.generation {
            Some(newest) if newest > stored => Err(GuardError::OlderGeneration { stored, newest }),
            _ => Ok(()),
        }
    }
}

impl Seen<'_> {
    /// What is put on record of an older registry.
    fn about_older(error: &GuardError) -> String {
        let how = match error {
            GuardError::OlderRegistry { stored, newest, .. } => {
                format!("it knew telemetry up to record {stored} of the log, the folder up to record {newest}")
            }
            GuardError::OlderGeneration { stored, newest } => {
                format!("it was of generation {stored}, the folder of generation {newest}")
            }
            _ => String::new(),
        };
        format!(
            "the registry is an older copy ({how}): what was changed in it since is lost, and whoever was removed, blocked or revoked \
             since is let in again"
        )
    }

    /// Whether a folder holds something that must not be lost.
    fn holds_data(&self, guarded: Guarded) -> bool {
        match guarded {
            Guarded::Log => self.log.is_some_and(|log| log.next > log.first),
            Guarded::Telemetry => self.has_telemetry,
        }
    }

    /// A registry without an application is a new one. The folder must be as new. Where the folder was used with a database, its
    /// markers say more.
    fn refuse_lost_registry(&self) -> Result<(), GuardError> {
        if !self.survey.applications.is_empty() || self.database.is_known(self.folder)? {
            return Ok(());
        }
        let mut found = Vec::new();
        if self.folder.admin_token().exists() {
            found.push("an admin.token");
        }
        if self.holds_data(Guarded::Log) {
            found.push("accepted messages in log/");
        }
        if self.holds_data(Guarded::Telemetry) {
            found.push("telemetry in telemetry/");
        }
        if found.is_empty() {
            return Ok(());
        }
        let registry = match self.database {
            Database::Folder => self.folder.registry().display().to_string(),
            Database::Server(url) => url.to_string(),
        };
        Err(GuardError::RegistryLost { registry, found: found.join(", ") })
    }

    /// Keys of API tokens that are damaged; or the first application's, which is made before the first token, if there is none.
    fn lost_keys(&self) -> Result<Vec<PathBuf>, GuardError> {
        let (mut lost, mut missing) = (Vec::new(), Vec::new());
        for application in &self.survey.applications {
            let path = self.folder.token_key(application);
            match self.folder.read(&path) {
                Ok(Some(text)) if SigningKey::from_base64(&text).is_some() => {}
                Ok(None) => missing.push(path),
                Ok(Some(_)) => lost.push(path),
                // No text at all.
                Err(DataFolderError::Io { source, .. }) if source.kind() == io::ErrorKind::InvalidData => {
                    lost.push(path)
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Those of other applications are made when they are first asked for.
        let has_none = missing.len() == self.survey.applications.len();
        if has_none && self.folder.admin_token().exists() {
            lost.extend(missing.into_iter().next());
        }
        match lost.first() {
            Some(path) if !self.accept_loss => Err(GuardError::KeyLost { path: path.clone() }),
            _ => Ok(lost),
        }
    }

    /// Compares the markers of the guarded folders with those the registry knows.
    fn steps(&self) -> Result<Vec<(Guarded, Step)>, GuardError> {
        let is_known = self.database.is_known(self.folder)?;
        let mut steps = Vec::new();
        for guarded in Guarded::ALL {
            let path = || self.folder.guarded(guarded).display().to_string();
            let what = contents(guarded);
            let was_used = !self.survey.checkpoints.is_empty();
            let is_emptied = guarded == Guarded::Log && self.log.is_none() && was_used;
            let refused = match (self.survey.marker(guarded.name()), self.folder.marker(guarded)?) {
                (Some(known), Some(found)) if known == found && !is_emptied => continue,
                (None, _) if is_known => return Err(GuardError::OtherDatabase { folder: guarded.name() }),
                (None, _) if self.holds_data(guarded) => return Err(GuardError::Unknown { path: path() }),
                // The folder comes first, the registry second: killed in between, it is ours.
                (None, Some(found)) => {
                    steps.push((guarded, Step::Adopt(found)));
                    continue;
                }
                (None, None) => {
                    steps.push((guarded, Step::Make));
                    continue;
                }
                (Some(known), Some(found)) if known != found => GuardError::Replaced { path: path(), what },
                (Some(_), None) if self.holds_data(guarded) => GuardError::Replaced { path: path(), what },
                (Some(_), _) => GuardError::Removed { path: path(), what },
            };
            if !self.accept_loss {
                return Err(refused);
            }
            steps.push((guarded, Step::GiveUp));
        }
        Ok(steps)
    }
}

/// Does what the inspection found to be done.
pub(super) async fn settle(folder: &DataFolder, registry: &Registry, plan: Plan) -> Result<(), GuardError> {
    for (guarded, step) in plan.steps {
        match step {
            Step::Make => make(folder, registry, guarded).await?,
            Step::Adopt(marker) => registry.guarded_folder_put(guarded.name(), &marker, now_ms()).await?,
            Step::GiveUp => {
                give_up(registry, folder, guarded).await?;
                make(folder, registry, guarded).await?;
            }
        }
    }
    if let Some(Older { about, newest }) = plan.older {
        let telemetry = folder.guarded(Guarded::Telemetry);
        for detail in older_catalog::take_over(&telemetry, registry, newest, &about, now_ms()).await? {
            tracing::error!("going on without: {detail}");
        }
    }
    for path in plan.lost_keys {
        let detail = format!("{} was lost: {KEY_LOST}", path.display());
        tracing::error!("going on without: {detail}");
        registry.data_loss_record(&detail, now_ms()).await?;
        // Made again, with the new key.
        folder.remove_admin_token()?;
        folder.set_file_aside(&path)?;
    }
    if plan.accept_loss {
        give_up_records(folder, registry).await?;
        give_up_segments(folder, registry).await?;
    }
    Ok(())
}

/// Goes on without what is broken in the log, and only that. A sound log is left as it is.
async fn give_up_records(folder: &DataFolder, registry: &Registry) -> Result<(), GuardError> {
    let dir = folder.guarded(Guarded::Log);
    let reached = positions::first_offset(registry).await?;
    for part in storage::log::accept_loss(&dir, reached).map_err(GuardError::Log)? {
        let LostPart { first, next, segment, from_byte, to_byte, what } = part;
        let detail = format!(
            "records {first} to before {next} of log/ are lost: segment {segment}, bytes {from_byte} to {to_byte}: {what}"
        );
        tracing::error!("going on without: {detail}");
        registry.data_loss_record(&detail, now_ms()).await?;
    }
    let Some(log) = storage::log::survey(&dir).map_err(GuardError::Log)? else { return Ok(()) };
    let stored = registry.checkpoints_list().await?;
    if let Err(OpenPositionsError::LogGap { first, stored, .. }) = positions::refuse(&stored, &READERS, log) {
        let detail = format!("records {stored} to before {first} of log/ are lost: its oldest files were removed");
        tracing::error!("going on without: {detail}");
        registry.log_gap_accept(first, &detail, now_ms()).await?;
    }
    Ok(())
}

/// Goes on without telemetry files that are damaged or gone: they leave the catalog, and what there is of them is quarantined.
async fn give_up_segments(data: &DataFolder, registry: &Registry) -> Result<(), GuardError> {
    for row in registry.segments_list().await? {
        let Ok(CatalogSegment { application, meta }) = CatalogSegment::from_row(row) else { continue };
        let path = data.guarded(Guarded::Telemetry).join(&application);
        let Err(error) = folder::verify_segment(&path, &meta) else { continue };
        if !error.is_damage() {
            continue;
        }
        let detail = format!("{} rows of telemetry are lost: {error}", meta.rows);
        tracing::error!("going on without: {detail}");
        // First the catalog: killed in between, the file is one that is not listed, which the next start quarantines.
        registry.segment_loss_accept(&application, &meta.file_name, &detail, now_ms()).await?;
        match folder::quarantine_segment(&path, &meta.file_name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(GuardError::Telemetry(error)),
            _ => {}
        }
    }
    Ok(())
}

async fn make(folder: &DataFolder, registry: &Registry, guarded: Guarded) -> Result<(), GuardError> {
    let marker = new_id();
    folder.mark(guarded, &marker)?;
    Ok(registry.guarded_folder_put(guarded.name(), &marker, now_ms()).await?)
}

async fn give_up(registry: &Registry, folder: &DataFolder, guarded: Guarded) -> Result<(), GuardError> {
    let path = folder.guarded(guarded);
    let detail = if path.exists() {
        let place = folder.set_aside(guarded, now_ms())?;
        format!(
            "{} was emptied or replaced and is now {}; {} is not read",
            path.display(),
            place.display(),
            contents(guarded)
        )
    } else {
        format!("{} was removed, and {} with it", path.display(), contents(guarded))
    };
    tracing::error!("going on without: {detail}");
    match guarded {
        Guarded::Telemetry => registry.telemetry_loss_accept(&detail, now_ms()).await?,
        Guarded::Log => registry.log_loss_accept(&detail, now_ms()).await?,
    }
    Ok(())
}

/// Compares the segment files of an application with the catalog, says what is missing, and takes files the catalog does not list
/// out of the way: left by a crash before they were entered, or after a compaction took them out.
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
        tracing::error!("telemetry file {name} is missing: queries are answered without it until it is restored");
    }
    for name in &report.wrong_size {
        tracing::error!("telemetry file {name} does not have the size it was written with: it is damaged");
    }
    for name in &report.unlisted {
        match folder::quarantine_segment(&path, name) {
            Ok(place) => {
                let place = place.display();
                tracing::warn!(
                    "telemetry file {name} was left by an interrupted write; it is not read, and now {place}"
                );
            }
            Err(error) => {
                tracing::warn!(%error, "telemetry file {name} was left by an interrupted write and is not read")
            }
        }
    }
}
