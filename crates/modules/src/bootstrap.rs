//! From the environment a module is started with to a connected client.

use std::sync::Arc;
use std::time::Duration;

use model::identity::Identity;
use tokio::sync::mpsc;
use transport::client::{ClientEvent, HubClient, HubClientOptions, Subscriptions, Way};
use transport::tls::{ClientConfigError, client_config};

use crate::workload::{Workload, WorkloadError};

const MQTTS_PORT: u16 = 8883;
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// The module cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// A variable the edge runtime sets is missing.
    #[error("the environment variable {0} is missing: is this program started by the edge runtime?")]
    Missing(&'static str),
    /// The port is none.
    #[error("TIDEGATE_GATEWAY_MQTTS_PORT is {0:?}, not a port")]
    Port(String),
    /// The workload API does not play along.
    #[error("cannot prepare the connection to the edge hub")]
    Workload(#[from] WorkloadError),
    /// The trust bundle cannot be used.
    #[error("cannot use the trust bundle")]
    Trust(#[from] ClientConfigError),
}

/// Who the module is and where its hub is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// This module.
    pub identity: Identity,
    /// The hub's name, in user name and token.
    pub hub_host: String,
    /// The edge device's host name, to connect to.
    pub gateway_host: String,
    /// Its MQTT port.
    pub gateway_port: u16,
    workload_uri: String,
    api_version: String,
    generation: String,
}

impl Environment {
    /// Reads the variables from where `variable` finds them.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BootstrapError> {
        let need =
            |name: &'static str| variable(name).filter(|value| !value.is_empty()).ok_or(BootstrapError::Missing(name));
        let gateway_port = match variable("TIDEGATE_GATEWAY_MQTTS_PORT") {
            Some(text) => text.parse().map_err(|_| BootstrapError::Port(text))?,
            None => MQTTS_PORT,
        };
        Ok(Self {
            identity: Identity::module(&need("IOTEDGE_DEVICEID")?, &need("IOTEDGE_MODULEID")?),
            hub_host: need("IOTEDGE_IOTHUBHOSTNAME")?,
            gateway_host: need("IOTEDGE_GATEWAYHOSTNAME")?,
            gateway_port,
            workload_uri: need("IOTEDGE_WORKLOADURI")?,
            api_version: need("IOTEDGE_APIVERSION")?,
            generation: need("IOTEDGE_MODULEGENERATIONID")?,
        })
    }

    /// Reads the process's own environment.
    pub fn of_process() -> Result<Self, BootstrapError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Starts a client that stays connected to the edge hub as this module.
    pub async fn connect(&self, client_type: &str) -> Result<(HubClient, mpsc::Receiver<ClientEvent>), BootstrapError> {
        let module = self.identity.module_id().unwrap_or_default();
        let workload = Workload::new(&self.workload_uri, &self.api_version, module, &self.generation)?;
        let trust_bundle = workload.trust_bundle().await?;
        Ok(HubClient::start(HubClientOptions {
            host: self.gateway_host.clone(),
            port: self.gateway_port,
            hub_host: self.hub_host.clone(),
            identity: self.identity.clone(),
            token_audience: None,
            tokens: Arc::new(workload),
            auth_chain: None,
            model_id: None,
            client_type: client_type.to_owned(),
            tls: client_config(Some(trust_bundle.as_bytes()))?,
            way: Way::default(),
            keep_alive: KEEP_ALIVE,
            subscribe: Subscriptions::module(),
            reconnection: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn variables(leave_out: &str, port: Option<&str>) -> Result<Environment, BootstrapError> {
        Environment::read(|name| match name {
            _ if name == leave_out => None,
            "TIDEGATE_GATEWAY_MQTTS_PORT" => port.map(str::to_owned),
            "IOTEDGE_WORKLOADURI" => Some("unix:///run/m.sock".to_owned()),
            other => Some(other.to_lowercase()),
        })
    }

    #[test]
    fn every_variable_is_needed_and_the_port_has_a_default() {
        assert_eq!(variables("", None).unwrap().gateway_port, 8883);
        assert_eq!(variables("", Some("40001")).unwrap().gateway_port, 40001);
        assert!(matches!(variables("", Some("x")), Err(BootstrapError::Port(_))));
        for name in ["IOTEDGE_DEVICEID", "IOTEDGE_MODULEID", "IOTEDGE_WORKLOADURI", "IOTEDGE_GATEWAYHOSTNAME"] {
            assert!(matches!(variables(name, None), Err(BootstrapError::Missing(missing)) if missing == name));
        }
    }
}
