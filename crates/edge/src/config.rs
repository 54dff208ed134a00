//! `config.toml`: the file of Azure IoT Edge 1.4 and later, plus a section `[tidegate]` of our own.
//!
//! Reading has two steps. [`file`] takes the text apart. An unknown key in `[tidegate]` is refused with its line, so that a typing
//! mistake never silently switches a setting off. One elsewhere is passed over, as the original does, so that an existing file
//! works, and told with its line ([`Config::warnings`]). [`Config::load`] then checks the values and turns them into what the program
//! uses. Settings of the original that we know but do not use yet are listed in [`Config::unused`]. The daemon says both when it
//! starts, and `tidegate-edge check` too.

mod bytes_size;
mod file;
mod processes;
mod provisioning;
mod upstream;

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

#[cfg(test)]
pub use processes::Process;
pub use processes::Processes;
pub use provisioning::{DeviceProof, DpsEnrollment, HubIdentity, IdentityCertificate, Provisioning, ReadSecretError};
pub use upstream::{UpstreamLink, UpstreamProtocol};

use tracing_subscriber::filter::LevelFilter;
use transport::client::Proxies;

use crate::daemon::Layout;
use crate::limits;

/// Where the file is when `--config` does not say.
pub const DEFAULT_PATH: &str = "/etc/aziot/config.toml";

/// The configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name clients reach this device by; named in the server certificate.
    pub hostname: String,
    /// The edge device above this one, if it is nested.
    pub parent_hostname: Option<String>,
    /// Extra roots to trust, upstream and by modules.
    pub trust_bundle_cert: Option<PathBuf>,
    /// How this device gets its identity.
    pub provisioning: Provisioning,
    /// Everything this program keeps.
    pub data_dir: PathBuf,
    /// Where modules and downstream devices connect.
    pub listen_mqtts: SocketAddr,
    /// Where they connect over WebSocket, if at all.
    pub listen_https: Option<SocketAddr>,
    /// Where metrics are served over plain HTTP, if at all. A loopback address.
    pub listen_metrics: Option<SocketAddr>,
    /// Bytes all queues together may take.
    pub queues_disk_bytes_max: u64,
    /// MQTT port of the hub above.
    pub upstream_mqtts_port: u16,
    /// HTTPS port of the hub above; derived from the provisioning endpoint when absent.
    pub upstream_https_port: Option<u16>,
    /// How MQTT gets to the hub above, if it is said.
    pub upstream_protocol: Option<UpstreamProtocol>,
    /// Proxies for everything that connects to hub and provisioning service.
    pub proxies: Proxies,
    /// User ids of modules that run as processes.
    pub module_user_ids: Option<Range<u32>>,
    /// Programs that stand in for images.
    pub processes: Processes,
    /// Where the daemon answers the commands, if not in the data folder.
    pub listen_management: Option<PathBuf>,
    /// Where the commands ask it, if somewhere else.
    pub connect_management: Option<PathBuf>,
    /// The authority that signs this gateway's certificates, if it is not one of its own.
    pub edge_ca: Option<EdgeCa>,
    /// How much is written to the log.
    pub log_level: LevelFilter,
    /// What is wrong with the file and no reason to refuse it, with its place.
    pub warnings: Vec<String>,
    /// Settings that were accepted but have no effect in this version.
    pub unused: Vec<String>,
    /// Not of the file: whether damaged parts of the stored messages may be lost, so that the rest is delivered.
    pub accept_data_loss: bool,
}

/// Files of an authority of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeCa {
    /// Its certificate, with those above it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The configuration cannot be used as it is: exit code 78.
#[derive(Debug, thiserror::Error)]
pub enum LoadConfigError {
    /// The file is not there or not readable.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line in it, from 1.
        line: usize,
        /// What is wrong, with the key.
        message: String,
    },
    /// A value that cannot be used.
    #[error("{}: {key} {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, dotted.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// A value that cannot be used: the key and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadValue {
    key: &'static str,
    problem: String,
}

impl BadValue {
    pub(crate) fn new(key: &'static str, problem: impl Into<String>) -> Self {
        Self { key, problem: problem.into() }
    }
}

impl Config {
    /// Reads and checks the file.
    pub fn load(path: &Path) -> Result<Self, LoadConfigError> {
        let text = read_text(path, limits::CONFIG_BYTES_MAX)
            .map_err(|source| LoadConfigError::Read { path: path.to_owned(), source })?;
        Self::parse_in(path, &text, |name| std::env::var(name).ok())
    }

    /// Checks the text of a file, without an environment; `path` only appears in errors.
    #[cfg(test)]
    pub fn parse(path: &Path, text: &str) -> Result<Self, LoadConfigError> {
        Self::parse_in(path, text, |_| None)
    }

    fn parse_in(
        path: &Path,
        text: &str,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, LoadConfigError> {
        let file: file::ConfigFile = toml::from_str(text).map_err(|error| LoadConfigError::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            message: error.message().to_owned(),
        })?;
        let unknown = file.unknown();
        let unknown = unknown.iter().map(|key| {
            let line = place_of(text, key);
            format!("{}:{line}: {} is not known and has no effect", path.display(), key.join("."))
        });
        let warnings = unknown.collect();
        let checked = Self::check(file, environment).map_err(|bad| LoadConfigError::Value {
            path: path.to_owned(),
            key: bad.key,
            problem: bad.problem,
        })?;
        Ok(Self { warnings, ..checked })
    }

    /// The socket the daemon answers the commands on.
    pub fn management_socket(&self) -> PathBuf {
        self.listen_management.clone().unwrap_or_else(|| Layout::new(&self.data_dir).management_socket())
    }

    /// The socket the commands ask it on.
    pub fn management_socket_to_ask(&self) -> PathBuf {
        self.connect_management.clone().unwrap_or_else(|| self.management_socket())
    }

    /// The port of the hub's HTTPS API: as configured; else, where the provisioning service is on the same host, its port.
    pub fn upstream_https_port(&self, hub_host: &str) -> u16 {
        if let Some(port) = self.upstream_https_port {
            return port;
        }
        let Provisioning::Dps(enrollment) = &self.provisioning else { return 443 };
        let Ok(uri) = enrollment.endpoint.parse::<http::Uri>() else { return 443 };
        let same_host = uri.host().is_some_and(|host| host.eq_ignore_ascii_case(hub_host));
        uri.port_u16().filter(|_| same_host).unwrap_or(443)
    }

    fn check(file: file::ConfigFile, environment: impl Fn(&str) -> Option<String>) -> Result<Self, BadValue> {
        let (mut unused, no_agent) = (file.unused(), file::AgentSection::default());
        let agent = file.agent.as_ref().unwrap_or(&no_agent);
        let upstream_protocol = upstream::protocol(agent, &environment, &mut unused)?;
        let proxies = upstream::proxies(agent, &environment)?;
        let hostname = match file.hostname {
            Some(name) => name,
            None => machine_name()?,
        };
        check_hostname("hostname", &hostname)?;
        if let Some(parent) = &file.parent_hostname {
            check_hostname("parent_hostname", parent)?;
        }
        let edge_ca = match file.edge_ca.as_ref().and_then(|section| section.files()) {
            Some((certificate, key)) => Some(EdgeCa {
                certificate: provisioning::file_of_uri("edge_ca.cert", certificate)?,
                key: provisioning::file_of_uri("edge_ca.pk", key)?,
            }),
            None => None,
        };
        let listen_management = file.listen.as_ref().and_then(|sockets| sockets.management_socket());
        let ours = file.tidegate.unwrap_or_default();
        let listen_mqtts = ours.listen_mqtts.as_deref().unwrap_or("0.0.0.0:8883");
        let data_dir = ours.data_dir.unwrap_or_else(|| PathBuf::from("/var/lib/tidegate-edge"));
        if data_dir.as_os_str().is_empty() {
            return Err(BadValue::new("tidegate.data_dir", "is empty"));
        }
        Ok(Self {
            hostname,
            parent_hostname: file.parent_hostname,
            trust_bundle_cert: match file.trust_bundle_cert {
                Some(uri) => Some(provisioning::file_of_uri("trust_bundle_cert", &uri)?),
                None => None,
            },
            provisioning: file.provisioning.check()?,
            data_dir,
            listen_mqtts: listen_mqtts.parse().map_err(|_| {
                BadValue::new("tidegate.listen_mqtts", format!("is {listen_mqtts:?}, not ADDRESS:PORT"))
            })?,
            listen_https: listen_https(ours.listen_mqtts.as_deref(), ours.listen_https.as_deref())?,
            listen_metrics: ours.listen_metrics.as_deref().map(loopback).transpose()?,
            queues_disk_bytes_max: match ours.max_disk {
                Some(size) => size.bytes("tidegate.max_disk")?,
                None => limits::QUEUES_DISK_BYTES_DEFAULT,
            },
            upstream_mqtts_port: ours.upstream_mqtts_port.unwrap_or(8883),
            upstream_https_port: ours.upstream_https_port,
            upstream_protocol,
            proxies,
            module_user_ids: ours.module_user_ids.map(user_ids).transpose()?,
            processes: Processes::check(ours.processes)?,
            connect_management: listen_management
                .as_ref()
                .and(file.connect)
                .and_then(|sockets| sockets.management_socket()),
            listen_management,
            edge_ca,
            log_level: log_level(agent)?,
            warnings: Vec::new(),
            unused,
            accept_data_loss: false,
        })
    }
}

/// None of root, nor of the id that stands for no user.
fn user_ids(ids: file::UserIds) -> Result<Range<u32>, BadValue> {
    match ids.first.checked_add(ids.count) {
        Some(end) if ids.first > 0 && ids.count > 0 => Ok(ids.first..end),
        _ => Err(BadValue::new("tidegate.module_user_ids", "is no range of user ids: first and count are 1 or more")),
    }
}

/// As the original's agent is told it; debug is below information, as everywhere.
fn log_level(agent: &file::AgentSection) -> Result<LevelFilter, BadValue> {
    let Some(level) = agent.env.get(file::LOG_LEVEL) else { return Ok(LevelFilter::INFO) };
    match level.as_str().unwrap_or_default().to_ascii_lowercase().as_str() {
        "verbose" => Ok(LevelFilter::TRACE),
        "debug" => Ok(LevelFilter::DEBUG),
        "info" | "information" => Ok(LevelFilter::INFO),
        "warning" | "warn" => Ok(LevelFilter::WARN),
        "error" | "fatal" => Ok(LevelFilter::ERROR),
        _ => Err(BadValue::new(
            "agent.env.RuntimeLogLevel",
            format!("is {level}; verbose, debug, info, warning, error and fatal are known"),
        )),
    }
}

/// That of the original where a file of the original says nothing of listeners; whoever names the other one names this one too.
fn listen_https(mqtts: Option<&str>, https: Option<&str>) -> Result<Option<SocketAddr>, BadValue> {
    let text = match (mqtts, https) {
        (_, Some("off")) | (Some(_), None) => return Ok(None),
        (_, Some(text)) => text,
        (None, None) => "0.0.0.0:443",
    };
    let wrong = || BadValue::new("tidegate.listen_https", format!("is {text:?}, neither ADDRESS:PORT nor \"off\""));
    text.parse().map(Some).map_err(|_| wrong())
}

/// Whoever can connect can read, so nobody else may.
fn loopback(text: &str) -> Result<SocketAddr, BadValue> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or_else(|| BadValue::new("tidegate.listen_metrics", format!("is {text:?}, not LOOPBACK_ADDRESS:PORT")))
}

/// RFC 1035 with underscores forgiven, at most 64 characters: what fits the common name of a certificate.
fn check_hostname(key: &'static str, name: &str) -> Result<(), BadValue> {
    let label_is_fine = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.is_empty() || name.len() > 64 {
        return Err(BadValue::new(key, format!("is {name:?}: 1 to 64 characters are needed")));
    }
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    if !is_address && !name.split('.').all(label_is_fine) {
        return Err(BadValue::new(key, format!("is {name:?}, which is no host name")));
    }
    Ok(())
}

fn machine_name() -> Result<String, BadValue> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    check_hostname("hostname", &name)
        .map_err(|bad| BadValue::new("hostname", format!("is not set, and the machine's name {}", bad.problem)))?;
    Ok(name)
}

/// The text of a file of at most so many bytes. What is read counts, not the size the file says it has: a pipe or a device
/// says 0.
fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it has more than the {bytes_max} bytes allowed")));
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The line of a key that is in the file.
fn place_of(text: &str, key: &[&str]) -> usize {
    let Some((last, sections)) = key.split_last() else { return 1 };
    let Ok(root) = toml::de::DeTable::parse(text) else { return 1 };
    let mut table = root.get_ref();
    for section in sections {
        let found =
            table.iter().find(|(name, _)| name.get_ref() == section).and_then(|(_, value)| value.get_ref().as_table());
        let Some(found) = found else { return 1 };
        table = found;
    }
    table.keys().find(|name| name.get_ref() == last).map_or(1, |name| line_of(text, name.span().start))
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
