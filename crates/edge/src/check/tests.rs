#![allow(clippy::unwrap_used)]
use testkit::proxy::TestProxy;

use super::*;

fn config(dir: &Path, more: &str) -> Config {
    let text = format!(
        "hostname = \"localhost\"\n[provisioning]\nsource = \"manual\"\n\
         connection_string = \"HostName=127.0.0.1;DeviceId=edge;SharedAccessKey=c2VjcmV0\"\n\
         [tidegate]\ndata_dir = \"{}\"\n{more}\n",
        dir.display()
    );
    Config::parse(Path::new("config.toml"), &text).unwrap()
}

fn outcome_of(results: &[CheckResult], id: &str) -> Outcome {
    results.iter().find(|result| result.id == id).unwrap().outcome
}

#[tokio::test]
async fn what_is_not_reachable_or_missing_fails_and_the_rest_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap().port();
    // A port that was just free and is not listened on.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let more = format!(
        "upstream_mqtts_port = {open}\nupstream_https_port = {closed}\nmax_memory = \"64 MiB\"\n\
         [tidegate.processes]\n\"image\" = \"/no/such/program\""
    );
    let results = run(&config(dir.path(), &more)).await;
    let expected = [
        ("aziot-edged-config-well-formed", Outcome::Ok),
        ("config-settings-used", Outcome::Warning),
        ("hostname", Outcome::Ok),
        ("host-local-time", Outcome::Ok),
        ("key-pairs-read", Outcome::Ok),
        ("certs-read", Outcome::Ok),
        ("local-ca-certificate-expiry", Outcome::Skipped),
        ("process-modules", Outcome::Failed),
        ("connect-management-uri", Outcome::Warning),
        ("host-connect-dps-endpoint", Outcome::Skipped),
        ("host-connect-iothub-mqtt", Outcome::Ok),
        ("host-connect-iothub-https", Outcome::Failed),
    ];
    for (id, outcome) in expected {
        assert_eq!(outcome_of(&results, id), outcome, "{id}");
    }
    assert!(has_failures(&results));
    let json = to_json(&results);
    assert_eq!(json["ok"], false);
    assert_eq!(json["checks"]["process-modules"]["result"], "error");
}

#[tokio::test]
async fn behind_a_proxy_the_way_through_it_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = TestProxy::start(Some("user:secret")).await;
    for (password, outcome) in [("secret", Outcome::Ok), ("wrong", Outcome::Failed)] {
        // Nobody is at the port for MQTT: it goes over WebSocket.
        let more = format!(
            "upstream_mqtts_port = 1\nupstream_https_port = {port}\n\
             [agent.env]\nhttps_proxy = \"http://user:{password}@127.0.0.1:{}\"",
            proxy.port()
        );
        let results = run(&config(dir.path(), &more)).await;
        for id in ["host-connect-iothub-mqtt", "host-connect-iothub-https"] {
            let result = results.iter().find(|result| result.id == id).unwrap();
            assert_eq!(result.outcome, outcome, "{id}: {}", result.message);
            assert!(result.message.contains("proxy") && !result.message.contains(password), "{}", result.message);
        }
    }
    assert_eq!(proxy.asked().len(), 4);
}

#[test]
fn certificates_are_read_and_their_life_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    for (days, outcome) in [(400, Outcome::Ok), (10, Outcome::Warning)] {
        let life = Duration::from_secs(days * 86_400 + 3600);
        let ca = transport::tls::authority::create_ca("test", life).unwrap();
        std::fs::write(&path, ca.chain_pem).unwrap();
        assert_eq!(certificate("certs-read", &path).outcome, outcome, "{days} days");
    }
    std::fs::write(&path, "nothing").unwrap();
    assert_eq!(certificate("certs-read", &path).outcome, Outcome::Failed);
    assert_eq!(certificate("certs-read", &dir.path().join("absent")).outcome, Outcome::Failed);
}

#[test]
fn a_clock_is_plausible_from_its_first_second_on() {
    for (second, outcome) in
        [(CLOCK_MIN_SECS, Outcome::Ok), (CLOCK_MIN_SECS - 1, Outcome::Failed), (0, Outcome::Failed)]
    {
        assert_eq!(clock(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).outcome, outcome, "{second}");
    }
    assert_eq!(clock(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).outcome, Outcome::Failed);
}

#[test]
fn many_connections_that_gave_way_are_told() {
    let judged = |count: u64, uptime_secs: u64| {
        connections(&json!({ GAVE_WAY: { "late": count, "oldest": 1 }, UPTIME_SECS: uptime_secs }))
    };
    let most = transport::limits::GAVE_WAY_HOURLY_MAX;
    assert_eq!(connections(&json!({})).outcome, Outcome::Ok);
    assert_eq!(judged(most - 1, 0).outcome, Outcome::Ok);
    let many = judged(most, 0);
    assert_eq!(many.outcome, Outcome::Warning);
    assert!(many.message.contains(&format!("{most} late, 1 oldest")), "{}", many.message);
    assert_eq!(judged(most, 3_600).outcome, Outcome::Ok);
}
