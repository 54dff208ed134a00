#![allow(clippy::unwrap_used)]
use super::*;
use crate::config::Processes;
use crate::runtime::log_file::{LogWriter, Stream};
use crate::runtime::process::ProcessRuntime;
use tokio::sync::mpsc;

async fn methods(dir: &std::path::Path) -> (AgentMethods, mpsc::Receiver<crate::management::ModuleOrder>) {
    let (orders, received) = mpsc::channel(1);
    let logs = ProcessRuntime::open(Processes::default(), &dir.join("logs"), &dir.join("runtime"), None).await.unwrap();
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

/// The answer's own bytes count: a quote in the log is two of them.
#[tokio::test]
async fn an_answer_of_the_largest_size_is_given_and_a_larger_one_refused_not_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (methods, _orders) = methods(dir.path()).await;
    let write = |module: &str, text: &str| {
        let mut log = LogWriter::open(&dir.path().join("logs").join(module)).unwrap();
        log.write(&LogLine { at: OffsetDateTime::UNIX_EPOCH, stream: Stream::Stdout, text: text.into() }).unwrap();
    };
    let empty = r#"[{"id":"big","payload":"\n","payloadBytes":null},{"id":"more","payload":"\n","payloadBytes":null}]"#;
    let room = MODULE_LOGS_ANSWER_BYTES_MAX - empty.len();
    let filter = json!({ "tail": 1, "includeTimestamp": false });
    let payload = json!({ "schemaVersion": "1.0", "items": { "id": "big|more", "filter": filter } });
    write("big", &"\"".repeat(room / 4));
    write("more", &"x".repeat(room - room / 4 * 2));
    let (status, answer) = methods.answer("GetModuleLogs".into(), payload.clone()).await;
    assert_eq!((status, answer.unwrap().to_string().len()), (200, MODULE_LOGS_ANSWER_BYTES_MAX));
    write("more", &"x".repeat(room - room / 4 * 2 + 1));
    let (status, answer) = methods.answer("GetModuleLogs".into(), payload).await;
    let words = "the answer has more than 127000 bytes: ask for less with tail or since";
    assert_eq!((status, answer.unwrap()), (400, json!({ "message": words })));
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
