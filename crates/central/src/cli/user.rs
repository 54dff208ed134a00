//! `tidegate user`: people who sign in to the console, made on the data folder itself.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use events::clock::now_ms;

use super::application::{ApplicationArgument, open_application};
use super::folder::FolderArguments;
use crate::app::roles::{self, BuiltInRole};
use crate::app::sign_in;
use crate::data_folder::DataFolder;

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
    #[command(flatten)]
    folder: FolderArguments,
    #[command(flatten)]
    application: ApplicationArgument,
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
    let (folder, registry, application) = open_application(&arguments.folder, &arguments.application).await?;
    let is_first = registry.application_list().await?.first().is_some_and(|first| first.id == application.id);
    let code = sign_in::invite_offline(&registry, &application, &arguments.email, role, now_ms()).await;
    registry.close().await;
    let code = code.context("cannot store the user")?;
    let origin = origin(&folder, (!is_first).then_some(application.name.as_str()));
    print(&arguments, &format!("{origin}/sign-in#code={code}"));
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

/// Where the console of an application is, as `serve` last told; no name stands for the first application.
pub(super) fn origin(folder: &DataFolder, name: Option<&str>) -> String {
    let endpoints = folder.read_endpoints();
    let port = endpoints.as_ref().and_then(|endpoints| endpoints.https_port()).unwrap_or(DEFAULT_HTTPS_PORT);
    let hostname = endpoints.map_or_else(|| "localhost".to_owned(), |endpoints| endpoints.hostname);
    match name {
        Some(name) => format!("https://{name}.{hostname}:{port}"),
        None => format!("https://{hostname}:{port}"),
    }
}

fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !text.contains(char::is_whitespace) && !domain.contains('@')
    })
}
