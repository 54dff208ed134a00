//! How the hub above is reached: directly or through a proxy, over TLS or WebSocket.
//!
//! The original has this in the environment of its agent, which `[agent.env]` makes, and of the daemon. Here both are one program:
//! what `[agent.env]` says goes before the environment.

use transport::client::{Proxies, Way};

use super::file::{AgentSection, HTTPS_PROXY, NO_PROXY, UPSTREAM_PROTOCOL};
use super::{BadValue, Config};

/// What is spoken to the hub above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// MQTT over TLS.
    Mqtt,
    /// MQTT over WebSocket.
    MqttWs,
}

/// Where and how to connect to the hub above for MQTT.
#[derive(Debug, Clone)]
pub struct UpstreamLink {
    /// Its port.
    pub port: u16,
    /// The way there.
    pub way: Way,
}

impl Config {
    /// How MQTT gets to the hub above. Where nobody says, a proxy means WebSocket: hardly one lets anything but 443 through. As
    /// with the original, MQTT over TLS goes past the proxy.
    pub fn upstream_link(&self, host: &str, https_port: u16) -> UpstreamLink {
        let web_socket = match self.upstream_protocol {
            Some(protocol) => protocol == UpstreamProtocol::MqttWs,
            None => self.proxies.apply_to(host, https_port),
        };
        if web_socket {
            return UpstreamLink { port: https_port, way: Way { web_socket, proxies: self.proxies.clone() } };
        }
        UpstreamLink { port: self.upstream_mqtts_port, way: Way::default() }
    }
}

/// What is to be spoken, by the file or else the environment. What AMQP is asked for, MQTT does over the same port.
pub(super) fn protocol(
    agent: &AgentSection,
    environment: impl Fn(&str) -> Option<String>,
    unused: &mut Vec<String>,
) -> Result<Option<UpstreamProtocol>, BadValue> {
    let (key, value) = match (agent.value(UPSTREAM_PROTOCOL), environment(UPSTREAM_PROTOCOL)) {
        (Some(value), _) => ("agent.env.UpstreamProtocol", value.clone()),
        (None, Some(text)) => ("UpstreamProtocol of the environment", text.into()),
        (None, None) => return Ok(None),
    };
    let instead = |spoken: &str| format!("{key} (AMQP is not spoken yet, {spoken} is instead)");
    match value.as_str().unwrap_or_default().to_ascii_lowercase().as_str() {
        "mqtt" => Ok(Some(UpstreamProtocol::Mqtt)),
        "mqttws" => Ok(Some(UpstreamProtocol::MqttWs)),
        "amqp" => {
            unused.push(instead("Mqtt"));
            Ok(Some(UpstreamProtocol::Mqtt))
        }
        "amqpws" => {
            unused.push(instead("MqttWs"));
            Ok(Some(UpstreamProtocol::MqttWs))
        }
        _ => Err(BadValue::new(key, format!("is {value}; Mqtt, MqttWs, Amqp and AmqpWs are known"))),
    }
}

/// The proxies of the file, else of the environment. An address that cannot be used is not shown: it may hold a password.
pub(super) fn proxies(agent: &AgentSection, environment: impl Fn(&str) -> Option<String>) -> Result<Proxies, BadValue> {
    let text = |name: &str, key: &'static str| match agent.value(name) {
        Some(value) => value.as_str().map(|text| Some(text.to_owned())).ok_or(BadValue::new(key, "is no text")),
        None => Ok(environment(name).or_else(|| environment(&name.to_ascii_uppercase()))),
    };
    let url = text(HTTPS_PROXY, "agent.env.https_proxy")?.unwrap_or_default();
    let without = text(NO_PROXY, "agent.env.no_proxy")?.unwrap_or_default();
    let from_file = agent.value(HTTPS_PROXY).is_some();
    let key = if from_file { "agent.env.https_proxy" } else { "https_proxy of the environment" };
    Proxies::new(&url, &without).map_err(|error| BadValue::new(key, error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    const HOST: &str = "hub.example.test";

    fn read(env: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let text = format!(
            "hostname = \"h\"\n[provisioning]\nsource = \"manual\"\n\
             connection_string = \"HostName={HOST};DeviceId=edge;SharedAccessKey=c2VjcmV0\"\n[agent.env]\n{env}"
        );
        let value = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Config::parse_in(Path::new("config.toml"), &text, value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_proxy_means_web_socket_unless_it_is_said() {
        const PROXY: &str = "https_proxy = \"http://u:secret@proxy:3128\"\n";
        let named = |protocol: &str| format!("UpstreamProtocol = \"{protocol}\"\n");
        let table = [
            (String::new(), &[][..], (8883, false, false)),
            (named("Mqtt"), &[], (8883, false, false)),
            (named("MqttWs"), &[], (443, true, false)),
            (named("mqttws") + PROXY, &[], (443, true, true)),
            (String::new(), &[("UpstreamProtocol", "MqttWs")], (443, true, false)),
            (named("Mqtt"), &[("UpstreamProtocol", "MqttWs")], (8883, false, false)),
            (named("Amqp"), &[], (8883, false, false)),
            (named("AmqpWs"), &[], (443, true, false)),
            (PROXY.to_owned(), &[], (443, true, true)),
            (named("Mqtt") + PROXY, &[], (8883, false, false)),
            (PROXY.to_uppercase(), &[], (443, true, true)),
            (PROXY.to_owned() + "no_proxy = \"example.test\"\n", &[], (8883, false, false)),
            (String::new(), &[("https_proxy", "http://proxy")], (443, true, true)),
            (String::new(), &[("HTTPS_PROXY", "http://proxy")], (443, true, true)),
            (String::new(), &[("HTTPS_PROXY", "http://proxy"), ("no_proxy", HOST)], (8883, false, false)),
            (String::new(), &[("HTTPS_PROXY", "http://proxy"), ("NO_PROXY", "*")], (8883, false, false)),
            ("https_proxy = \"\"\n".to_owned(), &[("https_proxy", "http://proxy")], (8883, false, false)),
        ];
        for (env, environment, expected) in table {
            let UpstreamLink { port, way } = read(&env, environment).unwrap().upstream_link(HOST, 443);
            assert_eq!((port, way.web_socket, way.proxies.apply_to(HOST, 443)), expected, "{env} {environment:?}");
        }
    }

    #[test]
    fn what_is_not_done_as_asked_is_said() {
        let config = read("UpstreamProtocol = \"AmqpWs\"\nOther = \"1\"\n", &[]).unwrap();
        let said = "agent.env.UpstreamProtocol (AMQP is not spoken yet, MqttWs is instead)";
        assert_eq!(config.unused, ["agent.env.Other", said]);
        assert!(read("UpstreamProtocol = \"Mqtt\"\n", &[]).unwrap().unused.is_empty());
    }

    #[test]
    fn what_is_no_protocol_or_proxy_is_refused_and_no_password_is_shown() {
        let table = [
            ("UpstreamProtocol = \"Http\"\n", &[][..], "config.toml: agent.env.UpstreamProtocol is \"Http\"; Mqtt"),
            ("", &[("UpstreamProtocol", "x")], "config.toml: UpstreamProtocol of the environment is \"x\"; Mqtt"),
            ("https_proxy = \"ftp://u:secret@p\"\n", &[], "config.toml: agent.env.https_proxy is not http://[USER"),
            ("https_proxy = 1\n", &[], "config.toml: agent.env.https_proxy is no text"),
            ("", &[("https_proxy", "ftp://u:secret@p")], "config.toml: https_proxy of the environment is not http://"),
        ];
        for (env, environment, expected) in table {
            let error = read(env, environment).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("secret"), "{error}");
        }
        let config = read("https_proxy = \"http://u:secret@p\"\n", &[]).unwrap();
        assert!(!format!("{config:?}").contains("secret@"), "{config:?}");
    }
}
