//! Starting: the real program, what it refuses, and what it says then.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use central::data_folder::{DataFolder, Endpoints};
use central::database::Database;
use central::serve::{GuardError, ServeError, ServeOptions};

use crate::central::{TestCentral, config, data, message, on_both_databases, options};
use crate::rest::client::Rest;

on_both_databases!(a_removed_folder_is_said_and_gone_on_without_only_when_told);

fn tidegate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).output().unwrap()
}

fn serve(data: &Path, more: &[&str]) -> Output {
    let addresses = ["--https", "127.0.0.1:0", "--mqtts", "127.0.0.1:0"];
    let arguments = [&["serve", "--data", data.to_str().unwrap()], &addresses[..], more].concat();
    tidegate(&arguments)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_first_start_leaves_what_the_contract_names() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let folder = &central.folder;
    for name in ["ca.pem", "admin.token", "endpoints.json", "registry.db", "log", "telemetry", "files", "tls", "keys"] {
        assert!(data.join(name).exists(), "{name}");
    }
    assert!(folder.exposed_secrets().is_empty());
    assert!(fs::read_to_string(folder.admin_token()).unwrap().starts_with("SharedAccessSignature sr="));
    let endpoints: Endpoints = serde_json::from_str(&fs::read_to_string(folder.endpoints()).unwrap()).unwrap();
    assert_eq!(endpoints, central.running.endpoints);
    assert_eq!(endpoints.hostname, "localhost");
    assert!(endpoints.amqps.is_none() && endpoints.http.is_none());
    let scope = central.id_scope();
    assert!(scope.starts_with("0ne") && scope.len() == 11, "{scope}");
    central.stop().await;
    assert!(!data.join("endpoints.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused_and_commands_are_not() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let second = serve(&data, &[]);
    assert_eq!(second.status.code(), Some(1));
    assert!(said(&second).contains("in use by another tidegate serve"), "{}", said(&second));

    let folder = data.to_str().unwrap();
    let token = tidegate(&["token", "create", "--data", folder, "--role", "operator", "--name", "t1"]);
    assert!(token.status.success(), "{}", said(&token));
    assert!(String::from_utf8_lossy(&token.stdout).starts_with("SharedAccessSignature sr="));
    let again = tidegate(&["token", "create", "--data", folder, "--role", "operator", "--name", "t1"]);
    assert_eq!(again.status.code(), Some(1));
    let user = tidegate(&["user", "create", "--data", folder, "--email", "a@example.test", "--role", "Administrator"]);
    let link = String::from_utf8_lossy(&user.stdout).into_owned();
    let expected = format!("https://localhost:{}/sign-in#code=", central.https_port());
    assert!(link.starts_with(&expected), "{link}");
    let doctor = tidegate(&["doctor", "--data", folder, "--json"]);
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
    central.stop().await;
    let doctor = tidegate(&["doctor", "--data", folder]);
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_application_is_made_while_central_serves() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let folder = data.to_str().unwrap();
    let create = |name: &str| tidegate(&["application", "create", "--data", folder, "--name", name, "--json"]);
    let made = create("plant-7");
    assert!(made.status.success(), "{}", said(&made));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["url"], format!("https://plant-7.localhost:{}", central.https_port()));
    for name in ["plant-7", "tidegate", "Plant", "a.b", ""] {
        assert!(!create(name).status.success(), "{name}");
    }

    let of_plant =
        |arguments: &[&str]| tidegate(&[arguments, &["--data", folder, "--application", "plant-7"]].concat());
    let token = of_plant(&["token", "create", "--role", "Administrator", "--name", "t1"]);
    let token = String::from_utf8(token.stdout).unwrap();
    assert!(token.contains(made["id"].as_str().unwrap()), "{token}");
    let rest = Rest::anonymous(&central).with("host", "plant-7.localhost").with("authorization", token.trim());
    assert_eq!(rest.get("/api/apiTokens").await["value"].as_array().unwrap().len(), 1);
    let user = of_plant(&["user", "create", "--role", "Operator", "--email", "a@example.test"]);
    let link = String::from_utf8_lossy(&user.stdout).into_owned();
    assert!(link.starts_with(&format!("https://plant-7.localhost:{}/sign-in#code=", central.https_port())), "{link}");
    let none =
        tidegate(&["user", "create", "--data", folder, "--application", "x", "--role", "Operator", "--email", "a@b"]);
    assert!(said(&none).contains("there is no application x"), "{}", said(&none));
    central.stop().await;
}

#[test]
fn a_wrong_configuration_ends_with_78_and_names_key_and_line() {
    let (dir, data) = data();
    let file = dir.path().join("tidegate.toml");
    fs::write(&file, "hostname = \"localhost\"\nlisten_https = \"127.0.0.1:0\"\n").unwrap();
    let output = serve(&data, &["--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    let text = said(&output);
    assert!(text.contains("line 2") && text.contains("listen_https"), "{text}");
    assert_eq!(serve(&data, &["--http", "192.0.2.1:80"]).status.code(), Some(78));
    assert_eq!(serve(&data, &["--nonsense"]).status.code(), Some(2));
    assert!(!data.exists(), "nothing is made before the configuration is good");
}

#[test]
fn a_taken_port_is_named_with_its_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--https", "--mqtts"] {
        let (_dir, data) = data();
        let folder = data.to_str().unwrap();
        let other = if flag == "--https" { "--mqtts" } else { "--https" };
        let output = tidegate(&["serve", "--data", folder, flag, &address, other, "127.0.0.1:0"]);
        assert_eq!(output.status.code(), Some(1));
        let text = said(&output);
        assert!(text.contains(&address) && text.contains(flag), "{text}");
        assert!(!data.join("endpoints.json").exists());
    }
}

async fn a_removed_folder_is_said_and_gone_on_without_only_when_told(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let device = central.provision("d1").await;
    let (client, _events) = central.connect(&device).await;
    client.send(vec![message(r#"{"a":1}"#)]).await.unwrap();
    client.stop().await;
    central.stop().await;

    for name in ["telemetry", "log"] {
        fs::remove_dir_all(data.join(name)).unwrap();
        let refused = TestCentral::try_start(ServeOptions { database: database.clone(), ..options(&data, config()) })
            .await
            .err()
            .unwrap();
        assert!(refused.needs_mending());
        let ServeError::Guard(GuardError::Removed { path, .. }) = &refused else { panic!("{refused:?}") };
        assert!(path.ends_with(name), "{path}");

        let mut accepting = ServeOptions { database: database.clone(), ..options(&data, config()) };
        accepting.accept_data_loss = true;
        let central = TestCentral::try_start(accepting).await.unwrap();
        let losses = central.running.core.registry.survey().await.unwrap().losses;
        assert!(losses.iter().any(|(_, detail)| detail.contains(name)), "{losses:?}");
        let (client, _events) = central.connect(&device).await;
        client.send(vec![message(r#"{"a":2}"#)]).await.unwrap();
        client.stop().await;
        central.stop_complaining(&["going on without"]).await;
    }
    let folder = DataFolder::existing(&data).unwrap();
    assert!(folder.lock().is_ok());
    TestCentral::start_on(&database, &data).await.stop().await;
}

#[test]
fn model_validate_reports_a_line_for_each_file() {
    let dir = tempfile::tempdir().unwrap();
    let good = r#"{"@context":"dtmi:dtdl:context;2","@id":"dtmi:com:example:Good;1","@type":"Interface"}"#;
    fs::write(dir.path().join("good.json"), good).unwrap();
    fs::write(dir.path().join("broken.json"), "{").unwrap();
    let output = tidegate(&["model", "validate", "--json", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["valid"], &lines[1]["valid"]), (&false.into(), &true.into()));
    assert_eq!(lines[0]["errors"][0]["code"], "notJson");
    let only_good = tidegate(&["model", "validate", dir.path().join("good.json").to_str().unwrap()]);
    assert_eq!(only_good.status.code(), Some(0));
}

#[test]
fn a_log_filter_that_cannot_be_read_refuses_before_anything_is_changed() {
    let (_dir, data) = data();
    for (name, filter) in [("level", "info,hub=loud"), ("spans", "[connection]=debug")] {
        let refused = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["serve", "--data", data.to_str().unwrap()])
            .env("RUST_LOG", filter)
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(78), "{name}");
        assert!(said(&refused).contains("RUST_LOG"), "{}", said(&refused));
        assert!(!data.exists(), "{name}");
    }
}
