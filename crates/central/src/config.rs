//! Configuration of `tidegate serve`: one typed tree, read from TOML, overridden by flags.
//!
//! Unknown keys are refused with their name and line, so that a typing error never turns into a silent default. Every key
//! has a default; an empty file and no file mean the same.
//!
//! ```toml
//! hostname = "iot.example.test"
//!
//! [listen]
//! https = "0.0.0.0:8443"    # console, REST, device HTTPS, provisioning
//! mqtts = "0.0.0.0:8883"
//! # http = "127.0.0.1:8080" # plain, loopback only; off by default
//!
//! [database]
//! url_file = "database-url" # postgresql://USER:PASSWORD@HOST/DATABASE; without it the registry is in the data folder
//!
//! [log]
//! max_bytes = 10737418240   # hard limit of what waits in the log
//!
//! [telemetry]
//! flush_bytes = 67108864    # write a segment at this size …
//! flush_secs = 600          # … or age, whichever comes first
//! ```
//!
//! The listeners bind all interfaces by default, because devices have to reach them; give an address to narrow that.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use events::LogConfig;
use readers::timeseries::TelemetryConfig;
use serde::Deserialize;

#[cfg(test)]
mod tests;

/// The whole tree.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Host name of the first application: what devices put into their user name. Default `localhost`.
    pub hostname: String,
    /// Where to listen.
    pub listen: ListenConfig,
    /// Where the registry is.
    pub database: DatabaseConfig,
    /// The log.
    pub log: LogConfig,
    /// The telemetry store.
    pub telemetry: TelemetryConfig,
    /// Connection limits.
    pub limits: LimitsConfig,
}

/// Addresses. Port 0 means any free port; the chosen ones are in `endpoints.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// HTTPS: console, REST, device HTTPS, provisioning. Default `0.0.0.0:8443`.
    pub https: SocketAddr,
    /// Plain HTTP, loopback addresses only. Off by default.
    pub http: Option<SocketAddr>,
    /// MQTT over TLS. Default `0.0.0.0:8883`.
    pub mqtts: SocketAddr,
    /// AMQP over TLS. Not available in this version; said at start when it is asked for.
    pub amqps: Option<SocketAddr>,
}

/// The database of the registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// File that holds the URL of a PostgreSQL database and that only its owner may read, as seen from the configuration file.
    /// Without it the registry is SQLite in the data folder.
    pub url_file: Option<PathBuf>,
}

/// Connection limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// MQTT connections at the same time. Default 100,000.
    pub mqtt_connections_max: usize,
    /// HTTPS connections at the same time. Default 4,096.
    pub http_connections_max: usize,
    /// Seconds after which an MQTT session ends although its token is still good. By default the token decides.
    pub mqtt_session_secs_max: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hostname: "localhost".into(),
            listen: ListenConfig::default(),
            database: DatabaseConfig::default(),
            log: LogConfig::default(),
            telemetry: TelemetryConfig::default(),
            limits: LimitsConfig::default(),
        }
    }
}

impl Default for ListenConfig {
    fn default() -> Self {
        let any = IpAddr::from([0, 0, 0, 0]);
        Self { https: (any, 8443).into(), http: None, mqtts: (any, 8883).into(), amqps: None }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            mqtt_connections_max: 100_000,
            http_connections_max: crate::limits::HTTP_CONNECTIONS_MAX,
            mqtt_session_secs_max: None,
        }
    }
}

/// A configuration that must be mended before a start makes sense: exit code 78.
#[derive(Debug, thiserror::Error)]
pub enum ReadConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {path}")]
    Read {
        /// File named on the command line.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML, or holds an unknown key or a value of the wrong kind. The text names key and line.
    #[error("configuration file {path} is wrong: {problem}")]
    Parse {
        /// File named on the command line.
        path: PathBuf,
        /// What is wrong, with the line.
        problem: String,
    },
    /// A value that cannot work.
    #[error("{key} is {value}, but {expected}")]
    Value {
        /// Key or flag.
        key: &'static str,
        /// What it says.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ReadConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ReadConfigError::Read { path: path.to_owned(), source })?;
        let mut config =
            Self::parse(&text).map_err(|problem| ReadConfigError::Parse { path: path.to_owned(), problem })?;
        if let (Some(url_file), Some(folder)) = (&mut config.database.url_file, path.parent()) {
            *url_file = folder.join(&*url_file);
        }
        Ok(config)
    }

    /// Parses the text of a file; the error names key and line.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            match line {
                Some(line) => format!("line {line}: {}", error.message()),
                None => error.message().to_owned(),
            }
        })
    }

    /// Checks what the types cannot.
    pub fn check(&self) -> Result<(), ReadConfigError> {
        let wrong = |key, value: String, expected| Err(ReadConfigError::Value { key, value, expected });
        if !is_host_name(&self.hostname) {
            return wrong("hostname", format!("{:?}", self.hostname), "a host name without port is needed");
        }
        if let Some(http) = self.listen.http.filter(|http| !http.ip().is_loopback()) {
            return wrong("http", http.to_string(), "plain HTTP is served on a loopback address only");
        }
        if self.log.segment_bytes < 1 << 20 {
            return wrong("log.segment_bytes", self.log.segment_bytes.to_string(), "at least 1048576 is needed");
        }
        if self.log.max_bytes < 2 * self.log.segment_bytes {
            return wrong("log.max_bytes", self.log.max_bytes.to_string(), "at least two segments must fit");
        }
        if self.telemetry.flush_bytes == 0 || self.telemetry.flush_secs == 0 {
            return wrong("telemetry.flush_bytes or flush_secs", "0".into(), "at least 1 is needed");
        }
        if self.limits.mqtt_session_secs_max == Some(0) {
            return wrong("limits.mqtt_session_secs_max", "0".into(), "at least 1 is needed, or no such line");
        }
        Ok(())
    }
}

/// Letters, digits, `-` and dots, no empty label, at most 253 characters.
fn is_host_name(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}
