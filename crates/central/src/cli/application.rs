//! `tidegate application`: further applications, made on the data folder itself, and the flag that names one.

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use events::clock::now_ms;
use hub::applications::is_application_name;
use registry::{ApplicationRow, Registry, StoreError};

use super::folder::FolderArguments;
use super::user::origin;
use crate::app::setup;
use crate::data_folder::DataFolder;

/// `tidegate application …`
#[derive(Debug, Subcommand)]
pub enum ApplicationCommand {
    /// Make an application, apart from all others, served on NAME.HOST. `serve` may be running.
    #[command(after_help = "Example:\n  tidegate application create --data /var/lib/tidegate --name plant-7")]
    Create(CreateArguments),
}

/// What an application is made from.
#[derive(Debug, Args)]
pub struct CreateArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Name: lower-case letters, digits and dashes. It is the first label of the application's host name.
    #[arg(long)]
    name: String,
    /// Print `{"name", "id", "idScope", "url"}`.
    #[arg(long)]
    json: bool,
}

/// The flag that names an application.
#[derive(Debug, Args)]
pub struct ApplicationArgument {
    /// Name of the application [default: the first one].
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
}

pub(super) async fn run(command: ApplicationCommand) -> anyhow::Result<ExitCode> {
    let ApplicationCommand::Create(arguments) = command;
    if !is_application_name(&arguments.name) {
        bail!("{:?} cannot name an application: up to 63 lower-case letters, digits and dashes", arguments.name);
    }
    let (folder, registry) = arguments.folder.open().await?;
    let made = setup::new_application(&registry, &arguments.name, now_ms()).await;
    registry.close().await;
    match made {
        Ok(application) => print(&arguments, &application, &origin(&folder, Some(&application.name))),
        Err(StoreError::Duplicate(..)) => return Err(anyhow!("there is an application {} already", arguments.name)),
        Err(error) => return Err(error).context("cannot store the application"),
    }
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout, reason = "the command's output")]
fn print(arguments: &CreateArguments, application: &ApplicationRow, url: &str) {
    let ApplicationRow { id, name, id_scope, .. } = application;
    if arguments.json {
        println!("{}", serde_json::json!({ "name": name, "id": id, "idScope": id_scope, "url": url }));
    } else {
        println!("{name}  {url}  scope {id_scope}");
    }
}

/// An existing folder with its registry and the application asked for. Takes no lock: `serve` may run.
pub(super) async fn open_application(
    folder: &FolderArguments,
    wanted: &ApplicationArgument,
) -> anyhow::Result<(DataFolder, Registry, ApplicationRow)> {
    let (folder, registry) = folder.open().await?;
    let application = match &wanted.application {
        Some(name) => {
            let found = registry.application_by_name(name).await.context("cannot read the registry")?;
            found.with_context(|| format!("there is no application {name}"))?
        }
        None => {
            let all = registry.application_list().await.context("cannot read the registry")?;
            all.into_iter()
                .next()
                .context("the data folder holds no application; `tidegate serve` makes the first one")?
        }
    };
    Ok((folder, registry, application))
}
