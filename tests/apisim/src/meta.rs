//! Metadata: what is kept of it, and when it is refused.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    json::place,
    kind::Kind,
    names,
    refusal::{Cause, Refusal},
};

const KEPT: [&str; 13] = [
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
];

/// A text of the metadata; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    self::field(object, field).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn number(object: &Value, field: &str) -> Option<i64> {
    self::field(object, field)?.as_i64()
}

pub(crate) fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    place(object, &["metadata", field], value);
}

/// A field of the metadata.
pub(crate) fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(name)
}

pub(crate) fn unset(object: &mut Value, field: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove(field);
    }
}

/// The field of an object as another has it.
pub(crate) fn copy(to: &mut Value, from: &Value, field: &str) {
    match self::field(from, field) {
        Some(value) => set(to, field, value.clone()),
        None => unset(to, field),
    }
}

pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    let list = field(object, "finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

pub(crate) fn is_being_deleted(object: &Value) -> bool {
    !text(object, "deletionTimestamp").is_empty()
}

/// A time as metadata has it.
pub(crate) fn time(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// Drops of the metadata what is empty and what the API server does not know.
pub(crate) fn tidy(object: &mut Value) -> Result<(), Refusal> {
    let Some(fields) = object.as_object_mut() else {
        return Err(Refusal::bad_request("the body is no object"));
    };
    let metadata = fields.entry("metadata").or_insert_with(|| Map::new().into());
    if metadata.is_null() {
        *metadata = Map::new().into();
    }
    let Some(metadata) = metadata.as_object_mut() else {
        return Err(Refusal::bad_request("metadata is no object"));
    };
    metadata.retain(|key, value| KEPT.contains(&key.as_str()) && !is_empty(value));
    match metadata.iter().find(|(key, value)| !is_of_its_type(key, value)) {
        Some((key, _)) => Err(Refusal::bad_request(format!("metadata.{key} is not of its type"))),
        None => Ok(()),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_of_its_type(field: &str, value: &Value) -> bool {
    match field {
        "labels" | "annotations" => {
            value.as_object().is_some_and(|fields| fields.values().all(Value::is_string))
        }
        "finalizers" => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        "ownerReferences" => value.is_array(),
        "generation" | "deletionGracePeriodSeconds" => value.is_i64(),
        "creationTimestamp" | "deletionTimestamp" => {
            value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok())
        }
        _ => value.is_string(),
    }
}

/// The version that a writer names; 0 where it names none.
pub(crate) fn version(object: &Value) -> Result<u64, Refusal> {
    let text = text(object, "resourceVersion");
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| Refusal::unexpected(format!("no resourceVersion: {text:?}")))
}

/// What is wrong with the metadata of a new object.
pub(crate) fn faults(kind: &Kind, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = text(object, "name");
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else {
        let wrong = if kind.is_namespace() { names::label(name) } else { names::subdomain(name) };
        causes.extend(invalid("metadata.name", name, wrong));
    }
    causes.extend(contents(object));
    causes
}

/// What is wrong with the metadata of an object that stands in for another.
pub(crate) fn faults_of_change(new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if is_being_deleted(old) {
        let there = finalizers(old);
        let added: Vec<String> = finalizers(new)
            .into_iter()
            .filter(|name| !there.contains(name))
            .map(|name| format!("{name:?}"))
            .collect();
        if !added.is_empty() {
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            causes.push(Cause::forbidden("metadata.finalizers", &why));
        }
    }
    for name in ["name", "namespace", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (of_new, of_old) = (field(new, name), field(old, name));
        if of_new != of_old {
            let shown = of_new.map_or_else(|| "null".to_owned(), Value::to_string);
            causes.push(Cause::invalid(format!("metadata.{name}"), &shown, "field is immutable"));
        }
    }
    causes.extend(contents(new));
    causes
}

fn contents(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, value) in map(object, "labels") {
        causes.extend(invalid("metadata.labels", key, names::label_key(key)));
        let value = value.as_str().unwrap_or_default();
        causes.extend(invalid("metadata.labels", value, names::value(value)));
    }
    for (key, _) in map(object, "annotations") {
        causes.extend(invalid("metadata.annotations", key, names::qualified(&key.to_lowercase())));
    }
    for name in finalizers(object) {
        causes.extend(invalid("metadata.finalizers", name, names::qualified(name)));
    }
    causes
}

fn map<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    self::field(object, field).and_then(Value::as_object).into_iter().flatten()
}

fn invalid(field: &str, value: &str, wrong: Vec<String>) -> impl Iterator<Item = Cause> {
    wrong.into_iter().map(move |why| Cause::invalid(field, &format!("{value:?}"), &why))
}
