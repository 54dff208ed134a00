//! 4.3 paths and 4.5 body values.
use super::*;

const BODY: &str = r#"{
    "n": 5, "zero": 0, "neg": -1.5, "big": 12345678901234567890, "s": "abc", "empty": "", "yes": true, "no": false, "nil": null,
    "o": {"in": {"x": 1}, "list": [1, {"y": "deep"}]}, "a": [10, "ten", [1, 2]], "only": {"child": 7}, "none": {},
    "when": "2024-03-09T00:00:00Z", "day": "2024-03-09", "S": "upper", "a-b": 1, "with space": 1, "12a": 2, "5": 3, "num": "5", "$x": 4
}"#;

fn body() -> OwnedMessage {
    with_body(message(&["p=abc", "five=5", "none", "$body.app=yes", "$body.n=app", "$body.blank"]), BODY)
}

#[test]
fn values_map_to_types() {
    let rows = [
        ("{$body.n} = 5", T),
        ("{$body.n} > 4", T),
        ("{$body.n} <> 5", F),
        ("$body.neg = -1.5", T),
        ("$body.zero = 0", T),
        ("$body.big > 1e19", T),
        ("$body.s = 'abc'", T),
        ("$body.s < 'abd'", T),
        ("$body.s = 'ABC'", F),
        ("$body.empty = ''", T),
        ("$body.yes", T),
        ("$body.no", F),
        ("not $body.no", T),
        ("not $body.yes", F),
        ("$body.yes = true", T),
        ("$body.no < $body.yes", T),
        ("$body.nil = null", T),
        ("null = $body.nil", T),
        ("$body.nil <> null", F),
        ("$body.nil >= null", T),
        ("$body.zero", U),
        ("$body.s", U),
        ("$body.nil", U),
        ("not $body.s", U),
        ("not $body.nil", U),
        ("not $body.zero", U),
        ("$body.o", U),
        ("$body.o = null", U),
        ("is_defined($body.o)", F),
        ("$body.a = null", U),
        ("is_defined($body.a)", F),
        ("$body.when = '2024-03-09T00:00:00Z'", U),
        ("is_defined($body.when)", F),
        ("is_string($body.when)", F),
        ("$body.day = '2024-03-09'", T),
        ("is_string($body.day)", T),
    ];
    assert_verdicts(&body(), &rows);
}

#[test]
fn paths_lead_to_values() {
    let rows = [
        ("$body.o.in.x = 1", T),
        ("$body.o.list[0] = 1", T),
        ("$body.o.list[1].y = 'deep'", T),
        ("$body.a[0] = 10", T),
        ("$body.a[1] = 'ten'", T),
        ("$body.a[2] = 1", U),
        ("$body.a[9] = null", T),
        ("$body.n[0] = null", T),
        ("$body.o.in[0] = null", T),
        ("$body.a.x = null", T),
        ("$body.s.x = null", T),
        ("$body.S = 'upper'", T),
        ("$BODY.s = 'abc'", T),
        ("$Body.S = 'upper'", T),
        ("$body.Nil <> 5", T),
        ("{$body.N} = null", T),
        ("$body.a-b = 1", T),
        ("$body.12a = 2", T),
        ("$body.$x = 4", T),
        ("{$body.a[0]} = 10", T),
        ("{ $body.o.in.x } = 1", T),
        // What the original's check lets through.
        ("$body.a[2][1] = 2", T),
        ("$body.a[2][7] = null", T),
        ("$body.only.* = 7", T),
        ("$body.only.*.x = null", T),
        ("$body.none.* = null", T),
        ("$body.o.* = 1", U),
        ("is_defined($body.*)", F),
        ("$body.$.s = 'abc'", T),
        ("is_defined($body.$)", F),
        ("is_defined($body.a[0]x)", F),
        ("is_defined($body.a[0]['x'])", F),
        ("is_defined($body.s])", F),
        ("is_defined($body.a[99999999999])", F),
        ("$body.a[2147483647] = null", T),
        ("is_defined($body.a[0][*])", F),
    ];
    assert_verdicts(&body(), &rows);
    let refused = [
        ("$body. = 1", 7),
        ("$body.", 7),
        ("$body..x", 7),
        ("$body.a.", 9),
        ("$body.a..b", 9),
        ("$body.a[]", 8),
        ("$body.a[*]", 8),
        ("$body.a[-1]", 8),
        ("$body.a['x']", 8),
        ("$body.a[1", 8),
        ("$body.a[", 8),
        ("$body.a[x]", 8),
        ("$body.5", 7),
        ("$body.a.5", 9),
        ("$body.[0]", 7),
        ("$body.a[1].", 12),
        ("true = $body.a..b", 16),
        ("{$body.}", 8),
        ("$body.a[1a]", 8),
        ("{$body.a.7}", 10),
        ("$body.]", 7),
    ];
    assert_refused(RouteErrorKind::Compile, &refused);
    // Brackets cannot hold `:`; the token ends there.
    assert_refused(RouteErrorKind::Syntax, &[("$body.a[0:1] = 1", 10), ("$body.a b = 1", 9)]);
    // `/` ends it too: a body value divided by a property.
    assert_refused(RouteErrorKind::Compile, &[("$body.a/b = 1", 8)]);
}

#[test]
fn equality_needs_equal_types_and_order_does_not() {
    let rows = [
        ("{$body.n} = '5'", F),
        ("{$body.n} <> '5'", T),
        ("$body.num = 5", F),
        ("$body.num = '5'", T),
        ("$body.num = five", T),
        ("five = $body.num", T),
        ("$body.yes = 'true'", F),
        ("$body.yes = 1", F),
        ("$body.s = null", F),
        ("$body.s <> null", T),
        ("$body.nil = 0", F),
        ("$body.nil = ''", F),
        // bool < number < text < null
        ("$body.yes < -1000", T),
        ("$body.yes < ''", T),
        ("$body.yes < null", T),
        ("{$body.n} < ''", T),
        ("{$body.n} < null", T),
        ("$body.s < null", T),
        ("$body.s > 5", T),
        ("$body.nil > 5", T),
        ("$body.nil > 'zzz'", T),
        ("$body.nil > true", T),
        ("{$body.n} > true", T),
        ("$body.s > true", T),
        ("{$body.n} > '4'", F),
        ("$body.yes >= 0", F),
        ("$body.no > $body.zero", F),
        ("$body.zero > $body.yes", T),
        ("$body.o > 5", U),
        ("5 > $body.when", U),
        ("$body.s = gone", U),
        ("gone <> $body.s", U),
        ("$body.s > none", T),
        ("none < $body.s", T),
        ("none = $body.s", F),
        ("none <> $body.s", T),
        ("none < $body.nil", T),
        ("$body.s = $body.s", T),
        ("$body.nil = $body.missing", T),
        ("$body.o = $body.o", U),
    ];
    assert_verdicts(&body(), &rows);
}

#[test]
fn a_missing_path_is_null() {
    let rows = [
        ("$body.missing = null", T),
        ("$body.missing <> null", F),
        ("$body.missing <> 5", T),
        ("$body.missing = 5", F),
        ("$body.missing > 5", T),
        ("$body.missing >= 5", T),
        ("$body.missing < 5", F),
        ("$body.missing > 'zzz'", T),
        ("$body.missing >= null", T),
        ("$body.missing", U),
        ("not $body.missing", U),
        ("$body.missing and true", U),
        ("$body.missing + 1 = 1", U),
        ("$body.missing || 'a' = 'a'", U),
        ("is_defined($body.missing)", T),
        ("is_null($body.missing)", F),
        ("is_string($body.missing)", F),
        ("is_number($body.missing)", F),
        ("is_bool($body.missing)", F),
        ("($body.missing ?? 5) = 5", F),
        ("($body.missing ?? 5) = null", T),
        ("length($body.missing) = 0", U),
        ("abs($body.missing) = 0", U),
        ("as_number($body.missing) = 0", U),
        ("$body.missing.deeper.still <> 1", T),
        ("$body.missing = $body.other", T),
    ];
    assert_verdicts(&body(), &rows);
}

#[test]
fn is_null_of_body_values_is_upside_down() {
    let rows = [
        ("is_null({$body.n})", T),
        ("is_null($body.s)", T),
        ("is_null($body.yes)", T),
        ("is_null($body.nil)", T),
        ("is_null($body.missing)", F),
        ("is_null($body.o)", U),
        ("is_null($body.when)", U),
        ("is_null($body.zero + 1)", T),
        ("is_null($body.s + 1)", U),
        ("is_null($body.missing ?? 5)", F),
        ("is_null(null ?? $body.missing)", T),
        ("($body.nil ?? 5) = null", T),
        ("($body.o ?? 5) = 5", T),
        ("($body.when ?? 'never') = 'never'", T),
        ("(gone ?? $body.s) = 'abc'", T),
        ("is_bool($body.yes)", T),
        ("is_bool($body.s)", F),
        ("is_bool($body.o)", U),
        ("is_number({$body.n})", T),
        ("is_number($body.o)", F),
        ("is_string($body.s)", T),
        ("is_defined($body.nil)", T),
        ("is_defined($body.s)", T),
        ("is_number($body.zero / 0)", F),
    ];
    assert_verdicts(&body(), &rows);
}

#[test]
fn logic_of_body_values_needs_two_bools() {
    let rows = [
        ("$body.yes and true", T),
        ("$body.yes and $body.yes", T),
        ("$body.yes and $body.no", F),
        ("$body.no and true", F),
        ("$body.no or $body.yes", T),
        ("$body.no or false", F),
        ("$body.no and undefined", U),
        ("$body.yes or undefined", U),
        ("$body.no and gone = 'a'", U),
        ("$body.yes or gone = 'a'", U),
        ("$body.yes or null", U),
        ("$body.yes and p", U),
        ("$body.yes and 5", U),
        ("$body.no and 'a'", U),
        ("$body.s and true", U),
        ("$body.s or true", U),
        ("$body.missing or true", U),
        ("$body.zero or true", U),
        ("$body.o and true", U),
        ("$body.yes and {$body.n} = 5", T),
        ("{$body.n} = 5 and $body.s = 'abc'", T),
        ("{$body.n} = 5 or gone = 'a'", T),
        ("($body.yes and true) and true", T),
        ("$body.yes and true and true", T),
        ("not $body.no and true", T),
    ];
    assert_verdicts(&body(), &rows);
}

#[test]
fn calculating_with_body_values() {
    let rows = [
        ("{$body.n} + 1 = 6", T),
        ("1 + {$body.n} = 6", T),
        ("{$body.n} - 1 = 4", T),
        ("{$body.n} * {$body.n} = 25", T),
        ("{$body.n} / 2 = 2.5", T),
        ("$body.s + 1 = 1", U),
        ("$body.num + 1 = 6", U),
        ("$body.yes + 1 = 2", U),
        ("$body.nil + 1 = 1", U),
        ("{$body.n} + 1 > 'a'", F),
        ("{$body.n} + 1 < 'a'", T),
        ("{$body.n} / 0 > 1e308", T),
        ("is_defined($body.zero / 0)", T),
        ("$body.zero / 0 < -1e308", T),
        ("$body.zero / 0 = $body.zero / 0", T),
        ("$body.zero / 0 > 1", F),
        ("abs($body.zero / 0) = 1", U),
        ("1 / 0 * $body.zero < 0", T),
        ("0 / 0 + {$body.n} = 1", U),
        ("$body.s || 'd' = 'abcd'", T),
        ("p || $body.s = 'abcabc'", T),
        ("$body.s || {$body.n} = 'abc5'", U),
        ("concat($body.s, 'x') = 'abcx'", T),
        ("abs($body.neg) = 1.5", T),
        ("abs($body.s) = 1", U),
        ("floor($body.neg) = -2", T),
        ("sqrt($body.neg) = 1", U),
        ("power({$body.n}, 2) = 25", T),
        ("power({$body.n}, $body.s) = 25", U),
        ("as_number($body.num) = 5", T),
        ("as_number({$body.n}) = 5", T),
        ("as_number($body.s) = 5", U),
        ("as_number($body.yes) = 1", U),
        ("length($body.s) = 3", T),
        ("length({$body.n}) = 1", U),
        ("upper($body.s) = 'ABC'", T),
        ("substring($body.s, 1) = 'bc'", T),
        ("substring($body.s, $body.zero, {$body.n} - 4) = 'a'", T),
        ("substring($body.s, $body.s) = ''", U),
        ("index_of($body.s, 'c') = 2", T),
        ("starts_with($body.s, 'ab')", T),
        ("contains($body.s, $body.empty)", T),
        ("ends_with({$body.n}, '5')", U),
    ];
    assert_verdicts(&body(), &rows);
}

#[test]
fn an_application_property_of_the_literal_name_wins() {
    let rows = [
        ("$body.n = 'app'", T),
        ("$body.N = 'app'", T),
        ("{$body.n} = 5", T),
        ("$body.app = 'yes'", T),
        ("{$body.app} = null", T),
        ("$body.a[0] = 10", T),
        ("$body.blank = 'a'", F),
        ("$body.blank < ''", T),
        ("$body.blank = null", F),
        ("is_defined($body.blank)", T),
        ("is_null($body.blank)", T),
        ("is_string($body.blank)", F),
        ("$body.blank || 'a' = 'a'", T),
    ];
    assert_verdicts(&body(), &rows);
}

#[test]
fn only_an_object_of_a_known_type_and_encoding_counts() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let utf32 = |text: &str| text.chars().flat_map(|character| u32::from(character).to_le_bytes()).collect::<Vec<u8>>();
    let json = r#"{"x": "ü😀"}"#;
    let mut odd = utf16(json);
    odd.push(0);
    let rows: Vec<(&str, &str, Vec<u8>, Verdict)> = vec![
        ("application/json", "utf-8", json.into(), T),
        ("APPLICATION/JSON", "UTF-8", json.into(), T),
        ("application/json", "utf-16", utf16(json), T),
        ("application/json", "UTF-16", utf16(json), T),
        ("application/json", "utf-32", utf32(json), T),
        ("application/json", "utf-16", odd, U),
        ("application/json", "utf-16", json.into(), U),
        ("application/json", "utf-32", utf16(json), U),
        ("application/json", "utf8", json.into(), U),
        ("application/json", "utf-7", json.into(), U),
        ("application/json", "", json.into(), U),
        ("application/json; charset=utf-8", "utf-8", json.into(), U),
        (" application/json", "utf-8", json.into(), U),
        ("text/plain", "utf-8", json.into(), U),
        ("", "utf-8", json.into(), U),
        ("application/json", "utf-8", b"\xef\xbb\xbf{\"x\": \"\xc3\xbc\"}".to_vec(), U),
        ("application/json", "utf-8", Vec::new(), U),
        ("application/json", "utf-8", b"[{\"x\": 1}]".to_vec(), U),
        ("application/json", "utf-8", b"5".to_vec(), U),
        ("application/json", "utf-8", b"null".to_vec(), U),
        ("application/json", "utf-8", b"{\"x\": 1} tail".to_vec(), U),
        ("application/json", "utf-8", b"{\"x\": 1".to_vec(), U),
    ];
    for (content_type, encoding, body, expected) in rows {
        let mut sent = message(&["p=a"]);
        sent.body = body;
        sent.system_properties.push(("ContentType".to_owned(), content_type.to_owned()));
        sent.system_properties.push(("contentencoding".to_owned(), encoding.to_owned()));
        let name = format!("{content_type} {encoding} {:?}", sent.body);
        assert_eq!(Condition::parse("$body.x = 'ü😀'").unwrap().evaluate(&sent), expected, "{name}");
        assert_eq!(Condition::parse("$body.gone = null").unwrap().evaluate(&sent), expected, "{name}");
        assert_eq!(Condition::parse("$body.x = 'no' or p = 'a'").unwrap().evaluate(&sent), T, "{name}");
    }
    let mut untyped = message(&[]);
    untyped.body = json.into();
    assert_verdicts(
        &untyped,
        &[("$body.x = 'ü😀'", U), ("is_defined($body.x)", F), ("is_null($body.x)", U), ("$body.x <> 5", U)],
    );
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let mut sent = with_body(message(&[]), "");
    sent.body = b"{\"x\": \"a\xff\", \"y\": 1, \"y\": 2}".to_vec();
    assert_verdicts(&sent, &[("$body.x = 'a\u{fffd}'", T), ("$body.y = 2", T)]);
}

#[test]
fn date_times_are_no_text() {
    let dates = [
        "2024-03-09T00:00:00Z",
        "2024-03-09T00:00:00z",
        "2024-03-09T00:00:00",
        "2024-03-09T23:59:59.1234567Z",
        "2024-03-09T00:00:00.1",
        "2024-03-09T00:00:00+01:00",
        "2024-03-09T00:00:00-0130",
        "2024-03-09T00:00:00+01",
        "2024-02-29T00:00:00Z",
        "2024-03-09T24:00:00Z",
        "0001-01-01T00:00:00",
        "/Date(1700000000000)/",
        "/Date(-5)/",
        "/Date(1700000000000+0100)/",
    ];
    let texts = [
        "2024-03-09",
        "2024-03-09 00:00:00",
        "2024-03-09t00:00:00Z",
        "2024-03-09T00:00",
        "2024-03-09T00:00:00 Z",
        "2024-13-09T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-03-32T00:00:00Z",
        "2024-00-09T00:00:00Z",
        "2024-03-09T24:00:01Z",
        "2024-03-09T25:00:00Z",
        "2024-03-09T00:60:00Z",
        "2024-03-09T00:00:60Z",
        "2024-03-09T00:00:00.",
        "2024-03-09T00:00:00.12345678Z",
        "2024-03-09T00:00:00ZZ",
        "2024-03-09T00:00:00+1:00",
        "0000-01-01T00:00:00",
        " 2024-03-09T00:00:00Z",
        "x024-03-09T00:00:00Z",
        "20240309T000000Z",
        "/Date(x)/",
        "/Date()/",
        "Date(5)",
        "2024-03-09T00:00:00+01:00 and more text here",
    ];
    for (rows, expected) in [(&dates[..], F), (&texts[..], T)] {
        for text in rows {
            let sent = with_body(message(&[]), &format!(r#"{{"x": "{text}"}}"#));
            assert_eq!(Condition::parse("is_string($body.x)").unwrap().evaluate(&sent), expected, "{text}");
        }
    }
}
