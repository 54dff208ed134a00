//! `tidegate model`: device models in DTDL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::model::dtdl::{self, FileReport, Finding};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// Files one run takes; a folder given by mistake should not read a whole disk.
const FILES_MAX: usize = 10_000;
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Depth of folders.
const DEPTH_MAX: usize = 32;
/// Code of a file that is no JSON, or cannot be read.
const CODE_UNREADABLE: &str = "unreadable";
const CODE_NOT_JSON: &str = "notJson";

/// `tidegate model …`
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Check DTDL files; references are resolved among the given paths only. Exit code 1 when one is not valid.
    #[command(after_help = "Example:\n  tidegate model validate --json models/ thermostat.json")]
    Validate(ValidateArguments),
}

/// What to check.
#[derive(Debug, Args)]
pub struct ValidateArguments {
    /// One JSON object a line: {"path","valid","errors":[{"code","message","pointer"}]}.
    #[arg(long)]
    json: bool,
    /// Files, and folders of which every .json file is taken.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(command: ModelCommand) -> anyhow::Result<ExitCode> {
    let ModelCommand::Validate(arguments) = command;
    let mut files = Vec::new();
    for path in &arguments.paths {
        collect(path, 0, &mut files)?;
    }
    let reports = validate(&files);
    for report in &reports {
        print(report, arguments.json);
    }
    let is_valid = reports.iter().all(|report| report.valid);
    Ok(if is_valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A file as it is, or every `.json` file below a folder, sorted.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    anyhow::ensure!(files.len() < FILES_MAX, "more than {FILES_MAX} files");
    anyhow::ensure!(depth <= DEPTH_MAX, "{} is more than {DEPTH_MAX} folders deep", path.display());
    let found = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !found.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            collect(&entry, depth + 1, files)?;
        }
    }
    Ok(())
}

/// Reports in the order of the files.
fn validate(files: &[PathBuf]) -> Vec<FileReport> {
    let read: Vec<(String, Result<Value, Finding>)> =
        files.iter().map(|path| (path.display().to_string(), read(path))).collect();
    let documents: Vec<(String, Value)> =
        read.iter().filter_map(|(path, json)| Some((path.clone(), json.as_ref().ok()?.clone()))).collect();
    let mut checked = dtdl::validate_documents(&documents).into_iter();
    let report = |(path, json): (String, Result<Value, Finding>)| match json {
        Ok(_) => checked.next().expect("there is a report for every document, in order"),
        Err(finding) => FileReport::new(path, vec![finding]),
    };
    read.into_iter().map(report).collect()
}

fn read(path: &Path) -> Result<Value, Finding> {
    let unreadable = |message: String| Finding { code: CODE_UNREADABLE, message, pointer: String::new() };
    let size = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(format!("the file has more than {FILE_BYTES_MAX} bytes")));
    }
    let bytes = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    serde_json::from_slice(text).map_err(|error| Finding {
        code: CODE_NOT_JSON,
        message: format!("the file is no JSON: {error}"),
        pointer: String::new(),
    })
}

#[allow(clippy::print_stdout, reason = "the command's output")]
fn print(report: &FileReport, as_json: bool) {
    if as_json {
        let errors = report
            .errors
            .iter()
            .map(|finding| json!({ "code": finding.code, "message": finding.message, "pointer": finding.pointer }));
        let errors: Vec<Value> = errors.collect();
        println!("{}", json!({ "path": report.path, "valid": report.valid, "errors": errors }));
    } else if report.valid {
        println!("{}: valid", report.path);
    } else {
        for finding in &report.errors {
            let place = if finding.pointer.is_empty() { "/" } else { &finding.pointer };
            println!("{}: {place} {}: {}", report.path, finding.code, finding.message);
        }
    }
}
