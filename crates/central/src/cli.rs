//! The command line of `tidegate`.
//!
//! Exit codes: 0 fine; 2 wrong usage; 78 the configuration must be mended, and starting again would not help; 1 anything else.
//! Commands that work on a data folder do so beside a running `serve`: the registry is made for it.

mod application;
mod backup;
mod doctor;
mod folder;
mod model;
mod token;
mod user;

use std::error::Error;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use transport::log::ReadFilterError;

use crate::config::{Config, ReadConfigError};
use crate::data_folder::Endpoints;
use crate::database::FindDatabaseError;
use crate::demo::{self, DemoOptions};
use crate::serve::{self, ServeError, ServeOptions, shutdown_signal};

#[cfg(test)]
mod tests;

/// The configuration must be mended (`EX_CONFIG`).
const EXIT_CONFIG: u8 = 78;

/// Tidegate Central: the IoT platform in one program.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run Central on a data folder.
    #[command(after_help = "Example:\n  tidegate serve --data /var/lib/tidegate --hostname iot.example.test")]
    Serve(ServeArguments),
    /// Central, one edge with a module, and downstream devices, set up from an empty folder.
    #[command(after_help = "Example:\n  tidegate demo --data ./demo --https 127.0.0.1:8443")]
    Demo(DemoArguments),
    /// Applications beside the first one.
    #[command(subcommand)]
    Application(application::ApplicationCommand),
    /// API tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Users of the console.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Device models.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Check a data folder: permissions, certificate, ports, log, telemetry files, disk space.
    #[command(after_help = "Example:\n  tidegate doctor --data /var/lib/tidegate --json")]
    Doctor(doctor::DoctorArguments),
    /// Copy a data folder to another place as of one moment; `serve` may be running.
    #[command(after_help = "Example:\n  tidegate backup --data /var/lib/tidegate --to /backup/2026-11-27")]
    Backup(backup::BackupArguments),
    /// Make a data folder of a backup.
    #[command(after_help = "Example:\n  tidegate restore --from /backup/2026-11-27 --data /var/lib/tidegate")]
    Restore(backup::RestoreArguments),
}

#[derive(Debug, Args)]
struct ServeArguments {
    /// Data folder; made when it is not there.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Configuration file, TOML; flags win over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    database: folder::DatabaseArgument,
    /// Host name devices use [default: localhost].
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    #[command(flatten)]
    listen: ListenArguments,
    /// Start without what was removed, replaced or damaged, or with an older registry: exactly that is given up and recorded.
    #[arg(long)]
    accept_data_loss: bool,
    /// Stop when standard input ends, so that whoever holds its other end takes this process along.
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

#[derive(Debug, Args)]
struct ListenArguments {
    /// HTTPS: console, REST, device HTTPS, provisioning [default: 0.0.0.0:8443]. Port 0 is any free port.
    #[arg(long, value_name = "ADDR")]
    https: Option<SocketAddr>,
    /// Plain HTTP, on a loopback address only [default: off].
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// MQTT over TLS [default: 0.0.0.0:8883].
    #[arg(long, value_name = "ADDR")]
    mqtts: Option<SocketAddr>,
    /// AMQP over TLS; not available in this version.
    #[arg(long, value_name = "ADDR")]
    amqps: Option<SocketAddr>,
}

#[derive(Debug, Args)]
struct DemoArguments {
    /// Folder of everything the demo keeps.
    #[arg(long, value_name = "DIR", default_value = "tidegate-demo")]
    data: PathBuf,
    /// Host name devices use [default: localhost].
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    #[command(flatten)]
    listen: ListenArguments,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    if let Err(error) = folder::hide_password() {
        return fail(
            &anyhow::Error::new(error).context("cannot hide the password of --database from the process list"),
        );
    }
    let cli = Cli::parse();
    if let Err(error) = start_logging() {
        return fail(&error.into());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("cannot start the runtime")),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// Everything said goes to standard error; `RUST_LOG` chooses how much.
fn start_logging() -> Result<(), ReadFilterError> {
    let filter = transport::log::filter(LevelFilter::INFO)?;
    let colors = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colors);
    let lines = lines.fmt_fields(transport::log::PlainFields);
    tracing_subscriber::registry().with(lines).with(filter).init();
    Ok(())
}

#[allow(clippy::print_stderr, reason = "the last word of a command line")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("tidegate: {}", chain(error));
    ExitCode::from(exit_code(error))
}

/// The causes, joined; one that only repeats the next is left out.
fn chain(error: &anyhow::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if texts.last().is_none_or(|last| !last.ends_with(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let is_config = |cause: &(dyn Error + 'static)| {
        cause.is::<ReadConfigError>() || cause.is::<FindDatabaseError>() || cause.is::<ReadFilterError>()
    };
    let config = error.chain().any(is_config);
    let mend = error.chain().any(|cause| cause.downcast_ref::<ServeError>().is_some_and(ServeError::needs_mending));
    if config || mend { EXIT_CONFIG } else { 1 }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(arguments) => serve_command(arguments).await,
        Command::Demo(arguments) => demo_command(arguments).await,
        Command::Application(command) => application::run(command).await,
        Command::Token(command) => token::run(command).await,
        Command::User(command) => user::run(command).await,
        Command::Model(command) => model::run(command),
        Command::Doctor(arguments) => doctor::run(arguments).await,
        Command::Backup(arguments) => backup::run(arguments).await,
        Command::Restore(arguments) => backup::restore(arguments).await,
    }
}

impl ServeArguments {
    fn options(self) -> anyhow::Result<ServeOptions> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        let ListenArguments { https, http, mqtts, amqps } = self.listen;
        config.hostname = self.hostname.unwrap_or(config.hostname);
        config.listen.https = https.unwrap_or(config.listen.https);
        config.listen.http = http.or(config.listen.http);
        config.listen.mqtts = mqtts.unwrap_or(config.listen.mqtts);
        config.listen.amqps = amqps.or(config.listen.amqps);
        config.check()?;
        let database = self.database.or_of(&config)?;
        Ok(ServeOptions { data: self.data, config, database, accept_data_loss: self.accept_data_loss })
    }
}

async fn serve_command(arguments: ServeArguments) -> anyhow::Result<ExitCode> {
    let stop_with_stdin = arguments.stop_with_stdin;
    let options = arguments.options()?;
    let shutdown = CancellationToken::new();
    if stop_with_stdin {
        cancel_with_stdin(shutdown.clone()).context("cannot watch standard input")?;
    }
    let stop = shutdown.clone();
    tokio::spawn(async move {
        shutdown_signal().await;
        stop.cancel();
    });
    serve::run(options, shutdown, |running| print_endpoints(&running.endpoints)).await?;
    Ok(ExitCode::SUCCESS)
}

/// Cancels once standard input has ended. The thread that waits for it ends with the process.
fn cancel_with_stdin(stop: CancellationToken) -> std::io::Result<()> {
    let wait = move || {
        // An input that cannot be read has ended as well.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        stop.cancel();
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(wait).map(drop)
}

#[allow(clippy::print_stdout, reason = "the command's output")]
fn print_endpoints(endpoints: &Endpoints) {
    let listeners = [
        ("https", &endpoints.https),
        ("http", &endpoints.http),
        ("mqtts", &endpoints.mqtts),
        ("amqps", &endpoints.amqps),
    ];
    for (name, address) in listeners {
        if let Some(address) = address {
            println!("{name:<6} {address}");
        }
    }
    if let Some(port) = endpoints.https_port() {
        println!("console https://{}:{port}", endpoints.hostname);
    }
    println!("ready");
}

async fn demo_command(arguments: DemoArguments) -> anyhow::Result<ExitCode> {
    let ListenArguments { https, http, mqtts, amqps } = arguments.listen;
    let addresses = [("--https", https), ("--http", http), ("--mqtts", mqtts), ("--amqps", amqps)];
    let mut serve_arguments: Vec<String> = Vec::new();
    for (flag, address) in addresses {
        if let Some(address) = address {
            serve_arguments.extend([flag.to_owned(), address.to_string()]);
        }
    }
    if let Some(hostname) = arguments.hostname {
        serve_arguments.extend(["--hostname".to_owned(), hostname]);
    }
    demo::run(DemoOptions { data: arguments.data, serve_arguments }).await?;
    Ok(ExitCode::SUCCESS)
}
