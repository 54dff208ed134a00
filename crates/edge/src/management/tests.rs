#![allow(clippy::unwrap_used)]
use super::*;
use crate::config::Processes;
use crate::runtime::log_file::LogWriter;
use crate::runtime::process::ProcessRuntime;
use crate::unix_http;

async fn api(dir: &std::path::Path) -> (Arc<ManagementApi>, mpsc::Receiver<ModuleOrder>) {
    let status = Arc::new(DaemonStatus::default());
    status.set_modules(json!([{ "id": "m", "name": "m" }]));
    status.set("provisioning", "done");
    let (orders, received) = mpsc::channel(1);
    let logs = ProcessRuntime::open(Processes::default(), &dir.join("logs"), &dir.join("runtime"), None).await.unwrap();
    (Arc::new(ManagementApi { status, orders, logs: Arc::new(logs), metrics: Arc::default() }), received)
}

async fn get(dir: &std::path::Path, path: &str) -> (u16, Bytes) {
    let socket = dir.join("mgmt.sock");
    let (status, body) = unix_http::request(&socket, Method::GET, path, Bytes::new()).await.unwrap();
    (status.as_u16(), body)
}

#[tokio::test]
async fn modules_and_status_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (api, _orders) = api(dir.path()).await;
    let _socket = unix_http::serve(&dir.path().join("mgmt.sock"), 0o660, api).unwrap();
    let (status, body) = get(dir.path(), "/modules?api-version=2018-06-28").await;
    assert_eq!((status, &body[..]), (200, br#"{"modules":[{"id":"m","name":"m"}]}"#.as_slice()));
    assert_eq!(get(dir.path(), "/modules/absent").await.0, 404);
    assert_eq!(get(dir.path(), "/metrics").await, (200, Bytes::new()));
    let status: Value = serde_json::from_slice(&get(dir.path(), "/status").await.1).unwrap();
    assert_eq!((&status["provisioning"], &status[GAVE_WAY]), (&"done".into(), &json!({})));
    assert!(status[UPTIME_SECS].is_u64());
}

#[tokio::test]
async fn logs_are_framed_as_the_engine_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogWriter::open(&dir.path().join("logs/m")).unwrap();
    for (stream, text) in [(Stream::Stdout, "out"), (Stream::Stderr, "err")] {
        log.write(&LogLine { at: OffsetDateTime::now_utc(), stream, text: text.into() }).unwrap();
    }
    let (api, _orders) = api(dir.path()).await;
    let _socket = unix_http::serve(&dir.path().join("mgmt.sock"), 0o660, api).unwrap();
    let (status, body) = get(dir.path(), "/modules/m/logs?tail=all").await;
    assert_eq!(status, 200);
    assert_eq!(&body[..12], b"\x01\0\0\0\0\0\0\x04out\n");
    assert_eq!(unframe(&body), [(1, "out\n".to_owned()), (2, "err\n".to_owned())]);
    assert_eq!(get(dir.path(), "/modules/m/logs?tail=x").await.0, 400);
    assert_eq!(get(dir.path(), "/modules/m/logs?follow=true").await.0, 400);
}

#[tokio::test]
async fn a_restart_is_ordered_and_its_outcome_told() {
    let dir = tempfile::tempdir().unwrap();
    let (api, mut orders) = api(dir.path()).await;
    let socket = dir.path().join("mgmt.sock");
    let _socket = unix_http::serve(&socket, 0o660, api).unwrap();
    let restart = tokio::spawn(async move {
        unix_http::request(&socket, Method::POST, "/modules/m/restart", Bytes::new()).await.unwrap().0
    });
    let order = orders.recv().await.unwrap();
    assert_eq!((order.module.as_str(), order.action), ("m", ModuleAction::Restart));
    order.done.send(Err((500, "no".into()))).unwrap();
    assert_eq!(restart.await.unwrap(), 500);
}
