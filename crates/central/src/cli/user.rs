//! `tidegate user`: people who sign in to the console, made on the data folder itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use events::clock::now_ms;
use registry::{ApplicationRow, Registry};

use crate::app::roles::{self, BuiltInRole};
use crate::app::sign_in;
use crate::data_folder::DataFolder;

/// How long a sign-in link works.
const LINK_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Port in links when no `serve` has told its own.
const DEFAULT_HTTPS_PORT: u16 = 8443;

/// `tidegate user …`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make a user, or find one, and print a sign-in link that works once, within a day.
    #[command(
        after_help = "Example:\n  tidegate user create --data /var/lib/tidegate --email ann@example.test --role Administrator"
    )]
    Create(CreateArguments),
}

/// What a user is made from.
#[derive(Debug, Args)]
pub struct CreateArguments {
    /// Data folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// E-mail address.
    #[arg(long)]
    email: String,
    /// Role: its id or a name, any case (Administrator, Builder, Operator, …).
    #[arg(long)]
    role: String,
    /// Print `{"email", "link"}`.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: UserCommand) -> anyhow::Result<ExitCode> {
    let UserCommand::Create(arguments) = command;
    let role = role(&arguments.role)?;
    if !is_address(&arguments.email) {
        bail!("{:?} is no e-mail address", arguments.email);
    }
    let (folder, registry, application) = open_first_application(&arguments.data).await?;
    let code = sign_in::invite_offline(&registry, &application, &arguments.email, role, LINK_LIFE, now_ms()).await;
    registry.close().await;
    let code = code.context("cannot store the user")?;
    print(&arguments, &format!("{}/sign-in#code={code}", origin(&folder)));
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout, reason = "the command's output")]
fn print(arguments: &CreateArguments, link: &str) {
    if arguments.json {
        println!("{}", serde_json::json!({ "email": arguments.email, "link": link }));
    } else {
        println!("{link}");
    }
}

/// The built-in role of an id or name.
pub(super) fn role(text: &str) -> anyhow::Result<&'static BuiltInRole> {
    roles::by_name(text).with_context(|| {
        let known: Vec<&str> = roles::ALL.iter().map(|role| role.name).collect();
        format!("there is no role {text:?}; there are {}", known.join(", "))
    })
}

/// An existing folder with its registry and first application. Takes no lock: `serve` may run.
pub(super) async fn open_first_application(data: &Path) -> anyhow::Result<(DataFolder, Registry, ApplicationRow)> {
    let folder = DataFolder::existing(data)?;
    let registry = Registry::open(&folder.registry()).await?;
    let applications = registry.application_list().await.context("cannot read the registry")?;
    let application = applications.into_iter().next();
    let application =
        application.context("the data folder holds no application; `tidegate serve` makes the first one")?;
    Ok((folder, registry, application))
}

/// Where the console is, as `serve` last told.
fn origin(folder: &DataFolder) -> String {
    let endpoints = folder.read_endpoints();
    let port = endpoints.as_ref().and_then(|endpoints| endpoints.https_port()).unwrap_or(DEFAULT_HTTPS_PORT);
    let hostname = endpoints.map_or_else(|| "localhost".to_owned(), |endpoints| endpoints.hostname);
    format!("https://{hostname}:{port}")
}

fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !text.contains(char::is_whitespace) && !domain.contains('@')
    })
}
