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
    pub hostname: Option<String>,
    pub parent_hostname: Option<String>,
    pub trust_bundle_cert: Option<String>,
    pub provisioning: ProvisioningSection,
    pub tidegate: Option<TidegateSection>,
    allow_elevated_docker_permissions: Option<bool>,
    prefer_module_identity_cache: Option<bool>,
    auto_reprovisioning_mode: Option<String>,
    cloud_timeout_sec: Option<u64>,
    cloud_retries: Option<u32>,
    homedir: Option<Value>,
    manifest_trust_bundle_cert: Option<Value>,
    additional_info: Option<Value>,
    iotedge_max_requests: Option<Value>,
    imported_master_encryption_key: Option<Value>,
    cert_issuance: Option<Value>,
    tpm: Option<Value>,
    aziot_keys: Option<Value>,
    preloaded_keys: Option<Value>,
    preloaded_certs: Option<Value>,
    agent: Option<Value>,
    connect: Option<Value>,
    listen: Option<Value>,
    watchdog: Option<Value>,
    edge_ca: Option<Value>,
    image_garbage_collection: Option<Value>,
    moby_runtime: Option<Value>,
}

/// What Tidegate adds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TidegateSection {
    pub data_dir: Option<PathBuf>,
    pub listen_mqtts: Option<String>,
    pub listen_metrics: Option<String>,
    listen_amqps: Option<String>,
    listen_https: Option<String>,
    pub max_disk: Option<BytesSize>,
    max_memory: Option<BytesSize>,
    pub upstream_mqtts_port: Option<u16>,
    pub upstream_https_port: Option<u16>,
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
