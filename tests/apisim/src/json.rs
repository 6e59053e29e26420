//! JSON: merge patches (RFC 7396), and values put in their places.

use serde_json::{Map, Value};

/// Puts a patch onto a value.
pub(crate) fn merge(on: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *on = patch.clone();
        return;
    };
    if !on.is_object() {
        *on = Map::new().into();
    }
    let Some(on) = on.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            on.remove(key);
        } else {
            merge(on.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Puts a value where a path leads, and makes the way there.
pub(crate) fn place(object: &mut Value, path: &[&str], value: impl Into<Value>) {
    let mut at = object;
    for step in path {
        if !at.is_object() {
            *at = Map::new().into();
        }
        let Some(fields) = at.as_object_mut() else { return };
        at = fields.entry(*step).or_insert(Value::Null);
    }
    *at = value.into();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_does_what_the_examples_of_its_rfc_say() {
        for (on, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut found = on.clone();
            merge(&mut found, &patch);
            assert_eq!(found, result, "{patch} on {on}");
        }
    }
}
