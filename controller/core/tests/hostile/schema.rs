//! What the API server would say of a value: the part of OpenAPI that our CRD uses.
use std::{collections::BTreeSet, sync::LazyLock};

use jiff::Timestamp;
use saved_template_api::{
    ImageId, InstanceId, Region, SavedTemplateSpec, SavedTemplateStatus, VolumeId, ids::AccountId,
};
use serde_json::Value;

const CRD: &str = include_str!("../../../../crds/savedtemplates.yaml");

static ROOT: LazyLock<Value> = LazyLock::new(|| {
    let mut crd: Value = serde_yaml::from_str(CRD).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].take()
});

/// What the schema has against a status, by path.
pub(crate) fn objections_to_status(status: &SavedTemplateStatus) -> Vec<String> {
    objections("status", &serde_json::to_value(status).unwrap(), &ROOT["status"])
}

/// What the schema has against a spec, by path.
pub(crate) fn objections_to_spec(spec: &SavedTemplateSpec) -> Vec<String> {
    objections("spec", &serde_json::to_value(spec).unwrap(), &ROOT["spec"])
}

fn objections(path: &str, value: &Value, schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(path, value, schema, &mut found);
    found
}

fn check(path: &str, value: &Value, schema: &Value, found: &mut Vec<String>) {
    let mut object = |what: &str| found.push(format!("{path}: {what}: {}", short(value)));
    let listed = schema["enum"].as_array();
    if listed.is_some_and(|values| !values.contains(value)) {
        object("not one of the values");
    }
    match (schema["type"].as_str().unwrap_or_default(), value) {
        ("object", Value::Object(members)) => {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !members.contains_key(name) {
                    object(name);
                }
            }
            for (name, member) in members {
                match schema["properties"].get(name) {
                    Some(property) => check(&format!("{path}.{name}"), member, property, found),
                    None => found.push(format!("{path}: has no field {name}")),
                }
            }
        }
        ("array", Value::Array(items)) => {
            if over(schema, "maxItems", items.len()) {
                object("too many items");
            }
            let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let is_set = schema["x-kubernetes-list-type"] == "set";
            let key =
                |item: &Value| keys.iter().map(|key| item[*key].to_string()).collect::<Vec<_>>().join(" ");
            let distinct: BTreeSet<String> =
                items.iter().map(|item| if is_set { item.to_string() } else { key(item) }).collect();
            if (is_set || !keys.is_empty()) && distinct.len() < items.len() {
                object("two items of one key");
            }
            for (at, item) in items.iter().enumerate() {
                check(&format!("{path}[{at}]"), item, &schema["items"], found);
            }
        }
        ("string", Value::String(text)) => {
            let length = text.chars().count();
            if over(schema, "maxLength", length)
                || schema["minLength"].as_u64().is_some_and(|least| length < size(least))
            {
                object("too long or too short");
            }
            if schema["format"] == "date-time" && !is_time(text) {
                object("not a time");
            }
            if schema["pattern"].as_str().is_some_and(|pattern| !matches(pattern, text)) {
                object("does not match its pattern");
            }
        }
        ("integer", Value::Number(number)) => {
            let number = number.as_i64();
            let below =
                schema["minimum"].as_f64().zip(number).is_some_and(|(least, number)| number < whole(least));
            let above =
                schema["maximum"].as_f64().zip(number).is_some_and(|(most, number)| number > whole(most));
            let wide =
                schema["format"] == "int32" && number.is_some_and(|number| i32::try_from(number).is_err());
            if number.is_none() || below || above || wide {
                object("out of bounds");
            }
        }
        ("boolean", Value::Bool(_)) => {}
        _ => object("of another type"),
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

fn over(schema: &Value, limit: &str, length: usize) -> bool {
    schema[limit].as_u64().is_some_and(|most| length > size(most))
}

/// Limits are small whole numbers, written as the YAML has them.
fn whole(limit: f64) -> i64 {
    format!("{limit:.0}").parse().unwrap()
}

/// As the API server parses it: a year of four digits.
fn is_time(text: &str) -> bool {
    text.parse::<Timestamp>().is_ok() && text.as_bytes().get(4) == Some(&b'-')
}

/// The types of ids say what their patterns say, so that no expression has to be run here.
fn matches(pattern: &str, text: &str) -> bool {
    let all = |more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    match pattern {
        r"^([a-z]{2}|[a-z]{4})(-[a-z]+)+-\d$" => Region::parse(text).is_ok(),
        "^i-([0-9a-f]{8}|[0-9a-f]{17})$" => InstanceId::parse(text).is_ok(),
        "^ami-([0-9a-f]{8}|[0-9a-f]{17})$" => ImageId::parse(text).is_ok(),
        "^vol-([0-9a-f]{8}|[0-9a-f]{17})$" => VolumeId::parse(text).is_ok(),
        r"^\d{12}$" => AccountId::parse(text).is_ok(),
        "^([0-9a-f]{16})?$" => {
            matches!(text.len(), 0 | 16) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        }
        "^[A-Za-z0-9()./_-]+$" => all("()./_-"),
        "^[A-Za-z0-9/]+$" => all("/"),
        "^[A-Za-z0-9:/_-]+$" => all(":/_-"),
        "^[A-Za-z0-9_./-]+$" => all("_./-"),
        "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" | "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" => {
            all("-.") && !text.starts_with('-')
        }
        _ => panic!("teach the validator {pattern}"),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}
