//! `tidegate backup` and `tidegate restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::folder::FolderArguments;
use crate::backup::{self, Copied};

/// `tidegate backup`
#[derive(Debug, Args)]
pub struct BackupArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Where the backup goes: a folder that is empty or not there yet.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// `tidegate restore`
#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// The backup.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Data folder to make: a folder that is empty or not there yet.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

pub(super) async fn run(arguments: BackupArguments) -> anyhow::Result<ExitCode> {
    let (folder, database) = arguments.folder.find()?;
    let copied = backup::make(&folder, &database, &arguments.to).await?;
    print("backed up", &copied);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn restore(arguments: RestoreArguments) -> anyhow::Result<ExitCode> {
    let copied = backup::restore(&arguments.from, &arguments.data).await?;
    print("restored", &copied);
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "the command's output")]
fn print(what: &str, copied: &Copied) {
    for name in &copied.damaged {
        eprintln!(
            "tidegate: {name} is damaged or has another size than it was written with; it is in the backup as it is"
        );
    }
    println!("{what} {} files, {} bytes", copied.files, copied.bytes);
}
