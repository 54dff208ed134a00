//! Whether many connections had to give way, as the running `serve` counts them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::Request;
use transport::client::https::HttpsClient;
use transport::server::gave_way::is_many;

use super::{Finding, Status, finding};
use crate::data_folder::DataFolder;

const CHECK: &str = "connections";

/// Nothing while `serve` does not run.
pub(super) async fn look(folder: &DataFolder) -> Option<Finding> {
    let address = folder.read_endpoints()?.https?;
    Some(match ask(folder, &address).await {
        Ok(metrics) => judge(&metrics, SystemTime::now()),
        Err(error) => {
            let what = format!("how many connections gave way cannot be read: {error:#}");
            finding(CHECK, Status::Warning, what)
        }
    })
}

/// What `serve` counts. Whoever asks from this machine needs no token.
async fn ask(folder: &DataFolder, address: &str) -> anyhow::Result<String> {
    let address: SocketAddr = address.parse().context("endpoints.json holds no address")?;
    let roots = std::fs::read(folder.ca_pem()).context("ca.pem cannot be read")?;
    let tls = transport::tls::client_config(Some(&roots)).context("ca.pem cannot be used")?;
    let client = HttpsClient::new(&address.ip().to_string(), address.port(), tls);
    let answer = client.request(Request::get("/metrics").body(Bytes::new())?).await.context("/metrics")?;
    ensure!(answer.status().is_success(), "/metrics answers {}", answer.status());
    Ok(String::from_utf8_lossy(answer.body()).into_owned())
}

fn judge(metrics: &str, now: SystemTime) -> Finding {
    let mut by_listener: BTreeMap<&str, (u64, Vec<String>)> = BTreeMap::new();
    let mut started_secs = 0.0;
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        if series == "process_start_time_seconds" {
            started_secs = value.parse().unwrap_or(0.0);
        }
        let Some(labels) = series.strip_prefix("tidegate_connections_gave_way_total") else { continue };
        let label = |name: &str| labels.split_once(&format!("{name}=\""))?.1.split('"').next();
        if let (Some(listener), Some(reason), Ok(count @ 1..)) = (label("listener"), label("reason"), value.parse()) {
            let (sum, reasons) = by_listener.entry(listener).or_default();
            *sum += count;
            reasons.push(format!("{count} {reason}"));
        }
    }
    let now_secs = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let uptime = Duration::try_from_secs_f64(now_secs - started_secs).unwrap_or_default();
    let is_worth_saying = by_listener.values().any(|(sum, _)| is_many(*sum, uptime));
    let all: Vec<String> = by_listener
        .iter()
        .map(|(listener, (sum, reasons))| format!("{listener}: {sum} ({})", reasons.join(", ")))
        .collect();
    let hours = uptime.as_secs() / 3_600;
    match all.join("; ") {
        none if none.is_empty() => finding(CHECK, Status::Ok, "no connection had to give way"),
        all if is_worth_saying => {
            let what = format!(
                "many connections gave way in the {hours} h since the start: {all}; the guide's table of metrics says what to do"
            );
            finding(CHECK, Status::Warning, what)
        }
        all => finding(CHECK, Status::Ok, format!("few connections gave way in the {hours} h since the start: {all}")),
    }
}

#[cfg(test)]
mod tests {
    use transport::limits::GAVE_WAY_HOURLY_MAX;

    use super::*;

    #[test]
    fn it_is_said_which_listener_had_too_little_room_and_why() {
        let metrics = |late: u64| {
            format!(
                "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1000.5\n\
                 tidegate_connections_gave_way_total{{listener=\"mqtts\",reason=\"late\"}} {late}\n\
                 tidegate_connections_gave_way_total{{listener=\"mqtts\",reason=\"full\"}} 0\n\
                 tidegate_connections_gave_way_total{{listener=\"https\",reason=\"body_room\"}} {late}\n\
                 tidegate_sessions 4\n# EOF\n"
            )
        };
        let judged =
            |late, after_secs: u64| judge(&metrics(late), UNIX_EPOCH + Duration::from_secs(1_000 + after_secs));
        assert_eq!(judged(0, 10).status, Status::Ok);
        assert_eq!(judged(GAVE_WAY_HOURLY_MAX, 10).status, Status::Ok);
        let many = judged(GAVE_WAY_HOURLY_MAX + 1, 10);
        assert_eq!(many.status, Status::Warning);
        let count = GAVE_WAY_HOURLY_MAX + 1;
        let said = format!("https: {count} ({count} body_room); mqtts: {count} ({count} late)");
        assert!(many.message.contains(&said), "{}", many.message);
        assert_eq!(judged(GAVE_WAY_HOURLY_MAX + 1, 3_700).status, Status::Ok, "that was in more than an hour");
    }
}
