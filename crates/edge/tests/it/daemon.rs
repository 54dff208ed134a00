//! A daemon in a folder of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use model::identity::Identity;
use serde_json::{Value, json};
use testkit::authority::TestAuthority;
use testkit::memory_hub::HUB_HOST;
use tokio::sync::mpsc;
use transport::client::{ClientEvent, HubClient, HubClientOptions, SharedKey, Subscriptions, Way};
use transport::tls::client_config;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate-edge");
/// Base64 of "key".
pub const KEY: &str = "a2V5";

/// The folder of a device and, while it runs, its daemon.
pub struct Device {
    pub dir: tempfile::TempDir,
    running: Option<Child>,
    listening: Option<JoinHandle<()>>,
    /// Warnings and errors of its daemons.
    complaints: Arc<Mutex<Vec<String>>>,
    /// One that holds one of these texts is no fault.
    pub expected: Vec<&'static str>,
}

impl Device {
    /// A device that was provisioned before, with one module that runs `script` and routes everything upstream. Its state
    /// files are those of version 0.1: each a bare document.
    pub fn new(script: &str, upstream_port: u16, authority: &TestAuthority) -> Self {
        let device = Self {
            dir: tempfile::tempdir().unwrap(),
            running: None,
            listening: None,
            complaints: Arc::default(),
            // Nobody is at the port of the hub's HTTPS API.
            expected: vec!["the hub's HTTPS API is not reachable"],
        };
        let data = device.data_dir();
        device.write("roots.pem", authority.root_pem());
        device.write(
            "config.toml",
            &format!(
                "hostname = \"127.0.0.1\"\nparent_hostname = \"127.0.0.1\"\ntrust_bundle_cert = \"file://{0}/roots.pem\"\n\
                 [provisioning]\nsource = \"manual\"\n\
                 connection_string = \"HostName={HUB_HOST};DeviceId=edge;SharedAccessKey={KEY}\"\n\
                 [tidegate]\ndata_dir = \"{0}/data\"\nlisten_mqtts = \"127.0.0.1:0\"\n\
                 upstream_mqtts_port = {upstream_port}\nupstream_https_port = 1\n\
                 [tidegate.processes]\n\"worker\" = {{ program = \"sh\", args = [\"-c\", '''{script}'''] }}\n",
                device.dir.path().display()
            ),
        );
        let identity =
            |name: &str| json!({ "module_id": name, "generation_id": "1", "primary_key": KEY, "secondary_key": KEY });
        let identities = ["$edgeAgent", "$edgeHub", "worker", "sensor"].map(identity);
        let modules = json!({ "device_id": "edge", "modules": identities });
        std::fs::create_dir_all(data.join("identity")).unwrap();
        device.write("data/identity/modules.json", &modules.to_string());
        let worker = json!({ "type": "docker", "status": "running", "restartPolicy": "always", "settings": { "image": "worker" } });
        device.keep(
            "lifecycle/deployment.json",
            json!({
                "schemaVersion": "1.0", "runtime": { "type": "docker", "settings": {} }, "systemModules": {},
                "modules": { "worker": worker },
            }),
        );
        device.keep(
            "hub/config.json",
            json!({
                "schemaVersion": "1.0", "routes": { "up": "FROM /messages/* INTO $upstream" },
                "storeAndForwardConfiguration": { "timeToLiveSecs": -1 },
            }),
        );
        device
    }

    /// Writes a file below the device's folder; the daemon's own are below `data/`.
    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.dir.path().join(path), text).unwrap();
    }

    /// Puts a second module beside the first: called `sensor`, running `script`.
    pub fn add_sensor(&self, script: &str) {
        let config = self.dir.path().join("config.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let entry = format!("\"sensor\" = {{ program = \"sh\", args = [\"-c\", '''{script}'''] }}\n");
        std::fs::write(config, text + &entry).unwrap();
        let path = "lifecycle/deployment.json";
        let deployment = std::fs::read(self.data_dir().join(path)).unwrap();
        let mut section = serde_json::from_slice::<Value>(&deployment).unwrap()["section"].take();
        let mut sensor = section["modules"]["worker"].clone();
        sensor["settings"]["image"] = "sensor".into();
        section["modules"]["sensor"] = sensor;
        self.keep(path, section);
    }

    fn keep(&self, path: &str, section: Value) {
        let path = format!("data/{path}");
        std::fs::create_dir_all(self.dir.path().join(&path).parent().unwrap()).unwrap();
        self.write(&path, &json!({ "version": 1, "section": section }).to_string());
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--config").arg(self.dir.path().join("config.toml"));
        command
    }

    /// Starts a command, for who does not want to wait for it.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).spawn().unwrap()
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts the daemon and waits until it says that clients can connect and the module runs.
    pub fn start(&mut self) {
        let mut child = self.command(&["run"]).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (said, heard) = std::sync::mpsc::channel();
        let complaints = Arc::clone(&self.complaints);
        self.listening = Some(std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if line.contains(" WARN ") || line.contains(" ERROR ") {
                    complaints.lock().unwrap().push(line.clone());
                }
                // Nobody listens any more: reading on keeps the daemon from blocking.
                let _ = said.send(line);
            }
        }));
        let mut missing = vec!["modules and devices can connect", "module started"];
        while !missing.is_empty() {
            let line = heard.recv_timeout(Duration::from_secs(30)).expect("the daemon starts");
            missing.retain(|words| !line.contains(words));
        }
        self.running = Some(child);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.running.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn address(&self) -> SocketAddr {
        let endpoints = std::fs::read(self.data_dir().join("endpoints.json")).unwrap();
        let endpoints: Value = serde_json::from_slice(&endpoints).unwrap();
        endpoints["mqtts"].as_str().unwrap().parse().unwrap()
    }

    /// A client of the daemon, as a module of the device.
    pub fn client(&self, module: &str) -> (HubClient, mpsc::Receiver<ClientEvent>) {
        let roots = std::fs::read(self.data_dir().join("identity/ca.pem")).unwrap();
        HubClient::start(HubClientOptions {
            host: "127.0.0.1".to_owned(),
            port: self.address().port(),
            hub_host: HUB_HOST.to_owned(),
            identity: Identity::module("edge", module),
            token_audience: None,
            tokens: Arc::new(SharedKey::new(KEY)),
            auth_chain: None,
            model_id: None,
            client_type: "test".to_owned(),
            tls: client_config(Some(&roots)).unwrap(),
            way: Way::default(),
            keep_alive: Duration::from_secs(60),
            subscribe: Subscriptions::module(),
            reconnection: None,
        })
    }

    /// The process id the runtime noted for a module.
    pub fn module_pid(&self, module: &str) -> u32 {
        let record = std::fs::read(self.data_dir().join(format!("runtime/{module}.json"))).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        u32::try_from(record["body"]["pid"].as_u64().unwrap()).unwrap()
    }
}

impl Drop for Device {
    /// Ends the daemon as a service manager would, so that its modules end too.
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let pid = rustix::process::Pid::from_child(&child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = child.wait();
        }
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
        let expected = |line: &String| self.expected.iter().any(|text| line.contains(text));
        let complaints = self.complaints.lock().unwrap();
        let unexpected: Vec<_> = complaints.iter().filter(|line| !expected(line)).collect();
        // A test that failed already says why itself.
        assert!(std::thread::panicking() || unexpected.is_empty(), "unexpected complaints: {unexpected:#?}");
    }
}

/// Whether a process runs; a zombie does not.
pub fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Kills a module with all it started.
pub fn end_group(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).unwrap();
}
