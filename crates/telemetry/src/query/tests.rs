//! The grammar in tables: what is accepted, and where errors point.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::limits::QUERY_PARENTHESES_DEPTH_MAX;
use crate::selection::TimeRange;

fn parse(text: &str) -> Result<Query, ParseQueryError> {
    Query::parse(text, QueryLimits::default())
}

fn check_error(text: &str, position: usize, message: &str) {
    let error = parse(text).expect_err(text);
    assert!(error.message.contains(message) && error.position == position, "{text}\n{error}");
}

fn condition(text: &str) -> Condition {
    parse(&format!("SELECT a FROM dtmi:a;1 WHERE {text}"))
        .unwrap_or_else(|error| panic!("{text}\n{error}"))
        .condition
        .unwrap()
}

fn path(path: &str, position: usize) -> Column {
    Column { path: path.into(), position }
}

#[test]
fn the_example_of_the_reference_is_read() {
    let query = parse(
        "SELECT TOP 50 $id, $ts, flow AS f, motor.temperature AS t FROM dtmi:modelDefinition:plantA:pump;1\n\
         WHERE WITHIN_WINDOW(P1D) AND f > 10 AND $id IN ['pump-07', 'pump-09'] ORDER BY $ts DESC",
    )
    .unwrap();
    assert_eq!(query.top, Some(50));
    assert_eq!(query.template, "dtmi:modelDefinition:plantA:pump;1");
    assert_eq!(query.items.iter().map(Item::output_name).collect::<Vec<_>>(), ["$id", "$ts", "f", "t"]);
    assert_eq!(query.order, [OrderBy { column: path("$ts", 178), descending: true }]);
    let Some(Condition::And(parts)) = query.condition else { panic!("three parts") };
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0], Condition::WithinWindow { window: Window::Last(86_400_000), position: 105 });
    let ids = ["pump-07", "pump-09"].map(|id| Literal::Text(id.into()));
    assert_eq!(parts[2], Condition::In { column: path("$id", 139), literals: ids.into() });
}

#[test]
fn aggregates_are_named_after_function_and_column() {
    let query = parse(
        "select avg(t), COUNT($ts), Max(m.c.t) as top from x group by window(PT10M) order by avg_t asc, top desc",
    )
    .unwrap();
    assert_eq!(query.items.iter().map(Item::output_name).collect::<Vec<_>>(), ["avg_t", "count_$ts", "top"]);
    assert_eq!(query.group_window_ms, Some(600_000));
    assert_eq!(query.order.iter().map(|order| order.descending).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn and_binds_tighter_than_or() {
    let compare = |name: &str, position| Condition::Compare {
        column: path(name, position),
        comparison: Comparison::Equal,
        literal: Literal::Number(1.0),
    };
    let b_and_c = Condition::And(vec![compare("b", 37), compare("c", 46)]);
    assert_eq!(condition("a=1 OR b=1 AND  c=1"), Condition::Or(vec![compare("a", 30), b_and_c]));
    let bracketed = condition("(a=1 OR b=1) AND c=1");
    let Condition::And(parts) = bracketed else { panic!("AND") };
    assert!(matches!(&parts[0], Condition::Or(parts) if parts.len() == 2));
}

#[test]
fn literals_and_operators_of_all_kinds_are_read() {
    for (text, comparison, literal) in [
        ("a = 'it''s'", Comparison::Equal, Literal::Text("it's".into())),
        ("a != ''", Comparison::NotEqual, Literal::Text(String::new())),
        ("a <> true", Comparison::NotEqual, Literal::Boolean(true)),
        ("a=FALSE", Comparison::Equal, Literal::Boolean(false)),
        ("a>-1.5e-3", Comparison::Greater, Literal::Number(-0.0015)),
        ("a<1", Comparison::Less, Literal::Number(1.0)),
        ("a>=+1", Comparison::GreaterOrEqual, Literal::Number(1.0)),
        ("a<=.5", Comparison::LessOrEqual, Literal::Number(0.5)),
    ] {
        assert_eq!(condition(text), Condition::Compare { column: path("a", 30), comparison, literal }, "{text}");
    }
}

#[test]
fn windows_of_all_kinds_are_read() {
    let hour = TimeRange { from_ms: 1_709_251_200_000, to_ms: 1_709_254_800_000 };
    for (text, window) in [
        ("PT2H", Window::Last(7_200_000)),
        ("'PT2H'", Window::Last(7_200_000)),
        ("'2024-03-01T00:00:00Z/2024-03-01T01:00:00Z'", Window::Fixed(hour)),
        ("'2024-03-01T00:00:00Z/PT1H'", Window::Fixed(hour)),
        ("'PT1H/2024-03-01T01:00:00Z'", Window::Fixed(hour)),
        ("'2024-03-01/2024-03-01'", Window::Fixed(TimeRange { to_ms: hour.from_ms, ..hour })),
    ] {
        let parsed = condition(&format!("WITHIN_WINDOW({text})"));
        assert_eq!(parsed, Condition::WithinWindow { window, position: 30 }, "{text}");
    }
}

#[test]
fn errors_say_what_is_wrong_and_where() {
    for (text, position, message) in [
        ("", 1, "expected SELECT"),
        ("DELETE", 1, "expected SELECT"),
        ("SELECT", 7, "name of a column"),
        ("SELECT *  FROM x", 8, "name the columns"),
        ("SELECT a, FROM x", 11, "name of a column"),
        ("SELECT a b FROM x", 10, "expected FROM"),
        ("SELECT a FROM", 14, "id of a device template"),
        ("SELECT TOP 0 a FROM x", 12, "whole number"),
        ("SELECT TOP 1.5 a FROM x", 12, "whole number"),
        ("SELECT TOP a FROM x", 12, "expected FROM"),
        ("SELECT MEDIAN(a) FROM x", 8, "not an aggregate"),
        ("SELECT AVG(a FROM x", 14, "expected ')'"),
        ("SELECT a, b AS a FROM x", 11, "selected twice"),
        ("SELECT a FROM x WHERE", 22, "name of a column"),
        ("SELECT a FROM x WHERE a", 24, "expected a comparison"),
        ("SELECT a FROM x WHERE a = b", 27, "expected a number"),
        ("SELECT a FROM x WHERE a = 'b", 27, "closing quote"),
        ("SELECT a FROM x WHERE a = 1x", 27, "not a number"),
        ("SELECT a FROM x WHERE a = 1e999", 27, "not a number"),
        ("SELECT a FROM x WHERE (a = 1", 29, "expected ')'"),
        ("SELECT a FROM x WHERE a IN []", 29, "expected a number"),
        ("SELECT a FROM x WHERE é ; 1", 25, "unexpected ';'"),
        ("SELECT a FROM x WHERE WITHIN_WINDOW(P1M)", 37, "not a duration"),
        ("SELECT a FROM x WHERE WITHIN_WINDOW('a/b')", 37, "not a window"),
        ("SELECT a FROM x WHERE WITHIN_WINDOW('2024-03-02/2024-03-01')", 37, "ends before"),
        ("SELECT a FROM x WHERE WITHIN_WINDOW(P1D) OR WITHIN_WINDOW(P2D)", 45, "once"),
        ("SELECT AVG(a) FROM x GROUP BY WINDOW(PT0S)", 38, "expected a duration"),
        ("SELECT AVG(a) FROM x GROUP BY a", 31, "expected WINDOW"),
        ("SELECT a FROM x ORDER BY", 25, "name of a column"),
        ("SELECT a FROM x ORDER BY a b", 28, "end of the query"),
        ("SELECT a FROM x HAVING a", 17, "end of the query"),
    ] {
        check_error(text, position, message);
    }
}

#[test]
fn limits_are_kept_exactly() {
    let limits = QueryLimits::IOT_CENTRAL;
    let items = |count: usize| (0..count).map(|n| format!("a{n}")).collect::<Vec<_>>().join(",");
    let operators = |count: usize| format!("a=1{}", " AND a=1".repeat(count));
    let select = |items: String, operators: String| format!("SELECT {items} FROM x WHERE {operators}");
    assert!(Query::parse(&select(items(15), operators(10)), limits).is_ok());
    assert!(Query::parse(&select(items(16), operators(10)), limits).unwrap_err().message.contains("15 items"));
    assert!(Query::parse(&select(items(15), operators(11)), limits).unwrap_err().message.contains("10 logical"));

    let padded = |characters: usize| format!("{:characters$}", "SELECT ü FROM x");
    assert!(Query::parse(&padded(350), limits).is_ok());
    assert_eq!(Query::parse(&padded(351), limits).unwrap_err().position, 351);

    let nested = |depth: usize| format!("SELECT a FROM x WHERE {}a=1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(QUERY_PARENTHESES_DEPTH_MAX)).is_ok());
    assert!(parse(&nested(QUERY_PARENTHESES_DEPTH_MAX + 1)).unwrap_err().message.contains("deeper"));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_order_of_words_makes_the_parser_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "SELECT", "TOP", "5", "a", "$ts", ",", "AVG", "(", ")", "AS", "FROM", "dtmi:a;1", "WHERE", "AND", "OR", "=", "'x'",
                "IN", "[", "]", "WITHIN_WINDOW", "P1D", "'P1D/2024-01-01'", "GROUP", "BY", "WINDOW", "ORDER", "DESC", "TRUE", "-1", "é",
            ]),
            0..40,
        )
    ) {
        let text = words.join(" ");
        if let Err(error) = parse(&text) {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.position));
        }
    }
}
