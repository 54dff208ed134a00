//! A Central inside the test, on free ports and a folder of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use central::config::Config;
use central::data_folder::DataFolder;
use central::database::Database;
use central::serve::{self, Running, ServeError, ServeOptions};
use events::live::{LiveEvent, LiveStream};
use model::identity::Identity;
use model::message::Message;
use protocol::auth::sas;
use registry::EnrollmentGroupRow;
use tempfile::TempDir;
use testkit::complaints;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use transport::client::{ClientEvent, HubClient, HubClientOptions, SharedKey, Subscriptions, Way, dps};

/// Nothing that is awaited takes as long.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct TestCentral {
    pub running: Running,
    pub folder: DataFolder,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ServeError>>,
}

/// A provisioned device's credentials.
#[derive(Clone)]
pub struct TestDevice {
    pub id: String,
    pub key: String,
}

pub fn config() -> Config {
    let mut config = Config::default();
    config.listen.https = "127.0.0.1:0".parse().unwrap();
    config.listen.mqtts = "127.0.0.1:0".parse().unwrap();
    config
}

pub fn options(data: &Path, config: Config) -> ServeOptions {
    ServeOptions { data: data.to_owned(), config, database: Database::Folder, accept_data_loss: false }
}

pub fn data() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    (dir, data)
}

/// Runs each test with the registry in the data folder and in PostgreSQL.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(central::database::Database::Folder).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                let database = testkit::postgres::PostgresServer::shared().database();
                super::$name(central::database::Database::of_argument(&database.url()).unwrap()).await;
            })*
        }
    };
}
pub(crate) use on_both_databases;

impl TestCentral {
    pub async fn start(data: &Path) -> Self {
        Self::start_with(data, config()).await
    }

    pub async fn start_on(database: &Database, data: &Path) -> Self {
        Self::try_start(ServeOptions { database: database.clone(), ..options(data, config()) }).await.unwrap()
    }

    pub async fn start_with(data: &Path, config: Config) -> Self {
        Self::try_start(options(data, config)).await.unwrap()
    }

    pub async fn try_start(options: ServeOptions) -> Result<Self, ServeError> {
        complaints::record();
        let data = options.data.clone();
        let (sender, ready) = oneshot::channel();
        let stop = CancellationToken::new();
        let token = stop.clone();
        let task = tokio::spawn(serve::run(options, token, move |running| drop(sender.send(running))));
        match tokio::time::timeout(PATIENCE, ready).await.expect("Central starts in time") {
            Ok(running) => Ok(Self { running, folder: DataFolder::at(&data), stop, task }),
            Err(_) => Err(task.await.unwrap().unwrap_err()),
        }
    }

    /// Stops it; a warning or an error it had given fails the test.
    pub async fn stop(self) {
        self.stop_complaining(&[]).await;
    }

    /// Stops one that was expected to complain of these things.
    pub async fn stop_complaining(self, expected: &[&str]) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("Central stops in time").unwrap().unwrap();
        complaints::check(expected);
    }

    /// How it ends by itself.
    pub async fn ended(self) -> Result<(), ServeError> {
        tokio::time::timeout(PATIENCE, self.task).await.expect("Central ends in time").unwrap()
    }

    pub fn app(&self) -> &str {
        &self.running.core.applications.first().id
    }

    pub fn id_scope(&self) -> &str {
        &self.running.core.applications.first().id_scope
    }

    pub fn tls(&self) -> Arc<rustls::ClientConfig> {
        let roots = std::fs::read(self.folder.ca_pem()).unwrap();
        transport::tls::client_config(Some(&roots)).unwrap()
    }

    pub fn mqtts_port(&self) -> u16 {
        port(self.running.endpoints.mqtts.as_deref().unwrap())
    }

    pub fn https_port(&self) -> u16 {
        port(self.running.endpoints.https.as_deref().unwrap())
    }

    /// A connection to the HTTPS listener, for requests written by hand.
    pub async fn tls_stream(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(("localhost", self.https_port())).await.unwrap();
        let mut tls = Arc::unwrap_or_clone(self.tls());
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsConnector::from(Arc::new(tls)).connect("localhost".try_into().unwrap(), stream).await.unwrap()
    }

    pub async fn group(&self, id: &str) -> EnrollmentGroupRow {
        self.running.core.registry.resource_get(self.app(), id).await.unwrap().unwrap()
    }

    /// A device registered through the devices' group, over HTTPS.
    pub async fn provision(&self, id: &str) -> TestDevice {
        self.provision_in("SAS-IoT-Devices", id, None).await
    }

    pub async fn provision_in(&self, group: &str, id: &str, payload: Option<serde_json::Value>) -> TestDevice {
        let group = self.group(group).await;
        let key = sas::derive_device_key(&group.keys.primary, id).unwrap();
        let url = format!("https://localhost:{}", self.https_port());
        let tokens = SharedKey::new(&key).with_policy("registration");
        let state = dps::register_https(&url, self.id_scope(), id, &tokens, payload, self.tls()).await.unwrap();
        assert_eq!(state.device_id.as_deref(), Some(id));
        TestDevice { id: id.to_owned(), key }
    }

    pub fn client_options(&self, identity: Identity, key: &str) -> HubClientOptions {
        HubClientOptions {
            host: "localhost".into(),
            port: self.mqtts_port(),
            hub_host: "localhost".into(),
            identity,
            token_audience: None,
            tokens: Arc::new(SharedKey::new(key)),
            auth_chain: None,
            model_id: None,
            client_type: "test".into(),
            tls: self.tls(),
            way: Way::default(),
            keep_alive: Duration::from_secs(60),
            subscribe: Subscriptions { methods: true, desired: true, twin_replies: true, ..Subscriptions::default() },
            reconnection: None,
        }
    }

    pub async fn connect(&self, device: &TestDevice) -> (HubClient, mpsc::Receiver<ClientEvent>) {
        let options = self.client_options(Identity::device(&device.id), &device.key);
        connect(options).await
    }

    pub fn watch(&self, device: &str) -> LiveStream {
        self.running.core.live.subscribe(self.app(), Some(device.to_owned())).unwrap()
    }
}

/// Starts a client and waits until it is connected.
pub async fn connect(options: HubClientOptions) -> (HubClient, mpsc::Receiver<ClientEvent>) {
    let (client, mut events) = HubClient::start(options);
    match next(&mut events).await {
        ClientEvent::Connected { .. } => (client, events),
        event => panic!("expected a connection, got {event:?}"),
    }
}

pub async fn next(events: &mut mpsc::Receiver<ClientEvent>) -> ClientEvent {
    tokio::time::timeout(PATIENCE, events.recv()).await.expect("an event comes in time").expect("the client runs")
}

/// The next live event that `wanted` takes.
pub async fn await_live(stream: &mut LiveStream, wanted: impl Fn(&LiveEvent) -> bool) -> Arc<LiveEvent> {
    let search = async {
        loop {
            let event = stream.next().await.expect("the stream goes on");
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("the event comes in time")
}

pub fn is_telemetry(event: &LiveEvent) -> bool {
    matches!(event, LiveEvent::Telemetry { .. })
}

pub fn message(body: &str) -> Message {
    Message { bag: Bytes::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
}

fn port(address: &str) -> u16 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}
