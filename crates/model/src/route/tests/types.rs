//! 4.4: what compiles and what does not, before any message is seen.
use super::*;

/// One operand of each type: bool, number, text, null, undefined, dynamic.
const OPERANDS: [&str; 6] = ["(1 = 1)", "1", "'t'", "null", "undefined", "$body.x"];

/// Which of the 36 pairs an operator takes: a row per left operand, a letter per right one, in the order of `OPERANDS`.
const BINARY: [(&str, [&str; 6]); 15] = [
    ("=", ["y....y", ".y...y", "..y..y", "...y.y", "....y.", "yyyy.y"]),
    ("!=", ["y....y", ".y...y", "..y..y", "...y.y", "....y.", "yyyy.y"]),
    ("<>", ["y....y", ".y...y", "..y..y", "...y.y", "....y.", "yyyy.y"]),
    ("<", ["y....y", ".y...y", "..y..y", "...y.y", "....y.", "yyyy.y"]),
    ("<=", ["y....y", ".y...y", "..y..y", "...y.y", "....y.", "yyyy.y"]),
    (">", ["y....y", ".y...y", "..y..y", "...y.y", "....y.", "yyyy.y"]),
    (">=", ["y....y", ".y...y", "..y..y", "...y.y", "....y.", "yyyy.y"]),
    ("??", ["y....y", ".y...y", "..y..y", "...y.y", "....y.", "yyyy.y"]),
    ("+", ["......", ".y...y", "......", "......", "......", ".y...y"]),
    ("-", ["......", ".y...y", "......", "......", "......", ".y...y"]),
    ("*", ["......", ".y...y", "......", "......", "......", ".y...y"]),
    ("/", ["......", ".y...y", "......", "......", "......", ".y...y"]),
    ("%", ["......", ".y....", "......", "......", "......", "......"]),
    ("||", ["......", "......", "..y..y", "......", "......", "..y..y"]),
    ("or", ["y..yy.", "......", "......", "y..y..", "y...y.", "yyyyyy"]),
];

#[test]
fn binary_operators_take_the_pairs_of_types_of_the_original() {
    let and = ("and", ["y..yy.", "......", "......", "y..y..", "y...y.", "yyy.yy"]);
    for (operator, rows) in BINARY.into_iter().chain([and]) {
        for (left, row) in OPERANDS.into_iter().zip(rows) {
            for (right, expected) in OPERANDS.into_iter().zip(row.chars()) {
                let text = format!("{left} {operator} {right}");
                let compiled = Condition::parse(&text);
                assert_eq!(compiled.is_ok(), expected == 'y', "{text}: {compiled:?}");
                if let Err(error) = compiled {
                    assert_eq!((error.kind, error.column), (RouteErrorKind::Compile, left.len() + 2), "{text}");
                }
            }
        }
    }
}

#[test]
fn prefixes_take_their_types() {
    for (prefix, row) in [("not", "y..y.y"), ("-", ".y....")] {
        for (operand, expected) in OPERANDS.into_iter().zip(row.chars()) {
            let text = format!("{prefix} {operand}");
            assert_eq!(Condition::parse(&text).is_ok(), expected == 'y', "{text}");
        }
    }
}

#[test]
fn functions_take_their_types() {
    let of_one = [
        ("abs", ".y...y"),
        ("ceiling", ".y...y"),
        ("exp", ".y...y"),
        ("floor", ".y...y"),
        ("sign", ".y...y"),
        ("sqrt", ".y...y"),
        ("square", ".y...y"),
        ("as_number", ".yy..y"),
        ("is_bool", "yyyyyy"),
        ("is_number", "yyyyyy"),
        ("is_string", "yyyyyy"),
        ("is_null", "yyyyyy"),
        ("is_defined", "yyyyyy"),
        ("length", "..y..y"),
        ("lower", "..y..y"),
        ("upper", "..y..y"),
        ("concat", "......"),
        ("power", "......"),
        ("substring", "......"),
        ("index_of", "......"),
        ("starts_with", "......"),
        ("ends_with", "......"),
        ("contains", "......"),
        ("twin_change_includes", "......"),
        ("unknown", "......"),
    ];
    for (name, row) in of_one {
        for (operand, expected) in OPERANDS.into_iter().zip(row.chars()) {
            let text = format!("{name}({operand})");
            assert_eq!(Condition::parse(&text).is_ok(), expected == 'y', "{text}");
        }
    }
    let of_texts = ["concat", "index_of", "starts_with", "ends_with", "contains"].map(|name| (name, 2));
    for (name, wanted) in of_texts.into_iter().chain([("power", 1), ("substring", 3)]) {
        for left in OPERANDS {
            for right in OPERANDS {
                let text = format!("{name}({left}, {right})");
                let fits =
                    |operand: &str, texts: bool| operand == "$body.x" || operand == if texts { "'t'" } else { "1" };
                let expected = fits(left, wanted >= 2) && fits(right, wanted == 2);
                assert_eq!(Condition::parse(&text).is_ok(), expected, "{text}");
            }
        }
    }
}

#[test]
fn what_the_reference_lists_does_not_compile() {
    let rows = [
        ("temp = 3", 6),
        ("temp > 30", 6),
        ("name = null", 6),
        ("name = undefined", 6),
        ("\"a\" + \"b\"", 5),
        ("not name", 1),
        ("not 'a'", 1),
        ("not 5", 1),
        ("n + 1", 3),
        ("name ?? 3", 6),
        ("upper(5)", 1),
        ("-$body.x", 1),
        ("-$BODY.x > 1", 1),
        ("- $body.x", 1),
        ("- (1 + $body.x)", 1),
        ("$body.x % 2", 9),
        ("2 % $body.x", 3),
        ("($body.x + 1) % 2", 15),
        ("true and $body.x", 6),
        ("true or $body.x", 6),
        ("a = 'x' and $body.x", 9),
        ("undefined and $body.x", 11),
        ("null and undefined", 6),
        ("undefined or null", 11),
        ("$body.x and null", 9),
        ("name and true", 6),
        ("5 and true", 3),
        ("true = 'true'", 6),
        ("5 = '5'", 3),
        ("true + 1", 6),
        ("null + 1", 6),
        ("1 || 2", 3),
        ("name || 5", 6),
        ("not a = 'b'", 1),
        ("a = b = 'c'", 7),
        ("1 < 2 < 3", 7),
    ];
    assert_refused(RouteErrorKind::Compile, &rows);
}

#[test]
fn calls_are_refused_at_the_name() {
    let rows = [
        ("abs()", 1),
        ("abs(1, 2)", 1),
        ("power(1)", 1),
        ("power(1, 2, 3)", 1),
        ("is_null()", 1),
        ("is_defined(a, b)", 1),
        ("concat()", 1),
        ("concat('a')", 1),
        ("concat('a', 5)", 1),
        ("concat('a', 'b', null)", 1),
        ("substring('a')", 1),
        ("substring('a', '0')", 1),
        ("substring('a', 0, 1, 2)", 1),
        ("substring(5, 0)", 1),
        ("index_of('a')", 1),
        ("contains('a', 'b', 'c')", 1),
        ("length(null)", 1),
        ("  nothing(1)", 3),
        ("true and nothing()", 10),
        ("lower(upper(5))", 7),
        ("nothing(upper(5))", 9),
        ("twin_change_includes(properties.reported.x)", 1),
        ("twin_change_includes()", 1),
        ("TWIN_CHANGE_INCLUDES(a)", 1),
        ("abs($body.x) % $body.y", 14),
    ];
    assert_refused(RouteErrorKind::Compile, &rows);
    assert!(refusal("nothing()").message.contains("unknown function 'nothing'"));
    assert!(refusal("upper(5)").message.contains("'upper' does not take a number"));
}

#[test]
fn results_have_their_types() {
    let rows = [
        // Calculating with a body value stays dynamic.
        ("$body.x + 1 = 'a'", true),
        ("upper($body.x + 1) = 'a'", true),
        ("($body.x + 1) and true", true),
        ("($body.x ?? 'a') || 'b' = 'c'", true),
        ("($body.x ?? 5) + 1 = 6", true),
        ("(a ?? $body.x) + 1 = 6", true),
        // Everything else is what it says.
        ("$body.x || 'a' = 5", false),
        ("length($body.x) = 'a'", false),
        ("abs($body.x) = 5", true),
        ("abs($body.x) % 5 = 1", true),
        ("as_number($body.x) % 2 = 1", true),
        ("as_number(a) > 5", true),
        ("as_number(a) = 'b'", false),
        ("lower(a) = 'b'", true),
        ("lower(a) = 5", false),
        ("index_of(a, 'b') = 5", true),
        ("starts_with(a, 'b') = true", true),
        ("is_null(a) = true", true),
        ("is_null(a) and $body.x = 1", true),
        ("($body.x = 1) and true", true),
        ("true and ($body.x = 1)", true),
        ("true and not $body.x", true),
        ("(null and true) = null", true),
        ("(null and true) = true", false),
        ("(null or true) = true", true),
        ("(null or null) = null", true),
        ("(null ?? null) = null", true),
        ("(undefined ?? undefined) = undefined", true),
        ("not null = true", true),
        ("(undefined = undefined) = true", true),
        ("$x[0] = undefined", true),
        ("$x[0] = 'a'", false),
        ("{$x[0]} = undefined", true),
        ("$body = 'a'", true),
        ("$body = 5", false),
        ("$bodyx = 5", false),
        ("$body.x = 5", true),
        ("{$body.x} = 5", true),
        ("$contentType = 'a'", true),
        ("$contentType = 5", false),
    ];
    for (text, expected) in rows {
        let compiled = Condition::parse(text);
        assert_eq!(compiled.is_ok(), expected, "{text}: {compiled:?}");
    }
}

#[test]
fn anything_may_be_a_whole_condition() {
    let rows = [
        ("5", U),
        ("'a'", U),
        ("a", U),
        ("null", F),
        ("undefined", U),
        ("1 + 1", U),
        ("null and null", F),
        ("null or null", F),
    ];
    assert_verdicts(&message(&["a=true"]), &rows);
}
