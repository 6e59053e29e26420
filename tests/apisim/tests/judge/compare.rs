//! Comparison: answers without what may differ, and what then still does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::step::Step;

/// Answers in which uids and versions are their order, and times and tokens only that they are there.
pub(crate) fn normal(steps: &[Step], answers: Vec<Value>) -> Vec<Value> {
    let (mut uids, mut versions) = (BTreeMap::new(), BTreeSet::new());
    for answer in &answers {
        collect(answer, &mut uids, &mut versions);
    }
    let normal = Normal { uids, versions };
    steps.iter().zip(answers).map(|(step, answer)| normal.answer(step, answer)).collect()
}

/// What the answers to each step differ in, and where one is not what the step expects.
pub(crate) fn differences(steps: &[Step], simulated: &[Value], real: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for (row, ((step, simulated), real)) in steps.iter().zip(simulated).zip(real).enumerate() {
        let mut of_step = Vec::new();
        for (side, answer) in [("apisim", simulated), ("kube-apiserver", real)] {
            let (code, reason) = (&answer["code"], answer["body"]["reason"].as_str());
            let reason = reason.filter(|_| step.code >= 400 && step.only.is_empty()).unwrap_or_default();
            if *code != step.code || (step.only.is_empty() && reason != step.reason) {
                of_step.push(format!("  {side} answers {code} {reason:?}: {}", answer["body"]));
            }
        }
        differ("", Some(simulated), Some(real), &mut of_step);
        if !of_step.is_empty() {
            found.push(format!("row {row}, {}:\n{}", step.what, of_step.join("\n")));
        }
    }
    found
}

fn differ(at: &str, simulated: Option<&Value>, real: Option<&Value>, found: &mut Vec<String>) {
    match (simulated, real) {
        (Some(Value::Object(one)), Some(Value::Object(two))) => {
            for key in one.keys().chain(two.keys()).collect::<BTreeSet<_>>() {
                differ(&format!("{at}/{key}"), one.get(key), two.get(key), found);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(two))) => {
            for at_index in 0..one.len().max(two.len()) {
                differ(&format!("{at}/{at_index}"), one.get(at_index), two.get(at_index), found);
            }
        }
        (one, two) if one == two => {}
        (one, two) => {
            let shown = |side: Option<&Value>| side.map_or_else(|| "nothing".to_owned(), Value::to_string);
            found.push(format!("  {at}\n    apisim: {}\n    real:   {}", shown(one), shown(two)));
        }
    }
}

struct Normal {
    uids: BTreeMap<String, usize>,
    versions: BTreeSet<u64>,
}

fn collect(value: &Value, uids: &mut BTreeMap<String, usize>, versions: &mut BTreeSet<u64>) {
    match value {
        Value::Object(fields) => {
            if let Some(uid) = fields.get("uid").and_then(Value::as_str).filter(|uid| uid.len() == 36) {
                let next = uids.len();
                uids.entry(uid.to_owned()).or_insert(next);
                // Lists and bookmarks have a version too, which may be that of somebody else's write.
                let version = fields.get("resourceVersion").and_then(Value::as_str);
                versions.extend(version.and_then(|version| version.parse::<u64>().ok()));
            }
            fields.values().for_each(|value| collect(value, uids, versions));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, uids, versions)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl Normal {
    fn answer(&self, step: &Step, answer: Value) -> Value {
        let mut answer = self.value("", answer);
        if !step.message {
            forget_words(&mut answer["body"]);
        }
        if !step.version {
            forget_versions(&mut answer);
        }
        if !step.only.is_empty() {
            let of = |pointer: &&str| {
                let value = answer["body"].pointer(pointer).cloned().unwrap_or_default();
                ((*pointer).to_owned(), value)
            };
            answer["body"] = step.only.iter().map(of).collect::<Map<String, Value>>().into();
        }
        answer
    }

    fn value(&self, key: &str, value: Value) -> Value {
        match value {
            Value::Object(fields) => fields
                .into_iter()
                .filter(|(key, value)| key != "managedFields" && !(key == "continue" && value == ""))
                .map(|(key, value)| (key.clone(), self.value(&key, value)))
                .collect::<Map<String, Value>>()
                .into(),
            Value::Array(list) => {
                let mut list: Vec<Value> = list.into_iter().map(|value| self.value("", value)).collect();
                if key == "causes" {
                    // kube-apiserver looks at metadata up to three times, and tells what it finds each time.
                    list.dedup();
                }
                list.into()
            }
            Value::String(text) => self.text(key, text).into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }

    fn text(&self, key: &str, text: String) -> String {
        match key {
            "creationTimestamp" | "deletionTimestamp" => "a time".to_owned(),
            "continue" => "a token".to_owned(),
            "resourceVersion" => text.parse::<u64>().map_or(text, |version| {
                format!("version {}", self.versions.iter().filter(|known| **known <= version).count())
            }),
            "message" => {
                without_numbers(&self.uids.iter().fold(text, |text, (uid, number)| {
                    text.replace(uid, &format!("uid {}", letters(*number)))
                }))
            }
            "uid" => self.uids.get(&text).map_or(text, |number| format!("uid {number}")),
            _ => text,
        }
    }
}

fn letters(number: usize) -> String {
    "u".repeat(number + 1)
}

/// A message in which each number is the same.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if !letter.is_ascii_digit() {
            out.push(letter);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out
}

fn forget_versions(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove("resourceVersion");
        fields.values_mut().for_each(forget_versions);
    }
    value.as_array_mut().into_iter().flatten().for_each(forget_versions);
}

fn forget_words(body: &mut Value) {
    if let Some(body) = body.as_object_mut() {
        body.remove("message");
        let causes = body.get_mut("details").and_then(|details| details.get_mut("causes")?.as_array_mut());
        for cause in causes.into_iter().flatten().filter_map(Value::as_object_mut) {
            cause.remove("message");
        }
    } else {
        *body = Value::Null;
    }
}
