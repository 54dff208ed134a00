//! `tidegate doctor`: looks at a data folder and says what is wrong and what to do.
//!
//! It changes nothing. While `serve` runs, what only `serve` may open (the log) is left out and said so.

use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use events::health::with_causes;
use readers::timeseries::CatalogSegment;
use registry::{Registry, StoreError};
use serde_json::json;
use storage::log::{Log, LogOptions};
use telemetry::segment::folder;

use super::folder::FolderArguments;
use crate::certificates;
use crate::data_folder::{DataFolder, DataFolderError, Guarded, Room};
use crate::database::Database;
use crate::serve::guard;

/// Days of certificate left below which it is said.
const CERTIFICATE_DAYS_MIN: i64 = 30;
/// How long a port may take to answer.
const PORT_TIMEOUT: Duration = Duration::from_secs(2);

/// `tidegate doctor`
#[derive(Debug, Args)]
pub struct DoctorArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// One JSON object a line: {"check","status","message"}.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Ok,
    Warning,
    Error,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

struct Finding {
    check: &'static str,
    status: Status,
    message: String,
}

fn finding(check: &'static str, status: Status, message: impl Into<String>) -> Finding {
    Finding { check, status, message: message.into() }
}

fn unreadable(check: &'static str, what: &str, error: &StoreError) -> Finding {
    finding(check, Status::Error, format!("{what} cannot be read: {}", with_causes(error)))
}

pub(super) async fn run(arguments: DoctorArguments) -> anyhow::Result<ExitCode> {
    let (folder, database) = arguments.folder.find()?;
    let mut findings = vec![permissions(&folder), certificate(&folder), disk(&folder)];
    findings.extend(ports(&folder));
    findings.extend(start(&folder, &database).await);
    let mut positions = Vec::new();
    match database.open(&folder).await {
        Ok(registry) => {
            match registry.checkpoints_list().await {
                Ok(stored) => positions = stored,
                Err(error) => findings.push(unreadable("readers", "the readers' positions", &error)),
            }
            let place = match &database {
                Database::Folder => "registry.db".to_owned(),
                Database::Server(url) => url.to_string(),
            };
            findings.push(finding("registry", Status::Ok, format!("{place} opens, and its schema is current")));
            findings.extend(guarded_folders(&folder, &registry).await);
            findings.extend(segments(&folder, &registry).await);
            registry.close().await;
        }
        Err(error) => {
            findings.push(finding("registry", Status::Error, with_causes(&error)));
        }
    }
    findings.extend(log(&folder, &positions));
    for finding in &findings {
        print(finding, arguments.json);
    }
    let is_sound = findings.iter().all(|finding| finding.status != Status::Error);
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[allow(clippy::print_stdout, reason = "the command's output")]
fn print(finding: &Finding, as_json: bool) {
    let Finding { check, status, message } = finding;
    if as_json {
        println!("{}", json!({ "check": check, "status": status.name(), "message": message }));
    } else {
        println!("{:<8} {check:<12} {message}", status.name());
    }
}

fn permissions(folder: &DataFolder) -> Finding {
    let exposed = folder.exposed_secrets();
    if exposed.is_empty() {
        return finding("permissions", Status::Ok, "secrets are readable by their owner only");
    }
    let list: Vec<String> = exposed.iter().map(|(path, mode)| format!("{} ({mode:o})", path.display())).collect();
    finding("permissions", Status::Error, format!("others can read {}; run chmod 600 on them", list.join(", ")))
}

fn certificate(folder: &DataFolder) -> Finding {
    let days = certificates::server_certificate_ends_in_secs(folder).map(|secs| secs / 86_400);
    match days {
        None => finding(
            "certificate",
            Status::Error,
            "tls/server.pem and its key are missing or do not fit; serve makes new ones",
        ),
        Some(days) if days < 0 => {
            finding("certificate", Status::Error, "the server certificate has expired; start serve again")
        }
        Some(days) if days < CERTIFICATE_DAYS_MIN => finding(
            "certificate",
            Status::Warning,
            format!("the server certificate ends in {days} days; start serve again"),
        ),
        Some(days) => finding("certificate", Status::Ok, format!("the server certificate ends in {days} days")),
    }
}

fn disk(folder: &DataFolder) -> Finding {
    let Some(disk) = folder.disk() else {
        return finding("disk", Status::Warning, "the free space cannot be told");
    };
    let free = disk.free_bytes;
    match disk.room() {
        Room::Full => {
            let what = format!("the disk is full ({} KiB are free): messages and changes are refused", free >> 10);
            finding("disk", Status::Error, what)
        }
        Room::Low => finding("disk", Status::Warning, format!("only {} MiB are free", free >> 20)),
        Room::Enough => finding("disk", Status::Ok, format!("{} MiB are free", free >> 20)),
    }
}

fn ports(folder: &DataFolder) -> Vec<Finding> {
    let Some(endpoints) = folder.read_endpoints() else {
        return vec![finding("ports", Status::Ok, "serve is not running")];
    };
    let listeners = [("https", endpoints.https), ("http", endpoints.http), ("mqtts", endpoints.mqtts)];
    let listeners = listeners.into_iter().filter_map(|(name, address)| Some((name, address?)));
    listeners
        .map(|(name, address)| {
            let answers =
                address.parse().is_ok_and(|address| TcpStream::connect_timeout(&address, PORT_TIMEOUT).is_ok());
            if answers {
                finding("ports", Status::Ok, format!("{name} answers on {address}"))
            } else {
                finding(
                    "ports",
                    Status::Error,
                    format!("{name} does not answer on {address}, where endpoints.json says it is"),
                )
            }
        })
        .collect()
}

/// What would refuse a start; nothing while `serve` runs.
async fn start(folder: &DataFolder, database: &Database) -> Option<Finding> {
    let _lock = folder.lock().ok()?;
    Some(match guard::inspect(folder, database, false).await {
        Ok(_) => finding("start", Status::Ok, "nothing in the folder refuses a start"),
        Err(error) => finding("start", Status::Error, with_causes(&error)),
    })
}

async fn guarded_folders(folder: &DataFolder, registry: &Registry) -> Vec<Finding> {
    let mut findings = Vec::new();
    for guarded in Guarded::ALL {
        let path = folder.guarded(guarded);
        let known = registry.guarded_folder_marker(guarded.name()).await;
        let found = folder.marker(guarded);
        let (status, message) = match (known, found) {
            (Ok(known), Ok(found)) if known == found => {
                (Status::Ok, format!("{} is the one that was made", path.display()))
            }
            (Ok(_), Ok(_)) => (Status::Error, format!("{} was removed or replaced; restore it", path.display())),
            _ => (Status::Error, format!("{} cannot be checked", path.display())),
        };
        findings.push(finding("folders", status, message));
    }
    match registry.data_losses_list().await {
        Ok(losses) => {
            let accepted = losses.into_iter().map(|(_, detail)| format!("accepted loss: {detail}"));
            findings.extend(accepted.map(|text| finding("folders", Status::Warning, text)));
        }
        Err(error) => findings.push(unreadable("folders", "the accepted losses", &error)),
    }
    findings
}

async fn segments(data: &DataFolder, registry: &Registry) -> Vec<Finding> {
    let rows = match registry.segments_list().await {
        Ok(rows) => rows,
        Err(error) => return vec![unreadable("telemetry", "the catalog", &error)],
    };
    let mut findings: Vec<Finding> = Vec::new();
    let files = rows.len();
    for row in rows {
        let file_name = row.file_name.clone();
        let verified = CatalogSegment::from_row(row).map_err(|error| error.to_string()).and_then(|segment| {
            let path = data.guarded(Guarded::Telemetry).join(&segment.application);
            folder::verify_segment(&path, &segment.meta).map_err(|error| error.to_string())
        });
        if let Err(error) = verified {
            findings.push(finding("telemetry", Status::Error, format!("{file_name}: {error}")));
        }
    }
    if findings.is_empty() {
        findings.push(finding("telemetry", Status::Ok, format!("{files} files are there and whole")));
    }
    findings
}

/// The log, and where each reader is in it.
fn log(folder: &DataFolder, positions: &[(String, u64)]) -> Vec<Finding> {
    let path = folder.guarded(Guarded::Log);
    if !path.is_dir() {
        return vec![finding("log", Status::Error, format!("{} is missing", path.display()))];
    }
    match folder.lock() {
        Err(DataFolderError::InUse(_)) => {
            let covered = |(reader, next): &(String, u64)| {
                finding("readers", Status::Ok, format!("{reader} has stored what came before record {next}"))
            };
            let log = finding("log", Status::Ok, "serve is running and has it open; not read");
            std::iter::once(log).chain(positions.iter().map(covered)).collect()
        }
        Err(error) => vec![finding("log", Status::Error, error.to_string())],
        // Kept until the log is closed again: no `serve` may start meanwhile.
        Ok(_lock) => match Log::open(&path, LogOptions::default()) {
            Err(error) => vec![finding("log", Status::Error, error.to_string())],
            Ok(log) => {
                let whole = match log.verify() {
                    Ok(()) => finding(
                        "log",
                        Status::Ok,
                        format!("{} MiB are whole, up to record {}", log.bytes() >> 20, log.next_offset()),
                    ),
                    Err(error) => finding("log", Status::Error, error.to_string()),
                };
                let readers = positions.iter().map(|(reader, next)| standing(&log, reader, *next));
                std::iter::once(whole).chain(readers).collect()
            }
        },
    }
}

fn standing(log: &Log, reader: &str, stored: u64) -> Finding {
    let (first, next) = (log.first_offset().0, log.next_offset().0);
    if stored > next || stored < first {
        let message =
            format!("{reader} goes on at record {stored}, but log/ has records {first} to {next}: restore it");
        return finding("readers", Status::Error, message);
    }
    finding("readers", Status::Ok, format!("{reader} has stored all but the newest {} records", next - stored))
}
