//! `list` as a table.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Name, status, description and image of one module of the management API.
pub(super) fn module_row(module: &Value, now: OffsetDateTime) -> [String; 4] {
    let text = |pointer: &str| module.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let ago = |pointer: &str| {
        let time = OffsetDateTime::parse(text(pointer), &Rfc3339).ok()?;
        Some(span((now - time).whole_seconds().max(0)))
    };
    let status = text("/status/runtimeStatus/status");
    let words = text("/status/runtimeStatus/description");
    let exit = text("/status/exitStatus/statusCode");
    let state = match status {
        "running" => ago("/status/startTime").map(|ago| format!("Up {ago}")).unwrap_or_default(),
        "failed" | "backoff" if !exit.is_empty() => {
            format!("Failed ({exit}) {} ago", ago("/status/exitStatus/exitTime").unwrap_or_default())
        }
        "stopped" => "Stopped".to_owned(),
        _ => String::new(),
    };
    let description = match (state.is_empty(), words.is_empty()) {
        (false, false) => format!("{state}; {words}"),
        (true, _) => words.to_owned(),
        (false, true) => state,
    };
    [text("/name").to_owned(), status.to_owned(), description, text("/config/settings/image").to_owned()]
}

fn span(seconds: i64) -> String {
    let (number, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// Columns as wide as their widest cell.
pub(super) fn aligned(rows: &[[String; 4]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |row: &[String; 4]| {
        let [a, b, c, d] = row;
        format!("{a:0$}  {b:1$}  {c:2$}  {d}", widths[0], widths[1], widths[2])
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_say_how_long() {
        let now = OffsetDateTime::from_unix_timestamp(10_000).unwrap();
        let module =
            |status: Value| json!({ "name": "m", "config": { "settings": { "image": "i:1" } }, "status": status });
        let at = |second: i64| OffsetDateTime::from_unix_timestamp(second).unwrap().format(&Rfc3339).unwrap();
        let running = module(json!({ "startTime": at(10_000 - 7300), "runtimeStatus": { "status": "running" } }));
        assert_eq!(module_row(&running, now), ["m", "running", "Up 2 hours", "i:1"]);
        let exit = json!({ "statusCode": "137", "exitTime": at(10_000 - 60) });
        let status = json!({ "status": "backoff", "description": "restart 1 within 10 s" });
        let failed = module(json!({ "exitStatus": exit, "runtimeStatus": status }));
        assert_eq!(module_row(&failed, now)[2], "Failed (137) 1 minute ago; restart 1 within 10 s");
    }

    #[test]
    fn columns_line_up() {
        let row = |cells: [&str; 4]| cells.map(str::to_owned);
        let text = aligned(&[row(["NAME", "S", "D", "C"]), row(["long name", "x", "", "y"])]);
        assert_eq!(text, "NAME       S  D  C\nlong name  x     y");
    }
}
