//! `tidegate demo`: the whole product at work, from an empty folder and without a further click.
//!
//! It starts Central and one edge as processes of their own, sets everything up through the public REST API (as a
//! script of a user would), and plays two downstream devices behind the edge. A child that dies is started again within
//! seconds, so that killing one shows what survives. All of it is kept in one folder; a second start goes on from there.
//!
//! ```text
//! DIR/central/      data folder of Central
//! DIR/edge/         data folder of the edge
//! DIR/edge.toml     its configuration, written at each start
//! DIR/*.log         what the children say
//! DIR/demo.lock     locked while a demo runs on the folder
//! ```

mod children;
mod occupancy;
mod rest;
mod setup;
mod tank;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::data_folder::{DataFolder, Endpoints};

/// The edge device of the demo.
const EDGE_ID: &str = "demo-edge";
/// Its downstream devices.
const TANK_IDS: [&str; 2] = ["demo-tank-1", "demo-tank-2"];
/// The module in the edge, as the manifest names it.
const SENSOR_MODULE: &str = "SimulatedTemperatureSensor";
/// How long a child may take from its start to being usable.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a file or endpoint that is awaited is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long the children get to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// What `tidegate demo` was asked for.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Folder of everything the demo keeps.
    pub data: PathBuf,
    /// Flags handed on to `tidegate serve` as they are (`--https`, `--mqtts`, …).
    pub serve_arguments: Vec<String>,
}

/// What the parts of a running demo share. Cheap to clone.
#[derive(Clone, Default)]
struct Run {
    /// Cancelled when everything has to end.
    stop: CancellationToken,
    tasks: TaskTracker,
    failure: Arc<OnceLock<String>>,
}

impl Run {
    /// Ends the demo, which will say why. The first reason counts.
    fn fail(&self, reason: String) {
        let _ = self.failure.set(reason);
        self.stop.cancel();
    }
}

/// Runs the demo until it is told to stop (SIGINT, SIGTERM).
pub async fn run(options: DemoOptions) -> Result<()> {
    let folder = std::path::absolute(&options.data)?;
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let _lock = occupancy::take(&folder).await?;
    let run = Run::default();
    let result = tokio::select! {
        result = start(&folder, &options, &run) => result,
        () = run.stop.cancelled() => Ok(()),
        () = crate::shutdown_signal() => { run.stop.cancel(); Ok(()) }
    };
    if result.is_ok() {
        crate::shutdown_signal_unless(&run.stop).await;
    }
    run.stop.cancel();
    run.tasks.close();
    if tokio::time::timeout(STOP_TIMEOUT, run.tasks.wait()).await.is_err() {
        tracing::warn!("not every part of the demo stopped in time");
    }
    match run.failure.get() {
        Some(reason) => bail!("{reason}"),
        None => result,
    }
}

async fn start(folder: &Path, options: &DemoOptions, run: &Run) -> Result<()> {
    let central_folder = folder.join("central");
    let _ = std::fs::remove_file(central_folder.join("endpoints.json"));
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let data = vec!["serve".into(), "--data".into(), path_text(&central_folder)?];
    let arguments = [data.clone(), options.serve_arguments.clone()].concat();
    let central = children::Child::new("Central", program, arguments, folder.join("central.log"));
    run.tasks.spawn(central.clone().keep_running(run.clone()));
    let endpoints = await_endpoints(&central, &central_folder).await?;
    // The edge and open browsers know the ports by now.
    central.start_later_with([data, fixed_endpoints(&endpoints)].concat());
    let api = rest::Rest::open(&DataFolder::at(&central_folder), &endpoints)?;
    api.await_ready().await?;
    say("setting up templates, devices and the deployment manifest");
    let plan = setup::Plan::run(&api).await?;

    let edge = edge_child(folder, &central_folder, &endpoints, &plan)?;
    run.tasks.spawn(edge.child.keep_running(run.clone()));
    for (index, device_id) in TANK_IDS.iter().enumerate() {
        let tank = tank::Tank {
            device_id: (*device_id).to_owned(),
            key: plan.tank_keys[index].clone(),
            hub_host: endpoints.hostname.clone(),
            edge_port: edge.mqtts_port,
            edge_ca: folder.join("edge/identity/ca.pem"),
            phase: index,
        };
        run.tasks.spawn(tank.run(run.stop.clone()));
    }
    let link = sign_in_link(&api.origin, &central_folder).await?;
    welcome(&api.origin, &link, folder);
    Ok(())
}

/// The flags that make Central listen where it listens now.
fn fixed_endpoints(endpoints: &Endpoints) -> Vec<String> {
    let listeners = [
        ("--https", &endpoints.https),
        ("--http", &endpoints.http),
        ("--mqtts", &endpoints.mqtts),
        ("--amqps", &endpoints.amqps),
    ];
    let mut arguments = vec!["--hostname".to_owned(), endpoints.hostname.clone()];
    for (flag, address) in listeners {
        if let Some(address) = address {
            arguments.extend([flag.to_owned(), address.clone()]);
        }
    }
    arguments
}

/// Waits until Central wrote where it listens. When it died instead, the demo ends anyway.
async fn await_endpoints(central: &children::Child, folder: &Path) -> Result<Endpoints> {
    let deadline = tokio::time::Instant::now() + START_TIMEOUT;
    loop {
        if let Ok(text) = std::fs::read_to_string(folder.join("endpoints.json")) {
            return serde_json::from_str(&text).context("endpoints.json cannot be read");
        }
        if tokio::time::Instant::now() > deadline {
            bail!("Central did not start within {} s:\n{}", START_TIMEOUT.as_secs(), central.last_words());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

struct EdgeChild {
    child: children::Child,
    mqtts_port: u16,
}

fn edge_child(folder: &Path, central_folder: &Path, endpoints: &Endpoints, plan: &setup::Plan) -> Result<EdgeChild> {
    let programs = std::env::current_exe()?.parent().context("this program has no folder")?.to_owned();
    let edge_program = programs.join("tidegate-edge");
    if !edge_program.exists() {
        bail!("{} is missing: the demo expects tidegate-edge beside tidegate", edge_program.display());
    }
    let mqtts_port = free_port().context("no free port for the edge")?;
    let configuration = setup::edge_configuration(&setup::EdgeSite {
        data_dir: folder.join("edge"),
        ca_pem: central_folder.join("ca.pem"),
        sensor_program: programs.join("simulated-temperature-sensor"),
        listen_mqtts: SocketAddr::from((Ipv4Addr::LOCALHOST, mqtts_port)),
        endpoints,
        id_scope: &plan.id_scope,
        key: &plan.edge_key,
    })?;
    let config_path = folder.join("edge.toml");
    storage::state_file::replace(&config_path, configuration.as_bytes(), storage::file_layer::Access::Private)
        .with_context(|| format!("cannot write {}", config_path.display()))?;
    let arguments = vec!["run".to_owned(), "--config".to_owned(), path_text(&config_path)?];
    Ok(EdgeChild { child: children::Child::new("Edge", edge_program, arguments, folder.join("edge.log")), mqtts_port })
}

/// A port that was free a moment ago; the edge says so if it was taken meanwhile.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn sign_in_link(origin: &str, central_folder: &Path) -> Result<String> {
    let program = std::env::current_exe()?;
    let output = tokio::process::Command::new(program)
        .args(["user", "create", "--data"])
        .arg(central_folder)
        .args(["--email", "demo@localhost", "--role", "Administrator"])
        .output()
        .await
        .context("cannot start `tidegate user create`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let link = text.split_whitespace().find(|word| word.starts_with(origin) || word.starts_with("https://"));
    match link {
        Some(link) if output.status.success() => Ok(link.to_owned()),
        _ => bail!("cannot make a sign-in link: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}

fn path_text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}

#[allow(clippy::print_stderr, reason = "progress of an interactive command")]
fn say(text: &str) {
    eprintln!("demo: {text}");
}

#[allow(clippy::print_stdout, reason = "what the command is for")]
fn welcome(origin: &str, link: &str, folder: &Path) {
    println!("Tidegate is running: Central, the edge {EDGE_ID} with one module, and two tanks behind it.");
    println!();
    println!("  Console   {origin}");
    println!("  Sign in   {link}");
    println!();
    println!("The link works once. The browser will warn about the certificate: it was made on this machine and is");
    println!("signed by {}.", folder.join("central/ca.pem").display());
    println!("Open Devices → Demo edge: modules, the live chart, properties and commands are there.");
    println!("Everything is kept in {}; Ctrl-C stops.", folder.display());
}

/// Shared by the parts that wait: until `stop`, or for `duration`. False when it is time to stop.
async fn rest_for(duration: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(duration) => true,
    }
}

/// Reads a file that another process is about to write.
async fn await_file(path: &Path, stop: &CancellationToken) -> Option<Arc<[u8]>> {
    loop {
        if let Ok(bytes) = std::fs::read(path) {
            return Some(bytes.into());
        }
        if !rest_for(POLL_INTERVAL, stop).await {
            return None;
        }
    }
}
