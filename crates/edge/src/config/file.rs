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
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    /// Host name modules and downstream devices connect to. Default: that of the machine.
    pub hostname: Option<String>,
    /// Host name of the parent edge, for a gateway below another.
    pub parent_hostname: Option<String>,
    /// File with the certificates modules and the edge trust, as `file:///…`.
    pub trust_bundle_cert: Option<String>,
    /// `source` and what goes with it: `manual` with `connection_string`, or `dps` with `global_endpoint`, `id_scope` and `[provisioning.attestation]`.
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
    /// Known, and without effect yet.
    agent: Option<Value>,
    /// Known, and without effect yet.
    connect: Option<Value>,
    /// Known, and without effect yet.
    listen: Option<Value>,
    /// Known, and without effect yet.
    watchdog: Option<Value>,
    /// Known, and without effect yet.
    edge_ca: Option<Value>,
    /// Known, and without effect yet.
    image_garbage_collection: Option<Value>,
    /// Known, and without effect yet.
    moby_runtime: Option<Value>,
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
    /// Known, and without effect yet.
    listen_https: Option<String>,
    /// Bytes that undelivered messages may take on the disk. Default 1 GiB.
    pub max_disk: Option<BytesSize>,
    /// Known, and without effect yet.
    max_memory: Option<BytesSize>,
    /// Port of the hub for MQTT. Default 8883.
    pub upstream_mqtts_port: Option<u16>,
    /// Port of the hub and of the provisioning service for HTTPS. Default 443.
    pub upstream_https_port: Option<u16>,
    /// Image name to program: a module whose image is listed runs as a process. `"image" = "program"`, or `= { program = "…", args = ["…"] }`.
    #[serde(default)]
    pub processes: BTreeMap<String, ProcessEntry>,
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
            ("[agent]", self.agent.is_some()),
            ("[connect]", self.connect.is_some()),
            ("[listen]", self.listen.is_some()),
            ("[watchdog]", self.watchdog.is_some()),
            ("[edge_ca]", self.edge_ca.is_some()),
            ("[image_garbage_collection]", self.image_garbage_collection.is_some()),
            ("[moby_runtime]", self.moby_runtime.is_some()),
            ("tidegate.listen_amqps", ours.is_some_and(|ours| ours.listen_amqps.is_some())),
            ("tidegate.listen_https", ours.is_some_and(|ours| ours.listen_https.is_some())),
            ("tidegate.max_memory", ours.is_some_and(|ours| ours.max_memory.is_some())),
        ];
        settings.into_iter().filter(|(_, present)| *present).map(|(name, _)| name.to_owned()).collect()
    }
}
