//! What an effect is called: told by its request, and by what its process announced.
use std::collections::BTreeSet;

use ec2sim::Request;
use saved_template_api::names::debt_key;
use saved_template_core::step::{
    FORCE_STOP, REMOVE_RECEIPT, RETAG, STOP, TAG, TAG_IMAGES, UNTAG, UNTAG_IMAGES,
};
use serde_json::Value;

use crate::lab::CLUSTER;

/// A change that a status announces: its region, and the name of its step.
pub(crate) type Announcement = (String, String);

/// The rows that `after` announces and `before` does not.
pub(crate) fn announced(before: &Value, after: &Value) -> Vec<Announcement> {
    let rows = |status: &Value| status["announced"].as_array().cloned().unwrap_or_default();
    let asked = |row: &Value| ["region", "number", "step", "time", "request"].map(|field| row[field].clone());
    let before: Vec<_> = rows(before).iter().map(asked).collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows(after)
        .iter()
        .filter(|row| !before.contains(&asked(row)))
        .map(|row| (text(&row["region"]), text(&row["step"])))
        .collect()
}

/// The name of a write of the status.
pub(crate) fn of_status(announced: &[Announcement], is_answer: bool) -> String {
    let names: BTreeSet<&str> = announced.iter().map(|(_, step)| step.as_str()).collect();
    match (names.is_empty(), is_answer) {
        (false, _) => format!("announce {}", names.into_iter().collect::<Vec<_>>().join(", ")),
        (true, true) => "settle".to_owned(),
        (true, false) => "status".to_owned(),
    }
}

/// The values of the parameters that begin so.
pub(crate) fn values<'r>(request: &'r Request, part: &str) -> impl Iterator<Item = &'r String> {
    request.params.iter().filter(move |(key, _)| key.starts_with(part)).map(|(_, value)| value)
}

/// The value of a tag that the request puts on something, or takes off.
pub(crate) fn tagged(request: &Request, key: &str) -> Option<String> {
    let (at, _) = request.params.iter().find(|(at, value)| at.ends_with(".Key") && *value == key)?;
    request.params.get(&format!("{}.Value", at.strip_suffix(".Key")?)).cloned()
}

/// The name of a change of EC2, by a process that announced these and has not sent them; whether it is one of these.
pub(crate) fn of_change(
    request: &Request,
    region: &str,
    announced: &[Announcement],
    is_known: impl Fn(&str) -> bool,
) -> &'static str {
    let is_announced =
        |name: &'static str| announced.iter().any(|(at, step)| at == region && step == name).then_some(name);
    let is_machine = values(request, "ResourceId").any(|id| id.starts_with("i-"));
    let record = tagged(request, &debt_key(CLUSTER));
    match request.action.as_str() {
        "StopInstances" if request.params.get("Force").is_some_and(|force| force == "true") => FORCE_STOP,
        "StopInstances" => STOP,
        "CreateTags" if !is_machine => TAG_IMAGES,
        "DeleteTags" if !is_machine => UNTAG_IMAGES,
        "CreateTags" => match record {
            None => REMOVE_RECEIPT,
            Some(record) => is_announced(TAG)
                .or_else(|| is_announced(RETAG))
                .unwrap_or(if is_known(&record) { "RestoreRecord" } else { "AbortAlone" }),
        },
        "DeleteTags" if record.is_none() => REMOVE_RECEIPT,
        "DeleteTags" => is_announced(UNTAG).unwrap_or("RemoveRecord"),
        "StartInstances" => "StartInstances",
        "CreateImage" => "CreateImage",
        "CopyImage" => "CopyImage",
        "ModifyImageAttribute" => "ModifyImageAttribute",
        "DeregisterImage" => "DeregisterImage",
        "DeleteSnapshot" => "DeleteSnapshot",
        other => panic!("{other} is no change that we make"),
    }
}
