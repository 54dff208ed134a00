//! What the demo creates: two templates, one manifest, three devices, two gateway relationships. Repeating it changes
//! nothing: what is there stays as the user left it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use http::Method;
use serde_json::{Value, json};

use super::rest::Rest;
use super::{EDGE_ID, SENSOR_MODULE, TANK_IDS};
use crate::data_folder::Endpoints;

const EDGE_TEMPLATE: &str = "dtmi:modelDefinition:tidegateDemo:edge;1";
const TANK_TEMPLATE: &str = "dtmi:modelDefinition:tidegateDemo:tank;1";
const MANIFEST_ID: &str = "simulatedTemperatureSensor";
const MANIFEST: &str = include_str!("../../../../examples/manifests/simulated-temperature-sensor.json");
const SENSOR_TELEMETRY: &str = include_str!("../../../../examples/templates/sensor-telemetry.json");
const TANK: &str = include_str!("../../../../examples/templates/tank.json");

/// What the rest of the demo needs to know of the setup.
pub struct Plan {
    /// Id scope of the application.
    pub id_scope: String,
    /// Key of the edge device, derived from the enrollment group's key.
    pub edge_key: String,
    /// Keys of the tanks, in the order of [`TANK_IDS`].
    pub tank_keys: Vec<String>,
}

impl Plan {
    /// Creates what is missing.
    pub async fn run(api: &Rest) -> Result<Self> {
        let manifest: Value = serde_json::from_str(MANIFEST).context("the example manifest is no JSON")?;
        publish_templates(api, &manifest).await?;
        create_devices(api, &manifest).await?;
        let mut tank_keys = Vec::new();
        for tank in TANK_IDS {
            let path = format!("/devices/{tank}/credentials");
            let credentials = api.get(&path).await?.with_context(|| format!("{tank} has no credentials"))?;
            tank_keys.push(text_at(&credentials, "/symmetricKey/primaryKey")?);
        }
        let connectivity = api.get("/ext/v1/dps").await?.context("Central does not tell its id scope")?;
        Ok(Self { id_scope: text_at(&connectivity, "/idScope")?, edge_key: edge_key(api).await?, tank_keys })
    }
}

/// The key every device of the edge group can derive: the edge device provisions itself with it.
async fn edge_key(api: &Rest) -> Result<String> {
    let groups = api.get("/enrollmentGroups").await?.context("there are no enrollment groups")?;
    let groups = groups["value"].as_array().context("the enrollment groups are no list")?;
    let group = groups
        .iter()
        .find(|group| group["type"] == "iotEdge" && group["attestation"]["type"] == "symmetricKey")
        .context("there is no enrollment group for edge devices")?;
    let group_key = text_at(group, "/attestation/symmetricKey/primaryKey")?;
    protocol::auth::sas::derive_device_key(&group_key, EDGE_ID).context("the group's key is not base64")
}

async fn publish_templates(api: &Rest, manifest: &Value) -> Result<()> {
    if api.get(&format!("/deviceTemplates/{EDGE_TEMPLATE}")).await?.is_none() {
        let wanted = json!({ "id": EDGE_TEMPLATE, "displayName": "Demo edge", "data": manifest });
        let mut generated = api.send(Method::POST, "/ext/v1/deviceTemplates/fromManifest", &wanted).await?;
        let mut template = generated["template"].take();
        add_telemetry(&mut template)?;
        api.send(Method::PUT, &format!("/deviceTemplates/{EDGE_TEMPLATE}"), &template).await?;
    }
    if api.get(&format!("/deviceTemplates/{TANK_TEMPLATE}")).await?.is_none() {
        let template = serde_json::from_str(TANK).context("the tank template is no JSON")?;
        api.send(Method::PUT, &format!("/deviceTemplates/{TANK_TEMPLATE}"), &template).await?;
    }
    if api.get(&format!("/deploymentManifests/{MANIFEST_ID}")).await?.is_none() {
        let stored = json!({ "displayName": "Simulated temperature sensor", "data": manifest });
        api.send(Method::PUT, &format!("/deploymentManifests/{MANIFEST_ID}"), &stored).await?;
    }
    Ok(())
}

/// A manifest tells nothing of telemetry and commands: they are added to the module's interface, as a builder would.
fn add_telemetry(template: &mut Value) -> Result<()> {
    let mut interface: Value = serde_json::from_str(SENSOR_TELEMETRY).context("the sensor interface is no JSON")?;
    let contents = template["capabilityModel"]["contents"].as_array_mut().context("the template has no contents")?;
    let module = contents
        .iter_mut()
        .find(|content| content["name"] == SENSOR_MODULE)
        .with_context(|| format!("the template has no module {SENSOR_MODULE}"))?;
    let target = &mut module["target"][0];
    let module_id = text_at(target, "/@id")?;
    let base = module_id.split(';').next().unwrap_or_default();
    interface["@id"] = Value::String(format!("{base}:telemetry;1"));
    match target["extends"].as_array_mut() {
        Some(extends) => extends.push(interface),
        None => target["extends"] = json!([interface]),
    }
    Ok(())
}

async fn create_devices(api: &Rest, manifest: &Value) -> Result<()> {
    if api.get(&format!("/devices/{EDGE_ID}")).await?.is_none() {
        let device = json!({ "displayName": "Demo edge", "template": EDGE_TEMPLATE, "type": ["iotEdge"] });
        api.send(Method::PUT, &format!("/devices/{EDGE_ID}"), &device).await?;
        let applied = json!({ "displayName": "Simulated temperature sensor", "data": manifest });
        api.send(Method::POST, &format!("/devices/{EDGE_ID}/applyDeploymentManifest"), &applied).await?;
    }
    for (index, tank) in TANK_IDS.iter().enumerate() {
        if api.get(&format!("/devices/{tank}")).await?.is_none() {
            let device = json!({ "displayName": format!("Demo tank {}", index + 1), "template": TANK_TEMPLATE });
            api.send(Method::PUT, &format!("/devices/{tank}"), &device).await?;
            let relationship = json!({ "source": EDGE_ID, "target": tank });
            api.send(Method::PUT, &format!("/devices/{EDGE_ID}/relationships/{tank}"), &relationship).await?;
        }
    }
    Ok(())
}

/// Where the demo's edge lives.
pub struct EdgeSite<'a> {
    /// Its data folder.
    pub data_dir: PathBuf,
    /// Central's trust bundle.
    pub ca_pem: PathBuf,
    /// The sensor module's program.
    pub sensor_program: PathBuf,
    /// Where modules and downstream devices connect.
    pub listen_mqtts: SocketAddr,
    /// Where Central listens.
    pub endpoints: &'a Endpoints,
    /// Id scope of the application.
    pub id_scope: &'a str,
    /// The edge device's key.
    pub key: &'a str,
}

/// The `config.toml` of the demo's edge.
pub fn edge_configuration(site: &EdgeSite<'_>) -> Result<String> {
    let https = port_of(site.endpoints.https.as_deref())?;
    let mqtts = port_of(site.endpoints.mqtts.as_deref())?;
    let host = &site.endpoints.hostname;
    let quoted = |path: &Path| path.to_str().map(|text| json!(text).to_string()).context("a path is not UTF-8");
    let ca_uri = json!(format!("file://{}", site.ca_pem.to_str().context("a path is not UTF-8")?));
    Ok(format!(
        r#"# Written by `tidegate demo` at each start.
hostname = "localhost"
trust_bundle_cert = {ca_uri}

[provisioning]
source = "dps"
global_endpoint = "https://{host}:{https}"
id_scope = "{id_scope}"

[provisioning.attestation]
method = "symmetric_key"
registration_id = "{EDGE_ID}"
symmetric_key = {{ value = "{key}" }}

[tidegate]
data_dir = {data_dir}
listen_mqtts = "{listen}"
upstream_mqtts_port = {mqtts}
upstream_https_port = {https}

[tidegate.processes]
"mcr.microsoft.com/azureiotedge-simulated-temperature-sensor" = {sensor}
"#,
        id_scope = site.id_scope,
        key = site.key,
        data_dir = quoted(&site.data_dir)?,
        listen = site.listen_mqtts,
        sensor = quoted(&site.sensor_program)?,
    ))
}

fn port_of(address: Option<&str>) -> Result<u16> {
    let Some(port) = address.and_then(|address| address.rsplit(':').next()).and_then(|port| port.parse().ok()) else {
        bail!("Central does not tell the port of a listener the demo needs");
    };
    Ok(port)
}

fn text_at(value: &Value, pointer: &str) -> Result<String> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("the answer has no {pointer}"))
}
