//! The command line. Every command that asks the daemon does so over the management socket, so it needs the same
//! configuration file to find it.

mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::{Args, Parser, Subcommand};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use transport::log::ReadFilterError;

use crate::check;
use crate::config::{Config, DEFAULT_PATH};
use crate::daemon::{self, DaemonError};
use crate::management::{QUEUES, QUEUES_FINE, unframe};
use crate::unix_http;

/// The configuration, or the data folder, must be mended; a service manager does not restart us.
const EXIT_CONFIG: u8 = 78;

/// How often `logs --follow` asks for more.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// Tidegate Edge: runs modules and a local hub on a gateway device.
#[derive(Parser)]
#[command(
    name = "tidegate-edge",
    version,
    about,
    after_help = "Example:\n  tidegate-edge run --config /etc/aziot/config.toml"
)]
pub struct Cli {
    /// Configuration file
    #[arg(long, short, global = true, default_value = DEFAULT_PATH, value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon in the foreground
    #[command(after_help = "Example:\n  tidegate-edge run --config edge.toml\n\nLog level: RUST_LOG=debug")]
    Run(Run),
    /// List modules and how they are doing
    #[command(after_help = "Example:\n  tidegate-edge list --json")]
    List(Json),
    /// Show a module's output
    #[command(after_help = "Example:\n  tidegate-edge logs SimulatedTemperatureSensor --tail 20 --follow")]
    Logs(Logs),
    /// Restart a module
    #[command(after_help = "Example:\n  tidegate-edge restart SimulatedTemperatureSensor")]
    Restart {
        /// The module's name
        module: String,
    },
    /// Check configuration, connectivity and the machine
    #[command(after_help = "Example:\n  tidegate-edge check --json")]
    Check(Json),
    /// Check routes and conditions
    Route {
        #[command(subcommand)]
        command: RouteCommand,
    },
    /// Work with the configuration file
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Ask about the daemon
    System {
        #[command(subcommand)]
        command: SystemCommand,
    },
}

#[derive(Args)]
struct Run {
    /// Lose what is damaged of the stored messages, and deliver the rest of it
    #[arg(long)]
    accept_data_loss: bool,
    /// Stop when standard input ends, so that whoever holds its other end takes this process along
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

#[derive(Args)]
struct Json {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Logs {
    /// The module's name
    module: String,
    /// Keep printing what comes
    #[arg(long, short)]
    follow: bool,
    /// Only the last so many lines
    #[arg(long, value_name = "LINES")]
    tail: Option<usize>,
    /// Only since then: 1h30m, RFC 3339, or UNIX seconds
    #[arg(long)]
    since: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum RouteCommand {
    /// Read JSON lines from standard input, answer JSON lines
    #[command(after_help = "Example:\n  echo '{\"route\":\"FROM /* INTO $upstream\"}' | tidegate-edge route check")]
    Check,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Check the file; the daemon takes it when it starts again
    #[command(after_help = "Example:\n  tidegate-edge config apply --config edge.toml")]
    Apply(Json),
}

#[derive(Subcommand)]
enum SystemCommand {
    /// What the daemon says about itself
    #[command(after_help = "Example:\n  tidegate-edge system status --json")]
    Status(Json),
}

/// Runs what was asked for. Wrong usage ended the process with 2 before this.
pub fn run(cli: Cli) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("cannot start"), 1),
    };
    if let Command::Route { command: RouteCommand::Check } = cli.command {
        return finish(route_check());
    }
    let config = match Config::load(&cli.config) {
        Ok(config) => config,
        Err(error) => {
            if let Command::Check(Json { json }) = cli.command {
                check::print(&[check::malformed(&error)], json);
            }
            return fail(&anyhow::Error::new(error), EXIT_CONFIG);
        }
    };
    match cli.command {
        Command::Run(Run { stop_with_stdin, accept_data_loss }) => {
            match runtime.block_on(serve(Config { accept_data_loss, ..config }, stop_with_stdin)) {
                Err(error) if needs_mending(&error) => fail(&error, EXIT_CONFIG),
                outcome => finish(outcome),
            }
        }
        Command::List(Json { json }) => finish(runtime.block_on(list(&config, json))),
        Command::Logs(logs) => finish(runtime.block_on(print_logs(&config, logs))),
        Command::Restart { module } => finish(runtime.block_on(restart(&config, &module))),
        Command::Check(Json { json }) => {
            let results = runtime.block_on(check::run(&config));
            check::print(&results, json);
            ExitCode::from(u8::from(check::has_failures(&results)))
        }
        Command::Config { command: ConfigCommand::Apply(Json { json }) } => apply(&cli.config, &config, json),
        Command::System { command: SystemCommand::Status(Json { json }) } => {
            finish(runtime.block_on(status(&config, json)))
        }
        Command::Route { .. } => unreachable!("answered above, without a configuration"),
    }
}

/// Whether starting again would fail the same way until somebody mends something.
fn needs_mending(error: &anyhow::Error) -> bool {
    error.is::<ReadFilterError>() || error.downcast_ref::<DaemonError>().is_some_and(DaemonError::needs_mending)
}

fn finish(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("tidegate-edge: {error:#}");
    ExitCode::from(code)
}

async fn serve(config: Config, stop_with_stdin: bool) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let filter = transport::log::filter(config.log_level)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = lines.fmt_fields(transport::log::PlainFields);
    tracing_subscriber::registry().with(lines).with(filter).init();
    let stop = CancellationToken::new();
    if stop_with_stdin {
        cancel_with_stdin(stop.clone()).context("cannot watch standard input")?;
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to end");
        stopping.cancel();
    });
    Ok(daemon::run(config, stop).await?)
}

/// Cancels once standard input has ended. The thread that waits for it ends with the process.
fn cancel_with_stdin(stop: CancellationToken) -> std::io::Result<()> {
    let wait = move || {
        // An input that cannot be read has ended as well.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        tracing::info!("standard input ended");
        stop.cancel();
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(wait).map(drop)
}

fn socket(config: &Config) -> PathBuf {
    config.management_socket_to_ask()
}

async fn ask(config: &Config, method: Method, path: &str) -> anyhow::Result<Bytes> {
    let socket = socket(config);
    let (status, body) = unix_http::request(&socket, method, path, Bytes::new())
        .await
        .context("the daemon does not answer (is it running?)")?;
    if status.is_success() {
        return Ok(body);
    }
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = json.get("message").and_then(Value::as_str).unwrap_or("no reason given");
    if status == StatusCode::NOT_FOUND { bail!("{message}") } else { bail!("the daemon refused ({status}): {message}") }
}

async fn ask_json(config: &Config, path: &str) -> anyhow::Result<Value> {
    serde_json::from_slice(&ask(config, Method::GET, path).await?).context("the daemon's answer cannot be read")
}

async fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let listed = ask_json(config, "/modules").await?;
    let modules = listed.get("modules").and_then(Value::as_array).cloned().unwrap_or_default();
    if json {
        return say(&listed.to_string());
    }
    let mut rows = vec![["NAME", "STATUS", "DESCRIPTION", "CONFIG"].map(str::to_owned)];
    rows.extend(modules.iter().map(|module| table::module_row(module, OffsetDateTime::now_utc())));
    say(&table::aligned(&rows))?;
    let status = ask_json(config, "/status").await?;
    for (name, fine) in [("provisioning", "done"), ("upstream", "connected"), (QUEUES, QUEUES_FINE)] {
        let words = status.get(name).and_then(Value::as_str);
        if let Some(words) = words.filter(|words| *words != fine) {
            say(&format!("{name}: {words}"))?;
        }
    }
    Ok(())
}

async fn print_logs(config: &Config, logs: Logs) -> anyhow::Result<()> {
    let module = protocol::hub::bag::encode(&logs.module).into_owned();
    let mut query = String::from("?timestamps=true");
    if let Some(tail) = logs.tail {
        query.push_str(&format!("&tail={tail}"));
    }
    let mut since = logs.since.clone();
    let mut last: Option<OffsetDateTime> = None;
    loop {
        let since_text = since.as_deref().map(|since| format!("&since={}", protocol::hub::bag::encode(since)));
        let path = format!("/modules/{module}/logs{query}{}", since_text.unwrap_or_default());
        for (stream, line) in unframe(&ask(config, Method::GET, &path).await?) {
            let Some((time, text)) = line.trim_end_matches('\n').split_once(' ') else { continue };
            let at = OffsetDateTime::parse(time, &Rfc3339)?;
            // Asking since the last line brings that one again.
            if last.is_some_and(|last| at <= last) {
                continue;
            }
            last = Some(at);
            if logs.json {
                let stream = if stream == 1 { "stdout" } else { "stderr" };
                say(&json!({ "module": logs.module, "stream": stream, "timestamp": time, "text": text }).to_string())?;
            } else {
                say(&format!("{time} {text}"))?;
            }
        }
        if !logs.follow {
            return Ok(());
        }
        tokio::time::sleep(FOLLOW_INTERVAL).await;
        // Only what is new from here on; the number of lines was for the beginning.
        query = String::from("?timestamps=true");
        since = Some(last.map_or_else(|| OffsetDateTime::now_utc().format(&Rfc3339), |last| last.format(&Rfc3339))?);
    }
}

async fn restart(config: &Config, module: &str) -> anyhow::Result<()> {
    let path = format!("/modules/{}/restart", protocol::hub::bag::encode(module));
    ask(config, Method::POST, &path).await.map(drop)
}

async fn status(config: &Config, json: bool) -> anyhow::Result<()> {
    let status = ask_json(config, "/status").await?;
    if json {
        return say(&status.to_string());
    }
    for (name, value) in status.as_object().into_iter().flatten() {
        let words = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        say(&format!("{name}: {words}"))?;
    }
    Ok(())
}

fn apply(path: &Path, config: &Config, json: bool) -> ExitCode {
    let outcome = if json {
        let (warnings, unused) = (&config.warnings, &config.unused);
        say(&json!({ "valid": true, "warnings": warnings, "settingsWithoutEffect": unused }).to_string())
    } else {
        let warned = config.warnings.iter().try_for_each(|warning| say(&format!("warning: {warning}")));
        let unused =
            config.unused.iter().try_for_each(|setting| say(&format!("note: {setting} has no effect in this version")));
        warned.and(unused).and_then(|()| say(&format!("{} is fine; restart tidegate-edge to use it", path.display())))
    };
    finish(outcome)
}

fn route_check() -> anyhow::Result<()> {
    use std::io::BufRead;
    for line in std::io::stdin().lock().lines() {
        let line = line.context("standard input cannot be read")?;
        if !line.trim().is_empty() {
            say(&model::route::check::check_line(&line))?;
        }
    }
    Ok(())
}

/// Prints a line; a reader that has gone away ends the program without noise.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => written.context("cannot print"),
    }
}
