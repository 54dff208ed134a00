//! Properties that hold for every text: nothing panics, and grouping is what the strengths say.
use proptest::prelude::*;

use super::*;
use crate::route::check::check_line;
use crate::route::parser::parse_condition;
use crate::route::syntax::Element;
use crate::route::{Route, lexer};

/// Pieces of the language, so that random texts get deep into it.
fn pieces() -> impl Strategy<Value = String> {
    const PIECES: [&str; 48] = [
        "FROM",
        "INTO",
        "WHERE",
        "SELECT",
        "*",
        "/",
        "/messages",
        "/*",
        "*/",
        "$upstream",
        "BrokeredEndpoint",
        "(",
        ")",
        "'/modules/a/inputs/b'",
        "\"",
        "'",
        "\\",
        "a",
        "$b",
        "{$c}",
        "$body.x",
        "$body.a[0].b",
        "$body..",
        "[0]",
        "5",
        "-5",
        "e5",
        "0x1F",
        "1.5e3",
        "true",
        "null",
        "undefined",
        "and",
        "or",
        "not",
        "+",
        "-",
        "%",
        "||",
        "=",
        "<>",
        "<=",
        "??",
        "abs",
        "concat",
        ",",
        "ü",
        "😀",
    ];
    let piece = prop_oneof![4 => prop::sample::select(&PIECES[..]).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    let separated =
        (piece, prop::bool::weighted(0.7)).prop_map(|(piece, blank)| if blank { piece + " " } else { piece });
    prop::collection::vec(separated, 0..40).prop_map(|pieces| pieces.concat())
}

/// An expression written with all parentheses and with none but the needed ones.
#[derive(Debug, Clone)]
struct Written {
    full: String,
    sparse: String,
    strength: u8,
}

const PREFIX: u8 = 8;

fn expression() -> impl Strategy<Value = Written> {
    let atoms = prop::sample::select(vec!["a", "5", "-5", "'t'", "$body.x", "{$y}", "true", "null", "f(a, 5)", "(b)"]);
    let leaf = atoms.prop_map(|atom| Written { full: atom.to_owned(), sparse: atom.to_owned(), strength: PREFIX + 1 });
    leaf.prop_recursive(6, 48, 2, |inner| {
        let operators = vec![
            ("??", 1),
            ("or", 2),
            ("and", 3),
            ("=", 4),
            ("<>", 4),
            ("<", 5),
            (">=", 5),
            ("+", 6),
            ("-", 6),
            ("||", 6),
            ("*", 7),
            ("%", 7),
        ];
        let binary = (inner.clone(), prop::sample::select(operators), inner.clone()).prop_map(
            |(left, (sign, strength), right)| Written {
                full: format!("({} {sign} {})", left.full, right.full),
                sparse: format!("{} {sign} {}", left.within(strength), right.within(strength + 1)),
                strength,
            },
        );
        let prefix = (inner, prop::sample::select(vec!["not", "-"])).prop_map(|(operand, sign)| Written {
            full: format!("({sign} {})", operand.full),
            sparse: format!("{sign} {}", operand.within(PREFIX)),
            strength: PREFIX,
        });
        prop_oneof![3 => binary, 1 => prefix]
    })
}

impl Written {
    fn within(&self, weakest: u8) -> String {
        if self.strength < weakest { format!("({})", self.sparse) } else { self.sparse.clone() }
    }
}

fn elements(text: &str) -> Vec<Element> {
    let nodes = parse_condition(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
    nodes.into_iter().map(|node| node.element).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_panics(text in pieces(), line in ".{0,60}") {
        let found = with_body(message(&["a=5", "b"]), r#"{"x": 1, "a": [{"b": "t"}]}"#);
        if let Ok(condition) = Condition::parse(&text) {
            let _ = condition.evaluate(&found);
        }
        for whole in [text.clone(), format!("FROM /messages/* WHERE {text} INTO $upstream")] {
            match Route::parse(&whole) {
                Ok(route) => {
                    prop_assert!(Condition::parse(route.condition.text()).is_ok(), "{}", whole);
                    let _ = route.matches("/messages", &found);
                }
                Err(error) => prop_assert!(error.column <= whole.chars().count() + 1 && error.line >= 1, "{}", whole),
            }
        }
        prop_assert!(serde_json::from_str::<serde_json::Value>(&check_line(&line)).is_ok());
    }

    #[test]
    fn tokens_cover_the_text_in_order(text in pieces()) {
        let tokens = lexer::tokenize(&text);
        prop_assert!(tokens.windows(2).all(|pair| pair[0].end <= pair[1].start));
        prop_assert!(tokens.iter().rev().skip(1).all(|token| token.start < token.end));
        prop_assert_eq!(tokens.last().map(|token| (token.kind, token.end)), Some((lexer::TokenKind::End, text.len())));
    }

    #[test]
    fn parentheses_that_are_not_needed_change_nothing(written in expression()) {
        prop_assert_eq!(elements(&written.full), elements(&written.sparse), "{} | {}", written.full, written.sparse);
    }

    #[test]
    fn a_condition_in_a_route_is_the_condition_alone(written in expression()) {
        let route = Route::parse(&format!("FROM /messages WHERE {} INTO $upstream", written.sparse));
        match (route, Condition::parse(&written.sparse)) {
            (Ok(route), Ok(condition)) => prop_assert_eq!(route.condition, condition),
            (Err(in_route), Err(alone)) => {
                prop_assert_eq!(in_route.message, alone.message);
                prop_assert_eq!(in_route.column, alone.column + "FROM /messages WHERE ".len());
            }
            (route, condition) => prop_assert!(false, "{:?} but {:?}", route, condition),
        }
    }

    #[test]
    fn texts_survive_being_written(text in ".{0,40}") {
        let escaped = text.replace('\\', "\\u005c\\u005c").replace('\'', "\\'");
        let found = message(&[&format!("p={text}")]);
        // A name character behind the closing quote would make it a name, so blanks stand around.
        prop_assert_eq!(Condition::parse(&format!("p = '{escaped}' ")).unwrap().evaluate(&found), T);
    }
}
