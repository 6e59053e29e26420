//! What `kubectl explain` says of fields that are not enforced.

use schemars::Schema;
use serde_json::Value;

/// Says of every field that is not enforced, in `kubectl explain`, that it is not.
pub(super) fn tell(schema: &mut Schema) {
    let Some(fields) = schema.pointer_mut("/properties").and_then(Value::as_object_mut) else { return };
    for (name, field) in fields {
        let enforced = match name.as_str() {
            "allowedRegions" => continue,
            "namespaceSelector" => None,
            "instances" => Some("match"),
            _ => {
                say(field);
                continue;
            }
        };
        let parts = field.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
        parts.filter(|(part, _)| Some(part.as_str()) != enforced).for_each(|(_, part)| say(part));
    }
}

/// Says it of a field and of all in it, before the meanings of its values.
fn say(field: &mut Value) {
    const SENTENCE: &str = " Not enforced in this version: a class that sets it is not Ready.";
    if let Some(Value::String(text)) = field.get_mut("description") {
        let end = text.find("\n`").unwrap_or(text.len());
        text.insert_str(end, SENTENCE);
    }
    for inner in ["/properties", "/items/properties"] {
        let fields = field.pointer_mut(inner).and_then(Value::as_object_mut);
        fields.into_iter().flatten().for_each(|(_, field)| say(field));
    }
}
