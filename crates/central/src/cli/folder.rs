//! The flags that lead a command to a data folder and to the database its registry is in.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;

use clap::Args;
use registry::Registry;

use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::database::{Database, FindDatabaseError};

/// The flag, and the variable that says the same to processes nobody else may look into.
const FLAG: &str = "--database";
const VARIABLE: &str = "TIDEGATE_DATABASE_URL";

/// Where the registry is, given for this run.
#[derive(Debug, Args)]
pub(super) struct DatabaseArgument {
    /// PostgreSQL database of the registry, for trials; `[database] url_file` in the configuration file is meant to stay.
    #[arg(long, value_name = "URL", env = VARIABLE, hide_env_values = true)]
    database: Option<UrlText>,
}

/// The folder of a command that works on an existing one.
#[derive(Debug, Args)]
pub(super) struct FolderArguments {
    /// Data folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Configuration file of `serve`, for its [database].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    database: DatabaseArgument,
}

/// What may be a URL with a password: nobody prints it by mistake.
#[derive(Clone)]
struct UrlText(String);

impl fmt::Debug for UrlText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(a URL)")
    }
}

impl FromStr for UrlText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl DatabaseArgument {
    /// The database given, else that of the configuration.
    pub(super) fn or_of(&self, config: &Config) -> Result<Database, FindDatabaseError> {
        match (&self.database, &config.database.url_file) {
            (Some(url), _) => Database::of_argument(&url.0),
            (None, Some(file)) => Database::of_file(file),
            (None, None) => Ok(Database::Folder),
        }
    }
}

impl FolderArguments {
    /// The folder and its database, which are checked to belong together.
    pub(super) fn find(&self) -> anyhow::Result<(DataFolder, Database)> {
        let config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        let database = self.database.or_of(&config)?;
        let folder = DataFolder::existing(&self.data)?;
        database.check(&folder)?;
        Ok((folder, database))
    }

    /// The folder with its registry. Takes no lock: `serve` may run.
    pub(super) async fn open(&self) -> anyhow::Result<(DataFolder, Registry)> {
        let (folder, database) = self.find()?;
        let registry = database.open(&folder).await?;
        Ok((folder, registry))
    }
}

/// Starts this program again with a `--database` that may hold a password in the environment instead, in the same process:
/// everybody on a machine sees the arguments of a process for as long as it runs, and its environment nobody but its owner.
pub(super) fn hide_password() -> io::Result<()> {
    let (arguments, url) = without_url(std::env::args_os().skip(1));
    let Some(url) = url else { return Ok(()) };
    // One that cannot be understood ends the program with an error soon; what is understood as passwordless may be seen.
    if url.to_str().is_some_and(|url| Database::of_argument(url).is_ok_and(|database| !database.has_password())) {
        return Ok(());
    }
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    Err(command.args(arguments).env(VARIABLE, url).exec())
}

/// Arguments without the last `--database`, and its value.
fn without_url(arguments: impl Iterator<Item = OsString>) -> (Vec<OsString>, Option<OsString>) {
    let mut kept = Vec::new();
    let mut url = None;
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let bytes = argument.as_bytes();
        if bytes == FLAG.as_bytes() && arguments.peek().is_some() {
            url = arguments.next();
        } else if let Some(value) = bytes.strip_prefix(FLAG.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) {
            url = Some(OsStr::from_bytes(value).to_owned());
        } else {
            kept.push(argument);
        }
    }
    (kept, url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_taken_from_among_the_arguments() {
        let taken = |arguments: &[&str]| {
            let (kept, url) = without_url(arguments.iter().map(OsString::from));
            let kept: Vec<String> = kept.into_iter().filter_map(|text| text.into_string().ok()).collect();
            (kept.join(" "), url.and_then(|url| url.into_string().ok()))
        };
        let url = Some("postgresql://h/d".to_owned());
        assert_eq!(
            taken(&["serve", "--database", "postgresql://h/d", "--data", "x"]),
            ("serve --data x".into(), url.clone())
        );
        assert_eq!(taken(&["serve", "--database=postgresql://h/d"]), ("serve".into(), url));
        assert_eq!(taken(&["serve", "--database"]), ("serve --database".into(), None));
        assert_eq!(taken(&["serve", "--data", "x"]), ("serve --data x".into(), None));
    }

    #[test]
    fn an_argument_is_not_printed() {
        let argument = DatabaseArgument { database: Some(UrlText("postgresql://u:s3cret@h/d".into())) };
        assert!(!format!("{argument:?}").contains("s3cret"));
    }
}
