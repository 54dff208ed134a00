//! 4.5 without bodies, 4.3 lookup: what conditions are on a message.
use super::*;

#[test]
fn bool_logic_is_three_valued() {
    // `gone = 'a'` is an undefined bool.
    let and = [
        ("true and true", T),
        ("true and false", F),
        ("false and true", F),
        ("false and false", F),
        ("true and undefined", U),
        ("undefined and true", U),
        ("false and undefined", F),
        ("undefined and false", F),
        ("undefined and undefined", U),
        ("true and gone = 'a'", U),
        ("gone = 'a' and true", U),
        ("false and gone = 'a'", F),
        ("gone = 'a' and false", F),
        ("gone = 'a' and undefined", U),
        ("gone = 'a' and gone = 'b'", U),
        ("null and true", F),
        ("true and null", F),
        ("null and false", F),
        ("null and null", F),
        ("null and gone = 'a'", F),
        ("gone = 'a' and null", F),
    ];
    let or = [
        ("true or true", T),
        ("true or false", T),
        ("false or true", T),
        ("false or false", F),
        ("true or undefined", T),
        ("undefined or true", T),
        ("false or undefined", U),
        ("undefined or false", U),
        ("undefined or undefined", U),
        ("true or gone = 'a'", T),
        ("gone = 'a' or true", T),
        ("false or gone = 'a'", U),
        ("gone = 'a' or false", U),
        ("null or true", T),
        ("true or null", T),
        ("null or false", F),
        ("false or null", F),
        ("null or null", F),
        ("null or gone = 'a'", U),
    ];
    let not = [
        ("not true", F),
        ("not false", T),
        ("not null", T),
        ("not (gone = 'a')", U),
        ("not (null and true)", T),
        ("not (null or null)", T),
        ("not not null", F),
    ];
    assert_verdicts(&message(&[]), &and);
    assert_verdicts(&message(&[]), &or);
    assert_verdicts(&message(&[]), &not);
}

#[test]
fn an_absent_property_spreads_undefined() {
    let rows = [
        ("gone = 'a'", U),
        ("gone <> 'a'", U),
        ("gone != 'a'", U),
        ("gone < 'a'", U),
        ("gone <= 'a'", U),
        ("gone > 'a'", U),
        ("gone >= 'a'", U),
        ("'a' = gone", U),
        ("gone = gone", U),
        ("gone || 'a' = 'a'", U),
        ("'a' || gone = 'a'", U),
        ("concat('a', gone) = 'a'", U),
        ("lower(gone) = ''", U),
        ("length(gone) = 0", U),
        ("as_number(gone) + 1 = 1", U),
        ("as_number(gone) > 0", U),
        ("- as_number(gone) < 0", U),
        ("abs(as_number(gone)) >= 0", U),
        ("gone", U),
        ("is_defined(gone)", F),
        ("is_null(gone)", F),
        ("is_string(gone)", F),
        ("is_number(gone)", F),
        ("is_bool(gone)", F),
        ("is_defined(gone = 'a')", F),
        ("is_bool(gone = 'a')", U),
        ("is_defined(as_number(gone))", F),
        ("is_number(as_number(gone))", F),
        ("(gone ?? 'a') = 'a'", T),
        ("(gone ?? other ?? 'a') = 'a'", T),
        ("is_defined(gone ?? other)", F),
        ("(as_number(gone) ?? 7) = 7", T),
        ("(gone = 'a') ?? true", T),
        ("$gone = 'a'", U),
        ("{$gone} = 'a'", U),
        ("(gone = 'a') = true", U),
        ("(gone = 'a') <> true", U),
        ("(gone = 'a') < true", U),
    ];
    assert_verdicts(&message(&[]), &rows);
}

#[test]
fn a_property_without_value_is_neither_text_nor_absent() {
    let rows = [
        ("none = 'a'", U),
        ("none <> 'a'", U),
        ("none < 'a'", U),
        ("none >= ''", U),
        ("none = none", U),
        ("'a' = none", U),
        ("none || 'a' = 'a'", T),
        ("concat(none, none) = ''", T),
        ("concat('a', none, 'b') = 'ab'", T),
        ("is_null(none)", T),
        ("is_defined(none)", T),
        ("is_string(none)", F),
        ("(none ?? 'a') = 'a'", U),
        ("is_null(none ?? 'a')", T),
        ("length(none) = 0", U),
        ("lower(none) = ''", U),
        ("upper(none) = ''", U),
        ("substring(none, 0) = ''", U),
        ("index_of(none, '') = 0", U),
        ("index_of('a', none) = 0", U),
        ("starts_with(none, '')", U),
        ("contains('a', none)", U),
        ("ends_with(none, none)", U),
        ("as_number(none) = 0", U),
        ("none", U),
        ("$none = 'a'", U),
        ("is_null($none)", F),
    ];
    assert_verdicts(&message(&["none"]), &rows);
}

#[test]
fn literals_compare_within_their_type() {
    let rows = [
        ("null = null", T),
        ("null <> null", F),
        ("null != null", F),
        ("null < null", F),
        ("null <= null", T),
        ("null > null", F),
        ("null >= null", T),
        ("undefined = undefined", U),
        ("undefined <> undefined", U),
        ("undefined <= undefined", U),
        ("true = true", T),
        ("true <> false", T),
        ("false < true", T),
        ("true < false", F),
        ("true >= true", T),
        ("false > true", F),
        ("1 = 1", T),
        ("1 < 2", T),
        ("2 <= 2", T),
        ("3 > 2", T),
        ("2 >= 3", F),
        ("-1 < 0", T),
        ("1 != 2", T),
        ("1 <> 1", F),
        ("'a' = 'a'", T),
        ("'a' = 'A'", F),
        ("'B' < 'a'", T),
        ("'10' < '9'", T),
        ("'a' < 'ab'", T),
        ("'' < 'a'", T),
        ("'b' > 'a'", T),
        ("'é' > 'z'", T),
        ("'\u{ff5e}' > '😀'", T),
        ("'😀' > 'z'", T),
        ("'a' <= 'a'", T),
        ("'a' >= 'b'", F),
        ("'a' != 'b'", T),
        ("'a ' = 'a'", F),
    ];
    assert_verdicts(&message(&[]), &rows);
}

#[test]
fn arithmetic_is_that_of_64_bit_floats() {
    let rows = [
        ("1 + 2 = 3", T),
        ("1 - 2 = -1", T),
        ("2 * 3 = 6", T),
        ("7 / 2 = 3.5", T),
        ("7 % 3 = 1", T),
        ("-7 % 3 = -1", T),
        ("7 % -3 = 1", T),
        ("7.5 % 2 = 1.5", T),
        ("1 / 0 > 1e308", T),
        ("is_defined(1 / 0)", T),
        ("-1 / 0 < 0", T),
        ("1 % 0 = 0", U),
        ("is_defined(1 % 0)", F),
        ("0 / 0 = 0", U),
        ("is_defined(0 / 0)", F),
        ("(0 / 0 ?? 5) = 5", T),
        ("1 / 0 - 1 / 0 = 0", U),
        ("1 / 0 = 2 / 0", T),
        ("1 / 0 * 0 = 0", U),
        ("is_number(1 / 0)", F),
        ("is_number(0 / 0)", F),
        ("0.1 + 0.2 <> 0.3", T),
        ("- 0 = 0", T),
        ("1 / - 0 < 0", T),
        ("abs(0 / 0) = 0", U),
        ("abs(-1 / 0) > 0", T),
    ];
    assert_verdicts(&message(&[]), &rows);
}

#[test]
fn names_ignore_case_and_values_do_not() {
    let mut found = message(&["Level=High", "level=second", "$Mine=app", "$contentType=app", "ÄRGER=ja"]);
    found.system_properties = vec![
        ("contentType".to_owned(), "text/plain".to_owned()),
        ("connectionDeviceId".to_owned(), "dev1".to_owned()),
        ("dt-subject".to_owned(), "comp".to_owned()),
        ("cid".to_owned(), "c1".to_owned()),
        ("$odd".to_owned(), "double".to_owned()),
    ];
    let rows = [
        ("Level = 'High'", T),
        ("level = 'High'", T),
        ("LEVEL = 'High'", T),
        ("level = 'high'", F),
        ("ärger = 'ja'", T),
        ("$contentType = 'app'", T),
        ("{$contentType} = 'text/plain'", T),
        ("{ $ContentType } = 'text/plain'", T),
        ("$CONTENTTYPE = 'app'", T),
        ("$mine = 'app'", T),
        ("{$mine} = 'app'", U),
        ("mine = 'app'", U),
        ("contentType = 'text/plain'", U),
        ("$connectionDeviceId = 'dev1'", T),
        ("$CONNECTIONDEVICEID = 'dev1'", T),
        ("connectionDeviceId = 'dev1'", U),
        ("$dt-subject = 'comp'", T),
        ("$cid = 'c1'", T),
        ("$correlationId = 'c1'", T),
        ("{$CorrelationID} = 'c1'", T),
        ("$level = 'High'", U),
        ("is_defined($level)", F),
        ("$$odd = 'double'", T),
        ("$connectionModuleId = 'm'", U),
        ("is_defined($cid[0])", F),
        ("$cid[0]", U),
        ("{$cid[0]}", U),
        ("$body[0].x", U),
        ("is_string($body)", F),
    ];
    assert_verdicts(&found, &rows);
    let mut other = message(&[]);
    other.system_properties = vec![("CorrelationId".to_owned(), "c2".to_owned())];
    assert_verdicts(&other, &[("$cid = 'c2'", T), ("$correlationid = 'c2'", T)]);
}
