//! The grammar, by example and by chance.
#![allow(clippy::unwrap_used)]

use super::*;

fn compare(field: &str, text: &str) -> Filter {
    Filter::Compare(field.to_owned(), Comparison::Equal, Literal::Text(text.to_owned()))
}

#[test]
fn filters_are_read() {
    let a = || Box::new(compare("a", "1"));
    let cases = [
        ("a eq '1'", *a()),
        ("a EQ'1'", *a()),
        ("displayName eq 'it''s'", compare("displayName", "it's")),
        ("enabled ne true", Filter::Compare("enabled".into(), Comparison::NotEqual, Literal::Flag(true))),
        ("contains(displayName, 'x')", Filter::Contains("displayName".into(), "x".into())),
        ("a eq '1' or a eq '1' and a eq '1'", Filter::Or(a(), Box::new(Filter::And(a(), a())))),
        ("(a eq '1' or a eq '1') and a eq '1'", Filter::And(Box::new(Filter::Or(a(), a())), a())),
        ("type eq 'GatewayDevice'", compare("type", "GatewayDevice")),
        ("@id eq 'dtmi:a;1'", compare("@id", "dtmi:a;1")),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn other_texts_are_refused() {
    let deep = format!("{}a eq '1'{}", "(".repeat(FILTER_DEPTH_MAX + 1), ")".repeat(FILTER_DEPTH_MAX + 1));
    let wide = vec!["a eq '1'"; FILTER_CLAUSES_MAX + 1].join(" and ");
    let long = format!("a eq '{}'", "x".repeat(FILTER_CHARS_MAX));
    let texts = [
        "",
        "a",
        "a eq",
        "a eq 1",
        "a is '1'",
        "a eq '1",
        "a eq '1' and",
        "(a eq '1'",
        "a eq '1')",
        "enabled gt true",
        "startswith(a, 'x')",
        "contains(a)",
        "contains('a', 'b')",
        "a eq '1' a eq '1'",
        &deep,
        &wide,
        &long,
    ];
    for text in texts {
        assert!(parse(text).is_err(), "{text}");
    }
    let within = vec!["a eq '1'"; FILTER_CLAUSES_MAX].join(" and ");
    assert!(parse(&within).is_ok());
}

#[test]
fn orders_are_read() {
    for (text, expected) in [("displayName", Some(false)), ("displayName DESC", Some(true)), ("id", None), ("", None)] {
        assert_eq!(parse_order(text).ok(), expected, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_strange(text in "[a-c'(), eqornd]{0,60}") {
        let _ = parse(&text);
    }
}
