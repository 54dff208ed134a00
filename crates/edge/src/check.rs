//! `tidegate-edge check`: what an operator looks at first. Each result has the id of the tool we replace where the check is
//! the same, and says what to do when it is not fine.

use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::statvfs;
use serde_json::{Value, json};
use transport::client::{Proxies, reach};
use transport::server::gave_way::is_many;
use x509_parser::pem::Pem;

use crate::config::{Config, DeviceProof, LoadConfigError, Provisioning, UpstreamLink};
use crate::daemon::Layout;
use crate::identity::{self, Device, check_identity};
use crate::limits::CLOCK_MIN_SECS;
use crate::management::{GAVE_WAY, UPTIME_SECS};
use crate::runtime::process::resolve;
use crate::runtime::users::why_not_isolated;
use crate::state::{self, StateError};
use crate::unix_http;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Less free space than this is worth a warning.
const FREE_BYTES_MIN: u64 = 100 * 1024 * 1024;
/// A certificate that ends sooner is worth a warning.
const CERTIFICATE_DAYS_MIN: i64 = 30;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Fine.
    Ok,
    /// Works, but should be looked at.
    Warning,
    /// Must be mended.
    Failed,
    /// Could not be checked.
    Skipped,
}

/// One check's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// Stable id.
    pub id: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was found, and what to do.
    pub message: String,
}

fn result(id: &'static str, outcome: Outcome, message: impl Into<String>) -> CheckResult {
    CheckResult { id, outcome, message: message.into() }
}

/// The result for a configuration that cannot be used.
pub fn malformed(error: &LoadConfigError) -> CheckResult {
    result("aziot-edged-config-well-formed", Outcome::Failed, crate::error_chain(error))
}

/// Whether anything must be mended. Warnings alone are fine.
pub fn has_failures(results: &[CheckResult]) -> bool {
    results.iter().any(|result| result.outcome == Outcome::Failed)
}

/// Runs every check.
pub async fn run(config: &Config) -> Vec<CheckResult> {
    let layout = Layout::new(&config.data_dir);
    let device = identity::device_of_earlier_start(&layout.identity_dir(), &config.provisioning);
    let mut results = vec![
        well_formed(config),
        settings_without_effect(config),
        hostname(config),
        clock(SystemTime::now()),
        key_readable(config),
        trust_bundle(config),
        authority_certificate(config, &layout),
        state_files(config),
        disk_space(config),
    ];
    results.extend(processes(config));
    results.push(isolation(config));
    results.extend(management(config).await);
    results.push(provisioning_reachable(config).await);
    results.extend(upstream_reachable(config, device.as_ref()).await);
    results
}

/// Prints the results, as lines or as one JSON object.
pub fn print(results: &[CheckResult], json: bool) {
    let text = if json {
        to_json(results).to_string()
    } else {
        let mark = |outcome| match outcome {
            Outcome::Ok => "ok     ",
            Outcome::Warning => "warning",
            Outcome::Failed => "FAILED ",
            Outcome::Skipped => "skipped",
        };
        let line = |result: &CheckResult| format!("{} {}: {}", mark(result.outcome), result.id, result.message);
        results.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    // A reader that went away needs no answer.
    let _ = crate::cli::say(&text);
}

fn to_json(results: &[CheckResult]) -> Value {
    let word = |outcome| match outcome {
        Outcome::Ok => "ok",
        Outcome::Warning => "warning",
        Outcome::Failed => "error",
        Outcome::Skipped => "skipped",
    };
    let checks: serde_json::Map<_, _> = results
        .iter()
        .map(|check| (check.id.to_owned(), json!({ "result": word(check.outcome), "message": check.message })))
        .collect();
    json!({ "ok": !has_failures(results), "checks": checks })
}

fn well_formed(config: &Config) -> CheckResult {
    let id = "aziot-edged-config-well-formed";
    match config.warnings.as_slice() {
        [] => result(id, Outcome::Ok, "the configuration file is well formed"),
        warnings => result(id, Outcome::Warning, warnings.join("; ")),
    }
}

fn settings_without_effect(config: &Config) -> CheckResult {
    match config.unused.as_slice() {
        [] => result("config-settings-used", Outcome::Ok, "every setting has an effect"),
        unused => {
            let message = format!("accepted, but without effect in this version: {}", unused.join(", "));
            result("config-settings-used", Outcome::Warning, message)
        }
    }
}

fn hostname(config: &Config) -> CheckResult {
    let id = "hostname";
    let resolved =
        (config.hostname.as_str(), 0).to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some());
    if resolved {
        return result(id, Outcome::Ok, format!("{} can be resolved", config.hostname));
    }
    let message = format!("{} cannot be resolved here: modules of this device connect to that name", config.hostname);
    result(id, Outcome::Failed, message)
}

fn clock(now: SystemTime) -> CheckResult {
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since_1970.as_secs() < CLOCK_MIN_SECS {
        return result(
            "host-local-time",
            Outcome::Failed,
            "the clock is years behind: tokens and certificates will be refused",
        );
    }
    result("host-local-time", Outcome::Ok, "the clock is plausible")
}

fn key_readable(config: &Config) -> CheckResult {
    let secret = match config.provisioning.proof() {
        DeviceProof::Key(secret) => secret,
        DeviceProof::Certificate(files) => {
            return match check_identity(files) {
                Ok(()) => certificate("key-pairs-read", &files.certificate),
                Err(error) => result("key-pairs-read", Outcome::Failed, crate::error_chain(&error)),
            };
        }
    };
    match secret.check_readable() {
        Ok(()) => result("key-pairs-read", Outcome::Ok, "the device key can be read"),
        Err(error) => result("key-pairs-read", Outcome::Failed, crate::error_chain(&error)),
    }
}

fn trust_bundle(config: &Config) -> CheckResult {
    let id = "certs-read";
    let Some(path) = &config.trust_bundle_cert else {
        return result(id, Outcome::Ok, "no trust_bundle_cert: only the machine's roots are trusted upstream");
    };
    certificate(id, path)
}

fn authority_certificate(config: &Config, layout: &Layout) -> CheckResult {
    if let Some(edge_ca) = &config.edge_ca {
        return certificate("local-ca-certificate-expiry", &edge_ca.certificate);
    }
    let path = layout.identity_dir().join("ca.pem");
    if !path.exists() {
        return result("local-ca-certificate-expiry", Outcome::Skipped, "the authority is made when the daemon starts");
    }
    certificate("local-ca-certificate-expiry", &path)
}

fn state_files(config: &Config) -> CheckResult {
    let id = "state-files";
    match state::refuse_later_versions(&config.data_dir) {
        Ok(()) => result(id, Outcome::Ok, "the data folder can be used by this version"),
        Err(error @ StateError::Newer { .. }) => result(id, Outcome::Failed, error.to_string()),
        Err(error) => result(id, Outcome::Skipped, crate::error_chain(&error)),
    }
}

fn certificate(id: &'static str, path: &Path) -> CheckResult {
    let shown = path.display();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return result(id, Outcome::Failed, format!("{shown} cannot be read: {error}")),
    };
    let mut days_least = i64::MAX;
    for pem in Pem::iter_from_buffer(&bytes) {
        let days = pem.ok().and_then(|pem| {
            let certificate = pem.parse_x509().ok()?;
            let left = certificate.validity().not_after.timestamp() - now_secs();
            Some(left.div_euclid(86_400))
        });
        match days {
            Some(days) => days_least = days_least.min(days),
            None => return result(id, Outcome::Failed, format!("{shown} holds something that is no certificate")),
        }
    }
    match days_least {
        i64::MAX => result(id, Outcome::Failed, format!("{shown} holds no certificate")),
        ..0 => result(id, Outcome::Failed, format!("a certificate in {shown} has expired")),
        days @ 0..CERTIFICATE_DAYS_MIN => {
            result(id, Outcome::Warning, format!("a certificate in {shown} ends in {days} days"))
        }
        days => result(id, Outcome::Ok, format!("{shown} is valid for {days} days")),
    }
}

fn now_secs() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

fn disk_space(config: &Config) -> CheckResult {
    let id = "disk-space";
    let dir = config.data_dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    match statvfs(dir) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let message = format!("{} MiB free at {}", free / (1024 * 1024), dir.display());
            if free < FREE_BYTES_MIN {
                return result(id, Outcome::Failed, format!("only {message}: messages cannot be stored"));
            }
            if free < config.queues_disk_bytes_max {
                let max_disk = config.queues_disk_bytes_max / (1024 * 1024);
                return result(id, Outcome::Warning, format!("{message}, less than max_disk ({max_disk} MiB)"));
            }
            result(id, Outcome::Ok, message)
        }
        Err(error) => result(id, Outcome::Skipped, format!("{}: {error}", dir.display())),
    }
}

fn processes(config: &Config) -> Vec<CheckResult> {
    let missing: Vec<_> = config
        .processes
        .iter()
        .filter(|(_, process)| resolve(&process.program).is_none())
        .map(|(image, process)| format!("{} (for {image})", process.program))
        .collect();
    if missing.is_empty() {
        return vec![result("process-modules", Outcome::Ok, "every program of [tidegate.processes] is there")];
    }
    vec![result("process-modules", Outcome::Failed, format!("not found or not executable: {}", missing.join(", ")))]
}

/// Whether modules are apart from each other and from the device, if they run as processes.
fn isolation(config: &Config) -> CheckResult {
    let id = "modules-isolated";
    match why_not_isolated(config.module_user_ids.as_ref()) {
        None => result(id, Outcome::Ok, "each module runs as a user of its own"),
        Some(why) => {
            let message = format!("not isolated: modules run as the daemon's user and can read what it can ({why})");
            result(id, Outcome::Warning, message)
        }
    }
}

/// Whether the daemon answers, could find out who this device is, and has room for whoever connects.
async fn management(config: &Config) -> Vec<CheckResult> {
    let (id, provisioned) = ("connect-management-uri", "device-provisioned");
    let socket = config.management_socket_to_ask();
    let answer = unix_http::request(&socket, http::Method::GET, "/status", bytes::Bytes::new()).await;
    let status: Value = match answer {
        Ok((_, body)) => serde_json::from_slice(&body).unwrap_or_default(),
        Err(error) => {
            let message = format!("{}; is the daemon running?", crate::error_chain(&error));
            let unknown = result(provisioned, Outcome::Skipped, "only the daemon knows");
            return vec![result(id, Outcome::Warning, message), unknown];
        }
    };
    let words = status.get("provisioning").and_then(Value::as_str).unwrap_or("unknown");
    let outcome = match words {
        "done" => result(provisioned, Outcome::Ok, "the device has its identity"),
        failed if failed.starts_with("failed") => result(provisioned, Outcome::Failed, failed),
        under_way => result(provisioned, Outcome::Warning, under_way),
    };
    vec![result(id, Outcome::Ok, "the daemon answers"), outcome, connections(&status)]
}

/// Whether many connections had to give way, by what the daemon says of itself.
fn connections(status: &Value) -> CheckResult {
    let counts = status.get(GAVE_WAY).and_then(Value::as_object).into_iter().flatten();
    let counts: Vec<(&String, u64)> = counts.filter_map(|(reason, count)| Some((reason, count.as_u64()?))).collect();
    let uptime = Duration::from_secs(status.get(UPTIME_SECS).and_then(Value::as_u64).unwrap_or(0));
    let all: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let (outcome, how_many) = match counts.iter().map(|(_, count)| count).sum() {
        0 => return result("connections-admitted", Outcome::Ok, "no connection had to give way"),
        sum if is_many(sum, uptime) => (Outcome::Warning, "many"),
        _ => (Outcome::Ok, "few"),
    };
    let hours = uptime.as_secs() / 3_600;
    let message = format!("{how_many} connections gave way in the {hours} h since the start: {}", all.join(", "));
    result("connections-admitted", outcome, message)
}

async fn provisioning_reachable(config: &Config) -> CheckResult {
    let id = "host-connect-dps-endpoint";
    let Provisioning::Dps(enrollment) = &config.provisioning else {
        return result(id, Outcome::Skipped, "provisioning is manual");
    };
    let uri = enrollment.endpoint.parse::<http::Uri>().ok();
    let Some((host, port)) = uri.as_ref().and_then(|uri| Some((uri.host()?, uri.port_u16().unwrap_or(443)))) else {
        return result(id, Outcome::Failed, format!("{} is no address", enrollment.endpoint));
    };
    connect(id, host, port, &config.proxies).await
}

async fn upstream_reachable(config: &Config, device: Option<&Device>) -> Vec<CheckResult> {
    let configured = match &config.provisioning {
        Provisioning::Manual(manual) => Some(manual.hub_host.clone()),
        Provisioning::Dps(_) => device.map(|device| device.hub_host.clone()),
    };
    let ids = ["host-connect-iothub-mqtt", "host-connect-iothub-https"];
    let Some(hub_host) = configured else {
        return ids.map(|id| result(id, Outcome::Skipped, "the device was not provisioned yet")).to_vec();
    };
    let host = config.parent_hostname.clone().unwrap_or_else(|| hub_host.clone());
    let https_port = config.upstream_https_port(&hub_host);
    let UpstreamLink { port, way } = config.upstream_link(&host, https_port);
    vec![connect(ids[0], &host, port, &way.proxies).await, connect(ids[1], &host, https_port, &config.proxies).await]
}

async fn connect(id: &'static str, host: &str, port: u16, proxies: &Proxies) -> CheckResult {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let through = if proxies.apply_to(host, port) { " through the proxy" } else { "" };
    match tokio::time::timeout(CONNECT_TIMEOUT, reach(host, port, proxies)).await {
        Ok(Ok(())) => result(id, Outcome::Ok, format!("{host}:{port} accepts connections{through}")),
        Ok(Err(error)) => result(id, Outcome::Failed, crate::error_chain(&error)),
        Err(_) => {
            result(id, Outcome::Failed, format!("{host}:{port}: no answer within {} s", CONNECT_TIMEOUT.as_secs()))
        }
    }
}

#[cfg(test)]
mod tests;
