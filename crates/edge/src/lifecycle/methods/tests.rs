#![allow(clippy::unwrap_used)]
use super::*;
use crate::config::Processes;
use crate::runtime::log_file::{LogWriter, Stream};
use crate::runtime::process::ProcessRuntime;
use tokio::sync::mpsc;

async fn methods(dir: &std::path::Path) -> (AgentMethods, mpsc::Receiver<crate::management::ModuleOrder>) {
    let (orders, received) = mpsc::channel(1);
    let logs = ProcessRuntime::open(Processes::default(), &dir.join("logs"), &dir.join("runtime")).await.unwrap();
    for name in ["sensor", "filter"] {
        let mut log = LogWriter::open(&dir.join("logs").join(name)).unwrap();
        for text in ["<3>broken", "fine"] {
            log.write(&LogLine { at: OffsetDateTime::UNIX_EPOCH, stream: Stream::Stdout, text: text.into() }).unwrap();
        }
    }
    let metrics = Metrics::new("hub", "edge");
    let (hub_host, device_id) = ("hub".into(), "edge".into());
    let methods = AgentMethods { orders, logs: Arc::new(logs), hub_host, device_id, metrics };
    (methods, received)
}

#[tokio::test]
async fn answers_by_table() {
    let dir = tempfile::tempdir().unwrap();
    let (methods, _orders) = methods(dir.path()).await;
    let cases = [
        ("PING", json!({ "anything": 1 }), 200, Value::Null),
        ("NoSuch", Value::Null, 400, json!({ "message": format!("method NoSuch is not known; known are {KNOWN}") })),
        (
            "GetModuleLogs",
            json!({ "schemaVersion": "1.0", "items": { "id": "SENS", "filter": { "loglevel": 3, "includeTimestamp": false } } }),
            200,
            json!([{ "id": "sensor", "payload": "<3>broken\n", "payloadBytes": null }]),
        ),
        (
            "GetModuleLogs",
            json!({ "schemaVersion": "1.0", "items": [{ "id": "all", "filter": { "tail": 1 } }] }),
            200,
            json!([
                { "id": "filter", "payload": "1970-01-01T00:00:00Z fine\n", "payloadBytes": null },
                { "id": "sensor", "payload": "1970-01-01T00:00:00Z fine\n", "payloadBytes": null },
            ]),
        ),
        (
            "GetModuleLogs",
            json!({ "schemaVersion": "1.0", "items": { "id": "none" } }),
            400,
            json!({ "message": "no module's name matches" }),
        ),
        (
            "GetModuleLogs",
            json!({ "schemaVersion": "2.0", "items": { "id": "all" } }),
            400,
            json!({ "message": "schemaVersion \"2.0\" is not supported: 1.0 is" }),
        ),
    ];
    for (name, payload, status, answer) in cases {
        let answered = methods.answer(name.to_owned(), payload.clone()).await;
        assert_eq!((answered.0, answered.1.unwrap_or(Value::Null)), (status, answer), "{name} {payload}");
    }
}

#[tokio::test]
async fn logs_beyond_the_limit_are_refused_not_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (methods, _orders) = methods(dir.path()).await;
    let mut log = LogWriter::open(&dir.path().join("logs/big")).unwrap();
    let text = "x".repeat(1000);
    for _ in 0..130 {
        log.write(&LogLine { at: OffsetDateTime::UNIX_EPOCH, stream: Stream::Stdout, text: text.clone() }).unwrap();
    }
    let payload = json!({ "schemaVersion": "1.0", "items": { "id": "big" } });
    assert_eq!(methods.answer("GetModuleLogs".into(), payload).await.0, 400);
}

#[tokio::test]
async fn restart_goes_to_the_lifecycle() {
    let dir = tempfile::tempdir().unwrap();
    let (methods, mut orders) = methods(dir.path()).await;
    let payload = json!({ "schemaVersion": "1.0", "id": "sensor" });
    let (answer, ()) = tokio::join!(methods.answer("RestartModule".into(), payload), async {
        let order = orders.recv().await.unwrap();
        assert_eq!((order.module.as_str(), order.action), ("sensor", ModuleAction::Restart));
        order.done.send(Ok(())).unwrap();
    });
    assert_eq!(answer, (200, None));
}

#[tokio::test]
async fn calls_are_counted_under_the_name_of_the_method_and_strangers_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let (methods, _orders) = methods(dir.path()).await;
    assert!(!methods.metrics.text().contains("direct_method_invocations"));
    for name in ["ping", "PING", "getModuleLogs", "NoSuch"] {
        methods.answer(name.to_owned(), Value::Null).await;
    }
    let text = methods.metrics.text();
    let counted = text.lines().filter(|line| line.starts_with("edgeagent_direct_method_invocations_count{"));
    let counted: Vec<_> = counted.map(|line| line.rsplit_once(",method_name=").unwrap().1).collect();
    assert_eq!(counted, [r#""GetModuleLogs"} 1"#, r#""Ping"} 2"#]);
}
