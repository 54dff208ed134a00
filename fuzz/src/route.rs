//! Any text as a route, a condition and a line of `route check`: no panic, and a condition taken out of a route compiles
//! alone.

use model::route::{Condition, OwnedMessage, Route, check::check_line};

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let message = OwnedMessage {
        body: br#"{"x": 1, "a": [{"b": "t"}], "when": "2024-03-09T00:00:00Z"}"#.to_vec(),
        properties: vec![("a".into(), Some("5".into())), ("b".into(), None)],
        system_properties: vec![
            ("contentType".into(), "application/json".into()),
            ("contentEncoding".into(), "utf-8".into()),
        ],
    };
    if let Ok(route) = Route::parse(text) {
        let alone =
            Condition::parse(route.condition.text()).expect("a condition compiles alone as it does in its route");
        assert_eq!(alone, route.condition);
        let _ = route.matches("/messages", &message);
    }
    if let Ok(condition) = Condition::parse(text) {
        let _ = condition.evaluate(&message);
    }
    let _ = check_line(text);
}
