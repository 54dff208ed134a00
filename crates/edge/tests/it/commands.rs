//! Commands, their output and their exit codes.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::authority::TestAuthority;

use crate::daemon::{Device, end_group, is_running};

const LASTING: &str = "echo hello; exec sleep 1000";

fn device() -> Device {
    Device::new(LASTING, 1, &TestAuthority::default())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_module_is_listed_its_output_shown_and_restarted_without_network() {
    let mut device = device();
    device.start();
    let listed = text(&device.run(&["list"]).stdout);
    assert!(listed.starts_with("NAME"), "{listed}");
    assert!(listed.lines().any(|line| line.starts_with("worker") && line.contains("running")), "{listed}");
    assert!(listed.contains("upstream: not connected"), "{listed}");
    let json: Value = serde_json::from_slice(&device.run(&["list", "--json"]).stdout).unwrap();
    assert_eq!(json["modules"].as_array().unwrap().len(), 3);

    let logs = || text(&device.run(&["logs", "worker"]).stdout);
    // The line may be on its way from the module.
    while !logs().contains("hello") {
        std::thread::yield_now();
    }
    let before = device.module_pid("worker");
    assert!(device.run(&["restart", "worker"]).status.success());
    assert_ne!(device.module_pid("worker"), before);
    while logs().matches("hello").count() < 2 {
        std::thread::yield_now();
    }
    assert_eq!(text(&device.run(&["logs", "worker", "--tail", "1"]).stdout).lines().count(), 1);

    let absent = device.run(&["restart", "absent"]);
    assert_eq!(absent.status.code(), Some(1));
    assert_eq!(text(&absent.stderr), "tidegate-edge: there is no module absent\n");
    let status: Value = serde_json::from_slice(&device.run(&["system", "status", "--json"]).stdout).unwrap();
    assert_eq!(status["device_id"], "edge");
}

#[test]
fn a_module_that_does_not_want_to_stop_holds_up_no_restart_of_another() {
    let mut device = device();
    let asked = device.dir.path().join("asked");
    device.add_sensor(&format!("trap \"touch {}\" TERM; while :; do sleep 0.05; done", asked.display()));
    device.start();
    while !device.data_dir().join("runtime/sensor.json").exists() {
        std::thread::yield_now();
    }
    let stubborn = device.module_pid("sensor");
    let mut slow = device.spawn(&["restart", "sensor"]);
    while !asked.exists() {
        std::thread::yield_now();
    }
    let before = device.module_pid("worker");
    assert!(device.run(&["restart", "worker"]).status.success());
    assert_ne!(device.module_pid("worker"), before);
    assert!(is_running(stubborn) && slow.try_wait().unwrap().is_none(), "it is still being stopped");
    // Instead of waiting until the daemon does it.
    end_group(stubborn);
    assert!(slow.wait().unwrap().success());
    end_group(device.module_pid("sensor"));
}

#[test]
fn a_second_daemon_on_the_same_folder_is_refused() {
    let mut device = device();
    device.start();
    let second = device.run(&["run"]);
    assert_eq!(second.status.code(), Some(1));
    let message = text(&second.stderr);
    assert!(message.contains("is in use by another tidegate-edge"), "{message}");
}

#[test]
fn a_taken_port_is_named() {
    let device = device();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let path = device.dir.path().join("config.toml");
    let config = std::fs::read_to_string(&path).unwrap().replace("127.0.0.1:0", &address);
    std::fs::write(&path, config).unwrap();
    let refused = device.run(&["run"]);
    assert_eq!(refused.status.code(), Some(1));
    let message = text(&refused.stderr);
    assert!(message.contains(&format!("cannot listen on {address}")), "{message}");
}

#[test]
fn a_bad_configuration_ends_with_78_and_says_where() {
    let device = device();
    let path = device.dir.path().join("config.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("[tidegate]", "[tidegate]\nlisten_mqtt = 1")).unwrap();
    for arguments in [&["run"][..], &["check"], &["list"], &["config", "apply"]] {
        let refused = device.run(arguments);
        assert_eq!(refused.status.code(), Some(78), "{arguments:?}");
        let message = text(&refused.stderr);
        assert!(message.contains("config.toml:8: unknown field `listen_mqtt`"), "{message}");
    }
}

#[test]
fn usage_errors_end_with_2_and_help_has_an_example() {
    let device = device();
    assert_eq!(device.run(&["logs"]).status.code(), Some(2));
    assert_eq!(device.run(&["explode"]).status.code(), Some(2));
    for command in
        [&["run"][..], &["list"], &["logs"], &["restart"], &["check"], &["route", "check"], &["config", "apply"]]
    {
        let help = Command::new(env!("CARGO_BIN_EXE_tidegate-edge")).args(command).arg("--help").output().unwrap();
        assert!(help.status.success());
        assert!(text(&help.stdout).contains("Example:"), "{command:?}");
    }
}

#[test]
fn route_check_answers_line_by_line_without_any_configuration() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate-edge"))
        .args(["route", "check"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let questions = "{\"route\":\"FROM /messages/* INTO $upstream\"}\n\n{\"condition\":\"a = 'b'\",\"message\":{\"properties\":{\"a\":\"b\"}}}\n";
    child.stdin.take().unwrap().write_all(questions.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let answers: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["source"], "/messages");
    assert_eq!(answers[1]["result"], true);
}

#[test]
fn a_log_filter_that_cannot_be_read_refuses_before_anything_is_changed() {
    let device = device();
    let refused = Command::new(env!("CARGO_BIN_EXE_tidegate-edge"))
        .args(["run", "--config"])
        .arg(device.dir.path().join("config.toml"))
        .env("RUST_LOG", "info,edge=loud")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(78));
    assert!(text(&refused.stderr).contains("`edge=loud`"), "{}", text(&refused.stderr));
    assert!(!device.data_dir().join("lock").exists());
}
