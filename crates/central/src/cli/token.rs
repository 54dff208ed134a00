//! `tidegate token`: API tokens, made on the data folder itself.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use events::clock::{now_ms, rfc3339_ms};
use registry::StoreError;

use super::application::{ApplicationArgument, open_application};
use super::folder::FolderArguments;
use crate::app::signing_key::SigningKeys;
use crate::app::tokens::{self, OfflineToken};

/// `tidegate token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make an API token and print it; it is not stored and cannot be shown again.
    #[command(
        after_help = "Example:\n  tidegate token create --data /var/lib/tidegate --role Operator --name nightly-report"
    )]
    Create(CreateArguments),
}

/// What a token is made from.
#[derive(Debug, Args)]
pub struct CreateArguments {
    #[command(flatten)]
    folder: FolderArguments,
    #[command(flatten)]
    application: ApplicationArgument,
    /// Role: its id or a name, any case (Administrator, Builder, Operator, …).
    #[arg(long)]
    role: String,
    /// Name of the token, unique in the application.
    #[arg(long)]
    name: String,
    /// Print `{"id", "token", "expiry"}`.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: TokenCommand) -> anyhow::Result<ExitCode> {
    let TokenCommand::Create(arguments) = command;
    let role = super::user::role(&arguments.role)?;
    let (folder, registry, application) = open_application(&arguments.folder, &arguments.application).await?;
    let key = SigningKeys::new(folder).of(&application.id)?;
    let now = now_ms();
    let expires = tokens::default_expiry_ms(now);
    let wanted = OfflineToken { id: &arguments.name, role, expires_ms: expires, now_ms: now };
    let made = tokens::create_offline(&registry, &application, &key, wanted).await;
    registry.close().await;
    let token = match made {
        Ok(token) => token,
        Err(StoreError::EtagMismatch(..)) => return Err(anyhow!("there is a token named {} already", arguments.name)),
        Err(error) => return Err(error).context("cannot store the token"),
    };
    print(&arguments, &token, expires);
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout, reason = "the command's output")]
fn print(arguments: &CreateArguments, token: &str, expires_ms: i64) {
    if arguments.json {
        let expiry = rfc3339_ms(expires_ms);
        println!("{}", serde_json::json!({ "id": arguments.name, "token": token, "expiry": expiry }));
    } else {
        println!("{token}");
    }
}
