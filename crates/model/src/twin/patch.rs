//! JSON merge patch (RFC 7396), and the patch between two documents.

use serde_json::{Map, Value};

/// Merges `patch` into `target`: objects merge member by member, `null` deletes, anything else (arrays too) replaces.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(object) = target else { unreachable!("made an object above") };
    for (name, change) in patch {
        if change.is_null() {
            object.remove(name);
        } else {
            merge_patch(object.entry(name.as_str()).or_insert(Value::Null), change);
        }
    }
}

/// The smallest patch that turns `old` into `new`: merging it into `old` gives `new`.
///
/// Exact as long as `new` holds no null outside arrays, which a stored section never does. Equal documents give `{}`.
pub fn diff(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, wanted) in new {
        match old.get(name) {
            Some(present) if present == wanted => {}
            Some(present) => {
                patch.insert(name.clone(), diff(present, wanted));
            }
            None => {
                patch.insert(name.clone(), wanted.clone());
            }
        }
    }
    Value::Object(patch)
}
