//! 4.3: tokens, strength, grouping, names; and what is no condition.
use super::*;
use crate::limits::{ROUTE_NESTING_MAX, ROUTE_TEXT_BYTES_MAX};

#[test]
fn operators_bind_in_the_order_of_the_grammar() {
    let rows = [
        ("1 + 2 * 3 = 7", T),
        ("(1 + 2) * 3 = 9", T),
        ("10 - 4 - 3 = 3", T),
        ("100 / 10 / 2 = 5", T),
        ("7 % 4 * 2 = 6", T),
        ("2 * 7 % 4 = 2", T),
        ("20 / 4 * 5 = 25", T),
        ("1 - 2 + 3 = 2", T),
        ("'a' || 'b' || 'c' = 'abc'", T),
        ("1 < 2 = true", T),
        ("true = 1 < 2", T),
        ("1 < 2 <> 2 < 1", T),
        ("1 = 2 = false", T),
        ("false = (1 = 2)", T),
        ("true or false and false", T),
        ("(true or false) and false", F),
        ("false and false or true", T),
        ("1 = 1 and 2 = 2 or 3 = 4", T),
        ("1 = 2 and 2 = 2 or 3 = 3", T),
        ("(gone ?? 'x') = 'x'", T),
        ("gone = 'a' ?? true", T),
        ("gone = 'a' ?? gone = 'b' ?? true", T),
        ("gone = 'a' or true ?? false", T),
        ("not true or true", T),
        ("not (true or true)", F),
        ("not true = false", T),
        ("not not true", T),
        ("not not not true", F),
        ("- 2 * 3 = - 6", T),
        ("- (2 + 3) = -5", T),
        ("2 - - 3 = 5", T),
        ("2 * - 3 = -6", T),
        ("- - 3 = 3", T),
        ("((((true))))", T),
        ("(1)+(2)=(3)", T),
        ("1 + (2) = 3", T),
    ];
    assert_verdicts(&message(&[]), &rows);
    // `=` binds tighter than `??`: a text on the left, a bool on the right. `not` binds tighter than `=`.
    assert_refused(RouteErrorKind::Compile, &[("gone ?? 'x' = 'x'", 6), ("not 1 = 1 ?? true", 1)]);
}

#[test]
fn names_swallow_operators() {
    let found = message(&[
        "a-b=1",
        "3+4=seven",
        "a||b=2",
        "-a=minus",
        "+5=five",
        "a!=3",
        "5.=point",
        "1e=e",
        "e=only",
        "--5=dashes",
        "TRUE=upper",
        "Null=mixed",
        "x.y=dot",
        "a*b=star",
        "*x=star",
        "&&=and",
        "|=bar",
        "!=bang",
        "don't=quote",
        "%a=percent",
        "ü=umlaut",
        "温度=hot",
        "1a=digit",
        "0x=zero",
        "0xg=hex",
        "-0x1F=minus hex",
        "#1=hash",
        "a^b=hat",
        "a\u{a0}b=nbsp",
        "'a'b=quoted",
        "ands=word",
        "order=word",
        "nothing=word",
        "$=dollar",
        "a$b=inner",
        "~=tilde",
        "is_null=name",
    ]);
    let rows = [
        ("a-b = '1'", T),
        ("3+4 = 'seven'", T),
        ("a||b = '2'", T),
        ("-a = 'minus'", T),
        ("+5 = 'five'", T),
        ("5. = 'point'", T),
        ("1e = 'e'", T),
        ("e = 'only'", T),
        ("--5 = 'dashes'", T),
        ("TRUE = 'upper'", T),
        ("True = 'upper'", T),
        ("Null = 'mixed'", T),
        ("NULL = 'mixed'", T),
        ("x.y = 'dot'", T),
        ("a*b = 'star'", T),
        ("*x = 'star'", T),
        ("&& = 'and'", T),
        ("| = 'bar'", T),
        ("! = 'bang'", T),
        ("don't = 'quote'", T),
        ("%a = 'percent'", T),
        ("ü = 'umlaut'", T),
        ("Ü = 'umlaut'", T),
        ("温度 = 'hot'", T),
        ("1a = 'digit'", T),
        ("0x = 'zero'", T),
        ("0xg = 'hex'", T),
        ("-0x1F = 'minus hex'", T),
        ("#1 = 'hash'", T),
        ("a^b = 'hat'", T),
        ("a\u{a0}b = 'nbsp'", T),
        ("'a'b = 'quoted'", T),
        ("ands = 'word'", T),
        ("order = 'word'", T),
        ("nothing = 'word'", T),
        ("$ = 'dollar'", T),
        ("a$b = 'inner'", T),
        ("~ = 'tilde'", T),
        ("is_null = 'name'", T),
        ("is_null(is_null)", F),
        ("A-B='1'", T),
    ];
    assert_verdicts(&found, &rows);
    // `a!=3` is the name `a!` and a comparison; blanks make it what was meant.
    assert_verdicts(&message(&["a!=x", "a=y"]), &[("a!='x'", T), ("a != 'x'", T), ("a <>'x'", T), ("a<>'x'", T)]);
    // `-5` is one number, so `3 -4` is two and `3 - 4` a difference.
    assert_verdicts(&message(&[]), &[("3 - 4 = -1", T), ("3 - -4 = 7", T), ("-12 = - 12", T)]);
    assert_refused(RouteErrorKind::Syntax, &[("3 -4", 3), ("3 -4 = -1", 3), ("3 +4", 3)]);
}

#[test]
fn numbers_are_read_in_every_form() {
    let rows = [
        ("12 = 12.0", T),
        ("0x1F = 31", T),
        ("0X1f = 31", T),
        ("0x0 = 0", T),
        ("0x00000000000000000000001F = 31", T),
        ("0x7FFFFFFFFFFFFFFF > 9e18", T),
        ("0xFFFFFFFFFFFFFFFF = -1", T),
        (".5 = 0.5", T),
        ("-.5 = - .5", T),
        ("1.5 = 3 / 2", T),
        ("1e3 = 1000", T),
        ("1E3 = 1000", T),
        ("1e+3 = 1000", T),
        ("1.5E-2 = 0.015", T),
        (".5e1 = 5", T),
        ("007 = 7", T),
        ("-0 = 0", T),
        ("9007199254740993 = 9007199254740992", T),
        ("1e999 > 1e308", T),
        ("1e999 = 1e999", T),
        ("0.1 + 0.2 = 0.3", F),
        ("is_number(1e999)", F),
    ];
    assert_verdicts(&message(&[]), &rows);
    // Tokens of numbers without a value have the type undefined.
    let without_value = [
        ("e5", U),
        ("-E3", U),
        ("is_defined(e5)", F),
        ("0x10000000000000000", U),
        ("is_defined(0x123456789ABCDEF01)", F),
    ];
    assert_verdicts(&message(&["e5=x"]), &without_value);
    assert_refused(RouteErrorKind::Compile, &[("e5 = 'x'", 4), ("e5 + 1", 4), ("1 = E7", 3)]);
}

#[test]
fn texts_have_four_escapes() {
    let found = message(&["q=\"", "s='", "b=\\", "u=A", "both=a\"b'c", "smile=😀", "quirk=\\A", "line=a\nb", "empty="]);
    let rows = [
        (r#"q = "\"""#, T),
        (r#"q = '"'"#, T),
        (r#"q = '\"'"#, T),
        (r#"s = "'""#, T),
        (r#"s = '\''"#, T),
        (r#"s = "\'""#, T),
        (r#"b = "\\""#, T),
        (r#"b = '\\'"#, T),
        (r#"u = "\u0041""#, T),
        (r#"u = '\u0041'"#, T),
        (r#"both = 'a"b\'c'"#, T),
        (r#"smile = "\ud83d\ude00""#, T),
        (r#"smile = '😀'"#, T),
        (r#"quirk = "\\u0041""#, T),
        (r#"b = "\u005c""#, T),
        ("line = 'a\nb'", T),
        ("empty = ''", T),
        ("empty = \"\"", T),
        ("'' = \"\"", T),
    ];
    assert_verdicts(&found, &rows);
    // `'it''s'` is longer as a name than as a text.
    assert_verdicts(&message(&["'it''s'=x"]), &[("'it''s' = 'x'", T)]);
    assert_refused(
        RouteErrorKind::Syntax,
        &[
            ("u = 'A", 5),
            ("u = \"A", 5),
            (r"u = 'a\n'", 5),
            (r"u = 'a\x41'", 5),
            (r"u = 'a\u12'", 5),
            (r"u = '\", 5),
            ("'", 1),
        ],
    );
}

#[test]
fn words_of_the_grammar_are_no_names() {
    let rows = [
        ("select = 'a'", 1),
        ("FROM = 'a'", 1),
        ("Where = 'a'", 1),
        ("into", 1),
        ("a = into", 5),
        ("and = 'a'", 1),
        ("OR", 1),
    ];
    assert_refused(RouteErrorKind::Syntax, &rows);
    assert_verdicts(
        &message(&["a=x"]),
        &[
            ("a = 'x' AND a = 'x'", T),
            ("a = 'y' Or a = 'x'", T),
            ("NOT (a = 'y')", T),
            ("Not(a = 'y')", T),
            ("not(a = 'y')", T),
            ("true\tAND\r\ntrue", T),
            ("true", T),
            ("false", F),
            ("null", F),
            ("undefined", U),
        ],
    );
}

#[test]
fn blanks_and_comments_separate() {
    let rows = [
        ("/* why */ true", T),
        ("true /* why */", T),
        ("true /**/ and /* a */ /* b */ true", T),
        ("1/* */=/* */1", T),
        ("  true  ", T),
        ("8 /2 = 4", T),
        ("8/ 2 = 4", T),
        ("8/2 = 4", T),
        ("2 */* x */ 3 = 6", T),
        ("'/* no comment */' = '/* no comment */'", T),
    ];
    assert_verdicts(&message(&[]), &rows);
    assert_refused(RouteErrorKind::Syntax, &[("true /* open", 7), ("2 **3", 3), ("/ 2", 1)]);
}

#[test]
fn a_blank_condition_is_undefined() {
    assert_verdicts(&message(&[]), &[("", U), ("  \n", U), ("/* only a comment */", U)]);
}

#[test]
fn what_is_no_condition_is_refused_where_it_ends_to_be_one() {
    let rows = [
        ("a =", 4),
        ("a = ", 5),
        ("= 'x'", 1),
        ("a = = 'x'", 5),
        ("a == 'x'", 4),
        ("(a = 'x'", 1),
        ("((a = 'x')", 1),
        ("a = 'x')", 8),
        ("(a = 'x'))", 10),
        ("lower(a))", 9),
        ("lower(a", 8),
        ("lower(a,)", 9),
        ("lower(,a)", 7),
        ("lower(a b)", 9),
        ("()", 2),
        ("a 'x'", 3),
        ("a = 'x' b", 9),
        ("a = 'x' not b", 9),
        ("not", 4),
        ("a and", 6),
        ("and a", 1),
        ("a ? 'x'", 3),
        ("a ; b", 3),
        ("a = @", 5),
        ("a : b", 3),
        ("\\", 1),
        ("a[0] = 'x'", 1),
        ("[0]", 1),
        ("5[0]", 1),
        ("{a}", 2),
        ("{$a", 4),
        ("{$a b}", 5),
        ("{}", 2),
        ("$a()", 3),
        ("'f'(1)", 4),
        ("true(1)", 5),
        ("a.b(1", 6),
        ("a = 'x' || ", 12),
        ("1 2", 3),
    ];
    assert_refused(RouteErrorKind::Syntax, &rows);
}

#[test]
fn a_place_is_a_line_and_a_column_in_characters() {
    let error = refusal("a = 'ü' and\n\n  b = 3");
    assert_eq!((error.line, error.column), (3, 5));
    assert_eq!(error.to_string(), "line 3, column 5: '=' does not go between a text and a number");
    assert_eq!(refusal("a = '温度' ;").column, 10);
    assert_eq!(refusal("a = '😀' ;").column, 9);
}

#[test]
fn nesting_and_length_are_bounded() {
    let nested = |levels: usize| format!("{}true{}", "(".repeat(levels), ")".repeat(levels));
    assert!(Condition::parse(&nested(ROUTE_NESTING_MAX - 1)).is_ok());
    assert_refused(RouteErrorKind::Syntax, &[(&nested(ROUTE_NESTING_MAX), ROUTE_NESTING_MAX + 1)]);
    assert!(Condition::parse(&format!("{}true", "not ".repeat(ROUTE_NESTING_MAX - 1))).is_ok());
    assert!(Condition::parse(&format!("{}true", "not ".repeat(ROUTE_NESTING_MAX))).is_err());
    assert!(Condition::parse(&format!("{}'a'", "lower(".repeat(20_000 / 6))).is_err());
    assert!(Condition::parse(&" ".repeat(ROUTE_TEXT_BYTES_MAX)).is_ok());
    assert_refused(RouteErrorKind::Syntax, &[(&" ".repeat(ROUTE_TEXT_BYTES_MAX + 1), ROUTE_TEXT_BYTES_MAX + 1)]);
    // A chain is not nesting: as many links as the text holds.
    let chain = vec!["a = 'x'"; ROUTE_TEXT_BYTES_MAX / 11].join(" or ");
    assert_verdicts(&message(&["a=x"]), &[(&chain, T)]);
}
