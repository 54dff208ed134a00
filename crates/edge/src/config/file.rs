//! The shape of `config.toml`, key by key. Only shape: values are checked elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Value;

use super::bytes_size::BytesSize;
use super::processes::ProcessEntry;
use super::provisioning::ProvisioningSection;

/// The whole file. Members that are plain [`Value`]s are known to the original and have no effect here yet.
#[derive(Debug, Deserialize)]
pub(super) struct ConfigFile {
    /// Host name modules and downstream devices connect to. Default: that of the machine.
    pub hostname: Option<String>,
    /// Host name of the parent edge, for a gateway below another.
    pub parent_hostname: Option<String>,
    /// File with the certificates modules and the edge trust, as `file:///…`.
    pub trust_bundle_cert: Option<String>,
    /// `source` and what goes with it: `manual` with `connection_string`, or with `iothub_hostname`, `device_id` and `[provisioning.authentication]` (`method` `sas` or `x509`); `dps` with `global_endpoint`, `id_scope` and `[provisioning.attestation]` (`method` `symmetric_key` or `x509`). With `x509`, `identity_cert` and `identity_pk` are files, as `file:///…`.
    pub provisioning: ProvisioningSection,
    pub tidegate: Option<TidegateSection>,
    /// Known, and without effect yet.
    allow_elevated_docker_permissions: Option<bool>,
    /// Known, and without effect yet.
    prefer_module_identity_cache: Option<bool>,
    /// Known, and without effect yet.
    auto_reprovisioning_mode: Option<String>,
    /// Known, and without effect yet.
    cloud_timeout_sec: Option<u64>,
    /// Known, and without effect yet.
    cloud_retries: Option<u32>,
    /// Known, and without effect yet.
    homedir: Option<Value>,
    /// Known, and without effect yet.
    manifest_trust_bundle_cert: Option<Value>,
    /// Known, and without effect yet.
    additional_info: Option<Value>,
    /// Known, and without effect yet.
    iotedge_max_requests: Option<Value>,
    /// Known, and without effect yet.
    imported_master_encryption_key: Option<Value>,
    /// Known, and without effect yet.
    cert_issuance: Option<Value>,
    /// Known, and without effect yet.
    tpm: Option<Value>,
    /// Known, and without effect yet.
    aziot_keys: Option<Value>,
    /// Known, and without effect yet.
    preloaded_keys: Option<Value>,
    /// Known, and without effect yet.
    preloaded_certs: Option<Value>,
    /// The agent is part of this program: of its section, `RuntimeLogLevel`, `UpstreamProtocol`, `https_proxy` and `no_proxy` in `[agent.env]` have an effect.
    pub agent: Option<AgentSection>,
    /// `management_uri` (`unix:///…`): where the commands ask the daemon. Default: where it listens.
    pub connect: Option<SocketsSection>,
    /// `management_uri` (`unix:///…`): where the daemon answers the commands. Default `mgmt.sock` in the data folder.
    pub listen: Option<SocketsSection>,
    /// Known, and without effect yet.
    watchdog: Option<Value>,
    /// `cert` and `pk` (`file:///…`): the authority that signs the certificates of this gateway. Default: one of its own.
    pub edge_ca: Option<EdgeCaSection>,
    /// Known, and without effect yet.
    image_garbage_collection: Option<Value>,
    /// Known, and without effect yet.
    moby_runtime: Option<Value>,
    /// Nobody knows these.
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

/// `[agent]`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AgentSection {
    /// `RuntimeLogLevel`: verbose, debug, info (the default), warning, error or fatal. `UpstreamProtocol`: `Mqtt` (the default without a proxy) or `MqttWs` (with one); `Amqp` and `AmqpWs` stand for these. `https_proxy` and `no_proxy`: as in the environment, which they go before. What else is here is for the agent of the original, and without effect.
    #[serde(default)]
    pub env: BTreeMap<String, Value>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// `[connect]` and `[listen]`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SocketsSection {
    /// `unix:///PATH`: where the daemon answers the commands (`listen`), and where these ask it (`connect`, where `listen` has one too). Default: `mgmt.sock` in the data folder.
    pub management_uri: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// `[edge_ca]`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct EdgeCaSection {
    /// `file:///PATH` of an authority's certificate, with those above it, PEM: it signs the certificates of this gateway. Default: one of its own.
    pub cert: Option<Value>,
    /// `file:///PATH` of its private key, PKCS#8 in PEM.
    pub pk: Option<Value>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// Of `[agent.env]`, how much is written to the log.
pub(super) const LOG_LEVEL: &str = "RuntimeLogLevel";

/// Of `[agent.env]`, how the hub above is reached.
pub(super) const UPSTREAM_PROTOCOL: &str = "UpstreamProtocol";

/// Of `[agent.env]`, and of the environment in either case.
pub(super) const HTTPS_PROXY: &str = "https_proxy";

/// The same: whom to connect to without it.
pub(super) const NO_PROXY: &str = "no_proxy";

impl SocketsSection {
    /// The path of a `unix://` address.
    pub(super) fn management_socket(&self) -> Option<PathBuf> {
        let path = self.management_uri.as_deref()?.strip_prefix("unix://")?;
        path.starts_with('/').then(|| PathBuf::from(path))
    }

    fn unused(&self, section: &str) -> Vec<String> {
        let mut unused: Vec<_> = self.others.keys().map(|key| format!("{section}.{key}")).collect();
        if self.management_uri.is_some() && self.management_socket().is_none() {
            unused.push(format!("{section}.management_uri (only unix:///PATH has)"));
        }
        unused
    }
}

impl AgentSection {
    /// A value by its name, which has no case.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.env.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn unused(&self) -> Vec<String> {
        let upstream = [UPSTREAM_PROTOCOL, HTTPS_PROXY, NO_PROXY];
        let is_used = |key: &str| key == LOG_LEVEL || upstream.iter().any(|used| key.eq_ignore_ascii_case(used));
        let env = self.env.keys().filter(|key| !is_used(key)).map(|key| format!("agent.env.{key}"));
        self.others.keys().map(|key| format!("agent.{key}")).chain(env).collect()
    }
}

impl EdgeCaSection {
    /// Certificate and key, where both are named.
    pub(super) fn files(&self) -> Option<(&str, &str)> {
        Some((self.cert.as_ref()?.as_str()?, self.pk.as_ref()?.as_str()?))
    }

    fn unused(&self) -> Vec<String> {
        let mut unused: Vec<_> = self.others.keys().map(|key| format!("edge_ca.{key}")).collect();
        if self.files().is_none() && (self.cert.is_some() || self.pk.is_some()) {
            unused.push("edge_ca.cert (only with pk, both as file:///PATH)".to_owned());
        }
        unused
    }
}

/// What Tidegate adds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TidegateSection {
    /// Where the edge keeps everything. Default `/var/lib/tidegate-edge`.
    pub data_dir: Option<PathBuf>,
    /// Address for modules and downstream devices. Default `0.0.0.0:8883`.
    pub listen_mqtts: Option<String>,
    /// Loopback address that serves metrics for Prometheus. Off by default.
    pub listen_metrics: Option<String>,
    /// Known, and without effect yet.
    listen_amqps: Option<String>,
    /// Address for modules and downstream devices that connect over WebSocket, or `off`. Default `0.0.0.0:443` where `listen_mqtts` is not set either, else `off`.
    pub listen_https: Option<String>,
    /// Bytes that undelivered messages may take on the disk. Default 1 GiB.
    pub max_disk: Option<BytesSize>,
    /// Known, and without effect yet.
    max_memory: Option<BytesSize>,
    /// Port of the hub for MQTT. Default 8883.
    pub upstream_mqtts_port: Option<u16>,
    /// Port of the hub and of the provisioning service for HTTPS. Default 443.
    pub upstream_https_port: Option<u16>,
    /// User ids for modules that run as processes, one for each: `{ first = 200000, count = 100 }`. Nobody else may have them. Off by default.
    pub module_user_ids: Option<UserIds>,
    /// Image name to program: a module whose image is listed runs as a process. `"image" = "program"`, or `= { program = "…", args = ["…"] }`.
    #[serde(default)]
    pub processes: BTreeMap<String, ProcessEntry>,
}

/// A range of user ids.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserIds {
    /// First of the user ids for modules that run as processes, one for each. Nobody else may have them. Off by default.
    pub first: u32,
    /// How many there are.
    pub count: u32,
}

impl ConfigFile {
    /// Names of the settings that are there but have no effect in this version.
    pub(super) fn unused(&self) -> Vec<String> {
        let ours = self.tidegate.as_ref();
        let settings = [
            ("allow_elevated_docker_permissions", self.allow_elevated_docker_permissions.is_some()),
            ("prefer_module_identity_cache", self.prefer_module_identity_cache.is_some()),
            ("auto_reprovisioning_mode", self.auto_reprovisioning_mode.is_some()),
            ("cloud_timeout_sec", self.cloud_timeout_sec.is_some()),
            ("cloud_retries", self.cloud_retries.is_some()),
            ("homedir", self.homedir.is_some()),
            ("manifest_trust_bundle_cert", self.manifest_trust_bundle_cert.is_some()),
            ("additional_info", self.additional_info.is_some()),
            ("iotedge_max_requests", self.iotedge_max_requests.is_some()),
            ("imported_master_encryption_key", self.imported_master_encryption_key.is_some()),
            ("[cert_issuance]", self.cert_issuance.is_some()),
            ("[tpm]", self.tpm.is_some()),
            ("[aziot_keys]", self.aziot_keys.is_some()),
            ("[preloaded_keys]", self.preloaded_keys.is_some()),
            ("[preloaded_certs]", self.preloaded_certs.is_some()),
            ("[watchdog]", self.watchdog.is_some()),
            ("[image_garbage_collection]", self.image_garbage_collection.is_some()),
            ("[moby_runtime]", self.moby_runtime.is_some()),
            ("tidegate.listen_amqps", ours.is_some_and(|ours| ours.listen_amqps.is_some())),
            ("tidegate.max_memory", ours.is_some_and(|ours| ours.max_memory.is_some())),
        ];
        let whole = settings.into_iter().filter(|(_, present)| *present).map(|(name, _)| name.to_owned());
        let agent = self.agent.as_ref().map(AgentSection::unused);
        let connect = self.connect.as_ref().map(|section| section.unused("connect"));
        let listen = self.listen.as_ref().map(|section| section.unused("listen"));
        let edge_ca = self.edge_ca.as_ref().map(EdgeCaSection::unused);
        whole.chain([agent, connect, listen, edge_ca].into_iter().flatten().flatten()).collect()
    }

    /// Keys nobody knows, each as the path to it: the original passes over them, so a file that holds one is taken.
    pub(super) fn unknown(&self) -> Vec<Vec<&str>> {
        let mut unknown: Vec<Vec<&str>> = self.unknown.keys().map(|key| vec![key.as_str()]).collect();
        for (section, key) in self.provisioning.unknown() {
            unknown.push(["provisioning"].into_iter().chain(section).chain([key]).collect());
        }
        unknown
    }
}
