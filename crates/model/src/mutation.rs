//! Documents that are almost right, for tests of readers: every value of a good one replaced, or removed, in turn.

use serde_json::{Value, json};

/// What takes the place of each value.
fn odd_values() -> Vec<Value> {
    let deep = (0..60).fold(json!(1), |inner, n| if n % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) });
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5e300),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("$upstream"),
        json!("dtmi:test:x;1"),
        json!("ä/~"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"@id": "dtmi:test:x;1"}),
        json!({"$edgeAgent": {"~/": 1}}),
        json!("x".repeat(5000)),
        deep,
    ]
}

/// Calls `check` with each mutation of `document`.
pub(crate) fn each_mutation(document: &Value, mut check: impl FnMut(&Value)) {
    let mut places = Vec::new();
    collect_places(document, String::new(), &mut places);
    for place in &places {
        for odd in odd_values() {
            let mut mutated = document.clone();
            if let Some(value) = mutated.pointer_mut(place) {
                *value = odd;
            }
            check(&mutated);
        }
        let mut mutated = document.clone();
        remove(&mut mutated, place);
        check(&mutated);
    }
}

/// Panics where a reported pointer leads nowhere.
pub(crate) fn assert_leads_somewhere(document: &Value, pointer: &str, message: &str) {
    assert!(document.pointer(pointer).is_some(), "{pointer:?} ({message}) leads nowhere in {document:#}");
}

fn collect_places(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect_places(member, format!("{at}/{name}"), places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_places(item, format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(at);
}

fn remove(document: &mut Value, place: &str) {
    let Some((parent, name)) = place.rsplit_once('/') else { return };
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(items)) => {
            if let Ok(index) = name.parse::<usize>() {
                items.remove(index);
            }
        }
        _ => {}
    }
}
