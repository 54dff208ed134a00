//! `config.toml`: the file of Azure IoT Edge 1.4 and later, plus a section `[tidegate]` of our own.
//!
//! Reading has two steps. [`file`] takes the text apart, strictly: an unknown key is refused with its line, so that a typing
//! mistake never silently switches a setting off. [`Config::load`] then checks the values and turns them into what the
//! program uses. Sections of the original that we know but do not use yet are accepted, so that an existing file works, and
//! listed in [`Config::unused`], so that `tidegate-edge check` can say so.

mod bytes_size;
mod file;
mod processes;
mod provisioning;

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[cfg(test)]
pub use processes::Process;
pub use processes::Processes;
pub use provisioning::{DpsEnrollment, HubIdentity, Provisioning, ReadSecretError};

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
    /// Where metrics are served over plain HTTP, if at all. A loopback address.
    pub listen_metrics: Option<SocketAddr>,
    /// Bytes all queues together may take.
    pub queues_disk_bytes_max: u64,
    /// MQTT port of the hub above.
    pub upstream_mqtts_port: u16,
    /// HTTPS port of the hub above; derived from the provisioning endpoint when absent.
    pub upstream_https_port: Option<u16>,
    /// Programs that stand in for images.
    pub processes: Processes,
    /// Settings that were accepted but have no effect in this version.
    pub unused: Vec<String>,
    /// Not of the file: whether damaged parts of the stored messages may be lost, so that the rest is delivered.
    pub accept_data_loss: bool,
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
        Self::parse(path, &text)
    }

    /// Checks the text of a file; `path` only appears in errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, LoadConfigError> {
        let file: file::ConfigFile = toml::from_str(text).map_err(|error| LoadConfigError::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            message: error.message().to_owned(),
        })?;
        Self::check(file).map_err(|bad| LoadConfigError::Value {
            path: path.to_owned(),
            key: bad.key,
            problem: bad.problem,
        })
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

    fn check(file: file::ConfigFile) -> Result<Self, BadValue> {
        let unused = file.unused();
        let hostname = match file.hostname {
            Some(name) => name,
            None => machine_name()?,
        };
        check_hostname("hostname", &hostname)?;
        if let Some(parent) = &file.parent_hostname {
            check_hostname("parent_hostname", parent)?;
        }
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
            listen_metrics: ours.listen_metrics.as_deref().map(loopback).transpose()?,
            queues_disk_bytes_max: match ours.max_disk {
                Some(size) => size.bytes("tidegate.max_disk")?,
                None => limits::QUEUES_DISK_BYTES_DEFAULT,
            },
            upstream_mqtts_port: ours.upstream_mqtts_port.unwrap_or(8883),
            upstream_https_port: ours.upstream_https_port,
            processes: Processes::check(ours.processes)?,
            unused,
            accept_data_loss: false,
        })
    }
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

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
