//! What the derived schema still needs before an API server should have it.

use schemars::{Schema, transform::Transform, transform::transform_subschemas};
use serde_json::{Map, Value};

/// Makes every optional property absent or set, never `null`, and tells of every value of an enum what it means.
///
/// The API server drops a `null` of a property that is not nullable, so that `has()` in a rule and `Option` in Rust
/// mean the same, and nobody owns a field by saying nothing in it. `kubectl explain` shows what the values mean.
pub(crate) fn refine(schema: &mut Schema) {
    Refine.transform(schema);
}

struct Refine;

impl Transform for Refine {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(object) = schema.as_object_mut() {
            remove_null(object);
            explain_values(object);
        }
    }
}

fn remove_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
        branches.retain(|branch| branch.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = branches.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                // The field's own description says more than its type's.
                object.entry(key).or_insert(value);
            }
        }
    }
}

fn explain_values(object: &mut Map<String, Value>) {
    let Some(Value::Array(variants)) = object.get("oneOf") else {
        return;
    };
    let lines: Option<Vec<String>> = variants
        .iter()
        .map(|variant| {
            let (name, meaning) = (variant.get("const")?.as_str()?, variant.get("description")?.as_str()?);
            Some(format!("`{name}`: {meaning}"))
        })
        .collect();
    let Some(lines) = lines else { return };
    let meanings = lines.join("\n");
    let field = object.get("description").and_then(Value::as_str).unwrap_or_default();
    if !field.contains(&meanings) {
        let description = format!("{field}\n{meanings}");
        object.insert("description".to_owned(), description.into());
    }
}
