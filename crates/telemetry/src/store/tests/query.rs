//! Queries run over memory and files together.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::query::{
    ColumnKind, ColumnSchema, DeviceFacts, PlannedQuery, Query, QueryColumns, QueryLimits, ResolvedColumn,
};

/// A template with a root, a component, two modules and a property; and who may be seen.
struct Template;

impl QueryColumns for Template {
    fn column(&self, path: &str) -> Option<ResolvedColumn> {
        let telemetry = |module: Option<&str>, component: Option<&str>, name: &str, schema| {
            let (module, component) = (module.map(Arc::from), component.map(Arc::from));
            Some(ResolvedColumn { module, component, name: name.into(), kind: ColumnKind::Telemetry, schema })
        };
        match path {
            "flow" => telemetry(None, None, "flow", ColumnSchema::Number),
            "state" => telemetry(None, None, "state", ColumnSchema::Text),
            "on" => telemetry(None, None, "on", ColumnSchema::Boolean),
            "place" => telemetry(None, None, "place", ColumnSchema::Structured),
            "any" => telemetry(None, None, "any", ColumnSchema::Unknown),
            "motor.temperature" => telemetry(None, Some("motor"), "temperature", ColumnSchema::Number),
            "filter.flow" => telemetry(Some("filter"), None, "flow", ColumnSchema::Number),
            "interval" => {
                let column = telemetry(None, None, "interval", ColumnSchema::Number)?;
                Some(ResolvedColumn { kind: ColumnKind::Property, ..column })
            }
            _ => None,
        }
    }
}

impl QueryDevices for Template {
    fn device(&self, id: &str) -> Option<DeviceFacts> {
        (id != "hidden").then_some(DeviceFacts { provisioned: true, simulated: id == "p2" })
    }
}

const NOW: i64 = 1_000_000;

/// A minute apart, the newest at NOW; half in a file, half in memory, two in both.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let at = |minutes: i64| NOW - minutes * 60_000;
    let rows = vec![
        row("p1", at(9), 1, &[("flow", Value::Double(1.5)), ("state", Value::Text("off".into()))]),
        row("p1", at(8), 2, &[("flow", Value::Integer(2)), ("on", Value::Boolean(true))]),
        row("hidden", at(8), 3, &[("flow", Value::Integer(99))]),
        row("p2", at(7), 4, &[("flow", Value::Integer(3)), ("place", Value::Json(r#"{"lat":1}"#.into()))]),
        Row { component: Some("motor".into()), ..row("p1", at(6), 5, &[("temperature", Value::Integer(60))]) },
        Row { module: Some("filter".into()), ..row("p1", at(5), 6, &[("flow", Value::Integer(-1))]) },
        row("p1", at(4), 7, &[("state", Value::Text("on".into())), ("any", Value::Integer(1))]),
        row("p2", at(3), 8, &[("flow", Value::Integer(5)), ("any", Value::Text("x".into()))]),
        row("p1", at(0), 9, &[("flow", Value::Text("broken".into()))]),
    ];
    fixture.store.insert(rows[..5].to_vec()).unwrap();
    fixture.flush(false);
    fixture.store.newest().release(3);
    fixture.store.insert(rows[5..].to_vec()).unwrap();
    fixture
}

fn ask(fixture: &Fixture, text: &str) -> Result<Answer, RunQueryError> {
    let query = Query::parse(text, QueryLimits::default()).unwrap_or_else(|error| panic!("{text}\n{error}"));
    fixture.store.query(&PlannedQuery::new(&query, &Template, NOW)?, &Template)
}

/// The values of a column of the answer.
fn column(fixture: &Fixture, text: &str, name: &str) -> Vec<serde_json::Value> {
    let answer = ask(fixture, text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    answer.into_iter().map(|mut row| row.remove(name).unwrap_or_default()).collect()
}

#[test]
fn a_device_and_window_in_order_of_time() {
    let answer =
        ask(&fixture(), "SELECT $id, $ts, flow AS f, on FROM x WHERE $id = 'p1' AND WITHIN_WINDOW(PT9M) ORDER BY $ts");
    let expected = json!([
        {"$id": "p1", "$ts": "1970-01-01T00:07:40.000Z", "f": 1.5},
        {"$id": "p1", "$ts": "1970-01-01T00:08:40.000Z", "f": 2, "on": true},
        {"$id": "p1", "$ts": "1970-01-01T00:16:40.000Z", "f": "broken"},
    ]);
    assert_eq!(json!(answer.unwrap()), expected);
}

#[test]
fn conditions_select_as_they_read() {
    let fixture = fixture();
    for (condition, expected) in [
        ("flow > 1.5", json!([5, 3, 2])),
        ("flow >= 1.5 AND flow < 5", json!([3, 2, 1.5])),
        ("flow = 2 OR flow = 5", json!([5, 2])),
        ("flow != 2", json!([5, 3, 1.5])),
        ("flow IN [2, 3]", json!([3, 2])),
        ("state = 'off'", json!([1.5])),
        ("state <> 'off'", json!([])),
        ("on = TRUE", json!([2])),
        ("$id IN ['p2', 'hidden', 'gone']", json!([5, 3])),
        ("$id != 'p1' AND WITHIN_WINDOW(PT3M)", json!([5])),
        ("$simulated = true", json!([5, 3])),
        ("$simulated != true AND $provisioned = true", json!(["broken", 2, 1.5])),
        ("$ts <= '1970-01-01T00:08:40Z'", json!([2, 1.5])),
        ("$ts != '1970-01-01T00:08:40Z' AND $ts < '1970-01-01T00:10:00Z'", json!([3, 1.5])),
        ("any = 'x' OR any = 1", json!([5])),
        ("WITHIN_WINDOW('1970-01-01T00:08:40Z/1970-01-01T00:09:40Z')", json!([2])),
        ("$id = 'p1' AND $id = 'p2'", json!([])),
        ("(WITHIN_WINDOW(PT0S) AND $id = 'p1') OR ($id = 'p2' AND flow < 4)", json!(["broken", 3])),
    ] {
        let found = column(&fixture, &format!("SELECT flow FROM x WHERE {condition}"), "flow");
        assert_eq!(json!(found), expected, "{condition}");
    }
}

#[test]
fn a_row_has_the_values_of_its_own_part_only() {
    let answer = ask(&fixture(), "SELECT motor.temperature, filter.flow AS ff FROM x ORDER BY $ts").unwrap();
    let expected = json!([
        {"$ts": "1970-01-01T00:10:40.000Z", "motor.temperature": 60},
        {"$ts": "1970-01-01T00:11:40.000Z", "ff": -1},
    ]);
    assert_eq!(json!(answer), expected);
}

#[test]
fn order_and_top_choose_the_rows() {
    let fixture = fixture();
    for (text, expected) in [
        ("SELECT TOP 2 flow FROM x", json!(["broken", 5])),
        ("SELECT TOP 2 flow FROM x ORDER BY $ts ASC", json!([1.5, 2])),
        ("SELECT TOP 3 flow FROM x ORDER BY flow", json!([1.5, 2, 3])),
        ("SELECT TOP 3 flow FROM x ORDER BY flow DESC", json!(["broken", 5, 3])),
        ("SELECT flow FROM x ORDER BY $id DESC, $ts", json!([3, 5, 1.5, 2, "broken"])),
        ("SELECT flow FROM x WHERE flow > 0 ORDER BY state, $ts DESC", json!([1.5, 5, 3, 2])),
        ("SELECT TOP 9999999999 flow AS flow FROM x WHERE flow = 3", json!([3])),
    ] {
        assert_eq!(json!(column(&fixture, text, "flow")), expected, "{text}");
    }
}

#[test]
fn without_selected_telemetry_every_message_is_a_row() {
    let fixture = fixture();
    assert_eq!(column(&fixture, "SELECT $id FROM x WHERE WITHIN_WINDOW(P1D)", "$id").len(), 8);
    assert_eq!(column(&fixture, "SELECT $ts FROM x WHERE any = 1", "$ts"), ["1970-01-01T00:12:40.000Z"]);
}

#[test]
fn aggregates_over_everything_are_one_row() {
    let answer = ask(
        &fixture(),
        "SELECT AVG(flow), SUM(flow) AS s, MIN(flow) AS lo, MAX(flow) AS hi, COUNT(flow) AS n, COUNT($ts) AS all, \
         FIRST(state), LAST(state), MAX(any) AS a FROM x WHERE $id = 'p1' OR $id = 'p2'",
    );
    let expected = json!([{
        "avg_flow": 2.875, "s": 11.5, "lo": 1.5, "hi": 5, "n": 5, "all": 8, "first_state": "off", "last_state": "on", "a": 1,
    }]);
    assert_eq!(json!(answer.unwrap()), expected);
}

#[test]
fn nothing_counted_is_zero_and_nothing_averaged_is_no_row() {
    let fixture = fixture();
    let nothing = "WHERE $id = 'gone'";
    assert_eq!(
        json!(ask(&fixture, &format!("SELECT COUNT(flow), AVG(flow) FROM x {nothing}")).unwrap()),
        json!([{"count_flow": 0}])
    );
    assert_eq!(json!(ask(&fixture, &format!("SELECT AVG(flow) FROM x {nothing}")).unwrap()), json!([]));
    let grouped = format!("SELECT COUNT(flow) FROM x {nothing} GROUP BY WINDOW(PT1M)");
    assert_eq!(json!(ask(&fixture, &grouped).unwrap()), json!([]));
}

#[test]
fn windows_and_devices_make_groups() {
    let fixture = fixture();
    let answer =
        ask(&fixture, "SELECT SUM(flow) AS s FROM x WHERE flow < 9 GROUP BY WINDOW(PT5M) ORDER BY $ts").unwrap();
    let expected = json!([
        {"$ts": "1970-01-01T00:05:00.000Z", "s": 6.5},
        {"$ts": "1970-01-01T00:10:00.000Z", "s": 5},
    ]);
    assert_eq!(json!(answer), expected);
    let by_device =
        ask(&fixture, "SELECT $id, $simulated, COUNT(flow) AS n FROM x GROUP BY WINDOW(PT10M) ORDER BY n DESC, $id")
            .unwrap();
    let expected = json!([
        {"$id": "p1", "$simulated": false, "$ts": "1970-01-01T00:00:00.000Z", "n": 2},
        {"$id": "p1", "$simulated": false, "$ts": "1970-01-01T00:10:00.000Z", "n": 1},
        {"$id": "p2", "$simulated": true, "$ts": "1970-01-01T00:10:00.000Z", "n": 1},
        {"$id": "p2", "$simulated": true, "$ts": "1970-01-01T00:00:00.000Z", "n": 1},
    ]);
    assert_eq!(json!(by_device), expected);
    let top = "SELECT TOP 1 $ts, MAX(flow) AS m FROM x GROUP BY WINDOW(PT1M)";
    assert_eq!(json!(ask(&fixture, top).unwrap()), json!([{"$ts": "1970-01-01T00:13:00.000Z", "m": 5}]), "{top}");
}

#[test]
fn what_cannot_be_answered_is_named() {
    let fixture = fixture();
    for (text, expected) in [
        ("SELECT speed FROM x", "unknown column speed at character 8"),
        ("SELECT $model FROM x", "unknown column $model at character 8"),
        ("SELECT flow FROM x WHERE speed = 1", "unknown column speed at character 26"),
        ("SELECT flow FROM x ORDER BY speed", "unknown column speed at character 29"),
        ("SELECT interval FROM x", "the property interval cannot be queried here at character 8"),
        ("SELECT $id FROM x WHERE interval > 1", "the property interval cannot be queried here at character 25"),
        ("SELECT $id FROM x", "a list of devices without telemetry cannot be queried here at character 1"),
        (
            "SELECT flow, interval FROM x",
            "interval is a property: a query is over telemetry or over properties, never both at character 14",
        ),
        (
            "SELECT interval FROM x WHERE WITHIN_WINDOW(P1D)",
            "interval is a property: a query is over telemetry or over properties, never both at character 8",
        ),
        ("SELECT flow FROM x WHERE flow = 'a'", "flow holds numbers at character 26"),
        (
            "SELECT flow FROM x WHERE state > 'a'",
            "text and booleans can be compared with = and != only at character 26",
        ),
        ("SELECT flow FROM x WHERE on IN ['a']", "on holds booleans at character 26"),
        ("SELECT place FROM x WHERE place = 1", "place can be selected, but not compared at character 27"),
        ("SELECT flow FROM x WHERE $ts > 'then'", "'then' is not a time at character 26"),
        ("SELECT flow FROM x WHERE $ts IN ['2024-01-01']", "IN cannot be used with $ts at character 26"),
        ("SELECT flow FROM x WHERE $id > 'a'", "$id cannot be compared like this at character 26"),
        ("SELECT AVG(state) FROM x", "AVG cannot be taken of state at character 12"),
        ("SELECT MAX($ts) FROM x", "MAX cannot be taken of $ts at character 12"),
        ("SELECT AVG(flow), flow FROM x", "flow has to be in an aggregate function at character 19"),
        ("SELECT AVG(flow), $ts FROM x", "$ts needs GROUP BY WINDOW here at character 19"),
        (
            "SELECT flow FROM x GROUP BY WINDOW(PT1M)",
            "GROUP BY WINDOW needs an aggregate function in SELECT at character 1",
        ),
        ("SELECT AVG(flow) AS a FROM x WHERE a > 1", "a is an aggregate and cannot be used here at character 36"),
        ("SELECT AVG(flow) FROM x ORDER BY flow", "flow is not in the answer and cannot order it at character 34"),
    ] {
        let error = ask(&fixture, text).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn a_query_that_reads_too_much_says_how_to_ask_for_less() {
    let mut fixture = fixture();
    fixture.store.scan_rows_max = 1;
    let error = ask(&fixture, "SELECT flow FROM x").unwrap_err();
    assert!(matches!(error, RunQueryError::TooManyRows));
    assert!(error.to_string().contains("fewer devices"), "{error}");
}

#[test]
fn groups_up_to_the_limit_are_answered_and_one_more_is_refused() {
    let fixture = Fixture::new();
    let max = crate::limits::QUERY_ACCUMULATORS_MAX / 64;
    let items: Vec<String> = (0..64).map(|n| format!("COUNT(flow) AS a{n}")).collect();
    let text = format!("SELECT {} FROM x GROUP BY WINDOW(PT0.001S)", items.join(","));
    let rows = (0..max as u64).map(|n| row("p1", n as i64, n, &[("flow", Value::Integer(1))]));
    fixture.store.insert(rows.collect()).unwrap();
    assert_eq!(ask(&fixture, &text).unwrap().len(), crate::limits::QUERY_ROWS_MAX);
    fixture.store.insert(vec![row("p1", -1, max as u64, &[("flow", Value::Integer(1))])]).unwrap();
    assert!(matches!(ask(&fixture, &text), Err(RunQueryError::TooManyGroups { max: limit }) if limit == max));
}
