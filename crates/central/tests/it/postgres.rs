//! A registry in PostgreSQL: how it is named, what is never shown, and what happens while it is away.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use central::database::{Database, FindDatabaseError};
use central::serve::{GuardError, ServeError, ServeOptions};
use serde_json::json;
use testkit::postgres::{PASSWORD, PostgresServer, TestDatabase};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::central::{PATIENCE, TestCentral, config, data, message, options};
use crate::rest::client::Rest;

/// A configuration that names the database by a file.
fn configuration(folder: &Path, database: &TestDatabase, mode: u32) -> PathBuf {
    let url = folder.join("database-url");
    fs::write(&url, format!("{}\n", database.url())).unwrap();
    fs::set_permissions(&url, fs::Permissions::from_mode(mode)).unwrap();
    let file = folder.join("tidegate.toml");
    fs::write(&file, "[database]\nurl_file = \"database-url\"\n").unwrap();
    file
}

async fn tidegate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).output().await.unwrap()
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!text.contains(PASSWORD), "the password is shown");
    text
}

async fn serve(data: &Path, more: &[&str]) -> Child {
    let addresses = ["--https", "127.0.0.1:0", "--mqtts", "127.0.0.1:0"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["serve", "--data", data.to_str().unwrap()])
        .args(addresses)
        .args(more)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = async { while lines.next_line().await.unwrap().expect("it becomes ready") != "ready" {} };
    tokio::time::timeout(PATIENCE, ready).await.expect("it starts in time");
    child
}

#[tokio::test]
async fn the_program_and_its_commands_find_the_database_of_the_configuration() {
    let (dir, data) = data();
    let database = PostgresServer::shared().database();
    let file = configuration(dir.path(), &database, 0o600);
    let (folder, file) = (data.to_str().unwrap(), file.to_str().unwrap());
    let _serve = serve(&data, &["--config", file]).await;
    assert!(!data.join("registry.db").exists());
    let note = fs::read_to_string(data.join("database")).unwrap();
    assert!(note.starts_with("postgresql://postgres@") && !note.contains(PASSWORD), "{note}");

    let named = ["--data", folder, "--config", file];
    let token = ["token", "create", "--role", "operator", "--name", "t1"];
    let user = ["user", "create", "--email", "a@example.test", "--role", "Administrator"];
    for command in [&token[..], &user[..], &["application", "create", "--name", "plant-7"][..], &["doctor"][..]] {
        let output = tidegate(&[command, &named[..]].concat()).await;
        assert!(output.status.success(), "{}", said(&output));
        let unnamed = tidegate(&[command, &["--data", folder]].concat()).await;
        assert_eq!(unnamed.status.code(), Some(78));
        let text = said(&unnamed);
        assert!(text.contains("--database") && text.contains(note.trim()), "{text}");
    }
    assert_eq!(database.sql("SELECT COUNT(*) FROM users"), "1");
    let doctor = tidegate(&[&["doctor", "--json"], &named[..]].concat()).await;
    assert!(said(&doctor).contains(&format!("{} opens", note.trim())), "{}", said(&doctor));
}

#[tokio::test]
async fn a_url_on_the_command_line_is_not_in_the_process_list() {
    let (_dir, data) = data();
    let database = PostgresServer::shared().database();
    let serve = serve(&data, &["--database", &database.url()]).await;
    let line = fs::read_to_string(format!("/proc/{}/cmdline", serve.id().unwrap())).unwrap();
    assert!(line.contains("serve\0--data\0") && !line.contains(PASSWORD) && !line.contains("postgresql"), "{line}");
    let folder = data.to_str().unwrap();
    let output = tidegate(&["doctor", "--data", folder, &format!("--database={}", database.url())]).await;
    assert!(output.status.success(), "{}", said(&output));
}

#[tokio::test]
async fn what_does_not_lead_to_the_database_is_refused_and_named() {
    let (dir, data) = data();
    let database = PostgresServer::shared().database();
    let folder = data.to_str().unwrap();
    let file = configuration(dir.path(), &database, 0o644);
    let exposed = tidegate(&["serve", "--data", folder, "--config", file.to_str().unwrap()]).await;
    assert_eq!(exposed.status.code(), Some(78));
    assert!(said(&exposed).contains("chmod 600"), "{}", said(&exposed));

    let wrong = tidegate(&["serve", "--data", folder, "--database", &format!("mysql://u:{PASSWORD}@h/d")]).await;
    assert_eq!(wrong.status.code(), Some(78));
    assert!(said(&wrong).contains("postgresql://"), "{}", said(&wrong));
    assert!(!data.exists(), "nothing is made before the configuration is good");

    let refused = tidegate(&["serve", "--data", folder, "--database", &database.url_with("wr0ng-pw")]).await;
    assert_eq!(refused.status.code(), Some(1));
    let text = said(&refused);
    assert!(text.contains("password authentication failed") && !text.contains("wr0ng-pw"), "{text}");
}

async fn try_start(data: &Path, database: &Database) -> Result<TestCentral, ServeError> {
    TestCentral::try_start(ServeOptions { database: database.clone(), ..options(data, config()) }).await
}

#[tokio::test]
async fn a_folder_and_a_database_stay_together() {
    let server = PostgresServer::shared();
    let (one, other) = (server.database(), server.database());
    let [one, other] = [&one, &other].map(|database| Database::of_argument(&database.url()).unwrap());
    let (_dir, on_server) = data();
    try_start(&on_server, &one).await.unwrap().stop().await;
    let refused = try_start(&on_server, &other).await.err().unwrap();
    assert!(
        matches!(refused, ServeError::Guard(GuardError::OtherDatabase { .. })) && refused.needs_mending(),
        "{refused:?}"
    );
    let refused = try_start(&on_server, &Database::Folder).await.err().unwrap();
    assert!(matches!(refused, ServeError::Database(FindDatabaseError::OnServer { .. })), "{refused:?}");
    assert!(!on_server.join("registry.db").exists());
    try_start(&on_server, &one).await.unwrap().stop().await;

    let (_dir, in_folder) = data();
    TestCentral::start(&in_folder).await.stop().await;
    let refused = try_start(&in_folder, &other).await.err().unwrap();
    assert!(matches!(refused, ServeError::Database(FindDatabaseError::InFolder { .. })), "{refused:?}");
}

/// What `/health/ready` says, once it says it with this status.
async fn await_ready(rest: &Rest, status: u16) -> String {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = rest.raw("GET", "/health/ready", "").await;
        if answer.status == status {
            return answer.body.to_string();
        }
        assert!(tokio::time::Instant::now() < deadline, "{answer:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn central_is_not_ready_while_its_database_is_away_and_heals() {
    let (_dir, data) = data();
    let database = PostgresServer::start().database();
    let central = try_start(&data, &Database::of_argument(&database.url()).unwrap()).await.unwrap();
    let device = central.provision("d1").await;
    let (client, _events) = central.connect(&device).await;
    let rest = Rest::new(&central);
    await_ready(&rest, 200).await;

    database.server().stop();
    let problem = await_ready(&rest, 503).await;
    assert!(problem.contains("the registry's database does not answer"), "{problem}");
    // Who is connected goes on: a message needs the log only.
    client.send(vec![message(r#"{"a":1}"#)]).await.unwrap();
    let answer = rest.raw("GET", "/api/devices/d1?api-version=2022-07-31", "").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body["error"]["code"], "ServiceUnavailable");
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    assert!(!answer.body.to_string().contains("postgres"), "{answer:?}");

    database.server().restart();
    await_ready(&rest, 200).await;
    rest.patch("/api/devices/d1", json!({ "displayName": "after" })).await;
    assert_eq!(rest.get("/api/devices/d1").await["displayName"], "after");
    client.stop().await;
    central.stop_complaining(&["the registry's database"]).await;
}
