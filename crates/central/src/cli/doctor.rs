//! `tidegate doctor`: looks at a data folder and says what is wrong and what to do.
//!
//! It changes nothing: no file is made, written, cut or brought up to date, and no lock is kept. While `serve` runs, what only
//! `serve` may open (the log) is left out and said so.

mod connections;

use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use events::health::with_causes;
use readers::timeseries::CatalogSegment;
use registry::{Look, Survey};
use serde_json::json;
use storage::log::{LogEnds, VerifiedLog};
use telemetry::segment::folder;

use super::folder::FolderArguments;
use crate::certificates;
use crate::data_folder::{DataFolder, Guarded, Room};
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

pub(super) async fn run(arguments: DoctorArguments) -> anyhow::Result<ExitCode> {
    let (folder, database) = arguments.folder.find()?;
    let mut findings = vec![permissions(&folder), certificate(&folder), disk(&folder)];
    findings.extend(ports(&folder));
    findings.extend(connections::look(&folder).await);
    let is_served = folder.is_served()?;
    let look = if is_served { Look::Beside } else { Look::Untouched };
    let mut positions = Vec::new();
    match database.survey(&folder, look).await {
        Ok(survey) => {
            let survey = survey.unwrap_or_default();
            findings.extend((!is_served).then(|| start(&folder, &database, &survey)));
            findings.push(registry(&database, &survey));
            findings.extend(guarded_folders(&folder, &survey));
            findings.extend(segments(&folder, &survey));
            positions = survey.checkpoints;
        }
        Err(error) => {
            let message = with_causes(&error);
            findings.extend((!is_served).then(|| finding("start", Status::Error, message.clone())));
            findings.push(finding("registry", Status::Error, message));
        }
    }
    findings.extend(log(&folder, is_served, &positions));
    if !is_served && folder.is_served()? {
        let message = "serve was started while this looked: what is said of registry and log may be wrong; look again";
        findings.push(finding("start", Status::Warning, message));
    }
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

/// What would refuse a start.
fn start(folder: &DataFolder, database: &Database, survey: &Survey) -> Finding {
    match guard::judge(folder, database, Some(survey.clone()), false) {
        Ok(_) => finding("start", Status::Ok, "nothing in the folder refuses a start"),
        Err(error) => finding("start", Status::Error, with_causes(&error)),
    }
}

fn registry(database: &Database, survey: &Survey) -> Finding {
    let place = match database {
        Database::Folder => "registry.db".to_owned(),
        Database::Server(url) => url.to_string(),
    };
    let schema = match survey.is_current {
        true => "its schema is current",
        false => "the next start brings its schema up to date",
    };
    finding("registry", Status::Ok, format!("{place} opens, and {schema}"))
}

fn guarded_folders(folder: &DataFolder, survey: &Survey) -> Vec<Finding> {
    let mut findings = Vec::new();
    for guarded in Guarded::ALL {
        let path = folder.guarded(guarded);
        let (status, message) = match (survey.marker(guarded.name()), folder.marker(guarded)) {
            (known, Ok(found)) if known == found.as_deref() => {
                (Status::Ok, format!("{} is the one that was made", path.display()))
            }
            (_, Ok(_)) => (Status::Error, format!("{} was removed or replaced; restore it", path.display())),
            (_, Err(error)) => (Status::Error, with_causes(&error)),
        };
        findings.push(finding("folders", status, message));
    }
    let accepted = survey.losses.iter().map(|(_, detail)| format!("accepted loss: {detail}"));
    findings.extend(accepted.map(|text| finding("folders", Status::Warning, text)));
    findings
}

fn segments(data: &DataFolder, survey: &Survey) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for row in &survey.segments {
        let verified = CatalogSegment::from_row(row.clone()).map_err(|error| error.to_string()).and_then(|segment| {
            let path = data.guarded(Guarded::Telemetry).join(&segment.application);
            folder::verify_segment(&path, &segment.meta).map_err(|error| error.to_string())
        });
        if let Err(error) = verified {
            findings.push(finding("telemetry", Status::Error, format!("{}: {error}", row.file_name)));
        }
    }
    if findings.is_empty() {
        findings.push(finding("telemetry", Status::Ok, format!("{} files are there and whole", survey.segments.len())));
    }
    findings
}

/// The log, and where each reader is in it.
fn log(folder: &DataFolder, is_served: bool, positions: &[(String, u64)]) -> Vec<Finding> {
    let path = folder.guarded(Guarded::Log);
    if !path.is_dir() {
        return vec![finding("log", Status::Error, format!("{} is missing", path.display()))];
    }
    if is_served {
        let covered = |(reader, next): &(String, u64)| {
            finding("readers", Status::Ok, format!("{reader} has stored what came before record {next}"))
        };
        let log = finding("log", Status::Ok, "serve is running and has it open; not read");
        return std::iter::once(log).chain(positions.iter().map(covered)).collect();
    }
    match storage::log::verify(&path) {
        Err(error) => vec![finding("log", Status::Error, with_causes(&error))],
        Ok(None) => vec![finding("log", Status::Error, format!("{} has no segments", path.display()))],
        Ok(Some(VerifiedLog { ends, bytes, cut })) => {
            let whole = format!("{} MiB are whole, up to record {}", bytes >> 20, ends.next);
            let unfinished = cut.map(|cut| {
                let what = format!("a write was not finished: the next start cuts {} bytes off its end", cut.bytes);
                finding("log", Status::Warning, what)
            });
            let readers = positions.iter().map(|(reader, next)| standing(ends, reader, *next));
            std::iter::once(finding("log", Status::Ok, whole)).chain(unfinished).chain(readers).collect()
        }
    }
}

fn standing(LogEnds { first, next }: LogEnds, reader: &str, stored: u64) -> Finding {
    if stored > next.0 || stored < first.0 {
        let message =
            format!("{reader} goes on at record {stored}, but log/ has records {first} to {next}: restore it");
        return finding("readers", Status::Error, message);
    }
    finding("readers", Status::Ok, format!("{reader} has stored all but the newest {} records", next.0 - stored))
}
